//! The viewer's only way out: what it prints is sanitised here, and coloured if that is wanted.

use std::io::Write;

use super::{ShowError, options::ColorLevel, sanitise::sanitise};

/// Where the viewer prints.
///
/// No text passes without being sanitised, so that a part of the viewer that forgets to do so
/// cannot let an escape sequence through.
pub(super) struct Screen<'a> {
    out: &'a mut dyn Write,
    colored: bool,
}

/// What a piece of text is, which decides its colour.
///
/// The colours are among the terminal's sixteen, which follow the theme that its owner reads well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    /// A name: a key of an object, a column's header.
    Name,
    Text,
    Number,
    /// `true`, `false` and `null`.
    Literal,
    /// What the viewer says about the file, rather than what is in it.
    Note,
    /// What is wrong with the file.
    Warning,
}

impl<'a> Screen<'a> {
    pub(super) fn new(out: &'a mut dyn Write, color: ColorLevel) -> Self {
        Self {
            out,
            colored: color != ColorLevel::None,
        }
    }

    /// Prints part of a line.
    pub(super) fn text(&mut self, role: Role, text: &str) -> Result<(), ShowError> {
        let safe = sanitise(text);
        match role.sgr().filter(|_| self.colored && !safe.is_empty()) {
            Some(sgr) => write!(self.out, "\u{1b}[{sgr}m{safe}\u{1b}[0m"),
            None => self.out.write_all(safe.as_bytes()),
        }
        .map_err(ShowError::Write)
    }

    /// Prints a line, or the rest of one.
    pub(super) fn line(&mut self, role: Role, text: &str) -> Result<(), ShowError> {
        self.text(role, text)?;
        self.end_line()
    }

    pub(super) fn end_line(&mut self) -> Result<(), ShowError> {
        self.out.write_all(b"\n").map_err(ShowError::Write)
    }

    /// Prints what draws a picture: escape sequences that the viewer made itself from pixels.
    pub(super) fn picture(&mut self, escapes: &[u8]) -> Result<(), ShowError> {
        self.out.write_all(escapes).map_err(ShowError::Write)
    }

    pub(super) fn flush(&mut self) -> Result<(), ShowError> {
        self.out.flush().map_err(ShowError::Write)
    }
}

impl Role {
    /// The parameters of "select graphic rendition" (ECMA-48, 8.3.117).
    fn sgr(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Name => Some("1;34"),
            Self::Text => Some("32"),
            Self::Number => Some("36"),
            Self::Literal => Some("35"),
            Self::Note => Some("2"),
            Self::Warning => Some("33"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(color: ColorLevel) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, color);
        screen.text(Role::Number, "1\u{1b}[2J").unwrap();
        screen.line(Role::Plain, ";\u{9b}").unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn without_colour_there_is_no_escape_at_all() {
        assert_eq!(printed(ColorLevel::None), "1\\u001b[2J;\\u009b\n");
    }

    #[test]
    fn with_colour_the_only_escapes_are_its_own() {
        assert_eq!(
            printed(ColorLevel::Ansi256),
            "\u{1b}[36m1\\u001b[2J\u{1b}[0m;\\u009b\n"
        );
    }
}
