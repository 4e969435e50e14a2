//! Paths as this machine holds them.

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::protocol::{NameError, RelativePath};

/// A path below a target directory as this machine holds it.
///
/// A [`RelativePath`] is what a sender says. Where it is put may differ: by a name that is taken, by a
/// directory that is another's, by a character that this file system cannot hold.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "RelativePath")]
pub struct LocalPath(RelativePath);

/// What names a file system can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Every name.
    All,
    /// What Windows can.
    Windows,
}

impl LocalPath {
    /// The path as text, with `/` between components on every platform.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.file_name()
    }

    /// All but the last component; `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.parent()
    }

    /// The path with this platform's separators.
    #[must_use]
    pub fn to_path_buf(&self) -> PathBuf {
        self.0.components().collect()
    }

    pub(super) fn with_file_name(&self, name: &str) -> Result<Self, NameError> {
        self.0.with_file_name(name).map(Self)
    }

    /// The first component, and what is below it.
    pub(super) fn top(&self) -> (&str, Option<&str>) {
        match self.as_str().split_once('/') {
            Some((top, below)) => (top, Some(below)),
            None => (self.as_str(), None),
        }
    }

    /// The same below another top.
    pub(super) fn below(top: &str, below: Option<&str>) -> Result<Self, NameError> {
        match below {
            Some(below) => format!("{top}/{below}").parse(),
            None => top.parse(),
        }
    }
}

impl Holds {
    /// The path as it can be held; with `strict`, only one that needs no replacement.
    pub(super) fn local(self, path: &RelativePath, strict: bool) -> Result<LocalPath, NameError> {
        match self {
            Self::All => Ok(LocalPath(path.clone())),
            Self::Windows => match path.windows_problem() {
                Some(problem) if strict => Err(problem),
                _ => path.for_windows().map(Cow::into_owned).map(LocalPath),
            },
        }
    }
}

impl TryFrom<RelativePath> for LocalPath {
    type Error = NameError;

    /// Takes what is read back as it was written; on Windows, nothing that it would take apart.
    fn try_from(path: RelativePath) -> Result<Self, NameError> {
        match path.windows_problem() {
            Some(problem) if cfg!(windows) && path.as_str().contains(['\\', ':']) => Err(problem),
            _ => Ok(Self(path)),
        }
    }
}

impl FromStr for LocalPath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse::<RelativePath>()?.try_into()
    }
}

impl fmt::Display for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
