//! The inside of a JSON string, whatever its length, as it is shown.

use std::{
    fmt::Write as _,
    hash::{DefaultHasher, Hasher as _},
};

use p2p_core::protocol::is_printable;

use crate::{format::counted, sanitise::push_escape};

/// The string as JSON without its quotes, the middle left out if it has more than `most`
/// characters. Half of a pair of `\u` escapes stays one.
pub(super) fn shown(inside: &str, most: usize) -> String {
    let characters = || char::decode_utf16(units(inside));
    let len = characters().count();
    let mut text = String::new();
    if len <= most {
        characters().for_each(|it| push(&mut text, it));
        return text;
    }
    // Three parts of four from the beginning, which tells more.
    let last = most / 4;
    let first = most - last;
    characters().take(first).for_each(|it| push(&mut text, it));
    let left_out = (len - most) as u64;
    write!(text, "… {} …", counted(left_out, "more character")).expect("a String takes it");
    characters()
        .skip(len - last)
        .for_each(|it| push(&mut text, it));
    text
}

/// The same for every way to write a name.
pub(super) fn hash(inside: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    units(inside).for_each(|unit| hash.write_u16(unit));
    hash.finish()
}

/// What is between the quotes of a valid JSON string, its escapes resolved, in UTF-16: as they
/// are in `\u` escapes, and with nothing to say against half a pair.
fn units(inside: &str) -> impl Iterator<Item = u16> {
    let mut rest = inside.chars();
    let mut second_half = None;
    std::iter::from_fn(move || {
        if second_half.is_some() {
            return second_half.take();
        }
        let c = rest.next()?;
        if c != '\\' {
            let mut pair = [0; 2];
            let pair = c.encode_utf16(&mut pair);
            second_half = pair.get(1).copied();
            return Some(pair[0]);
        }
        Some(match rest.next()? {
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'u' => {
                let (digits, after) = rest.as_str().split_at_checked(4)?;
                rest = after.chars();
                u16::from_str_radix(digits, 16).ok()?
            }
            itself => itself as u16,
        })
    })
}

fn push(text: &mut String, character: Result<char, std::char::DecodeUtf16Error>) {
    match character {
        Ok('"') => text.push_str("\\\""),
        Ok('\\') => text.push_str("\\\\"),
        Ok(c) if is_printable(c) => text.push(c),
        Ok(c) => push_escape(text, c),
        Err(half) => {
            write!(text, "\\u{:04x}", half.unpaired_surrogate()).expect("a String takes any text")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_left_out_with_a_count() {
        let letters = |n| -> String { (0..n).map(|i| char::from(b'a' + (i % 26) as u8)).collect() };
        assert_eq!(shown(&letters(16), 16), "abcdefghijklmnop");
        assert_eq!(shown(&letters(12), 8), "abcdef… 4 more characters …kl");
        assert_eq!(
            shown(&letters(1_000_000), 8),
            "abcdef… 999,992 more characters …mn"
        );
        assert_eq!(shown(&letters(9), 8), "abcdef… 1 more character …hi");
    }

    #[test]
    fn pairs_become_one_character_and_halves_stay_visible() {
        assert_eq!(shown(r"\ud83d\ude42", 8), "🙂");
        assert_eq!(shown("🙂", 1), "🙂");
        assert_eq!(shown(r"\ude42\ud83d", 8), r"\ude42\ud83d");
        assert_eq!(
            shown("\\u001b\\\"\\\\\u{202e}\\/", 8),
            r#"\u001b\"\\\u202e/"#
        );
    }

    #[test]
    fn a_name_is_the_same_however_it_is_written() {
        assert_eq!(hash("a🙂"), hash(r"\u0061\ud83d\ude42"));
        assert_ne!(hash("a"), hash("b"));
    }
}
