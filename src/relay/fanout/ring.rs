//! What of one file is in memory, who still needs it, and what may leave.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    super::budget::{Budget, Counted, Heaviest, Purpose, Share, SpoolFile},
    FanoutConfig,
    allocations::Allocation,
    block::block_size,
    blocks::Blocks,
    cursor::{Cursor, Cursors},
    destination::Start,
    fetch::{Fetch, Skip, Source},
    patience::Patience,
    spool::{NoRoom, Segment, Spool, SpoolWrite},
};
use crate::protocol::Code;

/// The blocks of one file between its sender and its recipients, and every recipient's cursor.
///
/// Positions are bytes of the stream as recipients get it. A cursor is *pinned* while the bytes
/// that it needs next are kept in memory for it; the first recipient always is, once it reads
/// memory. Unpinned ones are served from memory as long as their bytes happen to be there, and
/// from the spool otherwise:
///
/// ```text
///        forgotten │ spool              │ memory                     │ not yet received
/// ─────────────────┼────────────────────┼────────────────────────────┼──────────────────
///                  unpinned cursor      start   pinned cursors  lead  end
/// ```
///
/// Pure bookkeeping: no I/O, no waiting, and no work in the number of recipients except once a
/// block, when somebody leaves, and while memory is full.
#[derive(Debug)]
pub(super) struct Ring {
    blocks: Blocks,
    share: Share,
    /// Where the plan said that the head ends.
    head_end: u64,
    ended: bool,
    cursors: Cursors,
    spool: Spool,
    /// Whether the last attempt to get a block failed.
    full: bool,
    /// For recipients that are nearly where the first one is.
    grace: Patience,
    /// For the disk.
    disk: Patience,
    window: usize,
    solo_window: usize,
}

/// Whether the next block may be filled.
#[derive(Debug)]
pub(super) enum Admit {
    /// This one.
    Block(Allocation),
    /// Not before the first recipient moves.
    AfterLead,
    /// Not before the first recipient moves, or memory becomes free.
    AfterMemory,
    /// Not before someone moves, for so long at most.
    Grace(Duration),
    /// Not before blocks are written to the spool, for so long at most.
    AfterSpool(Duration),
}

/// What the spooler does next.
#[derive(Debug)]
pub(super) enum NextWrite {
    /// Memory is not short.
    Nothing,
    /// It writes this.
    Write(SpoolWrite),
    /// Nothing, until others who hold more have given room.
    AfterOthers,
    /// The recipient in this slot, for which there is no room, is out now.
    Stopped(usize),
}

impl Ring {
    /// An empty ring with every recipient at its start.
    pub(super) fn new(
        recipients: usize,
        config: &FanoutConfig,
        share: &Share,
        now: Instant,
    ) -> Self {
        Self {
            blocks: Blocks::default(),
            share: share.clone(),
            head_end: 0,
            ended: false,
            cursors: Cursors::new(recipients),
            spool: Spool::new(config.spool_dir.clone(), share),
            full: false,
            grace: Patience::new(config.grace, GRACE_SHARE, now),
            disk: Patience::new(DISK_PATIENCE, DISK_SHARE, now),
            window: config.window,
            solo_window: config.solo_window,
        }
    }

