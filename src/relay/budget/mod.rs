//! What the relay may hold of other people's bytes, over all of its peers at once.
//!
//! - [`Budget`]: the limits, and how much of each is used
//! - [`Share`]: one identity's part in a room, across all of its files and connections
//! - [`Lease`], [`Charge`]: bytes that are held now, given back when they are dropped

mod account;
mod charge;
mod share;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use self::{
    account::Account,
    share::{Holder, HolderKey},
};
pub(super) use self::{
    charge::{Charge, Counted, Lease, WeakCounted},
    share::{Heaviest, Purpose, RoomSpool, SpoolFile},
};
pub use share::Share;

use crate::protocol::{PeerId, RoomId};

/// The relay-wide limits on memory, disk and descriptors, and what is held of each now.
///
/// A handle: clones share the same accounts. Memory counts whatever waits for a recipient, from its
/// allocation until the recipient's transport has had it acknowledged: blocks of files, reads from
/// the spool, control messages. And it counts what senders may have on the way without being read:
/// the receive windows that were granted to them.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    memory: Account,
    spool: Account,
    descriptors: Account,
    holders: Mutex<HashMap<HolderKey, Weak<Holder>>>,
    spool_files: Mutex<Vec<Weak<SpoolFile>>>,
}

impl Budget {
    /// The default limit on memory, in bytes: eight files at their full window.
    pub const MEMORY_LIMIT: u64 = 64 * 1024 * 1024;

    /// The default limit on disk, in bytes.
    pub const SPOOL_LIMIT: u64 = 1024 * 1024 * 1024;

    /// What one identity's files may hold of memory although its limit is reached, in bytes.
    ///
    /// Without it, transfers that stall while they hold the whole budget would stop every other.
    /// Enough for one small block to fill and one to send.
    pub const GUARANTEED: u64 = Purpose::Blocks.guaranteed();

    /// A budget of `memory_limit` bytes in memory and `spool_limit` bytes on disk.
    #[must_use]
    pub fn new(memory_limit: u64, spool_limit: u64) -> Self {
        Self::with_descriptors(memory_limit, spool_limit, u64::MAX)
    }

    /// The same, with at most so many open files for the spool.
    #[must_use]
    pub fn with_descriptors(memory_limit: u64, spool_limit: u64, descriptors: u64) -> Self {
        Self(Arc::new(Inner {
            memory: Account::new(memory_limit),
            spool: Account::new(spool_limit),
            descriptors: Account::new(descriptors),
            holders: Mutex::default(),
            spool_files: Mutex::default(),
        }))
    }

    /// Bytes of memory that are held now.
    #[must_use]
    pub fn memory_in_use(&self) -> u64 {
        self.0.memory.used()
    }

    /// The limit on memory, in bytes.
    #[must_use]
    pub fn memory_limit(&self) -> u64 {
        self.0.memory.limit()
    }

    /// The most bytes of memory that were ever held at once.
    #[must_use]
    pub fn memory_peak(&self) -> u64 {
        self.0.memory.peak()
    }

    /// Bytes of disk that are held now.
    #[must_use]
    pub fn spool_in_use(&self) -> u64 {
        self.0.spool.used()
    }

    /// The limit on disk, in bytes.
    #[must_use]
    pub fn spool_limit(&self) -> u64 {
        self.0.spool.limit()
    }

    /// The open files that the spool may have.
    pub(super) fn descriptor_limit(&self) -> u64 {
        self.0.descriptors.limit()
    }

    /// Whether so much memory is held that who stalls is waited for no longer.
    pub(super) fn is_short(&self) -> bool {
        self.0.memory.used() >= self.0.memory.limit() / 4 * 3
    }

    /// Whether less than a quarter of the memory is held.
    pub(super) fn is_mostly_free(&self) -> bool {
        self.0.memory.used() < self.0.memory.limit() / 4
    }

    /// A share that may hold all of it: of a test, or a benchmark.
    #[must_use]
    pub fn share(&self) -> Share {
        Share::new(self.clone(), Arc::new(Holder::anybody()))
    }

    /// The share of one identity in a room: at most half of the memory.
    pub(super) fn share_of(&self, room: RoomId, peer: PeerId, spool: &Arc<RoomSpool>) -> Share {
        let key = HolderKey { room, peer };
        let mut holders = lock(&self.0.holders);
        let there = holders.get(&key).and_then(Weak::upgrade);
        let holder = there.unwrap_or_else(|| {
            if holders.len() == holders.capacity() {
                holders.retain(|_, holder| holder.strong_count() > 0);
            }
            let holder = Arc::new(Holder::of(self.memory_limit() / 2, spool.clone()));
            holders.insert(key, Arc::downgrade(&holder));
            holder
        });
        drop(holders);
        Share::new(self.clone(), holder)
    }

