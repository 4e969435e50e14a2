//! The blocks of one file that are in memory, from the oldest that is needed to the one that is filled.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;

use super::block::Block;

/// Consecutive blocks. Positions are bytes of the stream as recipients get it.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: VecDeque<Block>,
    /// Bytes that they take in memory.
    charge: usize,
    /// The position after the last byte.
    end: u64,
}

impl Blocks {
    /// The position of the first byte in memory.
    pub(super) fn start(&self) -> u64 {
        self.blocks.front().map_or(self.end, Block::start)
    }

    /// The position after the last byte in memory.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The position after the oldest block, if there is one.
    pub(super) fn front_end(&self) -> Option<u64> {
        self.blocks.front().map(Block::end)
    }

    /// Bytes that they take in memory.
    pub(super) fn charge(&self) -> usize {
        self.charge
    }

    /// Begins a block of so many bytes; the one before is closed.
    pub(super) fn open(&mut self, capacity: usize) {
        self.charge += capacity;
        self.blocks.push_back(Block::new(self.end, capacity));
    }

    /// Appends to the block that was opened last.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.end += piece.len() as u64;
        let block = self.blocks.back_mut().expect("pieces are of a block");
        block.push(piece);
    }

    /// Whether the block that is being filled holds as many pieces as it may.
    pub(super) fn last_is_full(&self) -> bool {
        self.blocks.back().is_none_or(Block::is_full)
    }

    /// Closes the block that is being filled, if one is; `needed_by` says how many recipients are before
    /// a position.
    pub(super) fn close(&mut self, needed_by: impl FnOnce(u64) -> usize) {
        if let Some(block) = self.blocks.back_mut()
            && !block.is_closed()
        {
            block.close(needed_by(block.end()));
            self.pop_passed();
        }
    }

    /// What is at a position, which must be in memory: the rest of one piece.
    pub(super) fn at(&self, position: u64) -> Bytes {
        self.blocks[self.first_beyond(position)].from(position)
    }

    /// A recipient has moved.
    pub(super) fn moved(&mut self, moved: &Range<u64>) {
        let first = self.first_beyond(moved.start);
        for block in self.blocks.range_mut(first..) {
            if !block.passed_by_one(moved.end) {
                break;
            }
        }
    }

    /// A recipient at this position needs nothing further.
    pub(super) fn left(&mut self, position: u64) {
        let first = self.first_beyond(position);
        for block in self.blocks.range_mut(first..) {
            block.needed_by_one_less();
        }
    }

    /// The pieces of closed blocks from a position to another, so many bytes and the rest of a block at
    /// the most, and where they begin.
    pub(super) fn closed(&self, from: u64, to: u64, bytes: usize) -> Option<(u64, Vec<Bytes>)> {
        let (mut at, mut len, mut pieces) = (None, 0, Vec::new());
        for block in self.blocks.iter().filter(|b| b.end() > from) {
            if !block.is_closed() || block.end() > to || len >= bytes {
                break;
            }
            at.get_or_insert(block.start());
            len += block.len();
            pieces.extend(block.pieces());
        }
        at.map(|at| (at, pieces))
    }

    /// Lets go of blocks that everyone has passed; whether there were any.
    pub(super) fn pop_passed(&mut self) -> bool {
        self.pop_while(Block::is_passed)
    }

    /// Lets go of closed blocks that end before a position, too; whether there were any.
    pub(super) fn evict(&mut self, before: u64) -> bool {
        let evicted = self.pop_while(|block| block.is_closed() && block.end() <= before);
        self.pop_passed() || evicted
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.charge = 0;
    }

    fn first_beyond(&self, position: u64) -> usize {
        self.blocks.partition_point(|b| b.end() <= position)
    }

    fn pop_while(&mut self, may_go: impl Fn(&Block) -> bool) -> bool {
        let mut popped = false;
        while let Some(block) = self.blocks.front()
            && may_go(block)
        {
            self.charge -= block.capacity();
            self.blocks.pop_front();
            popped = true;
        }
        popped
    }
}
