//! Plain ASCII for those whose locale asks for it.

use std::{borrow::Cow, fmt::Write, sync::OnceLock};

/// Whether `LC_ALL`, `LC_CTYPE` or `LANG`, the first that is set, is `C` or `POSIX`.
///
/// Where none is set, as in most containers, the terminal at the other end is taken to know UTF-8.
pub(super) fn is_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        locale.is_some_and(|locale| locale == "C" || locale == "POSIX")
    })
}

/// The text as the locale wants it.
pub(super) fn localised(text: &str) -> Cow<'_, str> {
    match is_wanted() {
        true => to_ascii(text),
        false => Cow::Borrowed(text),
    }
}

/// Signs by their likes, and every other character by its number, as JSON writes it.
fn to_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0'..='\x7f' => out.push(c),
            '✓' => out.push_str("ok"),
            '✗' => out.push('x'),
            '→' => out.push_str("->"),
            '←' => out.push_str("<-"),
            '…' => out.push_str("..."),
            '━' | '─' => out.push('='),
            '╸' => out.push('>'),
            '┅' => out.push('-'),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a string takes everything");
                }
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_becomes_ascii_and_names_stay_apart() {
        assert_eq!(to_ascii("✓ a → bob…"), "ok a -> bob...");
        assert_eq!(to_ascii("文"), "\\u6587");
        assert!(to_ascii("┅┅━━╸ é 🎈").is_ascii());
        assert_ne!(to_ascii("é"), to_ascii("è"));
    }
}