    /// The share of all connections to other relays together: at most half of the memory.
    pub(super) fn share_of_trunks(&self) -> Share {
        let holder = Holder::of(self.memory_limit() / 2, Arc::default());
        Share::new(self.clone(), Arc::new(holder))
    }

    /// Waits until memory may have become free.
    pub(super) fn memory_freed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.memory.freed()
    }

    /// Waits until room on the disk may have become free.
    pub(super) fn spool_freed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.spool.freed()
    }

    fn account(&self, purpose: Purpose) -> &Account {
        match purpose {
            Purpose::Spool => &self.0.spool,
            Purpose::Descriptors => &self.0.descriptors,
            _ => &self.0.memory,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::MEMORY_LIMIT, Self::SPOOL_LIMIT)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section leaves valid state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_its_guaranteed_part_an_identity_gets_only_what_is_free() {
        let budget = Budget::new(Budget::GUARANTEED, 0);
        let (one, other) = (budget.share(), budget.share());
        let guaranteed = Budget::GUARANTEED as usize;
        let mut greedy = one.lease(Purpose::Blocks);
        assert!(greedy.try_grow(guaranteed));
        let mut late = other.lease(Purpose::Blocks);
        assert!(
            late.try_grow(guaranteed),
            "the guaranteed part is always there"
        );
        assert!(!late.try_grow(1));
        let mut second = other.lease(Purpose::Blocks);
        assert!(!second.try_grow(1), "once for an identity, not for a file");
        assert_eq!(budget.memory_in_use(), 2 * Budget::GUARANTEED);

        drop(greedy);
        late.shrink(guaranteed);
        assert!(second.try_grow(guaranteed));
        drop(second);
        assert_eq!(budget.memory_in_use(), 0);
        assert_eq!(budget.memory_peak(), 2 * Budget::GUARANTEED);
    }

    #[test]
    fn one_identity_holds_at_most_half() {
        let budget = Budget::new(1 << 20, 0);
        let room = RoomId::from_bytes([1; 32]);
        let peer = |n| PeerId::from_bytes([n; 32]);
        let spool = Arc::default();
        let mut first = budget
            .share_of(room, peer(1), &spool)
            .lease(Purpose::Windows);
        assert!(first.try_grow(1 << 19));
        let mut again = budget
            .share_of(room, peer(1), &spool)
            .lease(Purpose::Windows);
        assert!(!again.try_grow(1), "the same identity");
        let mut other = budget
            .share_of(room, peer(2), &spool)
            .lease(Purpose::Windows);
        assert!(other.try_grow(1 << 19) && !other.try_grow(1));
    }

    #[test]
    fn a_room_has_no_more_on_disk_than_its_quota_whoever_of_it_asks() {
        let budget = Budget::new(0, 1000);
        let peer = |n| PeerId::from_bytes([n; 32]);
        let room = |n| RoomId::from_bytes([n; 32]);
        let (small, other) = (Arc::<RoomSpool>::default(), Arc::default());
        small.set_max(100);
        let spool =
            |room, n, of: &Arc<RoomSpool>| budget.share_of(room, peer(n), of).lease(Purpose::Spool);
        let mut first = spool(room(1), 1, &small);
        let mut second = spool(room(1), 2, &small);
        let mut third = spool(room(2), 3, &other);
        assert!(first.try_grow(60) && !second.try_grow(41) && second.try_grow(40));
        assert!(third.try_grow(500), "another room");
        drop(first);
        assert!(second.try_grow(60) && !second.try_grow(1));
    }

    #[test]
    fn disk_has_no_guaranteed_part_and_comes_back_on_drop() {
        let budget = Budget::new(0, 100);
        let share = budget.share();
        let mut segment = share.lease(Purpose::Spool);
        let mut more = share.lease(Purpose::Spool);
        assert!(segment.try_grow(60) && !more.try_grow(41) && more.try_grow(40));
        segment.absorb(more);
        assert_eq!(budget.spool_in_use(), 100);
        drop(segment);
        assert_eq!(budget.spool_in_use(), 0);
    }

    #[test]
    fn what_is_attached_counts_until_its_last_copy_is_gone() {
        let budget = Budget::new(1 << 20, 0);
        let charge = budget.share().charge(Purpose::Blocks, 1000).unwrap();
        let piece = charge.attach(vec![7; 10].into());
        let rest = piece.slice(5..);
        drop((charge, piece));
        assert_eq!(budget.memory_in_use(), 1000);
        drop(rest);
        assert_eq!(budget.memory_in_use(), 0);
    }
}
