//! What the relay may hold of other people's bytes, over all files at once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The relay-wide limits on content in memory and on disk, and what is held of each now.
///
/// A handle: clones share the same account. Memory counts the blocks that files buffer, from their
/// allocation until they leave the file's ring. What a transport queues to send, and the one piece
/// that each recipient is being handed, is not in it: the transport's send window bounds that.
#[derive(Debug, Clone)]
pub struct Budget {
    memory: Arc<Account>,
    spool: Arc<Account>,
}

impl Budget {
    /// The default limit on memory, in bytes: eight files at their full window.
    pub const MEMORY_LIMIT: u64 = 32 * 1024 * 1024;

    /// The default limit on disk, in bytes.
    pub const SPOOL_LIMIT: u64 = 1024 * 1024 * 1024;

    /// What every file may hold although the memory limit is reached, in bytes.
    ///
    /// Without it, transfers that stall while they hold the whole budget would stop every other.
    /// Enough for one of the largest blocks to fill and one to send; total memory is at most the
    /// limit and this much for each file under way.
    pub const GUARANTEED: u64 = 256 * 1024;

    /// What one read from the spool may hold although the memory limit is reached, in bytes.
    pub(super) const GUARANTEED_READ: u64 = 64 * 1024;

    /// A budget of `memory_limit` bytes in memory and `spool_limit` bytes on disk.
    #[must_use]
    pub fn new(memory_limit: u64, spool_limit: u64) -> Self {
        Self {
            memory: Arc::new(Account::new(memory_limit)),
            spool: Arc::new(Account::new(spool_limit)),
        }
    }

    /// Bytes of memory that are held now.
    #[must_use]
    pub fn memory_in_use(&self) -> u64 {
        self.memory.used.load(Relaxed)
    }

    /// The most bytes of memory that were ever held at once.
    #[must_use]
    pub fn memory_peak(&self) -> u64 {
        self.memory.peak.load(Relaxed)
    }

    /// Bytes of disk that are held now.
    #[must_use]
    pub fn spool_in_use(&self) -> u64 {
        self.spool.used.load(Relaxed)
    }

    /// The limit on disk, in bytes.
    pub(super) fn spool_limit(&self) -> u64 {
        self.spool.limit
    }

    /// An empty lease for the blocks of one file.
    pub(super) fn for_file(&self) -> Lease {
        Lease::new(&self.memory, Self::GUARANTEED)
    }

    /// An empty lease for one recipient's reads from the spool.
    pub(super) fn for_read(&self) -> Lease {
        Lease::new(&self.memory, Self::GUARANTEED_READ)
    }

    /// An empty lease for one spool segment.
    pub(super) fn for_segment(&self) -> Lease {
        Lease::new(&self.spool, 0)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::MEMORY_LIMIT, Self::SPOOL_LIMIT)
    }
}

/// A part of a budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    account: Arc<Account>,
    held: u64,
    guaranteed: u64,
}

impl Lease {
    fn new(account: &Arc<Account>, guaranteed: u64) -> Self {
        Self {
            account: Arc::clone(account),
            held: 0,
            guaranteed,
        }
    }

    /// Takes `bytes` more, or nothing: always up to the guaranteed part, beyond it what is free.
    #[must_use]
    pub(super) fn try_grow(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let granted = self.account.try_take(bytes)
            || self.held + bytes <= self.guaranteed && {
                self.account.take(bytes);
                true
            };
        if granted {
            self.held += bytes;
        }
        granted
    }

    /// Gives `bytes` back.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let bytes = (bytes as u64).min(self.held);
        self.held -= bytes;
        self.account.give_back(bytes);
    }

    /// Adds what another lease of the same account holds to this one.
    pub(super) fn absorb(&mut self, mut other: Lease) {
        debug_assert!(Arc::ptr_eq(&self.account, &other.account));
        self.held += std::mem::take(&mut other.held);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.account.give_back(self.held);
    }
}

/// One limit, and how much of it is used.
///
/// Relaxed order is enough: the numbers guard no other memory.
#[derive(Debug)]
struct Account {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
}

impl Account {
    fn new(limit: u64) -> Self {
        Self {
            limit,
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }
    }

    fn try_take(&self, bytes: u64) -> bool {
        let within = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let taken = self.used.fetch_update(Relaxed, Relaxed, within);
        if let Ok(before) = taken {
            self.peak.fetch_max(before + bytes, Relaxed);
        }
        taken.is_ok()
    }

    fn take(&self, bytes: u64) {
        let before = self.used.fetch_add(bytes, Relaxed);
        self.peak.fetch_max(before + bytes, Relaxed);
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_its_guaranteed_part_a_file_gets_only_what_is_free() {
        let budget = Budget::new(Budget::GUARANTEED, 0);
        let guaranteed = Budget::GUARANTEED as usize;
        let mut greedy = budget.for_file();
        assert!(greedy.try_grow(guaranteed));
        assert!(!greedy.try_grow(1));

        let mut late = budget.for_file();
        assert!(
            late.try_grow(guaranteed),
            "the guaranteed part is always there"
        );
        assert!(!late.try_grow(1));
        assert_eq!(budget.memory_in_use(), 2 * Budget::GUARANTEED);

        drop(greedy);
        late.shrink(guaranteed);
        assert_eq!(budget.memory_in_use(), 0);
        assert_eq!(budget.memory_peak(), 2 * Budget::GUARANTEED);
    }

    #[test]
    fn disk_has_no_guaranteed_part_and_comes_back_on_drop() {
        let budget = Budget::new(0, 100);
        let mut segment = budget.for_segment();
        let mut more = budget.for_segment();
        assert!(segment.try_grow(60) && !more.try_grow(41) && more.try_grow(40));
        segment.absorb(more);
        assert_eq!(budget.spool_in_use(), 100);
        drop(segment);
        assert_eq!(budget.spool_in_use(), 0);
    }
}
