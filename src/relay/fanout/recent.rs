//! What was read from the spool and is still on its way.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::budget::{Counted, WeakCounted};

/// Pieces that some recipient's transport still holds, by their position in the stream.
///
/// Every recipient's transport holds as much as its stream window. Recipients that are behind are
/// often behind by about as much: those that come to the same bytes get the same memory. Measured with
/// 31 recipients on two cores, the relay held less than half as much.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Piece>);

#[derive(Debug)]
struct Piece {
    start: u64,
    end: u64,
    bytes: WeakCounted,
}

impl Recent {
    /// What is here of the stream from `position` on.
    pub(super) fn get(&self, position: u64) -> Option<Bytes> {
        let mut there = self.0.iter().rev();
        there.find_map(|piece| {
            let skipped = usize::try_from(position.checked_sub(piece.start)?).ok()?;
            (position < piece.end).then_some(())?;
            Some(piece.bytes.upgrade()?.bytes().slice(skipped..))
        })
    }

    /// Notes what was read at `position`, and forgets what nobody holds any more.
    pub(super) fn keep(&mut self, position: u64, bytes: &Counted) {
        self.0.retain(|piece| piece.bytes.upgrade().is_some());
        if self.0.len() == PIECES {
            self.0.pop_front();
        }
        self.0.push_back(Piece {
            start: position,
            end: position + bytes.as_ref().len() as u64,
            bytes: bytes.downgrade(),
        });
    }

    /// Forgets what ends at `position` or before: nobody comes there again.
    pub(super) fn forget(&mut self, position: u64) {
        self.0.retain(|piece| piece.end > position);
    }
}

/// The most that are remembered; each is looked at once a read.
const PIECES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::{Budget, budget::Purpose};

    #[test]
    fn who_comes_to_the_same_bytes_gets_the_same_memory_for_as_long_as_it_is_held() {
        let (mut recent, budget) = (Recent::default(), Budget::new(10_000, 0));
        let charge = budget.share().charge(Purpose::Reads, 100).unwrap();
        let piece = Counted::new(vec![7; 100].into(), charge);
        recent.keep(1000, &piece);
        let (held, later) = (piece.bytes(), recent.get(1040).unwrap());
        drop(piece);
        assert_eq!((later.len(), later.as_ptr()), (60, held[40..].as_ptr()));
        assert_eq!(recent.get(999), None);
        assert_eq!(recent.get(1100), None);
        drop(held);
        assert_eq!(budget.memory_in_use(), 100);
        drop(later);
        assert_eq!(recent.get(1040), None, "nobody holds it any more");
        assert_eq!(budget.memory_in_use(), 0);
    }

    #[test]
    fn what_everyone_has_passed_is_not_given_again() {
        let (mut recent, budget) = (Recent::default(), Budget::new(10_000, 0));
        let piece = |len| {
            let charge = budget.share().charge(Purpose::Reads, len).unwrap();
            Counted::new(vec![1; len].into(), charge)
        };
        let (passed, next) = (piece(100), piece(100));
        recent.keep(1000, &passed);
        recent.keep(1100, &next);
        recent.forget(1100);
        assert!(recent.get(1000).is_none() && recent.get(1100).is_some());
        recent.forget(u64::MAX);
        assert!(recent.get(1100).is_none());
    }
}
