//! Text from files, made fit for a terminal: no escape sequence survives, and it has a known width.

use std::{borrow::Cow, fmt::Write as _};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use p2p_core::protocol::is_printable;

/// Makes any text safe to print on one line.
///
/// What could drive a terminal, reorder text or hide in it comes out as an escape in JSON's
/// notation (`\n`, `\u001b`), so that it can be seen; everything else is kept. Doing it twice
/// changes nothing.
#[must_use]
pub fn sanitise(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_printable(c) {
            safe.push(c);
        } else {
            push_escape(&mut safe, c);
        }
    }
    Cow::Owned(safe)
}

/// As [`sanitise`], for bytes that may not be UTF-8: those that are not come out as `\xNN`.
#[must_use]
pub fn sanitise_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return sanitise(text);
    }
    let mut safe = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        safe.push_str(&sanitise(chunk.valid()));
        for byte in chunk.invalid() {
            write!(safe, "\\x{byte:02x}").expect("a String takes any text");
        }
    }
    Cow::Owned(safe)
}

/// Appends the JSON escape of one character.
pub(super) fn push_escape(safe: &mut String, c: char) {
    match c {
        '\n' => safe.push_str("\\n"),
        '\r' => safe.push_str("\\r"),
        '\t' => safe.push_str("\\t"),
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(safe, "\\u{unit:04x}").expect("a String takes any text");
            }
        }
    }
}

/// How many columns of a terminal a sanitised text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// Cuts a sanitised text to `width` columns, the last of which says so with `…`.
///
/// Also bounds the characters that take no column of their own, of which a text may carry any
/// number.
pub fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if text.len() <= width {
        // Every character takes at least as many bytes as columns.
        return Cow::Borrowed(text);
    }
    let most_chars = width.saturating_mul(CHARS_PER_COLUMN);
    let (mut used, mut fits_with_mark) = (0, 0);
    for (count, (at, c)) in text.char_indices().enumerate() {
        used += c.width().unwrap_or(0);
        if used > width || count >= most_chars {
            let mark = if width == 0 { "" } else { "…" };
            return Cow::Owned(format!("{}{mark}", &text[..fits_with_mark]));
        }
        if used < width {
            fits_with_mark = at + c.len_utf8();
        }
    }
    Cow::Borrowed(text)
}

/// Marks upon a letter are real in many scripts, but never this many.
const CHARS_PER_COLUMN: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_survives() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{7}\r\n\t\u{202e}\u{200b}\u{e0041}z";
        assert_eq!(
            sanitise(hostile),
            r"a\u001b[2J\u009b31m\u0007\r\n\t\u202e\u200b\udb40\udc41z"
        );
        assert_eq!(sanitise_bytes(b"caf\xe9 \x9b2J"), r"caf\xe9 \x9b2J");
    }

    #[test]
    fn what_people_write_is_kept() {
        for text in ["naïve café", "日本語 العربية", "e\u{301}🙂", "C:\\tmp"] {
            assert_eq!(sanitise(text), text);
        }
    }

    #[test]
    fn a_wide_letter_is_never_cut_in_half() {
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("日本語", 1), "…");
        assert_eq!(fit("日本語", 0), "");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
    }

    #[test]
    fn a_heap_of_marks_upon_one_letter_is_bounded() {
        let heap = format!("e{}", "\u{301}".repeat(100_000));
        assert!(fit(&heap, 10).len() < 200);
    }

    proptest! {
        #[test]
        fn any_text_comes_out_printable_and_in_the_width_asked_for(text in ".*", width in 0usize..50) {
            let safe = sanitise(&text);
            prop_assert!(safe.chars().all(is_printable));
            prop_assert_eq!(&*sanitise(&safe), &*safe);
            let cut = fit(&safe, width);
            prop_assert!(cut.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>() <= width);
        }

        #[test]
        fn any_bytes_come_out_printable(bytes: Vec<u8>) {
            prop_assert!(sanitise_bytes(&bytes).chars().all(is_printable));
        }
    }
}
