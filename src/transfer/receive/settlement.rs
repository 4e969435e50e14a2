//! What becomes of files: settled, counted, and how far they are until then.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
};

use crate::{
    protocol::{Code, FileIndex, SafeText},
    transfer::Error,
};
/// What became of one file.
pub(super) struct Settlement {
    pub(super) index: FileIndex,
    pub(super) outcome: Result<Stored, Lost>,
}

/// A file that is verified and stored.
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) len: u64,
    pub(super) hash: blake3::Hash,
    pub(super) resumed_from: u64,
    pub(super) already_there: bool,
    /// A message, which is nowhere on disk.
    pub(super) text: Option<String>,
    /// Whether people want to hear of it: directories and links go without saying.
    pub(super) notable: bool,
}

/// A file that is not.
pub(super) struct Lost {
    pub(super) path: Option<String>,
    pub(super) code: Code,
    pub(super) reason: SafeText,
    pub(super) scope: Scope,
}

/// What else ends with a file that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nothing: this file is settled, and the others go on.
    File,
    /// Nothing for good: the file was cut off, and a later transfer of the same job goes on with it.
    Cut,
    /// The transfer: what is wrong would be wrong for every further file.
    Transfer,
}

impl Lost {
    pub(super) fn new(path: Option<&str>, code: Code, reason: impl std::fmt::Display) -> Self {
        let scope = match code {
            Code::PeerGone | Code::Behind => Scope::Cut,
            _ => Scope::File,
        };
        Self {
            path: path.map(str::to_owned),
            code,
            reason: SafeText::new(&reason.to_string()),
            scope,
        }
    }

    /// One that ends the whole transfer.
    pub(super) fn of_all(path: Option<&str>, code: Code, reason: impl std::fmt::Display) -> Self {
        Self {
            scope: Scope::Transfer,
            ..Self::new(path, code, reason)
        }
    }
}

/// Counts what is settled.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) files: Option<u64>,
    pub(super) settled: u64,
    /// Files and messages: what the sender has counted.
    pub(super) notable: u64,
    pub(super) bytes: u64,
    pub(super) failure: Option<Error>,
    /// Whether a file was cut off that a later transfer goes on with.
    pub(super) cut: bool,
    /// Why nothing more is taken, where this side has ended the transfer.
    pub(super) stopped: Option<(Code, Error)>,
}

impl Tally {
    pub(super) fn is_complete(&self) -> bool {
        self.files.is_some_and(|files| self.settled >= files)
    }
}

/// How far one file is.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) stored: AtomicU64,
    pub(super) resumed_from: AtomicU64,
    pub(super) told: AtomicU64,
    pub(super) head: Mutex<Option<(String, Option<u64>)>>,
}

impl Active {
    pub(super) fn describe(&self, path: &str, total: Option<u64>) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some((path.to_owned(), total));
    }

    pub(super) fn name(&self) -> Option<String> {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        head.as_ref().map(|(path, _)| path.clone())
    }
}
