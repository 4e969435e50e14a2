//! What is wrong with a name.

use super::super::text::is_printable;

/// Why a text is no name, path or link target: which part of it, escaped, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" {problem}")]
pub struct NameError {
    name: String,
    problem: NameProblem,
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// Nothing at all, or nothing between two separators.
    #[error("has an empty part")]
    Empty,
    /// `.` or `..`.
    #[error("leads to another directory")]
    Traversal,
    /// `/` where one component is wanted, or `\` where the system takes it for the same.
    #[error("contains a path separator")]
    Separator,
    /// `:`, which names a drive or a stream on some platforms.
    #[error("contains a colon")]
    Colon,
    /// A character that Windows and FAT have in no name.
    #[error("contains one of < > \" | ? *")]
    Forbidden,
    /// `%` and a code, as stands for a character that cannot be held.
    #[error("looks like a name with a character replaced")]
    Replaced,
    /// A control, reordering or invisible character.
    #[error("contains a character that cannot be shown")]
    Unprintable,
    /// The name of a device on Windows, with or without extension.
    #[error("is reserved for a device")]
    Reserved,
    /// A dot or a space at the end, which some platforms drop.
    #[error("ends with a dot or a space")]
    TrailingDotOrSpace,
    /// A leading dot at the top of what is sent.
    #[error("is a hidden name at the top level")]
    Hidden,
    /// A leading [`PRIVATE_PREFIX`](super::PRIVATE_PREFIX).
    #[error("is a name that this program keeps for itself")]
    Private,
    /// Not Unicode.
    #[error("is not UTF-8")]
    NotUtf8,
    /// More than [`FileName::MAX_BYTES`](super::FileName::MAX_BYTES) in a component or [`RelativePath::MAX_BYTES`](super::RelativePath::MAX_BYTES) in all.
    #[error("is too long")]
    TooLong,
    /// More than [`RelativePath::MAX_COMPONENTS`](super::RelativePath::MAX_COMPONENTS).
    #[error("is nested too deep")]
    TooDeep,
    /// A link target that leaves the tree that the link is in.
    #[error("points outside the tree")]
    Outside,
}

impl NameError {
    /// The part that cannot be used, escaped so that it can be shown.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> NameProblem {
        self.problem
    }
}

impl NameProblem {
    /// The error for this name.
    pub(super) fn of(self, name: &str) -> NameError {
        // A hostile name may be of any length; nobody reads more than this.
        const SHOWN_CHARS: usize = 100;
        let mut shown = String::new();
        for c in name.chars().take(SHOWN_CHARS) {
            if is_printable(c) {
                shown.push(c);
            } else {
                shown.extend(c.escape_default());
            }
        }
        if name.chars().nth(SHOWN_CHARS).is_some() {
            shown.push('…');
        }
        NameError {
            name: shown,
            problem: self,
        }
    }
}
