//! The viewer: a file on the screen, as what it is, whoever it came from.
//!
//! JSON is indented, CSV becomes a table, a picture is drawn, text is shown, and of anything else
//! the first bytes are. Files come from others, so nothing in here takes memory or time that the
//! file decides: each part says how much it reads and keeps at most. Nothing that a file contains
//! reaches the terminal but through one function that makes text harmless (`screen`), and
//! pictures are drawn from decoded pixels, never from the file's own bytes.
#![deny(clippy::disallowed_methods)]

#[cfg(unix)]
mod ask;
mod csv;
mod error;
pub mod format;
mod hex;
mod json;
mod kind;
mod options;
mod picture;
mod sanitise;
mod screen;
mod source;
mod text;

use std::{
    io::{self, Write},
    path::Path,
};

pub use self::{
    error::ShowError,
    kind::Kind,
    options::{ColorLevel, Graphics, Rows, ShowOptions, When, Window},
    sanitise::{columns, fit, sanitise, sanitise_bytes},
};
use self::{
    screen::{Role, Screen},
    source::Source,
};

/// Prints a file as what it is, and says what that was.
///
/// A file that is damaged, cut short or too large is shown as far as it goes, with a line that
/// says so. Blocks while it reads; what is read is bounded, whatever the size of the file.
///
/// # Errors
/// If the file is not a regular file or cannot be read, or `out` cannot be written.
pub fn show(path: &Path, options: &ShowOptions, out: &mut dyn Write) -> Result<Kind, ShowError> {
    let source = Source::open(path)?;
    let kind = Kind::of(&source);
    let mut screen = Screen::new(out, options.color);
    if let Some(lie) = lie(&source, kind) {
        screen.line(Role::Warning, &lie)?;
    }
    match kind {
        Kind::Json => json::show(&source, options, &mut screen),
        Kind::Csv => csv::show(&source, options, &mut screen),
        Kind::Image => picture::show(&source, options, &mut screen),
        Kind::Text => text::show(&source, options, &mut screen),
        Kind::Binary => hex::show(&source, options, &mut screen),
        Kind::Empty => screen.line(Role::Note, "empty file"),
    }?;
    screen.flush()?;
    Ok(kind)
}

impl ShowOptions {
    /// Asks the terminal itself whether it draws pixels, if that is not known yet.
    ///
    /// Worth the wait, of a second at most and a moment mostly, only where a picture is to be
    /// drawn. Not to be called while anything else reads from the terminal. A terminal that
    /// does not answer, or not to this process, changes nothing.
    pub fn ask_terminal(&mut self) {
        #[cfg(unix)]
        if self.graphics == Graphics::HalfBlocks {
            self.graphics = ask::graphics().unwrap_or(self.graphics);
        }
    }
}

/// Tells what a file would be shown as, from its first bytes and its name.
///
/// # Errors
/// As [`show`], as far as opening and reading goes; the source of the error is a [`ShowError`].
pub fn detect_kind(path: &Path) -> io::Result<Kind> {
    Ok(Kind::of(&Source::open(path)?))
}

/// What to say if the name of a file promises what is not in it.
fn lie(source: &Source, kind: Kind) -> Option<String> {
    let extension = source.extension()?;
    let claimed = Kind::claimed(&extension)?;
    let lies = claimed != kind && kind != Kind::Empty;
    lies.then(|| format!("named .{extension}, but what is in it is {kind}"))
}
