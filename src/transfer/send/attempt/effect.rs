//! What an attempt hears from the tasks that work for it, and what it asks its driver to do.

use std::sync::{Arc, atomic::AtomicU64};

use super::{PartEnd, SealedStart};
use crate::{
    protocol::{Code, FileClass, FileIndex, PeerId, PeerMessage, Road},
    sealing::FileDigest,
    transfer::{
        Bottleneck, Error,
        send::{holdups::Holdups, ledger::Delivered},
    },
};

/// What follows from what happened.
#[derive(Debug)]
pub(in crate::transfer::send) enum Effect {
    /// Send a message to one recipient, or to all that take part.
    Send {
        to: Option<PeerId>,
        message: PeerMessage,
    },
    /// Settle who takes part, and start to look for files.
    Begin {
        /// Somebody says for each file where to begin.
        each: bool,
        /// Somebody has files of these names: hash each before its head is sealed.
        compare: bool,
        /// Who takes part, if it is one alone.
        sole: Option<PeerId>,
    },
    /// Send a file's content: everyone has said where it begins.
    Content { file: FileIndex, starts: FileStarts },
    /// A recipient has stored more of a file.
    Progress {
        peer: PeerId,
        file: String,
        bytes: u64,
        total: Option<u64>,
        resumed_from: u64,
        /// The road that it takes, where that is not the relay's.
        road: Option<Road>,
        /// What the attempt waits for most.
        limited_by: Option<Bottleneck>,
    },
    /// A recipient has signed for a file.
    Delivered { peer: PeerId, file: Delivered },
    /// A recipient will not get a file.
    FileFailed {
        peer: PeerId,
        path: String,
        error: Error,
    },
    /// A recipient's part is over.
    PartOver { peer: PeerId, end: PartEnd },
}

/// Where a file begins for its recipients.
#[derive(Debug, PartialEq)]
pub(in crate::transfer::send) struct FileStarts {
    pub(in crate::transfer::send) starts: Vec<SealedStart>,
    /// How many recipients there are, with those who begin at the beginning.
    pub(in crate::transfer::send) recipients: usize,
}

/// What a file's task, or the thread that looks for files, finds out.
#[derive(Debug)]
pub(in crate::transfer::send) enum FileNote {
    /// Its head has left, and its content waits.
    HeadSent(FileIndex),
    /// This side is hashing what recipients say that they have.
    Hashing(FileIndex),
    /// A recipient has so many bytes of it already.
    Resumed(FileIndex, PeerId, u64),
    /// It takes this road.
    Took(FileIndex, Road),
    /// The content is known; its last frame leaves after this.
    Sealed(FileIndex, FileDigest),
    /// It cannot be sent whole; with what its stream was reset with.
    Failed(FileIndex, Error, Code),
    /// Its stream is over.
    Ended(FileIndex, FileClass),
}

/// A file that may begin.
pub(in crate::transfer::send) struct Launched {
    /// Where to count the bytes of content that were given to the stream.
    pub(in crate::transfer::send) sent: Arc<AtomicU64>,
    /// Where to count what is waited for.
    pub(in crate::transfer::send) holdups: Arc<Holdups>,
    /// Whether its content waits for an [`Effect::Content`].
    pub(in crate::transfer::send) waits: bool,
}
