//! What can go wrong while something is read to be sent, or stored.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::os;
use crate::protocol::NameError;

/// Why something could not be read, stored, or noted.
///
/// The text is for the person at this machine: it has the path and the cause. What the peer is told
/// is [`StorageError::reason`], which says nothing about this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
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
    /// A file or link stands where a directory is wanted.
    #[error("{path:?} is in the way: it is no directory")]
    NotADirectory {
        /// What is in the way.
        path: PathBuf,
    },
    /// A directory stands where a file or link is wanted, and may not be replaced.
    #[error("{path:?} is in the way: it is a directory")]
    IsADirectory {
        /// What is in the way.
        path: PathBuf,
    },
    /// A directory of that name is there, and this transfer did not make it.
    #[error("{path:?} is there already: nothing is put into it")]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// A name that this file system cannot hold.
    #[error("cannot store {path:?}: {error}")]
    Name {
        /// Where it would be.
        path: PathBuf,
        /// What is wrong with it.
        error: NameError,
    },
    /// So many files of this name are there that no number is free, or it is too long for one.
    #[error("no free name beside {path:?}")]
    NamesTaken {
        /// The name wanted.
        path: PathBuf,
    },
    /// The file is not of the size that was announced, or that it had before.
    #[error("{path:?} has {got} bytes where {expected} are expected")]
    Size {
        /// The file, by its final name.
        path: PathBuf,
        /// Bytes announced or known.
        expected: u64,
        /// Bytes there are or would be.
        got: u64,
    },
    /// A link that may not be made.
    #[error("cannot make the link {path:?}: {error}")]
    Link {
        /// The link.
        path: PathBuf,
        /// What is wrong with its target.
        error: NameError,
    },
    /// A name that recipients refuse.
    #[error("cannot send {path:?}: {error}")]
    Unsendable {
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
    #[error("cannot send {path:?}: it is {what}")]
    Special {
        /// What it is called.
        path: PathBuf,
        /// What it is.
        what: &'static str,
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
    /// A symbolic link that was named, and leads to nothing.
    #[error("cannot send {path:?}: it is a link to {target:?}, which does not exist")]
    Dangling {
        /// The link.
        path: PathBuf,
        /// Where it leads, as it says itself.
        target: PathBuf,
    },
    /// The directory for what arrives was removed, and cannot be made again where it was.
    #[error("the directory {path:?} is gone")]
    Gone {
        /// The directory.
        path: PathBuf,
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

impl StorageError {
    /// Whether the disk, this user's share of it, or what one file may have of it, is full.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io { error, .. }
            if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// The cause without any path of this machine, for whoever sent the file.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Io { error, .. } if os::is_out_of_files(error) => {
                "too many files are open there (ulimit -n)".to_owned()
            }
            Self::Io { error, .. } if error.kind() == io::ErrorKind::NotFound => {
                "it was removed there while it arrived".to_owned()
            }
            Self::Io { error, .. } => error.kind().to_string(),
            Self::NotADirectory { .. } => "a file is in the way of a directory".to_owned(),
            Self::IsADirectory { .. } => "a directory is in the way of a file".to_owned(),
            Self::NotOurs { .. } => "another directory of that name is there".to_owned(),
            Self::Name { error, .. } => format!("its name cannot be stored there: {error}"),
            Self::NamesTaken { .. } => "too many files of that name".to_owned(),
            Self::Size { expected, got, .. } => format!("{got} bytes instead of {expected}"),
            Self::Link { error, .. } | Self::Symlink { error, .. } => error.to_string(),
            Self::Unsendable { error, .. } => format!("its name cannot be sent: {error}"),
            Self::SameName { .. } => "two files have the same name".to_owned(),
            Self::Special { .. } => "it is a device, a pipe or a socket".to_owned(),
            Self::Secret { .. } => "it holds a key".to_owned(),
            Self::Dangling { .. } => "it is a link that leads to nothing".to_owned(),
            Self::Gone { .. } => "the recipient's directory is gone".to_owned(),
            Self::Changed { change, .. } => format!("it {change} while it was being sent"),
        }
    }

    /// What it is about, as this machine knows it.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::NotADirectory { path }
            | Self::IsADirectory { path }
            | Self::NotOurs { path }
            | Self::Name { path, .. }
            | Self::NamesTaken { path }
            | Self::Size { path, .. }
            | Self::Link { path, .. }
            | Self::Unsendable { path, .. }
            | Self::Special { path, .. }
            | Self::Secret { path }
            | Self::Symlink { path, .. }
            | Self::Changed { path, .. }
            | Self::Dangling { path, .. }
            | Self::Gone { path }
            | Self::SameName { second: path, .. } => path,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_full_disk_and_a_full_quota_are_told_from_other_failures() {
        use rustix::io::Errno;
        for (errno, full) in [
            (Errno::NOSPC, true),
            (Errno::DQUOT, true),
            (Errno::FBIG, true),
            (Errno::ROFS, false),
            (Errno::ACCESS, false),
        ] {
            let error = StorageError::io("write", "/home/me/in/a")(errno.into());
            assert_eq!(error.is_out_of_space(), full, "{error}");
            assert!(error.to_string().contains("/home/me/in/a"));
            assert!(!error.reason().contains("/home"), "{}", error.reason());
        }
    }

    #[test]
    fn a_path_cannot_carry_an_escape_sequence_to_a_terminal() {
        let error = StorageError::NotADirectory {
            path: "a\u{1b}[2J\u{202e}\n".into(),
        };
        assert!(!error.to_string().contains(['\u{1b}', '\u{202e}', '\n']));
    }
}