    /// Closes the block that was being filled, and says whether another may be.
    ///
    /// `reuse` gives memory of an earlier block that is free again, of so many bytes or more.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        mut reuse: impl FnMut(usize) -> Option<Allocation>,
    ) -> Admit {
        self.close_block();
        let (end, charge) = (self.blocks.end(), self.blocks.charge());
        let capacity = block_size(end);
        let fits = charge == 0 || charge + capacity <= self.limit();
        if fits {
            if let Some(block) = reuse(capacity).or_else(|| self.allocate(capacity)) {
                self.blocks.open(block.charge.bytes());
                self.full = false;
                return Admit::Block(block);
            }
            if charge == 0 {
                // Transports hold what this file, or others, had.
                return Admit::AfterMemory;
            }
        }
        self.full = true;
        let lead = self.cursors.lead();
        let start = self.blocks.start();
        let extent = end - start;
        let front_end = match self.blocks.front_end() {
            // While the first has more before it than others have behind it, nobody is in its way.
            Some(front_end) if front_end <= lead && lead - start > extent / 2 => front_end,
            _ if fits => return Admit::AfterMemory,
            _ => return Admit::AfterLead,
        };
        // Those in the last quarter, and in the front block at least.
        let target = (start + extent / 4).clamp(front_end, lead);
        let mut hopeful = false;
        for cursor in self.cursors.iter_mut() {
            hopeful |= cursor.is_pinned() && cursor.position() < target && {
                let near = cursor.position().saturating_mul(2) >= lead;
                near && cursor.moved_within(MOVING, now)
            };
        }
        let grace = self.grace.left(now);
        if hopeful && !grace.is_zero() {
            return Admit::Grace(grace);
        }
        for cursor in self.cursors.iter_mut() {
            if cursor.position() < target {
                cursor.unpin();
            }
        }
        if self.evict() {
            return self.admit(now, reuse);
        }
        Admit::AfterSpool(self.disk.left(now))
    }

    /// Records a wait that [`Admit`] asked for.
    pub(super) fn waited(&mut self, reason: &Admit, waited: Duration) {
        match reason {
            Admit::Grace(_) => self.grace.spend(waited),
            Admit::AfterSpool(_) => self.disk.spend(waited),
            Admit::Block(_) | Admit::AfterLead | Admit::AfterMemory => {}
        }
    }

    /// Appends a piece of the last admitted block.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.blocks.push(piece);
    }

    /// Whether the block that is being filled holds as many pieces as it may.
    pub(super) fn block_is_full(&self) -> bool {
        self.blocks.last_is_full()
    }

    /// The stream has ended: what is here is all.
    pub(super) fn finish(&mut self) {
        self.close_block();
        self.ended = true;
    }

    /// Leaves the chunks before its first out for the recipient in `slot`.
    ///
    /// Everything so far is the head, and nobody has had more than that.
    pub(super) fn skip(&mut self, slot: usize, start: Start) {
        self.head_end = self.blocks.end();
        if let Some(cursor) = self.cursors.get_mut(slot) {
            cursor.start = Some(start);
        }
    }

    /// What the recipient in `slot` gets next.
    pub(super) fn fetch(&mut self, slot: usize) -> Fetch {
        let (start, lead, end) = (self.blocks.start(), self.cursors.lead(), self.blocks.end());
        // While memory is full, its front block must be free to leave.
        let pinnable = match self.blocks.front_end() {
            Some(front_end) if self.full => front_end.min(lead).max(start),
            _ => start,
        };
        let cursor = match self.cursors.seat_mut(slot) {
            Ok(cursor) => cursor,
            Err(code) => return Fetch::Stop(code),
        };
        let position = cursor.position();
        if position >= pinnable && lead - position <= (self.window / 4) as u64 {
            cursor.pin();
        }
        let source = if position >= end {
            return if self.ended { Fetch::End } else { Fetch::Wait };
        } else if position >= start {
            Source::Memory(self.blocks.at(position))
        } else if let Some(piece) = self.spool.recent(position) {
            Source::Memory(piece)
        } else if let Some(read) = self.spool.read(position) {
            Source::Spool(read)
        } else {
            debug_assert!(false, "bytes left memory before they were in the spool");
            return Fetch::Stop(Code::Internal);
        };
        let skip = cursor.start.as_ref().map(|start| Skip {
            start: start.clone(),
            head_left: self.head_end.saturating_sub(position),
        });
        Fetch::Bytes(source, skip)
    }

    /// Notes what a recipient has read from the spool, for others that are where it is.
    pub(super) fn keep(&mut self, position: u64, piece: &Counted) {
        self.spool.keep(position, piece);
    }

    /// Moves the recipient in `slot` on; whether this may have made room.
    pub(super) fn advance(&mut self, slot: usize, bytes: usize, now: Instant) -> bool {
        let lead = self.cursors.lead();
        let Some(moved) = self.cursors.advance(slot, bytes as u64, now) else {
            return false;
        };
        self.blocks.moved(&moved);
        if let Some(front_end) = self.spool.front_end()
            && moved.start < front_end
            && moved.end >= front_end
        {
            self.forget_spool();
        }
        self.blocks.pop_passed() || self.cursors.lead() > lead
    }

    /// Takes the recipient in `slot` out, to be reset with `code`; whether it was there.
    pub(super) fn stop(&mut self, slot: usize, code: Code) -> bool {
        let Some(cursor) = self.cursors.stop(slot, code) else {
            return false;
        };
        self.removed(&cursor);
        true
    }

    /// Takes the recipient in `slot` out, if it is still there.
    pub(super) fn leave(&mut self, slot: usize) {
        if let Some(cursor) = self.cursors.leave(slot) {
            self.removed(&cursor);
        }
    }

    /// Takes everyone out, to be reset with `code`, and lets go of everything.
    pub(super) fn stop_all(&mut self, code: Code) {
        self.cursors.stop_all(code);
        self.blocks.clear();
        self.spool.clear();
    }

    /// The next write to the spool, if memory is short.
    pub(super) fn next_write(&mut self) -> NextWrite {
        if !self.full && self.blocks.charge() < self.limit() / 4 * 3 {
            return NextWrite::Nothing;
        }
        let (floor, spooled) = (self.cursors.floor(), self.spool.end());
        let Some((at, pieces)) = self.blocks.closed(spooled, floor, BATCH) else {
            return NextWrite::Nothing;
        };
        match self.spool.write(at, pieces) {
            Ok(write) => return NextWrite::Write(write),
            Err(NoRoom::Quota) => {
                if let Heaviest::Other = self.spool.shed_heaviest() {
                    return NextWrite::AfterOthers;
                }
            }
            Err(NoRoom::Descriptors) => {
                let allowed = self.share.budget().descriptor_limit();
                tracing::warn!(
                    "a recipient that is behind is cut off: the spool may have {allowed} open files, \
                     by the limit of open files (ulimit -n)"
                );
            }
        }
        self.stop_last()
            .map_or(NextWrite::Nothing, NextWrite::Stopped)
    }

    /// Takes out the recipient that is furthest behind, if any is not in memory.
    pub(super) fn stop_last(&mut self) -> Option<usize> {
        let slot = self.cursors.last_unpinned()?;
        self.stop(slot, Code::Behind);
        Some(slot)
    }

    /// This file's part of the disk, as others see it.
    pub(super) fn spool_file(&self) -> Arc<SpoolFile> {
        self.spool.file()
    }

    /// Takes note of what was written, and lets go of it in memory.
    pub(super) fn written(&mut self, segment: Segment) {
        self.spool.commit(segment);
        self.forget_spool();
        self.evict();
    }

    /// Takes out everyone who needs a spool that does not keep up or does not work.
    pub(super) fn give_up_on_spool(&mut self) -> Vec<usize> {
        let floor = self.cursors.floor();
        let slots = self.cursors.unpinned_before(floor);
        for slot in &slots {
            self.stop(*slot, Code::Behind);
        }
        slots
    }

    /// Bytes that were ever written to disk.
    pub(super) fn spooled(&self) -> u64 {
        self.spool.written()
    }

    /// New memory for a block: less of it where there is hardly any.
    fn allocate(&self, size: usize) -> Option<Allocation> {
        let charge = |size| self.share.charge(Purpose::Blocks, size);
        charge(size)
            .or_else(|| charge(size.min(SMALL_BLOCK)))
            .map(Allocation::new)
    }

    fn limit(&self) -> usize {
        match self.cursors.remaining() {
            0 | 1 => self.solo_window,
            _ => self.window,
        }
    }

    fn close_block(&mut self) {
        self.blocks.close(|end| self.cursors.count_before(end));
    }

    fn removed(&mut self, cursor: &Cursor) {
        self.blocks.left(cursor.position());
        self.forget_spool();
        self.blocks.pop_passed();
    }

    fn forget_spool(&mut self) {
        if self.spool.end() > 0 {
            self.spool.forget(self.cursors.tail().unwrap_or(u64::MAX));
        }
    }

    /// Lets go of what is in the spool and not pinned.
    fn evict(&mut self) -> bool {
        let evictable = self.cursors.floor().min(self.spool.end());
        self.blocks.evict(evictable)
    }
}

/// The block that a file gets while memory is short, in bytes: one to fill and one to send are what
/// an identity always has.
const SMALL_BLOCK: usize = Budget::GUARANTEED as usize / 2;

/// The most that one write to the spool takes, give or take a block, in bytes.
const BATCH: usize = 1024 * 1024;

/// Who moved so recently is still moving. A recipient whose acknowledgements come in bursts that
/// are further apart is far away, and no match for the first one anyway.
const MOVING: Duration = Duration::from_millis(10);

/// The grace grows by one part in so many of the time that passes: under 2 %.
const GRACE_SHARE: u32 = 64;

/// How long a file may wait for the disk, and by which part of the time that passes this grows.
///
/// A spool that is slower would hold everyone back for the sake of the slowest. Generous, since a
/// machine without a free core makes a good disk look slow.
const DISK_PATIENCE: Duration = Duration::from_secs(2);
const DISK_SHARE: u32 = 8;
