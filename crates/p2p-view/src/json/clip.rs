//! A string of any length, of which the beginning and the end are kept.

use std::{collections::VecDeque, fmt::Write as _};

use super::super::sanitise::{counted, push_escape};
use p2p_core::protocol::is_printable;

/// The first and the last characters of a string, and how many it has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clip {
    /// Numbers of characters, or halves of a pair of `\u` escapes.
    head: Vec<u32>,
    tail: VecDeque<u32>,
    keep: usize,
    /// Characters in all.
    len: u64,
}

impl Clip {
    /// Keeps at most `keep` characters from each end.
    pub(super) fn new(keep: usize) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            keep,
            len: 0,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, code: u32) {
        if let Some(high) = self.last().filter(|it| is_high(*it) && is_low(code)) {
            let whole = 0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00);
            *self.last_mut().expect("there is a first half") = whole;
            return;
        }
        self.len += 1;
        if self.head.len() < self.keep {
            self.head.push(code);
            return;
        }
        if self.tail.len() == self.keep {
            self.tail.pop_front();
        }
        self.tail.push_back(code);
    }

    /// As [`Clip::push`] for each byte of an ASCII text, which is quicker.
    pub(super) fn push_ascii(&mut self, text: &[u8]) {
        self.len += text.len() as u64;
        let room = self.keep - self.head.len();
        let (to_head, rest) = text.split_at(text.len().min(room));
        self.head.extend(to_head.iter().copied().map(u32::from));
        // All but the last of them would be pushed out again.
        let last = &rest[rest.len().saturating_sub(self.keep)..];
        let too_many = (self.tail.len() + last.len()).saturating_sub(self.keep);
        self.tail.drain(..too_many);
        self.tail.extend(last.iter().copied().map(u32::from));
    }

    /// The string as JSON without its quotes, the middle left out if it has more than `most`
    /// characters.
    pub(super) fn shown(&self, most: usize) -> String {
        let kept = self.head.iter().chain(&self.tail).copied();
        let mut text = String::new();
        let most = most.min(self.keep * 2);
        if self.len <= most as u64 {
            kept.for_each(|code| push(&mut text, code));
            return text;
        }
        // Three parts of four from the beginning, which tells more.
        let last = most / 4;
        let first = most - last;
        kept.clone()
            .take(first.min(self.keep))
            .for_each(|code| push(&mut text, code));
        let left_out = self.len - (first.min(self.keep) + last) as u64;
        write!(text, "… {} …", counted(left_out, "more character")).expect("a String takes it");
        let kept_len = self.head.len() + self.tail.len();
        kept.skip(kept_len - last)
            .for_each(|code| push(&mut text, code));
        text
    }

    fn last(&self) -> Option<u32> {
        self.tail.back().or(self.head.last()).copied()
    }

    fn last_mut(&mut self) -> Option<&mut u32> {
        match self.tail.back_mut() {
            Some(last) => Some(last),
            None => self.head.last_mut(),
        }
    }
}

fn push(text: &mut String, code: u32) {
    match char::from_u32(code) {
        Some('"') => text.push_str("\\\""),
        Some('\\') => text.push_str("\\\\"),
        Some(c) if is_printable(c) => text.push(c),
        Some(c) => push_escape(text, c),
        None => write!(text, "\\u{code:04x}").expect("a String takes any text"),
    }
}

fn is_high(code: u32) -> bool {
    (0xd800..0xdc00).contains(&code)
}

fn is_low(code: u32) -> bool {
    (0xdc00..0xe000).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(codes: impl IntoIterator<Item = u32>, keep: usize) -> Clip {
        let mut clip = Clip::new(keep);
        codes.into_iter().for_each(|code| clip.push(code));
        clip
    }

    #[test]
    fn the_middle_is_left_out_with_a_count() {
        let letters = |n| clip((0..n).map(|i| u32::from(b'a') + i % 26), 8);
        assert_eq!(letters(16).shown(16), "abcdefghijklmnop");
        assert_eq!(letters(12).shown(8), "abcdef… 4 more characters …kl");
        assert_eq!(
            letters(1_000_000).shown(8),
            "abcdef… 999,992 more characters …mn"
        );
        assert_eq!(letters(9).shown(8), "abcdef… 1 more character …hi");
    }

    #[test]
    fn memory_does_not_grow_with_the_string() {
        let long = clip(std::iter::repeat_n(u32::from(b'x'), 1_000_000), 8);
        assert_eq!(long.head.len() + long.tail.len(), 16);
    }

    #[test]
    fn a_run_is_kept_like_its_letters() {
        let text: Vec<u8> = (0..100).map(|i| b'0' + i % 70).collect();
        for run in [1, 3, 8, 20, 100] {
            let mut clip = Clip::new(8);
            text.chunks(run).for_each(|it| clip.push_ascii(it));
            let one_by_one = self::clip(text.iter().copied().map(u32::from), 8);
            assert_eq!(clip, one_by_one, "{run}");
        }
    }

    #[test]
    fn pairs_become_one_character_and_halves_stay_visible() {
        assert_eq!(clip([0xd83d, 0xde42], 8).shown(8), "🙂");
        assert_eq!(clip([0xde42, 0xd83d], 8).shown(8), r"\ude42\ud83d");
        assert_eq!(
            clip([0x1b, 0x22, 0x5c, 0x202e], 8).shown(8),
            r#"\u001b\"\\\u202e"#
        );
    }
}
