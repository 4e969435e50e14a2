//! Names that Windows, and file systems made for it, cannot hold.

use std::borrow::Cow;

use super::{NameError, NameProblem, RelativePath, check_extent, name::FileName};

impl RelativePath {
    /// The path as Windows, FAT and their kind can hold it.
    ///
    /// Of a component that they cannot hold, each character that is in the way is replaced by `%` and
    /// its code in two hexadecimal digits, as in a URL: `a:b` becomes `a%3Ab`, `aux.c` becomes
    /// `%61ux.c`, and a dot or space at the end `%2E` or `%20`. A `%` that could be taken for the
    /// beginning of such a replacement becomes `%25`, so that no two names become one and each can be
    /// found again. Every other component stays as it is.
    ///
    /// # Errors
    /// [`NameProblem::TooLong`] where the replacement makes a component or the path too long.
    pub fn for_windows(&self) -> Result<Cow<'_, Self>, NameError> {
        if self.components().all(|name| problem(name).is_none()) {
            return Ok(Cow::Borrowed(self));
        }
        let mut path = String::new();
        for name in self.components() {
            let held = held(name);
            if held.len() > FileName::MAX_BYTES {
                return Err(NameProblem::TooLong.of(name));
            }
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&held);
        }
        check_extent(&path)?;
        Ok(Cow::Owned(Self(path)))
    }

    /// What Windows, FAT and their kind cannot hold in this path, if anything.
    #[must_use]
    pub fn windows_problem(&self) -> Option<NameError> {
        self.components()
            .find_map(|name| problem(name).map(|problem| problem.of(name)))
    }
}

fn problem(name: &str) -> Option<NameProblem> {
    if name.contains('\\') {
        Some(NameProblem::Separator)
    } else if name.contains(':') {
        Some(NameProblem::Colon)
    } else if name.contains(FORBIDDEN) {
        Some(NameProblem::Forbidden)
    } else if name.ends_with(['.', ' ']) {
        Some(NameProblem::TrailingDotOrSpace)
    } else if is_device(name) {
        Some(NameProblem::Reserved)
    } else if name
        .match_indices('%')
        .any(|(at, _)| is_replacement(name, at))
    {
        Some(NameProblem::Replaced)
    } else {
        None
    }
}

/// The name as it can be held.
fn held(name: &str) -> String {
    let mut held = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        let is_last = at + c.len_utf8() == name.len();
        let replace = FORBIDDEN.contains(&c)
            || is_last && matches!(c, '.' | ' ')
            || at == 0 && is_device(name)
            || c == '%' && is_replacement(name, at);
        match replace {
            // All of these are ASCII.
            true => held.push_str(&format!("%{:02X}", c as u32)),
            false => held.push(c),
        }
    }
    held
}

/// Whether the `%` at this place begins what looks like a replacement.
fn is_replacement(name: &str, at: usize) -> bool {
    let Some(code) = name.get(at + 1..at + 3) else {
        return false;
    };
    let Ok(byte) = u8::from_str_radix(code, 16) else {
        return false;
    };
    let c = char::from(byte);
    let is_last = at + 3 == name.len();
    let ends = is_last && matches!(c, '.' | ' ');
    let begins = at == 0 && c.is_ascii_alphabetic() && is_device(&format!("{c}{}", &name[3..]));
    FORBIDDEN.contains(&c) || c == '%' || ends || begins
}

/// What may be in no name there, besides control characters.
const FORBIDDEN: &[char] = &['<', '>', ':', '"', '|', '?', '*', '\\'];

/// Whether Windows takes a name for a device: `CON`, `nul.txt`, `COM1 .log`.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let mut chars = stem.chars();
    let numbered = stem
        .get(..3)
        .is_some_and(|s| s.eq_ignore_ascii_case("com") || s.eq_ignore_ascii_case("lpt"))
        && matches!(chars.nth(3), Some('0'..='9' | '¹' | '²' | '³'))
        && chars.next().is_none();
    numbered
        || ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
            .iter()
            .any(|device| stem.eq_ignore_ascii_case(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_path(text: &str) -> String {
        let path: RelativePath = text.parse().unwrap();
        path.for_windows().unwrap().as_str().to_owned()
    }

    /// The name that a replacement stands for.
    fn sent(held: &str) -> String {
        let mut sent = String::new();
        let mut rest = 0;
        while rest < held.len() {
            if held[rest..].starts_with('%') && is_replacement(held, rest) {
                let code = u8::from_str_radix(&held[rest + 1..rest + 3], 16).unwrap();
                sent.push(char::from(code));
                rest += 3;
            } else {
                let c = held[rest..].chars().next().unwrap();
                sent.push(c);
                rest += c.len_utf8();
            }
        }
        sent
    }

    #[test]
    fn what_windows_cannot_hold_is_replaced_and_nothing_else() {
        for (sent, held) in [
            ("2024-01-01T12:00:00Z.log", "2024-01-01T12%3A00%3A00Z.log"),
            ("Re: offer?.eml", "Re%3A offer%3F.eml"),
            ("a\\b", "a%5Cb"),
            ("C:\\x", "C%3A%5Cx"),
            ("x/..\\up", "x/..%5Cup"),
            ("d/Foo::Bar.3pm/e", "d/Foo%3A%3ABar.3pm/e"),
            ("aux.c", "%61ux.c"),
            ("x/COM1.log", "x/%43OM1.log"),
            ("Com1 .log", "%43om1 .log"),
            ("lpt²", "%6Cpt²"),
            ("a.", "a%2E"),
            ("a ", "a%20"),
            ("a. .", "a. %2E"),
            ("x/...", "x/..%2E"),
            ("a%3Ab", "a%253Ab"),
            ("%61ux.c", "%2561ux.c"),
            ("a%2E", "a%252E"),
        ] {
            assert_eq!(held_path(sent), held, "{sent}");
        }
        for same in [
            "a b",
            "100%",
            "My%20File.pdf",
            "%61.txt",
            "caf%C3%A9",
            "console.log",
            "com10",
            "a.b.c",
            "文.txt",
        ] {
            assert_eq!(held_path(same), same);
            assert!(
                same.parse::<RelativePath>()
                    .unwrap()
                    .windows_problem()
                    .is_none()
            );
        }
    }

    #[test]
    fn a_name_that_becomes_too_long_is_refused() {
        let long = format!("a/{}", ":".repeat(90));
        let path: RelativePath = long.parse().unwrap();
        let error = path.for_windows().unwrap_err();
        assert_eq!(error.problem(), NameProblem::TooLong);
    }

    proptest::proptest! {
        #[test]
        fn each_name_can_be_held_and_found_again(name in r#"([cCoOnN1auxpr%2356AEe:\\.? é]|%3A|%2E|%25|%61){1,12}"#) {
            if let Ok(path) = format!("d/{name}").parse::<RelativePath>() {
                let held = path.for_windows().unwrap().into_owned();
                let held = held.file_name();
                proptest::prop_assert!(!held.contains(FORBIDDEN) && !held.ends_with(['.', ' ']));
                proptest::prop_assert!(!is_device(held), "{held}");
                proptest::prop_assert_eq!(sent(held), name);
            }
        }
    }
}
