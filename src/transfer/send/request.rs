//! What is to be sent, to whom, and how patiently.

use std::{fmt, io::Read, path::PathBuf, time::Duration};

use crate::{protocol::FileName, storage::Filter};

/// One `send` or `broadcast`.
#[derive(Debug)]
pub struct SendRequest {
    /// What.
    pub source: SourceSpec,
    /// To whom.
    pub to: To,
    /// How long to wait for a recipient that is not there.
    pub wait: Duration,
    /// How long nothing may move before a recipient counts as failed.
    pub timeout: Duration,
    /// Bytes of content per second.
    pub limit: Option<u64>,
    /// Whether chunks may be compressed where that helps.
    pub compress: bool,
    /// Where running sends are noted, so that a later one knows whether it may take up their job.
    pub jobs: PathBuf,
}

/// Where the content comes from.
pub enum SourceSpec {
    /// Files and directories.
    Paths {
        /// As they were named.
        roots: Vec<PathBuf>,
        /// What to leave out of them.
        filter: Filter,
    },
    /// One stream of unknown length.
    Pipe {
        /// What the recipient calls it.
        name: FileName,
        /// Read once, to its end.
        reader: Box<dyn Read + Send>,
    },
    /// A message, shown and not stored.
    Text(String),
}

impl fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paths { roots, .. } => f.debug_tuple("Paths").field(roots).finish(),
            Self::Pipe { name, .. } => f.debug_tuple("Pipe").field(name).finish(),
            Self::Text(text) => f.debug_tuple("Text").field(&text.len()).finish(),
        }
    }
}

/// The recipients, as they were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// These: names, IDs, or prefixes of IDs.
    Peers(Vec<String>),
    /// Everyone in the room who listens, except me.
    Everyone,
}
