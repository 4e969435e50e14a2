//! The bytes of a JSON text, one at a time, with their place.

use std::io::BufRead;

use super::flaw::Problem;

/// Bytes, one at a time, and where they are.
pub(super) struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes of the file before the buffer.
    before: u64,
    limit: u64,
    /// Why there is no more, if not for the end of the file.
    pub(super) stop: Option<Problem>,
    pub(super) line: u64,
    /// Characters of this line before `at`.
    pub(super) column: u64,
}

impl<R: BufRead> Input<R> {
    pub(super) fn new(reader: R, limit: u64) -> Self {
        Self {
            reader,
            buffer: Vec::with_capacity(BUFFER_LEN),
            at: 0,
            before: 0,
            limit,
            stop: None,
            line: 1,
            column: 0,
        }
    }

    /// The next byte; none at the end of the file, or if `stop` says why.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        match self.buffer.get(self.at) {
            None => self.refill(),
            byte => byte.copied(),
        }
    }

    /// The byte that was last peeked at.
    #[inline]
    pub(super) fn byte(&self) -> u8 {
        self.buffer[self.at]
    }

    /// Consumes the byte that was last peeked at.
    #[inline]
    pub(super) fn bump(&mut self) {
        let byte = self.buffer[self.at];
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
            self.column = 0;
        } else if byte & 0xc0 != 0x80 {
            self.column += 1;
        }
    }

    /// Consumes the ASCII characters that a string has before anything special, as far as they
    /// are in the buffer.
    pub(super) fn take_plain(&mut self) -> &[u8] {
        let rest = &self.buffer[self.at..];
        let is_special = |byte: &u8| !matches!(byte, 0x20..0x80) || matches!(byte, b'"' | b'\\');
        let len = rest.iter().position(is_special).unwrap_or(rest.len());
        self.at += len;
        self.column += len as u64;
        &self.buffer[self.at - len..self.at]
    }

    #[cold]
    fn refill(&mut self) -> Option<u8> {
        self.before += self.buffer.len() as u64;
        self.buffer.clear();
        self.at = 0;
        match self.reader.fill_buf() {
            Ok(more) => {
                let room = usize::try_from(self.limit - self.before).unwrap_or(usize::MAX);
                let now = more.len().min(room).min(BUFFER_LEN);
                self.buffer.extend_from_slice(&more[..now]);
                if now == 0 && !more.is_empty() {
                    self.stop = Some(Problem::Limit);
                }
                self.reader.consume(now);
            }
            Err(error) => self.stop = Some(Problem::Read(error)),
        }
        self.buffer.first().copied()
    }

    pub(super) fn offset(&self) -> u64 {
        self.before + self.at as u64
    }
}

const BUFFER_LEN: usize = 64 * 1024;
