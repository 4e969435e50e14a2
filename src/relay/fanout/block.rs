//! A block: one allocation, as it is filled and passed on piece by piece.

use bytes::Bytes;

/// Consecutive pieces of one allocation, and how many recipients have yet to pass them.
#[derive(Debug)]
pub(super) struct Block {
    start: u64,
    end: u64,
    capacity: usize,
    pieces: Vec<(u64, Bytes)>,
    /// Recipients that are before the end; known from when the end is.
    needed_by: Option<usize>,
}

impl Block {
    /// An empty block at a position, of an allocation of `capacity` bytes.
    pub(super) fn new(start: u64, capacity: usize) -> Self {
        Self {
            start,
            end: start,
            capacity,
            pieces: Vec::new(),
            needed_by: None,
        }
    }

    /// The position of its first byte.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The position after its last byte so far.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.end - self.start).expect("at most its capacity")
    }

    /// Bytes that it takes in memory.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends a piece; the block is open.
    pub(super) fn push(&mut self, piece: Bytes) {
        debug_assert!(self.needed_by.is_none());
        let start = self.end;
        self.end += piece.len() as u64;
        self.pieces.push((start, piece));
    }

    /// Whether it holds as many pieces as it may, however short they are.
    ///
    /// A sender that dribbles bytes would else make the list of pieces outgrow the pieces.
    pub(super) fn is_full(&self) -> bool {
        self.pieces.len() >= PIECES
    }

    /// The pieces.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Bytes> {
        self.pieces.iter().map(|(_, piece)| piece.clone())
    }

    /// What is left, from `position`, of the piece which that is in.
    ///
    /// # Panics
    /// If the position is not in the block.
    pub(super) fn from(&self, position: u64) -> Bytes {
        let next = self.pieces.partition_point(|(start, _)| *start <= position);
        let (start, piece) = &self.pieces[next - 1];
        let skipped = usize::try_from(position - start).expect("within a piece");
        piece.slice(skipped..)
    }

    /// Nothing further is appended, and so many recipients are before the end.
    pub(super) fn close(&mut self, needed_by: usize) {
        self.needed_by = Some(needed_by);
    }

    /// Whether nothing further is appended.
    pub(super) fn is_closed(&self) -> bool {
        self.needed_by.is_some()
    }

    /// Whether it is closed and every recipient is past it.
    pub(super) fn is_passed(&self) -> bool {
        self.needed_by == Some(0)
    }

    /// A recipient that was before the end moves to `position`; whether that is past the block.
    pub(super) fn passed_by_one(&mut self, position: u64) -> bool {
        let passed = self.is_closed() && position >= self.end;
        if passed {
            self.needed_by_one_less();
        }
        passed
    }

    /// A recipient that was before the end needs it no longer.
    pub(super) fn needed_by_one_less(&mut self) {
        if let Some(needed_by) = &mut self.needed_by {
            *needed_by -= 1;
        }
    }
}

/// The size of the block that begins at `position`: a small file pins little, a large one soon
/// gets large blocks.
pub(super) fn block_size(position: u64) -> usize {
    usize::try_from(position).map_or(BLOCK, |at| at.clamp(FIRST_BLOCK, BLOCK).next_power_of_two())
}

/// The first block of a file, in bytes: room for 4 KiB of content and its sealing.
const FIRST_BLOCK: usize = 8 * 1024;

/// The largest block, in bytes: pieces stay within a 32nd of the transport's send window, beyond
/// which queueing them gets slow, and are large enough that work per piece does not count. Two fit
/// into the part of the memory budget that every file is guaranteed: one to fill, one to send.
const BLOCK: usize = 128 * 1024;

/// The most pieces of a block: a piece costs some 40 bytes besides its content.
const PIECES: usize = 128;
