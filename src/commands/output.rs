//! What commands print on standard output: every write is checked.

use std::{fmt::Display, io};

use serde::Serialize;

use super::CommandError;
use crate::display;

/// Prints a line for people, or for programs that read lines.
pub(super) fn line(text: impl Display) -> Result<(), CommandError> {
    display::print_line(&text.to_string()).map_err(CommandError::output)
}

/// Prints an object on a line of its own.
pub(super) fn json(value: &impl Serialize) -> Result<(), CommandError> {
    display::print_json(value).map_err(CommandError::output)
}

/// Prints what replaces what was printed before: on a terminal in its place, else below it.
pub(super) fn screen(text: &str) -> Result<(), CommandError> {
    let terminal = console::Term::stdout();
    if terminal.is_term() {
        terminal.clear_screen().map_err(CommandError::output)?;
    }
    line(text)
}

/// Prints a document as it is.
pub(super) fn document(bytes: &[u8]) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    io::Write::write_all(&mut out, bytes)
        .and_then(|()| io::Write::flush(&mut out))
        .map_err(CommandError::output)
}
