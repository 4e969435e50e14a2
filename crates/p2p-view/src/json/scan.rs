//! JSON read piece by piece (RFC 8259), in memory that does not depend on the file.
//!
//! serde's model has no place for what the viewer must keep: the digits of a number, a key that
//! comes twice, half of a file, nesting without end. So the grammar is here, and the tests hold
//! it to what `serde_json` accepts.

use std::{
    hash::{DefaultHasher, Hasher},
    io::BufRead,
};

use super::{
    bracket::{Bracket, Brackets},
    clip::Clip,
    flaw::{Flaw, Problem},
    input::Input,
};

/// Reads the pieces of a JSON text, or of several on lines of their own.
pub(super) struct Scanner<R> {
    input: Input<R>,
    open: Brackets,
    expect: Expect,
    keep: usize,
    newline_seen: bool,
}

/// A piece of JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Open(Bracket),
    /// Ends the container that was opened last.
    Close,
    /// A member's name, and a hash of the whole of it.
    Key(Clip, u64),
    String(Clip),
    /// The digits as they are in the file.
    Number(Clip),
    /// `true`, `false` or `null`.
    Literal(&'static str),
    /// Nothing but white space up to the end of the file.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A value, or the end of the file.
    Top,
    /// The first value of an array, or its end.
    First,
    /// The first name of an object, or its end.
    FirstKey,
    /// The value of the member whose name was read.
    Member,
    /// What follows a value.
    Next,
}

impl<R: BufRead> Scanner<R> {
    /// Scans `reader`, of which at most `limit` bytes are read; of each string and number the
    /// first and the last `keep` characters are kept.
    pub(super) fn new(reader: R, limit: u64, keep: usize) -> Self {
        Self {
            input: Input::new(reader, limit),
            open: Brackets::default(),
            expect: Expect::Top,
            keep,
            newline_seen: true,
        }
    }

    /// How many bytes have been read.
    pub(super) fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// The next piece; after [`Piece::End`] or an error there is none.
    pub(super) fn next(&mut self) -> Result<Piece, Flaw> {
        let byte = self.next_byte();
        match (self.expect, byte) {
            (Expect::Top, None) => match self.input.stop {
                None => Ok(Piece::End),
                Some(_) => Err(self.flaw(Problem::Ends(None))),
            },
            (Expect::Top, Some(_)) if !self.newline_seen => Err(self.flaw(Problem::AfterEnd)),
            (Expect::Top, Some(byte)) => self.value(byte),
            (_, None) => Err(self.flaw(Problem::Ends(self.open.last()))),
            (Expect::First, Some(b']')) => self.close(),
            (Expect::First, Some(byte)) => self.value(byte),
            (Expect::FirstKey, Some(b'}')) => self.close(),
            (Expect::FirstKey, Some(b'"')) => self.key(),
            (Expect::FirstKey, Some(_)) => Err(self.flaw(Problem::Expected("a name or `}`"))),
            (Expect::Member, Some(b':')) => {
                self.input.bump();
                let byte = self.required()?;
                self.value(byte)
            }
            (Expect::Member, Some(_)) => Err(self.flaw(Problem::Expected("`:`"))),
            (Expect::Next, Some(byte)) => match (self.open.last(), byte) {
                (Some(Bracket::Array), b']') | (Some(Bracket::Object), b'}') => self.close(),
                (Some(Bracket::Array), b',') => {
                    self.input.bump();
                    let byte = self.required()?;
                    self.value(byte)
                }
                (Some(Bracket::Object), b',') => {
                    self.input.bump();
                    match self.required()? {
                        b'"' => self.key(),
                        _ => Err(self.flaw(Problem::Expected("a name"))),
                    }
                }
                (Some(Bracket::Array), _) => Err(self.flaw(Problem::Expected("`,` or `]`"))),
                _ => Err(self.flaw(Problem::Expected("`,` or `}`"))),
            },
        }
    }

    fn key(&mut self) -> Result<Piece, Flaw> {
        let mut hash = DefaultHasher::new();
        let name = self.string(|code| hash_code(&mut hash, code))?;
        self.expect = Expect::Member;
        Ok(Piece::Key(name, hash.finish()))
    }

    fn value(&mut self, first: u8) -> Result<Piece, Flaw> {
        let piece = match first {
            b'{' => return self.enter(Bracket::Object, Expect::FirstKey),
            b'[' => return self.enter(Bracket::Array, Expect::First),
            b'"' => Piece::String(self.string(|_| ())?),
            b'-' | b'0'..=b'9' => Piece::Number(self.number()?),
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => return Err(self.flaw(Problem::Expected("a value"))),
        };
        self.after_value();
        Ok(piece)
    }

    fn enter(&mut self, bracket: Bracket, expect: Expect) -> Result<Piece, Flaw> {
        self.input.bump();
        self.open.push(bracket);
        self.expect = expect;
        Ok(Piece::Open(bracket))
    }

    fn close(&mut self) -> Result<Piece, Flaw> {
        self.input.bump();
        self.open.pop();
        self.after_value();
        Ok(Piece::Close)
    }

    fn after_value(&mut self) {
        self.expect = if self.open.len == 0 {
            self.newline_seen = false;
            Expect::Top
        } else {
            Expect::Next
        };
    }

