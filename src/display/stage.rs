//! Standard error, shared by bars that are drawn over and over and lines that stay.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use console::{Term, truncate_str};

use super::ascii::localised;

/// The one way to standard error while bars may be on it.
///
/// While bars are drawn, the cursor waits at the beginning of the first of them. However a
/// terminal wraps or joins lines when its window changes, all that is below the cursor is bars,
/// and one "erase below" takes them away. Bars that are drawn upward from their last line, as is
/// usual, leave remains of themselves behind then.
#[derive(Clone, Default)]
pub struct Stage(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// What is drawn, or will be once nobody pauses.
    bars: Vec<String>,
    /// Whether anything is drawn now.
    drawn: bool,
    /// How many want the screen for themselves.
    pauses: usize,
    /// Instead of standard error.
    out: Option<Box<dyn Write + Send>>,
}

/// Keeps bars away until it is dropped.
#[must_use]
pub struct Pause(Stage);

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

impl Stage {
    /// A stage that is not standard error.
    #[must_use]
    pub fn on(out: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            out: Some(Box::new(out)),
            ..Inner::default()
        })))
    }

    /// Prints a line that stays, above the bars.
    pub fn line(&self, line: &str) {
        self.raw(&format!("{line}\n"));
    }

    /// Draws these bars in place of the last ones; none takes them away.
    ///
    /// Each must be a line; what does not fit the window is cut off.
    pub fn draw(&self, bars: Vec<String>) {
        let mut inner = self.lock();
        if inner.bars.is_empty() && bars.is_empty() {
            return;
        }
        inner.bars = bars;
        let mut out = String::new();
        inner.paint(&mut out);
        inner.emit(&out);
    }

    /// Takes the bars off the screen until the result is dropped: something else needs it.
    pub fn pause(&self) -> Pause {
        let mut inner = self.lock();
        inner.pauses += 1;
        let mut out = String::new();
        inner.erase(&mut out);
        inner.emit(&out);
        Pause(self.clone())
    }

    pub(super) fn raw(&self, text: &str) {
        let mut inner = self.lock();
        let mut out = String::new();
        inner.erase(&mut out);
        out.push_str(&localised(text));
        inner.paint(&mut out);
        inner.emit(&out);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn erase(&mut self, out: &mut String) {
        if std::mem::take(&mut self.drawn) {
            // From the second column: what is erased from the very first cell of the screen on, tmux
            // takes for a screen that is cleared, and keeps a copy of it to scroll back to.
            out.push_str("\r\x1b[2K \x1b[J\r");
        }
    }

    fn paint(&mut self, out: &mut String) {
        if self.bars.is_empty() || self.pauses > 0 {
            return self.erase(out);
        }
        let (columns, rows) = window();
        // A line that fills the last column would wrap on some terminals; the prompt's line is
        // left to whatever is printed next.
        let shown = self.bars.len().min(rows.saturating_sub(1).max(1));
        // The window may become narrower while this is on its way: what is too long then must not
        // take a second row, of which nobody would know.
        out.push_str("\r\x1b[?7l");
        // Each row is erased whole before it is written: one that was too long when the window
        // became narrower is joined with the next for good else.
        for (i, bar) in self.bars[self.bars.len() - shown..].iter().enumerate() {
            if i > 0 {
                out.push_str("\r\n");
            }
            out.push_str("\x1b[2K");
            out.push_str(&truncate_str(
                &localised(bar),
                columns.saturating_sub(1),
                "",
            ));
        }
        out.push_str("\x1b[J\x1b[?7h");
        if shown > 1 {
            out.push_str(&format!("\x1b[{}A", shown - 1));
        }
        out.push('\r');
        self.drawn = true;
    }
}

impl Inner {
    fn emit(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let write = |out: &mut dyn Write| out.write_all(text.as_bytes()).and_then(|()| out.flush());
        // A closed standard error leaves nobody to tell.
        let _ = match &mut self.out {
            Some(out) => write(out),
            None => write(&mut io::stderr().lock()),
        };
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.pauses -= 1;
        let mut out = String::new();
        inner.paint(&mut out);
        inner.emit(&out);
    }
}

/// Columns and rows of the window that standard error is in.
pub(super) fn window() -> (usize, usize) {
    let (rows, columns) = Term::stderr().size_checked().unwrap_or((24, 80));
    (usize::from(columns), usize::from(rows))
}

/// Log lines may carry text from others in any field: only their own line ends stay as they are.
pub(super) fn escaped(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(super::show::sanitise).collect();
    lines.join("\n") + "\n"
}
