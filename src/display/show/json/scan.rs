//! JSON read piece by piece (RFC 8259), in memory that does not depend on the file.
//!
//! serde's model has no place for what the viewer must keep: the digits of a number, a key that
//! comes twice, half of a file, nesting without end. So the grammar is here, and the tests hold
//! it to what `serde_json` accepts.

use std::{
    hash::{DefaultHasher, Hasher},
    io::{self, BufRead},
};

use super::{
    clip::Clip,
    flaw::{Flaw, Problem},
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

/// What holds other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Array,
    Object,
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
        let byte = self.next_byte()?;
        match (self.expect, byte) {
            (Expect::Top, None) => Ok(Piece::End),
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
        let (name, hash) = self.string()?;
        self.expect = Expect::Member;
        Ok(Piece::Key(name, hash))
    }

    fn value(&mut self, first: u8) -> Result<Piece, Flaw> {
        let piece = match first {
            b'{' => return self.enter(Bracket::Object, Expect::FirstKey),
            b'[' => return self.enter(Bracket::Array, Expect::First),
            b'"' => Piece::String(self.string()?.0),
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
            match self.input.peek()? {
                Some(byte) if byte == expected => self.input.bump(),
                None => return Err(self.flaw(Problem::Ends(self.open.last()))),
                Some(_) => return Err(self.flaw(Problem::Expected("a value"))),
            }
        }
        Ok(Piece::Literal(word))
    }

    fn number(&mut self) -> Result<Clip, Flaw> {
        let mut digits = Clip::new(self.keep);
        if self.input.peek()? == Some(b'-') {
            self.take(&mut digits);
        }
        if self.input.peek()? == Some(b'0') {
            self.take(&mut digits);
            if matches!(self.input.peek()?, Some(b'0'..=b'9')) {
                return Err(self.flaw(Problem::LeadingZero));
            }
        } else {
            self.digits(&mut digits)?;
        }
        if self.input.peek()? == Some(b'.') {
            self.take(&mut digits);
            self.digits(&mut digits)?;
        }
        if matches!(self.input.peek()?, Some(b'e' | b'E')) {
            self.take(&mut digits);
            if matches!(self.input.peek()?, Some(b'+' | b'-')) {
                self.take(&mut digits);
            }
            self.digits(&mut digits)?;
        }
        Ok(digits)
    }

    fn digits(&mut self, digits: &mut Clip) -> Result<(), Flaw> {
        match self.input.peek()? {
            Some(b'0'..=b'9') => {}
            None => return Err(self.flaw(Problem::Ends(self.open.last()))),
            Some(_) => return Err(self.flaw(Problem::Expected("a digit"))),
        }
        while matches!(self.input.peek()?, Some(b'0'..=b'9')) {
            self.take(digits);
        }
        Ok(())
    }

    fn take(&mut self, digits: &mut Clip) {
        digits.push(u32::from(self.input.byte()));
        self.input.bump();
    }

    fn string(&mut self) -> Result<(Clip, u64), Flaw> {
        self.input.bump();
        let mut text = Clip::new(self.keep);
        let mut hash = DefaultHasher::new();
        loop {
            let Some(byte) = self.input.peek()? else {
                return Err(self.flaw(Problem::EndsInString));
            };
            let code = match byte {
                b'"' => {
                    self.input.bump();
                    return Ok((text, hash.finish()));
                }
                b'\\' => self.escape()?,
                0..0x20 => return Err(self.flaw(Problem::ControlInString)),
                0x20..0x80 => {
                    self.input.bump();
                    u32::from(byte)
                }
                _ => self.character()?,
            };
            // In units of UTF-16, in which an escaped character and a plain one are the same.
            match char::from_u32(code) {
                Some(c) => (c.encode_utf16(&mut [0; 2]).iter()).for_each(|it| hash.write_u16(*it)),
                None => hash.write_u16(code as u16),
            }
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
            let Some(byte) = self.input.peek()? else {
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
        let Some(byte) = self.input.peek()? else {
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
            let Some(byte) = self.input.peek()? else {
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
    fn next_byte(&mut self) -> Result<Option<u8>, Flaw> {
        loop {
            match self.input.peek()? {
                Some(b'\n') => self.newline_seen = true,
                Some(b' ' | b'\t' | b'\r') => {}
                other => return Ok(other),
            }
            self.input.bump();
        }
    }

    fn required(&mut self) -> Result<u8, Flaw> {
        match self.next_byte()? {
            Some(byte) => Ok(byte),
            None => Err(self.flaw(Problem::Ends(self.open.last()))),
        }
    }

    fn flaw(&self, problem: Problem) -> Flaw {
        self.input.flaw(problem)
    }
}

/// Bytes, one at a time, and where they are.
struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes of the file before the buffer.
    before: u64,
    limit: u64,
    line: u64,
    /// Characters of this line before `at`.
    column: u64,
}

impl<R: BufRead> Input<R> {
    fn new(reader: R, limit: u64) -> Self {
        Self {
            reader,
            buffer: Vec::with_capacity(BUFFER_LEN),
            at: 0,
            before: 0,
            limit,
            line: 1,
            column: 0,
        }
    }

    /// The next byte; `None` at the end of the file.
    #[inline]
    fn peek(&mut self) -> Result<Option<u8>, Flaw> {
        if self.at == self.buffer.len() {
            return self.refill();
        }
        Ok(Some(self.buffer[self.at]))
    }

    /// The byte that was last peeked at.
    #[inline]
    fn byte(&self) -> u8 {
        self.buffer[self.at]
    }

    /// Consumes the byte that was last peeked at.
    #[inline]
    fn bump(&mut self) {
        let byte = self.buffer[self.at];
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
            self.column = 0;
        } else if byte & 0xc0 != 0x80 {
            self.column += 1;
        }
    }

    #[cold]
    fn refill(&mut self) -> Result<Option<u8>, Flaw> {
        self.before += self.buffer.len() as u64;
        self.buffer.clear();
        self.at = 0;
        let read = (|| -> io::Result<usize> {
            let more = self.reader.fill_buf()?;
            let room = usize::try_from(self.limit - self.before).unwrap_or(usize::MAX);
            let now = more.len().min(room).min(BUFFER_LEN);
            self.buffer.extend_from_slice(&more[..now]);
            let cut = now == 0 && !more.is_empty();
            self.reader.consume(now);
            Ok(if cut { usize::MAX } else { now })
        })();
        match read {
            Ok(0) => Ok(None),
            Ok(usize::MAX) => Err(self.flaw(Problem::Limit)),
            Ok(_) => Ok(Some(self.buffer[0])),
            Err(error) => Err(self.flaw(Problem::Read(error))),
        }
    }

    fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    fn flaw(&self, problem: Problem) -> Flaw {
        Flaw {
            line: self.line,
            column: self.column + 1,
            offset: self.offset(),
            problem,
        }
    }
}

/// Which brackets are open: one bit each, as there may be as many as the file has bytes.
#[derive(Default)]
struct Brackets {
    words: Vec<u64>,
    len: usize,
}

impl Brackets {
    fn push(&mut self, bracket: Bracket) {
        let (word, bit) = (self.len / 64, self.len % 64);
        if word == self.words.len() {
            self.words.push(0);
        }
        let mask = 1 << bit;
        match bracket {
            Bracket::Object => self.words[word] |= mask,
            Bracket::Array => self.words[word] &= !mask,
        }
        self.len += 1;
    }

    fn pop(&mut self) {
        self.len -= 1;
    }

    fn last(&self) -> Option<Bracket> {
        let last = self.len.checked_sub(1)?;
        let is_object = self.words[last / 64] >> (last % 64) & 1 == 1;
        Some(if is_object {
            Bracket::Object
        } else {
            Bracket::Array
        })
    }
}

const BUFFER_LEN: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &[u8], limit: u64) -> (Vec<Piece>, Option<Flaw>) {
        let mut scanner = Scanner::new(text, limit, 100);
        let mut pieces = Vec::new();
        loop {
            match scanner.next() {
                Ok(Piece::End) => return (pieces, None),
                Ok(piece) => pieces.push(piece),
                Err(flaw) => return (pieces, Some(flaw)),
            }
        }
    }

    fn flaw(text: &str) -> String {
        pieces(text.as_bytes(), u64::MAX).1.unwrap().to_string()
    }

    /// Whether `serde_json` takes it for one value or several, each on a line of its own.
    fn is_valid(text: &[u8]) -> bool {
        serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok()
    }

    #[test]
    fn a_flaw_is_told_with_its_place() {
        assert_eq!(flaw("{\n \"é\" 1}"), "line 2, column 6: expected `:`");
        assert_eq!(flaw("[1 2]"), "line 1, column 4: expected `,` or `]`");
        assert_eq!(flaw("{\"a\": 1,}"), "line 1, column 9: expected a name");
        assert_eq!(
            flaw("[01]"),
            "line 1, column 3: a number may not begin with a zero"
        );
        assert_eq!(
            flaw("[1,"),
            "line 1, column 4: the file ends inside an array"
        );
        assert_eq!(
            flaw("{\"a\": \"b"),
            "line 1, column 9: the file ends inside a string"
        );
        assert_eq!(flaw("[NaN]"), "line 1, column 2: expected a value");
        assert!(flaw("[1] [2]").contains("expected the end of the file"));
    }

    #[test]
    fn values_on_lines_of_their_own_are_read_one_by_one() {
        let (found, flaw) = pieces(b"{}\n\n[]\r\n3\n", u64::MAX);
        assert!(flaw.is_none());
        assert_eq!(found.len(), 5);
    }

    #[test]
    fn the_limit_is_no_fault_of_the_file() {
        for limit in 0..9 {
            let (_, flaw) = pieces(b"[10, true]", limit);
            assert!(matches!(flaw.unwrap().problem, Problem::Limit), "{limit}");
        }
        assert!(pieces(b"[10, true]", 10).1.is_none());
    }

    #[test]
    fn ten_million_levels_take_little_memory() {
        let deep = vec![b'['; 10_000_000];
        let mut scanner = Scanner::new(&deep[..], u64::MAX, 1);
        let flaw = loop {
            if let Err(flaw) = scanner.next() {
                break flaw;
            }
        };
        assert!(matches!(flaw.problem, Problem::Ends(Some(Bracket::Array))));
        assert!(scanner.open.words.capacity() * 8 < 4_000_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_serde_json_accepts_is_accepted_and_nothing_else(
            parts in prop::collection::vec(prop::sample::select(&[
                "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\", "\\n", "\\u00e9", "\\ud83d",
                "-", "0", "1", "12", ".5", "e", "E+3", "true", "false", "null", "nul", " ", "\t",
                "é", "\u{7f}", "\u{1}", "[1,2]", "{\"a\":1}", "\"a\":", "[[", "]]",
            ][..]), 0..8)
        ) {
            let text = parts.concat();
            let (found, flaw) = pieces(text.as_bytes(), u64::MAX);
            let accepted = flaw.is_none() && !found.is_empty();
            prop_assert_eq!(accepted, is_valid(text.as_bytes()), "{}", text);
        }

        #[test]
        fn every_value_written_by_serde_json_is_read_whole(value in value()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            let (_, flaw) = pieces(text.as_bytes(), u64::MAX);
            prop_assert!(flaw.is_none());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            pieces(&bytes, u64::MAX);
        }
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::hash_map(".*", inner, 0..8)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }
}
