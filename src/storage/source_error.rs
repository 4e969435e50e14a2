//! Why something cannot be sent.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::protocol::NameError;

/// Why something cannot be sent. Each names the file as this machine knows it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The operating system refused.
    #[error("cannot {action} {path:?}: {error}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A name that recipients refuse.
    #[error("cannot send {path:?}: {error}")]
    Name {
        /// The file; what is below a directory is not looked at.
        path: PathBuf,
        /// What is wrong with its name.
        error: NameError,
    },
    /// Two of the paths given end in the same name.
    #[error("cannot send both {first:?} and {second:?}: they would have the same name")]
    SameName {
        /// The one given first.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// A socket, pipe or device.
    #[error("cannot send {path:?}: it is a device, a pipe or a socket")]
    Special {
        /// What it is called.
        path: PathBuf,
    },
    /// What holds a key of this machine ([`Filter::without`](super::Filter::without)).
    #[error("cannot send {path:?}: it holds this machine's keys")]
    Secret {
        /// As it was named.
        path: PathBuf,
    },
    /// A symbolic link that leaves the tree, or could.
    #[error("cannot send the link {path:?}: {error}")]
    Symlink {
        /// The link.
        path: PathBuf,
        /// What is wrong with its target.
        error: NameError,
    },
    /// The file is no longer what it was when it was opened.
    #[error("{path:?} {change} while it was being sent")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What happened to it.
        change: Change,
    },
}

/// How a file changed while it was being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It became shorter.
    Truncated,
    /// It became longer.
    Grown,
    /// It was written to, or its attributes were changed.
    Modified,
    /// Its name now belongs to another file.
    Replaced,
    /// Its name is gone.
    Removed,
}

impl SourceError {
    /// The file or link that cannot be sent.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Name { path, .. }
            | Self::Special { path }
            | Self::Secret { path }
            | Self::Symlink { path, .. }
            | Self::Changed { path, .. } => path,
            Self::SameName { second, .. } => second,
        }
    }

    /// For `map_err`: wraps what the operating system said.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io {
            action,
            path,
            error,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "became shorter",
            Self::Grown => "became longer",
            Self::Modified => "was modified",
            Self::Replaced => "was replaced",
            Self::Removed => "was removed",
        })
    }
}