    fn literal(&mut self, word: &'static str) -> Result<Piece, Flaw> {
        for expected in word.bytes() {
            match self.input.peek() {
                Some(byte) if byte == expected => self.input.bump(),
                None => return Err(self.flaw(Problem::Ends(self.open.last()))),
                Some(_) => return Err(self.flaw(Problem::Expected("a value"))),
            }
        }
        Ok(Piece::Literal(word))
    }

    fn number(&mut self) -> Result<Clip, Flaw> {
        let mut digits = Clip::new(self.keep);
        if self.input.peek() == Some(b'-') {
            self.take(&mut digits);
        }
        if self.input.peek() == Some(b'0') {
            self.take(&mut digits);
            if matches!(self.input.peek(), Some(b'0'..=b'9')) {
                return Err(self.flaw(Problem::LeadingZero));
            }
        } else {
            self.digits(&mut digits)?;
        }
        if self.input.peek() == Some(b'.') {
            self.take(&mut digits);
            self.digits(&mut digits)?;
        }
        if matches!(self.input.peek(), Some(b'e' | b'E')) {
            self.take(&mut digits);
            if matches!(self.input.peek(), Some(b'+' | b'-')) {
                self.take(&mut digits);
            }
            self.digits(&mut digits)?;
        }
        Ok(digits)
    }

    fn digits(&mut self, digits: &mut Clip) -> Result<(), Flaw> {
        match self.input.peek() {
            Some(b'0'..=b'9') => {}
            None => return Err(self.flaw(Problem::Ends(self.open.last()))),
            Some(_) => return Err(self.flaw(Problem::Expected("a digit"))),
        }
        while matches!(self.input.peek(), Some(b'0'..=b'9')) {
            self.take(digits);
        }
        Ok(())
    }

    fn take(&mut self, digits: &mut Clip) {
        digits.push(u32::from(self.input.byte()));
        self.input.bump();
    }

    /// Reads a string, all of whose characters `each` gets, while only some are kept.
    fn string(&mut self, mut each: impl FnMut(u32)) -> Result<Clip, Flaw> {
        self.input.bump();
        let mut text = Clip::new(self.keep);
        loop {
            let Some(byte) = self.input.peek() else {
                return Err(self.flaw(Problem::EndsInString));
            };
            let code = match byte {
                b'"' => {
                    self.input.bump();
                    return Ok(text);
                }
                b'\\' => self.escape()?,
                0..0x20 => return Err(self.flaw(Problem::ControlInString)),
                0x20..0x80 => {
                    let run = self.input.take_plain();
                    run.iter().for_each(|byte| each(u32::from(*byte)));
                    text.push_ascii(run);
                    continue;
                }
                _ => self.character()?,
            };
            each(code);
            text.push(code);
        }
    }

    /// A character of several bytes.
    fn character(&mut self) -> Result<u32, Flaw> {
        let len = match self.input.byte() {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return Err(self.flaw(Problem::NotUtf8)),
        };
        let mut bytes = [0; 4];
        for slot in &mut bytes[..len] {
            let Some(byte) = self.input.peek() else {
                return Err(self.flaw(Problem::EndsInString));
            };
            *slot = byte;
            self.input.bump();
        }
        match std::str::from_utf8(&bytes[..len])
            .ok()
            .and_then(|it| it.chars().next())
        {
            Some(c) => Ok(c.into()),
            None => Err(self.flaw(Problem::NotUtf8)),
        }
    }

    /// What a backslash and what follows it stand for. Half of a pair of `\u` escapes stands for
    /// itself, a number that is no character.
    fn escape(&mut self) -> Result<u32, Flaw> {
        self.input.bump();
        let Some(byte) = self.input.peek() else {
            return Err(self.flaw(Problem::EndsInString));
        };
        let code = match byte {
            b'"' | b'\\' | b'/' => u32::from(byte),
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b't' => 0x09,
            b'u' => {
                self.input.bump();
                return self.hex4();
            }
            _ => return Err(self.flaw(Problem::BadEscape)),
        };
        self.input.bump();
        Ok(code)
    }

    fn hex4(&mut self) -> Result<u32, Flaw> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(byte) = self.input.peek() else {
                return Err(self.flaw(Problem::EndsInString));
            };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.flaw(Problem::BadEscape));
            };
            code = code * 16 + digit;
            self.input.bump();
        }
        Ok(code)
    }

    /// The next byte that is not white space, which is not consumed.
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.input.peek() {
                Some(b'\n') => self.newline_seen = true,
                Some(b' ' | b'\t' | b'\r') => {}
                other => return other,
            }
            self.input.bump();
        }
    }

    fn required(&mut self) -> Result<u8, Flaw> {
        match self.next_byte() {
            Some(byte) => Ok(byte),
            None => Err(self.flaw(Problem::Ends(self.open.last()))),
        }
    }

    /// What is wrong here; if there was no more to read for another reason than the end of the
    /// file, then that.
    #[cold]
    fn flaw(&mut self, problem: Problem) -> Flaw {
        let problem = self.input.stop.take().unwrap_or(problem);
        Flaw {
            line: self.input.line,
            column: self.input.column + 1,
            offset: self.input.offset(),
            problem,
        }
    }
}

/// Hashes a character in units of UTF-16, in which an escaped one and a plain one are the same.
fn hash_code(hash: &mut DefaultHasher, code: u32) {
    match char::from_u32(code) {
        Some(c) => (c.encode_utf16(&mut [0; 2]).iter()).for_each(|it| hash.write_u16(*it)),
        None => hash.write_u16(code as u16),
    }
}

#[cfg(test)]
mod tests;
