//! Why a file cannot be shown.

use std::{io, path::PathBuf};

use super::sanitise::sanitise_bytes;

/// Why a file cannot be shown at all.
///
/// A damaged file is no error: what is wrong with it is what there is to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShowError {
    /// The file is not there, or may not be read.
    #[error("cannot open {}", name(path))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is a directory, a pipe, a device or a socket; nothing was read from it.
    #[error("cannot show {}: expected a file, got {found}", name(path))]
    NotAFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file could be opened but not read.
    #[error("cannot read {}", name(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The output could not be written; a reader that has seen enough gives
    /// [`io::ErrorKind::BrokenPipe`].
    #[error("cannot write the output")]
    Write(#[source] io::Error),
}

impl ShowError {
    /// The kind of I/O error that this is.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } | Self::Write(source) => {
                source.kind()
            }
            Self::NotAFile { .. } => io::ErrorKind::InvalidInput,
        }
    }
}

impl From<ShowError> for io::Error {
    fn from(error: ShowError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// A path is chosen by whoever named the file.
fn name(path: &std::path::Path) -> String {
    sanitise_bytes(path.as_os_str().as_encoded_bytes()).into_owned()
}
