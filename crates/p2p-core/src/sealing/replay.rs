//! What has been opened and is not opened again. Bounded: a full memory refuses, it never forgets.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::protocol::{FileIndex, PeerId, TransferId};

/// The transfers that one key has claimed, by sender. It lives and dies with the key.
#[derive(Default)]
pub(super) struct SeenTransfers {
    by_sender: HashMap<PeerId, HashSet<TransferId>>,
    len: usize,
    /// The most of one sender.
    most_of_one: usize,
}

/// The files of one transfer that have been opened, as ranges: they come nearly in order.
#[derive(Default)]
pub(super) struct SeenFiles(BTreeMap<u64, u64>);

/// Why something is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replay {
    /// It was opened before.
    Seen,
    /// There is no more memory to note it in.
    Full,
}

impl SeenTransfers {
    /// Only members of the room get this far, and each entry costs one of them a signature.
    const MAX: usize = 16 * 1024;
    /// So many for one sender: alone it cannot wear out a key.
    const MAX_PER_SENDER: usize = Self::MAX / 16;

    pub(super) fn contains(&self, sender: PeerId, transfer: TransferId) -> bool {
        let seen = self.by_sender.get(&sender);
        seen.is_some_and(|seen| seen.contains(&transfer))
    }

    pub(super) fn insert(&mut self, sender: PeerId, transfer: TransferId) -> Result<(), Replay> {
        if self.contains(sender, transfer) {
            return Err(Replay::Seen);
        }
        let of_sender = self.by_sender.get(&sender).map_or(0, HashSet::len);
        if self.len >= Self::MAX || of_sender >= Self::MAX_PER_SENDER {
            return Err(Replay::Full);
        }
        self.by_sender.entry(sender).or_default().insert(transfer);
        self.len += 1;
        self.most_of_one = self.most_of_one.max(of_sender + 1);
        Ok(())
    }

    /// Whether half of what can be noted is, of all senders or of one: an honest one that sends often
    /// is not to be refused either.
    pub(super) fn is_half_full(&self) -> bool {
        self.len >= Self::MAX / 2 || self.most_of_one >= Self::MAX_PER_SENDER / 2
    }
}

impl SeenFiles {
    /// Gaps come from files that the sender could not read; a hostile sender could make many.
    const MAX_RANGES: usize = 16 * 1024;

    pub(super) fn contains(&self, FileIndex(file): FileIndex) -> bool {
        let before = self.0.range(..=file).next_back();
        before.is_some_and(|(_, end)| *end >= file)
    }

    pub(super) fn insert(&mut self, FileIndex(file): FileIndex) -> Result<(), Replay> {
        let before = self.0.range(..=file).next_back().map(|(s, e)| (*s, *e));
        if before.is_some_and(|(_, end)| end >= file) {
            return Err(Replay::Seen);
        }
        // Ranges include both ends, so that the last index needs no number behind it.
        let start = match before {
            Some((start, end)) if end + 1 == file => start,
            _ if self.0.len() >= Self::MAX_RANGES => return Err(Replay::Full),
            _ => file,
        };
        let after = file.checked_add(1).and_then(|next| self.0.remove(&next));
        self.0.insert(start, after.unwrap_or(file));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_noted_once_for_each_sender() {
        let mut seen = SeenTransfers::default();
        let (a, b) = (PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32]));
        let transfer = TransferId::from_bytes([3; 16]);
        assert_eq!(seen.insert(a, transfer), Ok(()));
        assert_eq!(seen.insert(a, transfer), Err(Replay::Seen));
        assert_eq!(seen.insert(b, transfer), Ok(()));
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing() {
        let mut seen = SeenTransfers::default();
        let sender = |i: usize| PeerId::from_bytes([(i % 32) as u8; 32]);
        let transfer = |i: usize| TransferId::from_bytes((i as u128).to_be_bytes());
        for i in 0..SeenTransfers::MAX {
            assert_eq!(seen.is_half_full(), i >= SeenTransfers::MAX / 2);
            seen.insert(sender(i), transfer(i)).unwrap();
        }
        let one_more = transfer(SeenTransfers::MAX);
        assert_eq!(seen.insert(sender(0), one_more), Err(Replay::Full));
        assert_eq!(seen.insert(sender(0), transfer(0)), Err(Replay::Seen));
    }

    #[test]
    fn one_sender_cannot_keep_the_others_out() {
        let mut seen = SeenTransfers::default();
        let (greedy, honest) = (PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32]));
        let transfer = |i: usize| TransferId::from_bytes((i as u128).to_be_bytes());
        for i in 0..SeenTransfers::MAX_PER_SENDER {
            seen.insert(greedy, transfer(i)).unwrap();
        }
        let next = transfer(SeenTransfers::MAX_PER_SENDER);
        assert_eq!(seen.insert(greedy, next), Err(Replay::Full));
        assert_eq!(seen.insert(honest, next), Ok(()));
        // Nor for long itself: it may be honest, and only send often.
        assert!(seen.is_half_full());
    }

    #[test]
    fn files_in_any_order_are_each_noted_once() {
        let mut seen = SeenFiles::default();
        let order = [5, 3, 4, 0, u64::MAX, 2, 1, u64::MAX - 1, 6];
        for file in order {
            assert!(!seen.contains(FileIndex(file)), "{file}");
            assert_eq!(seen.insert(FileIndex(file)), Ok(()), "{file}");
            assert!(seen.contains(FileIndex(file)), "{file}");
        }
        for file in order {
            assert_eq!(seen.insert(FileIndex(file)), Err(Replay::Seen), "{file}");
        }
        assert_eq!(seen.0, BTreeMap::from([(0, 6), (u64::MAX - 1, u64::MAX)]));
    }

    #[test]
    fn gaps_are_bounded_and_order_costs_nothing() {
        let mut seen = SeenFiles::default();
        for i in 0..SeenFiles::MAX_RANGES as u64 {
            seen.insert(FileIndex(2 * i)).unwrap();
        }
        assert_eq!(seen.insert(FileIndex(u64::MAX)), Err(Replay::Full));
        assert_eq!(seen.insert(FileIndex(1)), Ok(()));
        let mut in_order = SeenFiles::default();
        (0..100_000).for_each(|i| in_order.insert(FileIndex(i)).unwrap());
        assert_eq!(in_order.0.len(), 1);
    }
}
