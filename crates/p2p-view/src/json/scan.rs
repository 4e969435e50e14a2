//! JSON read piece by piece (RFC 8259), from as much of a file as is held in memory.
//!
//! serde's model has no place for what the viewer must keep: the digits of a number, a key that
//! comes twice, half of a file, nesting without end. So the grammar is here, and the tests hold
//! it to what `serde_json` accepts.

use std::fmt;

use crate::format::grouped;

/// Reads the pieces of a JSON text, or of several on lines of their own.
pub(super) struct Scanner<'t> {
    text: &'t [u8],
    /// Whether the file goes on where `text` ends.
    is_part: bool,
    at: usize,
    open: Vec<Bracket>,
    expect: Expect,
    newline_seen: bool,
}

/// A piece of JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece<'t> {
    Open(Bracket),
    /// Ends the container that was opened last.
    Close,
    /// A member's name, as it is between the quotes.
    Key(&'t str),
    /// What is between the quotes, its escapes as they are in the file.
    String(&'t str),
    /// The digits as they are in the file.
    Number(&'t str),
    /// `true`, `false` or `null`.
    Literal(&'static str),
    /// Nothing but white space up to the end of the file.
    End,
}

/// What holds other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Array,
    Object,
}

/// Why a JSON text cannot be read on.
#[derive(Debug)]
pub(super) struct Flaw {
    /// Counted from 1.
    pub(super) line: usize,
    /// In characters, counted from 1.
    pub(super) column: usize,
    /// In bytes of UTF-8 text, counted from 0.
    pub(super) offset: usize,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A value, or the end of the file.
    Top,
    /// The first value of an array, or its end.
    First,
    Value,
    /// The first name of an object, or its end.
    FirstKey,
    Key,
    Colon,
    /// What follows a value in a container.
    Next(Bracket),
}

impl<'t> Scanner<'t> {
    /// Scans `text`, which is all of a file, or its beginning if `is_part`.
    pub(super) fn new(text: &'t [u8], is_part: bool) -> Self {
        Self {
            text,
            is_part,
            at: 0,
            open: Vec::new(),
            expect: Expect::Top,
            newline_seen: true,
        }
    }

    /// The next piece; after [`Piece::End`] or an error there is none.
    pub(super) fn next(&mut self) -> Result<Piece<'t>, Flaw> {
        loop {
            let Some(byte) = self.skip_space() else {
                return match self.expect {
                    Expect::Top if !self.is_part => Ok(Piece::End),
                    _ => self.ends(),
                };
            };
            let expected = match (self.expect, byte) {
                (Expect::Top, _) if !self.newline_seen => return self.flaw(Problem::AfterEnd),
                (Expect::First | Expect::Next(Bracket::Array), b']')
                | (Expect::FirstKey | Expect::Next(Bracket::Object), b'}') => {
                    self.at += 1;
                    self.open.pop();
                    self.after_value();
                    return Ok(Piece::Close);
                }
                (Expect::Top | Expect::First | Expect::Value, _) => return self.value(byte),
                (Expect::FirstKey | Expect::Key, b'"') => {
                    self.expect = Expect::Colon;
                    return self.string().map(Piece::Key);
                }
                (Expect::Colon, b':') | (Expect::Next(Bracket::Array), b',') => {
                    self.at += 1;
                    self.expect = Expect::Value;
                    continue;
                }
                (Expect::Next(Bracket::Object), b',') => {
                    self.at += 1;
                    self.expect = Expect::Key;
                    continue;
                }
                (Expect::FirstKey, _) => "a name or `}`",
                (Expect::Key, _) => "a name",
                (Expect::Colon, _) => "`:`",
                (Expect::Next(Bracket::Array), _) => "`,` or `]`",
                (Expect::Next(Bracket::Object), _) => "`,` or `}`",
            };
            return self.flaw(Problem::Expected(expected));
        }
    }

    fn value(&mut self, first: u8) -> Result<Piece<'t>, Flaw> {
        let piece = match first {
            b'{' => return Ok(self.enter(Bracket::Object, Expect::FirstKey)),
            b'[' => return Ok(self.enter(Bracket::Array, Expect::First)),
            b'"' => Piece::String(self.string()?),
            b'-' | b'0'..=b'9' => Piece::Number(self.number()?),
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => return self.flaw(Problem::Expected("a value")),
        };
        self.after_value();
        Ok(piece)
    }

    fn enter(&mut self, bracket: Bracket, expect: Expect) -> Piece<'t> {
        self.at += 1;
        self.open.push(bracket);
        self.expect = expect;
        Piece::Open(bracket)
    }

    fn after_value(&mut self) {
        self.newline_seen = false;
        self.expect = self.open.last().map_or(Expect::Top, |it| Expect::Next(*it));
    }

    fn literal(&mut self, word: &'static str) -> Result<Piece<'t>, Flaw> {
        for expected in word.bytes() {
            match self.peek() {
                Some(byte) if byte == expected => self.at += 1,
                None => return self.ends(),
                Some(_) => return self.flaw(Problem::Expected("a value")),
            }
        }
        Ok(Piece::Literal(word))
    }

    fn number(&mut self) -> Result<&'t str, Flaw> {
        let start = self.at;
        self.take(b"-");
        if self.take(b"0") {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return self.flaw(Problem::LeadingZero);
            }
        } else {
            self.digits()?;
        }
        if self.take(b".") {
            self.digits()?;
        }
        if self.take(b"eE") {
            self.take(b"+-");
            self.digits()?;
        }
        Ok(std::str::from_utf8(&self.text[start..self.at]).expect("digits are ASCII"))
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        match self.peek() {
            Some(b'0'..=b'9') => {}
            None => return self.ends(),
            Some(_) => return self.flaw(Problem::Expected("a digit")),
        }
        while self.take(b"0123456789") {}
        Ok(())
    }

    /// Consumes the next byte if it is one of these.
    fn take(&mut self, any_of: &[u8]) -> bool {
        let is_there = self.peek().is_some_and(|byte| any_of.contains(&byte));
        self.at += usize::from(is_there);
        is_there
    }

    fn string(&mut self) -> Result<&'t str, Flaw> {
        self.at += 1;
        let start = self.at;
        loop {
            let rest = &self.text[self.at..];
            let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
            self.at += rest.iter().position(is_special).unwrap_or(rest.len());
            match self.peek() {
                None => return self.flaw(Problem::EndsInString),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return self.flaw(Problem::ControlInString),
            }
        }
        match std::str::from_utf8(&self.text[start..self.at]) {
            Ok(inside) => {
                self.at += 1;
                Ok(inside)
            }
            Err(error) => {
                self.at = start + error.valid_up_to();
                self.flaw(Problem::NotUtf8)
            }
        }
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        self.at += 1;
        let mut digits = match self.peek() {
            None => return self.flaw(Problem::EndsInString),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            Some(_) => return self.flaw(Problem::BadEscape),
        };
        self.at += 1;
        while digits > 0 {
            match self.peek() {
                None => return self.flaw(Problem::EndsInString),
                Some(byte) if byte.is_ascii_hexdigit() => self.at += 1,
                Some(_) => return self.flaw(Problem::BadEscape),
            }
            digits -= 1;
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is not white space, which is not consumed.
    fn skip_space(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b'\n') => self.newline_seen = true,
                Some(b' ' | b'\t' | b'\r') => {}
                other => return other,
            }
            self.at += 1;
        }
    }

    fn ends<T>(&self) -> Result<T, Flaw> {
        self.flaw(Problem::Ends(self.open.last().copied()))
    }

    /// What is wrong here, unless it is only that no more of the file was read.
    #[cold]
    fn flaw<T>(&self, problem: Problem) -> Result<T, Flaw> {
        let before = &self.text[..self.at];
        let line_start = before.iter().rposition(|byte| *byte == b'\n');
        let on_line = &before[line_start.map_or(0, |at| at + 1)..];
        let is_character = |byte: &&u8| **byte & 0xc0 != 0x80;
        Err(Flaw {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + on_line.iter().filter(is_character).count(),
            offset: self.at,
            problem: if self.is_part && self.at == self.text.len() {
                Problem::Limit
            } else {
                problem
            },
        })
    }
}

impl Bracket {
    /// Its beginning and its end.
    pub(super) fn marks(self) -> (&'static str, &'static str) {
        match self {
            Self::Array => ("[", "]"),
            Self::Object => ("{", "}"),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (grouped(self.line as u64), grouped(self.column as u64));
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
        })
    }
}

#[cfg(test)]
mod tests;
