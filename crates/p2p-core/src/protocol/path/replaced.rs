//! Names that no recipient takes, because they cannot be shown, as they can be sent.

use std::ffi::OsStr;

use super::{NameError, NameProblem, RelativePath, name::shown_chars};

impl RelativePath {
    /// As [`RelativePath::child`], with what cannot be shown in the name replaced; whether anything was.
    ///
    /// Each byte of a control or invisible character, and each that is no UTF-8, becomes `%` and two
    /// hexadecimal digits, as in a URL: a line end becomes `%0A`. In such a name a `%` that could be taken
    /// for the beginning of a replacement becomes `%25`, so that the name can be found again.
    ///
    /// # Errors
    /// Whatever else is wrong with the name; [`NameProblem::TooLong`] where replacing makes it too long.
    pub fn child_replaced(&self, name: &OsStr) -> Result<(Self, bool), NameError> {
        or_replaced(name, |name| self.child(name))
    }

    /// As [`RelativePath::for_sending`] of one name, with what cannot be shown in it replaced.
    ///
    /// # Errors
    /// As [`RelativePath::child_replaced`].
    pub fn top_replaced(name: &OsStr) -> Result<(Self, bool), NameError> {
        or_replaced(name, |name| Self::for_sending([name]))
    }
}

fn or_replaced(
    name: &OsStr,
    path: impl Fn(&OsStr) -> Result<RelativePath, NameError>,
) -> Result<(RelativePath, bool), NameError> {
    match path(name) {
        Ok(path) => Ok((path, false)),
        Err(error)
            if matches!(
                error.problem(),
                NameProblem::NotUtf8 | NameProblem::Unprintable
            ) =>
        {
            path(OsStr::new(&replaced(name))).map(|path| (path, true))
        }
        Err(error) => Err(error),
    }
}

fn replaced(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        let valid = chunk.valid();
        let mut at = 0;
        for (c, is_shown) in shown_chars(valid) {
            let after = &valid.as_bytes()[at + c.len_utf8()..];
            let is_code = after.len() >= 2 && after[..2].iter().all(u8::is_ascii_hexdigit);
            if is_shown && !(c == '%' && is_code) {
                text.push(c);
            } else {
                replace(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            at += c.len_utf8();
        }
        replace(&mut text, chunk.invalid());
    }
    text
}

fn replace(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str(&format!("%{byte:02X}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shown_is_replaced_and_can_be_found_again() {
        let top: RelativePath = "t".parse().unwrap();
        for (name, expected) in [
            ("a\nb", "a%0Ab"),
            ("\u{1b}[2J", "%1B[2J"),
            ("a\u{200b}b", "a%E2%80%8Bb"),
            ("50%25\n", "50%2525%0A"),
            ("100%\n", "100%%0A"),
            ("👩\u{200d}👧\t", "👩\u{200d}👧%09"),
        ] {
            let (path, is_replaced) = top.child_replaced(OsStr::new(name)).unwrap();
            assert_eq!(
                (path.file_name(), is_replaced),
                (expected, true),
                "{name:?}"
            );
        }
        let (path, is_replaced) = top.child_replaced(OsStr::new("50%0A")).unwrap();
        assert_eq!((path.file_name(), is_replaced), ("50%0A", false));
        let long = "\n".repeat(100);
        let error = RelativePath::top_replaced(OsStr::new(&long)).unwrap_err();
        assert_eq!(error.problem(), NameProblem::TooLong);
        for name in [".p2p-\n", ".a\n", "..", "a/b\n"] {
            assert!(
                RelativePath::top_replaced(OsStr::new(name)).is_err(),
                "{name:?}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        use std::os::unix::ffi::OsStrExt;
        let (path, _) = RelativePath::top_replaced(OsStr::from_bytes(b"Gr\xfcn")).unwrap();
        assert_eq!(path.as_str(), "Gr%FCn");
    }
}
