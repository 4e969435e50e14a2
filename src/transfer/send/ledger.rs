//! Which files were sent, and who has not settled them yet.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    protocol::{FileIndex, PeerId, Road},
    sealing::{FileDigest, Head, HeadKind, Outcome, Receipt},
};

/// The files of one attempt that at least one recipient has not settled.
///
/// Its size is bounded by what recipients may be behind with, not by the number of files.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    files: HashMap<FileIndex, Record>,
    /// One past the last file that was sent.
    next: u64,
}

#[derive(Debug)]
struct Record {
    path: String,
    is_user_visible: bool,
    size: Option<u64>,
    /// Set once the whole content is sealed, and before its last frame leaves.
    content: Option<FileDigest>,
    sent: Arc<AtomicU64>,
    waiting: HashSet<PeerId>,
    stored: HashMap<PeerId, u64>,
    resumed_from: HashMap<PeerId, u64>,
    road: Option<Road>,
}

/// What a receipt says about a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is for exactly what was sent.
    Delivered(Delivered),
    /// It is for something else.
    Mismatch,
    /// It is for a file that was not sent to this recipient, or that is settled already.
    Unknown,
}

/// A file that a recipient has signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) path: String,
    /// Whether people want to know: directories and links go without saying.
    pub(super) is_user_visible: bool,
    /// Bytes that the recipient had before.
    pub(super) resumed_from: u64,
    pub(super) content: FileDigest,
    /// The recipient had all of it already.
    pub(super) already_there: bool,
    /// The recipient has it under another name.
    pub(super) renamed: bool,
    /// The road that it took, where that was not the relay's.
    pub(super) road: Option<Road>,
}

impl Ledger {
    /// Notes a file that is about to be sent; returns where to count its bytes.
    pub(super) fn sent(
        &mut self,
        index: FileIndex,
        head: &Head,
        to: HashSet<PeerId>,
    ) -> Arc<AtomicU64> {
        let sent = Arc::new(AtomicU64::new(0));
        let record = Record {
            path: head.path.clone(),
            is_user_visible: matches!(head.kind, HeadKind::File | HeadKind::Text),
            size: head.size,
            content: None,
            sent: sent.clone(),
            waiting: to,
            stored: HashMap::new(),
            resumed_from: HashMap::new(),
            road: None,
        };
        self.files.insert(index, record);
        self.next = self.next.max(index.0 + 1);
        sent
    }

    /// Whether a file was sent, settled or not.
    pub(super) fn has_sent(&self, index: FileIndex) -> bool {
        index.0 < self.next
    }

    /// Notes what a file's content turned out to be.
    pub(super) fn sealed(&mut self, index: FileIndex, digest: FileDigest) {
        if let Some(record) = self.files.get_mut(&index) {
            record.content = Some(digest);
        }
    }

    /// Notes which road a file takes.
    pub(super) fn took(&mut self, index: FileIndex, road: Road) {
        if let Some(record) = self.files.get_mut(&index) {
            record.road = Some(road);
        }
    }

    /// The road that a file takes, where that was noted.
    pub(super) fn road(&self, index: FileIndex) -> Option<Road> {
        self.files.get(&index)?.road
    }

    /// Notes from where on a recipient is given a file.
    pub(super) fn resumed(&mut self, index: FileIndex, peer: PeerId, bytes: u64) {
        if let Some(record) = self.files.get_mut(&index) {
            record.resumed_from.insert(peer, bytes);
        }
    }

    /// Who has not settled a file.
    pub(super) fn waiting(&self, index: FileIndex) -> Vec<PeerId> {
        self.files
            .get(&index)
            .map(|record| record.waiting.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Notes how much a recipient has stored; whether that is more than before.
    pub(super) fn stored(&mut self, peer: PeerId, index: FileIndex, bytes: u64) -> bool {
        let Some(record) = self
            .files
            .get_mut(&index)
            .filter(|r| r.waiting.contains(&peer))
        else {
            return false;
        };
        // No more than there is: else a number that grows would be progress for ever.
        let most = record
            .size
            .unwrap_or_else(|| record.sent.load(Ordering::Relaxed));
        let bytes = bytes.min(most);
        let before = record.stored.entry(peer).or_default();
        let more = bytes > *before;
        *before = bytes.max(*before);
        more
    }

    /// A file's path and size, and from where on a recipient is given it.
    pub(super) fn describe(
        &self,
        index: FileIndex,
        peer: PeerId,
    ) -> Option<(&str, Option<u64>, u64)> {
        self.files.get(&index).map(|record| {
            let resumed_from = record.resumed_from.get(&peer).copied();
            (
                record.path.as_str(),
                record.size,
                resumed_from.unwrap_or_default(),
            )
        })
    }

    /// Settles a file for a recipient that has signed for it.
    pub(super) fn receipt(&mut self, peer: PeerId, receipt: &Receipt) -> Settled {
        let Some(record) = self
            .files
            .get(&receipt.file)
            .filter(|r| r.waiting.contains(&peer))
        else {
            return Settled::Unknown;
        };
        // A recipient cannot have verified what was not sealed to its end.
        let content = FileDigest {
            len: receipt.len,
            blake3: receipt.blake3,
        };
        if record.content != Some(content) {
            return Settled::Mismatch;
        }
        let settled = Settled::Delivered(Delivered {
            path: record.path.clone(),
            is_user_visible: record.is_user_visible,
            resumed_from: record.resumed_from.get(&peer).copied().unwrap_or_default(),
            content,
            already_there: receipt.outcome == Outcome::AlreadyThere,
            renamed: receipt.outcome == Outcome::Renamed,
            road: record.road,
        });
        self.settle(peer, receipt.file);
        settled
    }

    /// Settles a file for a recipient that will not get it; its path, if that was open.
    pub(super) fn failed(&mut self, peer: PeerId, index: FileIndex) -> Option<String> {
        let record = self
            .files
            .get(&index)
            .filter(|r| r.waiting.contains(&peer))?;
        let path = record.path.clone();
        self.settle(peer, index);
        Some(path)
    }

    /// Settles everything for a recipient whose part is over.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.files.retain(|_, record| {
            record.waiting.remove(&peer);
            !record.waiting.is_empty()
        });
    }

    /// Whether this recipient has been given anything that it has not stored or settled.
    ///
    /// A quiet pipe keeps nobody waiting, however long it is quiet.
    pub(super) fn is_waiting(&self, peer: PeerId) -> bool {
        self.files.values().any(|record| {
            record.waiting.contains(&peer)
                && (record.content.is_some()
                    || record.size.is_some()
                    || record.sent.load(Ordering::Relaxed)
                        > record.stored.get(&peer).copied().unwrap_or(0))
        })
    }

    fn settle(&mut self, peer: PeerId, index: FileIndex) {
        if let Some(record) = self.files.get_mut(&index) {
            record.waiting.remove(&peer);
            if record.waiting.is_empty() {
                self.files.remove(&index);
            }
        }
    }
}
