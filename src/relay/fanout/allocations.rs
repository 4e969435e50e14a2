//! The memory of one file's blocks, used again and again.

use std::collections::VecDeque;

use bytes::BytesMut;

/// What is left of full blocks, whose pieces recipients may still be reading.
///
/// A block as large as the largest comes from the system and goes back to it: new pages and the
/// upkeep of the page tables took a tenth of the relay's processor time.
#[derive(Debug, Default)]
pub(super) struct Allocations(VecDeque<BytesMut>);

impl Allocations {
    /// Takes back what is left of a full block, and gives an empty one of at least `size` bytes.
    pub(super) fn next(&mut self, full: BytesMut, size: usize) -> BytesMut {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(full);
        for _ in 0..LOOKED_AT.min(self.0.len()) {
            let Some(mut oldest) = self.0.pop_front() else {
                break;
            };
            if oldest.try_reclaim(size) {
                return oldest;
            }
            self.0.push_back(oldest);
        }
        BytesMut::with_capacity(size)
    }
}

/// As many of the largest blocks as a recipient's stream window and the ring hold of a file.
const KEPT: usize = 32;

/// How many may be tried: recipients that have stopped reading hold some for long.
const LOOKED_AT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 128 * 1024;

    #[test]
    fn a_block_is_used_again_once_its_last_reader_is_gone() {
        let mut allocations = Allocations::default();
        let mut block = allocations.next(BytesMut::new(), SIZE);
        block.extend_from_slice(&[1; 100]);
        let place = block.as_ptr();
        let piece = block.split().freeze();
        let other = allocations.next(block, SIZE);
        assert_ne!(other.as_ptr(), place, "its piece is still being read");
        drop(piece);
        let again = allocations.next(other, SIZE);
        assert_eq!(again.as_ptr(), place);
        assert!(again.is_empty() && again.capacity() >= SIZE);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut allocations = Allocations::default();
        let mut pieces = Vec::new();
        let mut block = BytesMut::new();
        for _ in 0..3 * KEPT {
            block = allocations.next(block, SIZE);
            block.extend_from_slice(&[1; 100]);
            pieces.push(block.split().freeze());
        }
        assert_eq!(allocations.0.len(), KEPT);
    }
}
