//! What becomes of files, and how far they are until then.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::allowance::TooMuch;
use crate::{
    protocol::{Code, FileIndex, Road, SafeText},
    quic::StreamError,
    sealing::OpenError,
    storage::StorageError,
};

/// What a sender is told of a full disk.
pub(super) const NO_SPACE: &str = "no space is left on the recipient's disk";

/// What became of one file.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) index: FileIndex,
    pub(super) result: Result<Stored, FileError>,
}

/// What a verified file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) len: u64,
    pub(super) hash: blake3::Hash,
    pub(super) resumed_from: u64,
    /// The road on which its last byte came.
    pub(super) road: Road,
}

/// A file that is verified and stored, and that whoever watches has been told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) whole: Whole,
    /// The same content was here before.
    pub(super) already_there: bool,
    /// It has another name here than it was sent by.
    pub(super) is_renamed: bool,
    /// Whether people want to know of it: directories and links go without saying.
    pub(super) is_user_visible: bool,
}

/// Why a file is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileError {
    pub(super) path: Option<String>,
    pub(super) code: Code,
    pub(super) reason: SafeText,
    pub(super) scope: Scope,
}

/// What else ends with a file that is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nothing: this file is settled, and the others go on.
    File,
    /// Nothing for good: the file was cut off, and a later transfer of the same job goes on with it.
    Cut,
    /// The transfer: what is wrong would be wrong for every further file.
    Transfer,
}

impl FileError {
    pub(super) fn new(code: Code, reason: impl std::fmt::Display) -> Self {
        let scope = match code {
            Code::PeerGone | Code::Behind => Scope::Cut,
            _ => Scope::File,
        };
        Self {
            path: None,
            code,
            reason: SafeText::new(&reason.to_string()),
            scope,
        }
    }

    /// One that ends the whole transfer.
    pub(super) fn of_all(code: Code, reason: impl std::fmt::Display) -> Self {
        Self {
            scope: Scope::Transfer,
            ..Self::new(code, reason)
        }
    }

    /// The same, with the file that it is about.
    pub(super) fn of(self, path: &str) -> Self {
        let path = self.path.or_else(|| Some(path.to_owned()));
        Self { path, ..self }
    }
}

impl From<StreamError> for FileError {
    /// What the end of a stream means for its file.
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Ended(code) => Self::new(code, code.reason()),
            StreamError::Truncated | StreamError::Malformed(_) => {
                Self::new(Code::Verification, error)
            }
            StreamError::Link(_) => Self::new(Code::PeerGone, error),
        }
    }
}

impl From<OpenError> for FileError {
    fn from(error: OpenError) -> Self {
        Self::new(Code::Verification, error)
    }
}

impl From<TooMuch> for FileError {
    fn from(error: TooMuch) -> Self {
        match error {
            TooMuch::Bytes { .. } | TooMuch::Entries { .. } => Self::of_all(Code::Declined, error),
            TooMuch::NotShown(_) => Self::new(Code::Declined, error),
        }
    }
}

impl From<StorageError> for FileError {
    fn from(error: StorageError) -> Self {
        if error.is_out_of_space() {
            return Self::of_all(Code::Storage, NO_SPACE);
        }
        match error {
            StorageError::Gone { .. } => Self::of_all(Code::Storage, error.reason()),
            _ => Self::new(Code::Storage, error.reason()),
        }
    }
}

/// How far one file is: written by the tasks that receive it, read by whoever reports it.
#[derive(Debug, Clone, Default)]
pub(super) struct FileProgress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    bytes: AtomicU64,
    resumed_from: AtomicU64,
    head: Mutex<Option<(String, Option<u64>)>>,
    road: Mutex<Option<Road>>,
    is_worthless: AtomicBool,
}

/// A moment of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) total: Option<u64>,
    pub(super) resumed_from: u64,
    pub(super) road: Road,
}

impl FileProgress {
    /// It comes on this road now.
    pub(super) fn on(&self, road: Road) {
        *self.0.road.lock().unwrap_or_else(PoisonError::into_inner) = Some(road);
    }

    /// The road on which it comes.
    pub(super) fn road(&self) -> Road {
        let road = *self.0.road.lock().unwrap_or_else(PoisonError::into_inner);
        road.unwrap_or(Road::Relay)
    }

    pub(super) fn describe(&self, path: &str, total: Option<u64>) {
        let mut head = self.0.head.lock().unwrap_or_else(PoisonError::into_inner);
        *head = Some((path.to_owned(), total));
    }

    /// So many bytes of the content are on the disk, and compared or written by now.
    pub(super) fn reached(&self, bytes: u64) {
        self.0.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Nobody can go on with what is there of it.
    pub(super) fn is_worthless(&self) -> bool {
        self.0.is_worthless.load(Ordering::Relaxed)
    }

    /// Its source has changed.
    pub(super) fn is_of_changed_source(&self) {
        self.0.is_worthless.store(true, Ordering::Relaxed);
    }

    pub(super) fn resumed_from(&self, bytes: u64) {
        self.0.resumed_from.store(bytes, Ordering::Relaxed);
    }

    /// How far it is; `None` before its head was read.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let head = self.0.head.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, total) = head.clone()?;
        Some(Snapshot {
            path,
            bytes: self.0.bytes.load(Ordering::Relaxed),
            total,
            resumed_from: self.0.resumed_from.load(Ordering::Relaxed),
            road: self.road(),
        })
    }
}
