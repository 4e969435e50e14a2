//! One component of a path.

use std::{ffi::OsStr, str::FromStr};

use super::{super::text::is_printable, NameError, NameProblem};

/// What the names of this program's own files in a target directory begin with.
///
/// No sent name may: neither in this case nor another, since file systems exist that fold it.
pub const PRIVATE_PREFIX: &str = ".p2p-";

/// The name of one file: a single component that no platform gives a special meaning.
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
    } else if name.contains(['/', '\\']) {
        NameProblem::Separator
    } else if name.contains(':') {
        NameProblem::Colon
    } else if !is_showable(name) {
        NameProblem::Unprintable
    } else if is_private(name) {
        NameProblem::Private
    } else if level == Level::Top && name.starts_with('.') {
        NameProblem::Hidden
    } else if name.ends_with(['.', ' ']) {
        NameProblem::TrailingDotOrSpace
    } else if is_device(name) {
        NameProblem::Reserved
    } else {
        return Ok(());
    };
    Err(problem.of(name))
}

/// Whether a name can be shown; scripts that need the zero-width joiners keep them.
///
/// Persian and the Indic scripts spell with them, and emoji are composed by them: always after a
/// character outside ASCII. Anywhere else they would only make two names look the same.
fn is_showable(name: &str) -> bool {
    let mut before = ' ';
    name.chars().all(|c| {
        let joins = matches!(c, '\u{200c}' | '\u{200d}') && !before.is_ascii();
        let shown = is_printable(c);
        before = if shown { c } else { ' ' };
        shown || joins
    })
}

fn is_private(name: &str) -> bool {
    name.get(..PRIVATE_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PRIVATE_PREFIX))
}

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
