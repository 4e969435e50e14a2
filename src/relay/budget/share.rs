//! What one identity holds in a room, across all of its files and connections.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::Notify;

use super::{Budget, lock};
use crate::protocol::{PeerId, RoomId};

/// What something is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) enum Purpose {
    /// Memory: pieces of files that come in.
    Blocks,
    /// Memory: what is read from the spool.
    Reads,
    /// Memory: control messages that wait to be read.
    Messages,
    /// Memory: what a sender may send before any of it is read.
    Windows,
    /// Disk.
    Spool,
    /// Open files of the spool.
    Descriptors,
}

impl Purpose {
    const COUNT: usize = Self::Descriptors as usize + 1;

    /// What an identity may hold for this although the limit is reached.
    pub(in crate::relay) const fn guaranteed(self) -> u64 {
        match self {
            Self::Blocks | Self::Reads => 64 * 1024,
            Self::Messages => 16 * 1024,
            Self::Windows | Self::Spool | Self::Descriptors => 0,
        }
    }
}

/// One identity's part of the budget. A handle.
#[derive(Debug, Clone)]
pub struct Share {
    budget: Budget,
    holder: Arc<Holder>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct HolderKey {
    pub(super) room: RoomId,
    pub(super) peer: PeerId,
}

/// What one room has on disk, over all of its members.
#[derive(Debug)]
pub(in crate::relay) struct RoomSpool {
    max: AtomicU64,
    used: AtomicU64,
}

/// What one identity holds.
#[derive(Debug)]
pub(super) struct Holder {
    memory_max: u64,
    memory: AtomicU64,
    spool: AtomicU64,
    descriptors: AtomicU64,
    guaranteed: [AtomicU64; Purpose::COUNT],
    room: Arc<RoomSpool>,
}

/// One file's part of the disk, as others see it.
#[derive(Debug)]
pub(in crate::relay) struct SpoolFile {
    holder: Arc<Holder>,
    bytes: AtomicU64,
    /// To the file's spooler: it has most of the disk, and others need some.
    shed: Notify,
}

/// Who should give room on the disk.
#[derive(Debug)]
pub(in crate::relay) enum Heaviest {
    /// The one who asks.
    Asker,
    /// Another, who was told.
    Other,
}

impl Share {
    pub(super) fn new(budget: Budget, holder: Arc<Holder>) -> Self {
        Self { budget, holder }
    }

    /// The whole of which this is a part.
    pub(in crate::relay) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether this identity holds all that it may, or all holders together do.
    pub(in crate::relay) fn is_used_up(&self) -> bool {
        let of_one = self.holder.memory.load(Relaxed) >= self.holder.memory_max;
        of_one || self.budget.memory_in_use() >= self.budget.memory_limit()
    }

    /// Enters a file among those that may have to give room on the disk.
    pub(in crate::relay) fn spool_file(&self) -> Arc<SpoolFile> {
        let file = Arc::new(SpoolFile {
            holder: self.holder.clone(),
            bytes: AtomicU64::new(0),
            shed: Notify::new(),
        });
        let mut files = lock(&self.budget.0.spool_files);
        if files.len() == files.capacity() {
            files.retain(|file| file.strong_count() > 0);
        }
        files.push(Arc::downgrade(&file));
        file
    }

    /// Of all files, the largest of the identity that holds most of the disk gives room first.
    pub(in crate::relay) fn shed_heaviest(&self, asker: &Arc<SpoolFile>) -> Heaviest {
        let files = lock(&self.budget.0.spool_files);
        let weight =
            |file: &Arc<SpoolFile>| (file.holder.spool.load(Relaxed), file.bytes.load(Relaxed));
        let others = files.iter().filter_map(Weak::upgrade);
        // Where the asker's room has all that it may, what others give is of no use to it.
        let room = &self.holder.room;
        let helps = |file: &Arc<SpoolFile>| !room.is_full() || Arc::ptr_eq(&file.holder.room, room);
        let heaviest = others
            .filter(|file| !Arc::ptr_eq(file, asker) && helps(file))
            .max_by_key(weight)
            .filter(|file| weight(file) > weight(asker) && file.bytes.load(Relaxed) > 0);
        match heaviest {
            Some(other) => {
                other.shed.notify_one();
                Heaviest::Other
            }
            None => Heaviest::Asker,
        }
    }

