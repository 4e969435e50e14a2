//! What holds other values, and how many of them are open.

/// What holds other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Array,
    Object,
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

/// Which brackets are open: one bit each, as there may be as many as the file has bytes.
#[derive(Default)]
pub(super) struct Brackets {
    pub(super) words: Vec<u64>,
    pub(super) len: usize,
}

impl Brackets {
    pub(super) fn push(&mut self, bracket: Bracket) {
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

    pub(super) fn pop(&mut self) {
        self.len -= 1;
    }

    pub(super) fn last(&self) -> Option<Bracket> {
        let last = self.len.checked_sub(1)?;
        let is_object = self.words[last / 64] >> (last % 64) & 1 == 1;
        Some(if is_object {
            Bracket::Object
        } else {
            Bracket::Array
        })
    }
}
