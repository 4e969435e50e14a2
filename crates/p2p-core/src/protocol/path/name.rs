//! One component of a path.

use std::{ffi::OsStr, str::FromStr};

use super::{super::text::is_printable, NameError, NameProblem};

/// What the names of this program's own files in a target directory begin with.
///
/// No sent name may: neither in this case nor another, since file systems exist that fold it.
pub const PRIVATE_PREFIX: &str = ".p2p-";

/// The name of one file: a single component, safe to show.
///
/// It may be one that some systems cannot hold, as `a:b`: see [`RelativePath::for_windows`](super::RelativePath::for_windows).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(pub(super) String);

impl FileName {
    /// The longest name, in bytes of UTF-8: what the common file systems take.
    pub const MAX_BYTES: usize = 255;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_component(text, Level::Top)?;
        Ok(Self(text.to_owned()))
    }
}

/// Where in a path a component stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Top,
    Inner,
}

pub(super) fn utf8(name: &OsStr) -> Result<&str, NameError> {
    name.to_str()
        .ok_or_else(|| NameProblem::NotUtf8.of(&lossy(name)))
}

/// The text of a name, with `\xNN` for what is not UTF-8.
fn lossy(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

pub(super) fn check_component(name: &str, level: Level) -> Result<(), NameError> {
    let problem = if name.is_empty() {
        NameProblem::Empty
    } else if name.len() > FileName::MAX_BYTES {
        NameProblem::TooLong
    } else if matches!(name, "." | "..") {
        NameProblem::Traversal
    } else if name.contains('/') {
        NameProblem::Separator
    } else if !is_showable(name) {
        NameProblem::Unprintable
    } else if is_private(name) {
        NameProblem::Private
    } else if level == Level::Top && name.starts_with('.') {
        NameProblem::Hidden
    } else {
        return Ok(());
    };
    Err(problem.of(name))
}

/// Whether a name can be shown; what needs the zero-width joiners and the variation selector keeps
/// them.
///
/// Persian and the Indic scripts spell with them, and emoji are composed by them: always after a
/// character outside ASCII. Anywhere else they would only make two names look the same.
fn is_showable(name: &str) -> bool {
    shown_chars(name).all(|(_, is_shown)| is_shown)
}

/// Each character of a name, and whether it can be shown where it stands.
pub(super) fn shown_chars(name: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = ' ';
    name.chars().map(move |c| {
        let joins = match c {
            '\u{200c}' | '\u{200d}' => !before.is_ascii(),
            // Also in keycaps, as in `1️⃣`.
            '\u{fe0f}' => !before.is_ascii() || matches!(before, '0'..='9' | '#' | '*'),
            _ => false,
        };
        let shown = joins || is_printable(c);
        // A joiner after the selector is how emoji are composed; two of one kind are not.
        before = match c {
            '\u{200c}' | '\u{200d}' => ' ',
            _ if shown => c,
            _ => ' ',
        };
        (c, shown)
    })
}

fn is_private(name: &str) -> bool {
    name.get(..PRIVATE_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PRIVATE_PREFIX))
}
