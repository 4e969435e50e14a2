//! What is wrong with a JSON text, and where.

use std::{fmt, io};

use super::{super::sanitise::grouped, bracket::Bracket};

/// Why a JSON text cannot be read on.
#[derive(Debug)]
pub(super) struct Flaw {
    /// Counted from 1.
    pub(super) line: u64,
    /// In characters, counted from 1.
    pub(super) column: u64,
    /// In bytes of UTF-8 text, counted from 0.
    pub(super) offset: u64,
    pub(super) problem: Problem,
}

#[derive(Debug)]
pub(super) enum Problem {
    Expected(&'static str),
    /// The file ends inside this, or between two values.
    Ends(Option<Bracket>),
    EndsInString,
    AfterEnd,
    LeadingZero,
    ControlInString,
    BadEscape,
    NotUtf8,
    /// No fault of the file: as much of it has been read as may be.
    Limit,
    Read(io::Error),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (grouped(self.line), grouped(self.column));
        write!(f, "line {line}, column {column}: {}", self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expected(what) => return write!(f, "expected {what}"),
            Self::Ends(Some(Bracket::Array)) => "the file ends inside an array",
            Self::Ends(Some(Bracket::Object)) => "the file ends inside an object",
            Self::Ends(None) => "the file ends inside a value",
            Self::EndsInString => "the file ends inside a string",
            Self::AfterEnd => "expected the end of the file, or a new line before the next value",
            Self::LeadingZero => "a number may not begin with a zero",
            Self::ControlInString => "a control character in a string must be escaped",
            Self::BadEscape => "no such escape in a string",
            Self::NotUtf8 => "the text is not UTF-8",
            Self::Limit => "not read further",
            Self::Read(error) => return error.fmt(f),
        })
    }
}
