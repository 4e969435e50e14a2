//! Rows drawn by indicatif, for the stage to place.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indicatif::{
    MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike,
};

use super::super::stage::window;

/// Rows as progress bars, one below the other.
pub(super) struct Canvas {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
    sheet: Sheet,
}

/// What a progress bar shows: where it is, and how that is told.
pub(super) struct Row {
    style: ProgressStyle,
    position: u64,
    length: u64,
}

/// The terminal that indicatif draws on: it keeps the last frame, and shows it to nobody.
///
/// Where lines go is the stage's to say, and when: a bar draws itself at any change, and once
/// more when it is dropped.
#[derive(Debug, Clone, Default)]
struct Sheet(Arc<Mutex<Frame>>);

#[derive(Debug, Default)]
struct Frame {
    /// What was written since the last flush.
    text: String,
    lines: Vec<String>,
}

impl Default for Canvas {
    fn default() -> Self {
        let sheet = Sheet::default();
        // Without a limit to its rate: whoever asks for lines wants them as they are now.
        let target = ProgressDrawTarget::term_like(Box::new(sheet.clone()));
        Self {
            all: MultiProgress::with_draw_target(target),
            bars: Vec::new(),
            sheet,
        }
    }
}

impl Canvas {
    /// These rows as lines, whatever was drawn before.
    pub(super) fn lines(&mut self, rows: Vec<Row>) -> Vec<String> {
        if rows.len() < self.bars.len() {
            for bar in self.bars.drain(rows.len()..) {
                self.all.remove(&bar);
            }
        }
        while self.bars.len() < rows.len() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            self.bars.push(self.all.add(bar));
        }
        if rows.is_empty() {
            return Vec::new();
        }
        for (bar, row) in self.bars.iter().zip(rows) {
            bar.set_style(row.style);
            bar.update(|state| {
                state.set_len(row.length);
                state.set_pos(row.position);
            });
        }
        // The last bar to change drew all of them.
        self.sheet.lock().lines.clone()
    }
}

impl Row {
    /// A row of this template of indicatif's, whose `{bar}` is empty.
    pub(super) fn new(template: &str) -> Self {
        let style = ProgressStyle::with_template(&format!("{START}{template}"))
            .expect("templates are made here, and hold no text of others");
        Self {
            style: style.progress_chars(LINE),
            position: 0,
            length: 1,
        }
    }

    /// What one of the template's keys stands for.
    pub(super) fn told(mut self, key: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        let tell = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            out.write_str(&text).expect("indicatif writes to a string");
        };
        self.style = self.style.with_key(key, tell);
        self
    }

    /// How far its bar is.
    pub(super) fn at(mut self, position: u64, length: u64) -> Self {
        // Of nothing, all is there from the beginning: the bar of an empty file is empty.
        (self.position, self.length) = (position, length.max(1));
        self
    }
}

impl Sheet {
    fn lock(&self) -> MutexGuard<'_, Frame> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for Sheet {
    fn width(&self) -> u16 {
        // Templates are made for the window; indicatif fills the rest of each line with spaces.
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
        let mut frame = self.lock();
        let text = std::mem::take(&mut frame.text);
        let lines = text.split(START).skip(1);
        frame.lines = lines.map(|line| line.trim_end().to_owned()).collect();
        Ok(())
    }
}

/// What a bar is drawn with: done, its end, not done.
const LINE: &str = "━╸ ";

/// Indicatif counts on room for the widest character in any line.
const COLUMNS_MIN: u16 = 8;

/// Before each line: indicatif writes no line ends, and leaves it to the terminal to wrap lines
/// that it has filled. It is no part of any name, since those are made safe to print.
const START: char = '\u{2}';

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str) -> Row {
        let row = Row::new("{label} {bar:10} {part}");
        row.told("label", label).told("part", "50%").at(5, 10)
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
