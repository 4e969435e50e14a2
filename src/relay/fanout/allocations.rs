//! The memory of one file's blocks, used again and again.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::super::budget::Charge;

/// What is left of full blocks, whose pieces recipients may still be reading.
///
/// A block as large as the largest comes from the system and goes back to it: new pages and the
/// upkeep of the page tables took a tenth of the relay's processor time.
#[derive(Debug, Default)]
pub(super) struct Allocations(VecDeque<Allocation>);

/// The memory of a block, and what it counts for.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) memory: BytesMut,
    pub(super) charge: Charge,
}

impl Allocation {
    /// New memory, of which as much as the charge is for.
    pub(super) fn new(charge: Charge) -> Self {
        Self {
            memory: BytesMut::with_capacity(charge.bytes()),
            charge,
        }
    }
}

impl Allocations {
    /// Takes back what is left of a full block.
    pub(super) fn keep(&mut self, full: Allocation) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(full);
    }

    /// An empty block of at least `size` bytes that nobody reads any more, if there is one.
    pub(super) fn reuse(&mut self, size: usize) -> Option<Allocation> {
        for _ in 0..LOOKED_AT.min(self.0.len()) {
            let mut oldest = self.0.pop_front()?;
            if oldest.charge.bytes() < size {
                continue;
            }
            if oldest.memory.try_reclaim(size) {
                return Some(oldest);
            }
            self.0.push_back(oldest);
        }
        None
    }

    /// Lets go of everything: memory is short.
    pub(super) fn release(&mut self) {
        self.0.clear();
    }
}

/// As many of the largest blocks as a recipient's stream window and the ring hold of a file.
const KEPT: usize = 32;

/// How many may be tried: recipients that have stopped reading hold some for long.
const LOOKED_AT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::{Budget, budget::Purpose};

    const SIZE: usize = 128 * 1024;

    fn block(budget: &Budget) -> Allocation {
        Allocation::new(budget.share().charge(Purpose::Blocks, SIZE).unwrap())
    }

    #[test]
    fn a_block_is_used_again_once_its_last_reader_is_gone() {
        let budget = Budget::default();
        let mut allocations = Allocations::default();
        let mut first = block(&budget);
        first.memory.extend_from_slice(&[1; 100]);
        let place = first.memory.as_ptr();
        let piece = first.charge.attach(first.memory.split().freeze());
        allocations.keep(first);
        assert!(
            allocations.reuse(SIZE).is_none(),
            "its piece is still being read"
        );
        drop(piece);
        let again = allocations.reuse(SIZE).unwrap();
        assert_eq!(again.memory.as_ptr(), place);
        assert!(again.memory.is_empty() && again.memory.capacity() >= SIZE);
    }

    #[test]
    fn what_is_kept_is_bounded_and_counted() {
        let budget = Budget::default();
        let mut allocations = Allocations::default();
        for _ in 0..3 * KEPT {
            allocations.keep(block(&budget));
        }
        assert_eq!(budget.memory_in_use(), (KEPT * SIZE) as u64);
        allocations.release();
        assert_eq!(budget.memory_in_use(), 0);
    }
}