    /// Takes so much, or nothing; how much of it is of the guaranteed part.
    pub(super) fn try_take(&self, purpose: Purpose, amount: u64) -> Option<u64> {
        let (account, held) = (self.budget.account(purpose), self.holder.held(purpose));
        let within = |held: u64| {
            let sum = held.checked_add(amount)?;
            (sum <= self.holder.max(purpose)).then_some(sum)
        };
        if held.fetch_update(Relaxed, Relaxed, within).is_ok() {
            if self.holder.room_try_take(purpose, amount) {
                if account.try_take(amount) {
                    return Some(0);
                }
                self.holder.room_give_back(purpose, amount);
            }
            held.fetch_sub(amount, Relaxed);
        }
        let within = |taken: u64| Some(taken + amount).filter(|sum| *sum <= purpose.guaranteed());
        let guaranteed = &self.holder.guaranteed[purpose as usize];
        guaranteed.fetch_update(Relaxed, Relaxed, within).ok()?;
        self.force(purpose, amount);
        Some(amount)
    }

    /// Takes so much, whatever the limits.
    pub(super) fn force(&self, purpose: Purpose, amount: u64) {
        self.holder.held(purpose).fetch_add(amount, Relaxed);
        self.holder.room_take(purpose, amount);
        self.budget.account(purpose).take(amount);
    }

    /// Gives back so much, of which `guaranteed` was of the guaranteed part.
    pub(super) fn give_back(&self, purpose: Purpose, amount: u64, guaranteed: u64) {
        self.holder.guaranteed[purpose as usize].fetch_sub(guaranteed, Relaxed);
        self.holder.held(purpose).fetch_sub(amount, Relaxed);
        self.holder.room_give_back(purpose, amount);
        self.budget.account(purpose).give_back(amount);
    }
}

impl Holder {
    /// One that may hold everything.
    pub(super) fn anybody() -> Self {
        Self::of(u64::MAX, Arc::default())
    }

    /// One that may hold so many bytes of memory.
    pub(super) fn of(memory_max: u64, room: Arc<RoomSpool>) -> Self {
        Self {
            memory_max,
            memory: AtomicU64::new(0),
            spool: AtomicU64::new(0),
            descriptors: AtomicU64::new(0),
            guaranteed: Default::default(),
            room,
        }
    }

    fn room_try_take(&self, purpose: Purpose, amount: u64) -> bool {
        purpose != Purpose::Spool || self.room.try_take(amount)
    }

    fn room_take(&self, purpose: Purpose, amount: u64) {
        if purpose == Purpose::Spool {
            self.room.used.fetch_add(amount, Relaxed);
        }
    }

    fn room_give_back(&self, purpose: Purpose, amount: u64) {
        if purpose == Purpose::Spool {
            self.room.used.fetch_sub(amount, Relaxed);
        }
    }

    fn held(&self, purpose: Purpose) -> &AtomicU64 {
        match purpose {
            Purpose::Spool => &self.spool,
            Purpose::Descriptors => &self.descriptors,
            _ => &self.memory,
        }
    }

    fn max(&self, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::Spool | Purpose::Descriptors => u64::MAX,
            _ => self.memory_max,
        }
    }
}

impl Default for RoomSpool {
    fn default() -> Self {
        Self {
            max: AtomicU64::new(u64::MAX),
            used: AtomicU64::new(0),
        }
    }
}

impl RoomSpool {
    /// Sets another limit, in bytes. What is there beyond it stays.
    pub(in crate::relay) fn set_max(&self, max: u64) {
        self.max.store(max, Relaxed);
    }

    fn try_take(&self, amount: u64) -> bool {
        let max = self.max.load(Relaxed);
        let within = |used: u64| used.checked_add(amount).filter(|sum| *sum <= max);
        self.used.fetch_update(Relaxed, Relaxed, within).is_ok()
    }

    /// Whether a piece more might find no room: then its own files have to give some.
    fn is_full(&self) -> bool {
        let max = self.max.load(Relaxed);
        self.used.load(Relaxed) >= max.saturating_sub(PIECE)
    }
}

impl SpoolFile {
    /// Notes what the file holds now, in bytes.
    pub(in crate::relay) fn set(&self, bytes: u64) {
        self.bytes.store(bytes, Relaxed);
    }

    /// Waits until the file is to give room.
    pub(in crate::relay) async fn shed(&self) {
        self.shed.notified().await;
    }
}

/// About as much as is written to the disk at once, in bytes.
const PIECE: u64 = 1 << 20;
