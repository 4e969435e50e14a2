//! Rows drawn by indicatif, for the stage to place.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use super::super::stage::window;

/// One progress bar for each row of the screen, kept from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Canvas(Vec<(ProgressBar, Line)>);

/// What a progress bar shows: a template, its keys, and how far the bar is.
pub(super) struct Row {
    style: ProgressStyle,
    position: u64,
    length: u64,
}

/// The terminal that a progress bar draws on: it keeps the line that was drawn last.
///
/// indicatif redraws from the last row upward, counting rows as they were in the window of that time, which
/// leaves remains in a window that was resized. So the stage alone moves the cursor and says when.
#[derive(Debug, Clone, Default)]
struct Line(Arc<Mutex<Drawn>>);

#[derive(Debug, Default)]
struct Drawn {
    /// What was written since the last flush.
    text: String,
    line: String,
}

impl Canvas {
    /// These rows as lines, whatever was drawn before.
    pub(super) fn lines(&mut self, rows: Vec<Row>) -> Vec<String> {
        self.0.resize_with(rows.len(), || {
            let line = Line::default();
            // Without a limit to its rate: whoever asks for a line wants it as it is now.
            let target = ProgressDrawTarget::term_like(Box::new(line.clone()));
            (ProgressBar::with_draw_target(None, target), line)
        });
        let drawn = self.0.iter().zip(rows).map(|((bar, line), row)| {
            bar.set_style(row.style);
            bar.update(|state| {
                state.set_len(row.length);
                state.set_pos(row.position);
            });
            line.lock().line.clone()
        });
        drawn.collect()
    }
}

impl Row {
    /// A row of this indicatif template, whose `{bar}` is empty.
    ///
    /// A template holds nothing that came from others: that is the values of keys.
    pub(super) fn new(template: &str) -> Self {
        let style = ProgressStyle::with_template(template).expect("templates are written here");
        Self {
            style: style.progress_chars(LINE),
            position: 0,
            length: 1,
        }
    }

    /// What one of the template's keys stands for.
    pub(super) fn with(mut self, key: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        let write = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            out.write_str(&text).expect("indicatif writes to a string");
        };
        self.style = self.style.with_key(key, write);
        self
    }

    /// How far its bar is.
    pub(super) fn at(mut self, position: u64, length: u64) -> Self {
        // Of nothing, all is there from the beginning: the bar of an empty file is empty.
        (self.position, self.length) = (position, length.max(1));
        self
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Drawn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for Line {
    fn width(&self) -> u16 {
        // Templates are made for the window; indicatif fills the rest of the line with spaces.
        u16::try_from(window().0)
            .unwrap_or(u16::MAX)
            .max(COLUMNS_MIN)
    }

    /// The stage leaves out what the window has no room for.
    fn height(&self) -> u16 {
        u16::MAX
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.lock().text.push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut drawn = self.lock();
        let text = std::mem::take(&mut drawn.text);
        text.trim_end().clone_into(&mut drawn.line);
        Ok(())
    }
}

/// What a bar is drawn with: done, its end, not done.
const LINE: &str = "━╸ ";

/// indicatif counts on room for the widest character in any line.
const COLUMNS_MIN: u16 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str) -> Row {
        let row = Row::new("{label} {bar:10} {part}");
        row.with("label", label).with("part", "50%").at(5, 10)
    }

    #[test]
    fn rows_come_and_go_without_a_trace() {
        let mut canvas = Canvas::default();
        let mut drawn = |labels: &[&str]| {
            let lines = canvas.lines(labels.iter().map(|label| row(label)).collect());
            let bars: Vec<_> = labels
                .iter()
                .map(|label| format!("{label} ━━━━━╸     50%"))
                .collect();
            assert_eq!(lines, bars);
        };
        for labels in [&["a", "b", "c"][..], &["b"], &[], &["c", "d"], &["e"; 99]] {
            drawn(labels);
        }
    }

    #[test]
    fn a_line_is_whole_whatever_its_label() {
        // A family is told apart by how its width is counted; templates know braces.
        let labels = [
            " ",
            "{bar}",
            "\u{2e3b}⸻",
            &"文".repeat(300),
            &"👨\u{200d}👩\u{200d}👧".repeat(60),
        ];
        let lines = Canvas::default().lines(labels.iter().map(|label| row(label)).collect());
        for (line, label) in lines.iter().zip(labels) {
            assert_eq!(line, &format!("{label} ━━━━━╸     50%"));
        }
        assert_eq!(lines.len(), labels.len());
    }

    #[test]
    fn a_bar_is_full_when_all_is_there_and_empty_before_anything_is() {
        let bar = |position, length| {
            let row = Row::new("{bar:4}|").at(position, length);
            Canvas::default().lines(vec![row]).remove(0)
        };
        assert_eq!(bar(0, 10), "    |");
        assert_eq!(bar(0, 0), "    |");
        assert_eq!(bar(1, 10), "╸   |");
        assert_eq!(bar(10, 10), "━━━━|");
        assert_eq!(bar(u64::MAX, u64::MAX), "━━━━|");
    }
}
