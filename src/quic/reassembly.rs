//! A stream's bytes that came before their turn.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// What one stream holds out of order before it takes no more, in bytes.
///
/// What a path carries until a loss at its front is mended, also if the packet that mends it is lost once
/// more: two and a half round trips, of 250 Mbit/s over 150 ms or 500 over 80.
const STREAM_HELD: usize = 16 << 20;

/// What all streams of a connection hold, likewise.
const CONNECTION_HELD: usize = 24 << 20;

/// Beyond these limits, by so much, nobody goes who means well: see [`Reassembly::takes`].
const SLACK: usize = 256 << 10;

/// Runs of one stream, with a gap before each.
///
/// Of 8 MB in packets of 1,200 bytes, every other packet lost makes 3,500.
const STREAM_RUNS: usize = 8_192;

/// Runs of all streams of a connection.
const CONNECTION_RUNS: usize = 16_384;

/// The smallest piece of a run, in bytes.
const FIRST_PIECE: usize = 64;

/// The largest piece of a run, in bytes.
const LAST_PIECE: usize = 64 << 10;

/// How much further a stream may go where memory is short, likewise.
const SLACK_WHEN_SHORT: usize = 32 << 10;

/// Counts what is held for the streams of a connection, where more than one connection shares memory.
pub trait HeldMemory: std::fmt::Debug + Send + Sync {
    /// So many bytes more are held.
    fn add(&self, bytes: usize);
    /// So many bytes less are held.
    fn sub(&self, bytes: usize);
    /// Whether nothing should be held that need not be.
    fn is_short(&self) -> bool;
}

/// What the streams of one connection hold together; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<HeldCounts>);

#[derive(Debug, Default)]
struct HeldCounts {
    bytes: AtomicUsize,
    runs: AtomicUsize,
    memory: OnceLock<Arc<dyn HeldMemory>>,
}

impl Held {
    /// From now on counts here as well.
    pub(super) fn count(&self, memory: Arc<dyn HeldMemory>) {
        let _ = self.0.memory.set(memory);
    }

    fn add(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes, Relaxed);
        if let Some(memory) = self.0.memory.get() {
            memory.add(bytes);
        }
    }

    fn sub(&self, bytes: usize) {
        self.0.bytes.fetch_sub(bytes, Relaxed);
        if let Some(memory) = self.0.memory.get() {
            memory.sub(bytes);
        }
    }

    fn is_short(&self) -> bool {
        self.0.memory.get().is_some_and(|memory| memory.is_short())
    }
}

/// That a stream or its connection holds more than an honest sender causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyGaps;

/// Bytes of one stream that wait for those before them.
///
/// They are copied out of what they came in: a slice of a packet keeps alive everything that was
/// received with it, up to 64 KiB. What is counted is what was allocated.
#[derive(Debug)]
pub(super) struct Reassembly {
    /// The first byte that has not been handed on.
    next: u64,
    /// The run that begins there, if it was held.
    front: Run,
    /// The others, by where they begin.
    runs: BTreeMap<u64, Run>,
    /// Bytes that are allocated.
    bytes: usize,
    /// Bytes that were held although memory was short.
    over_when_short: usize,
    connection: Held,
}

/// Bytes without a gap.
#[derive(Debug, Default)]
struct Run {
    len: u64,
    pieces: VecDeque<Piece>,
}

/// A part of a run, in one allocation.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// How many of them were handed on.
    taken: usize,
}

impl Reassembly {
    /// Nothing yet, of a stream of the connection that `connection` counts for.
    pub(super) fn new(connection: Held) -> Self {
        Self {
            next: 0,
            front: Run::default(),
            runs: BTreeMap::new(),
            bytes: 0,
            over_when_short: 0,
            connection,
        }
    }

    /// Whether more should be taken out of the transport.
    ///
    /// What is left there uses up the sender's credit, and so stops it. To see whether the byte
    /// that is missing has come, one byte at a time may still be taken.
    pub(super) fn takes(&self) -> bool {
        self.bytes < STREAM_HELD
            && self.connection.0.bytes.load(Relaxed) < CONNECTION_HELD
            && !self.connection.is_short()
    }

    /// Whether it is these bytes' turn; then they are to be handed on, and count as such.
    pub(super) fn passes(&mut self, offset: u64, len: usize) -> bool {
        let passes = offset == self.next;
        if passes {
            debug_assert!(self.front.pieces.is_empty(), "no byte comes twice");
            self.next += len as u64;
            self.advance();
        }
        passes
    }

    /// Holds bytes that came before their turn; the transport hands out no byte twice.
    ///
    /// # Errors
    /// When a limit on bytes or gaps is passed: give the stream up.
    pub(super) fn hold(&mut self, offset: u64, mut bytes: &[u8]) -> Result<(), TooManyGaps> {
        if bytes.is_empty() {
            return Ok(());
        }
        let takes = self.takes();
        let end = offset + bytes.len() as u64;
        let before = self.runs.range_mut(..offset).next_back();
        let (start, run) = match before.filter(|(start, run)| **start + run.len == offset) {
            Some((start, run)) => (*start, run),
            None if self.next + self.front.len == offset => (self.next, &mut self.front),
            None => {
                self.connection.0.runs.fetch_add(1, Relaxed);
                (offset, self.runs.entry(offset).or_default())
            }
        };
        let (mut allocated, taken) = (0, bytes.len());
        // Where it is full, a single byte may lengthen any run, and must not cost a large piece.
        let most = match takes {
            true => usize::try_from(run.len).unwrap_or(LAST_PIECE),
            false => 0,
        };
        while !bytes.is_empty() {
            match run.pieces.back_mut().filter(|piece| piece.room() > 0) {
                Some(piece) => {
                    let (part, rest) = bytes.split_at(piece.room().min(bytes.len()));
                    piece.bytes.extend_from_slice(part);
                    run.len += part.len() as u64;
                    bytes = rest;
                }
                None => {
                    // As much as was there already: a run of few bytes costs little, one of many has few pieces.
                    let size = most.max(bytes.len()).clamp(FIRST_PIECE, LAST_PIECE);
                    let piece = Piece::new(size);
                    allocated += piece.bytes.capacity();
                    run.pieces.push_back(piece);
                }
            }
        }
        self.bytes += allocated;
        self.connection.add(allocated);
        // What was held before memory became short may go on; and what it becomes short by was to be taken.
        self.over_when_short = match !takes && self.connection.is_short() {
            true => self.over_when_short + taken,
            false => 0,
        };
        if let Some(mut after) = self.runs.remove(&end) {
            self.connection.0.runs.fetch_sub(1, Relaxed);
            let run = match self.runs.get_mut(&start) {
                Some(run) => run,
                None => &mut self.front,
            };
            run.len += after.len;
            run.pieces.append(&mut after.pieces);
        }
        let over = self.bytes > STREAM_HELD + SLACK
            || self.connection.0.bytes.load(Relaxed) > CONNECTION_HELD + 2 * SLACK
            || self.over_when_short > SLACK_WHEN_SHORT
            || self.runs.len() > STREAM_RUNS
            || self.connection.0.runs.load(Relaxed) > CONNECTION_RUNS;
        if over { Err(TooManyGaps) } else { Ok(()) }
    }

    /// Held bytes whose turn it is; empty where there are none.
    pub(super) fn ready(&self) -> &[u8] {
        let piece = self.front.pieces.front();
        piece.map_or(&[], |piece| &piece.bytes[piece.taken..])
    }

    /// Notes that the first `len` of the bytes that are ready were handed on.
    pub(super) fn take(&mut self, len: usize) {
        let Some(piece) = self.front.pieces.front_mut() else {
            return;
        };
        piece.taken += len;
        let freed = (piece.taken == piece.bytes.len()).then(|| piece.bytes.capacity());
        self.front.len -= len as u64;
        self.next += len as u64;
        if let Some(freed) = freed {
            self.front.pieces.pop_front();
            self.bytes -= freed;
            self.connection.sub(freed);
            self.advance();
        }
    }

    /// Finds the run whose turn it is.
    fn advance(&mut self) {
        if self.front.pieces.is_empty()
            && let Some(first) = self.runs.first_entry()
            && *first.key() == self.next
        {
            self.front = first.remove();
            self.connection.0.runs.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Reassembly {
    fn drop(&mut self) {
        self.connection.sub(self.bytes);
        self.connection.0.runs.fetch_sub(self.runs.len(), Relaxed);
    }
}

impl Piece {
    fn new(size: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(size),
            taken: 0,
        }
    }

    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that is ready.
    fn drain(reassembly: &mut Reassembly, into: &mut Vec<u8>) {
        while !reassembly.ready().is_empty() {
            let len = reassembly.ready().len().min(1_000);
            into.extend_from_slice(&reassembly.ready()[..len]);
            reassembly.take(len);
        }
    }

    proptest! {
        #[test]
        fn any_order_of_packets_gives_the_stream_and_leaves_nothing_held(
            cuts in proptest::collection::vec(1_usize..5_000, 1..80),
            order in any::<u64>(),
        ) {
            let len = cuts.iter().sum::<usize>();
            let stream: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
            let mut packets: Vec<_> = cuts
                .iter()
                .scan(0, |at, len| {
                    let offset = *at;
                    *at += len;
                    Some((offset, &stream[offset..*at]))
                })
                .collect();
            let mut random = order | 1;
            for at in (1..packets.len()).rev() {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                packets.swap(at, (random % (at as u64 + 1)) as usize);
            }
            let connection = Held::default();
            let mut reassembly = Reassembly::new(connection.clone());
            let mut got = Vec::new();
            for (offset, bytes) in packets {
                if reassembly.passes(offset as u64, bytes.len()) {
                    got.extend_from_slice(bytes);
                } else {
                    reassembly.hold(offset as u64, bytes).unwrap();
                }
                // Sometimes what is ready is left for later.
                if offset % 3 > 0 {
                    drain(&mut reassembly, &mut got);
                }
            }
            drain(&mut reassembly, &mut got);
            prop_assert!(got == stream, "the bytes are in another order");
            prop_assert_eq!(connection.0.bytes.load(Relaxed), 0);
            prop_assert_eq!(connection.0.runs.load(Relaxed), 0);
        }
    }

    #[test]
    fn gaps_beyond_the_limit_are_refused_and_cost_bounded_memory() {
        let connection = Held::default();
        let mut reassembly = Reassembly::new(connection.clone());
        let refused = (1..)
            .find(|n| reassembly.hold(2 * n, &[0]).is_err())
            .unwrap();
        assert!(refused <= STREAM_RUNS as u64 + 1);
        assert!(connection.0.bytes.load(Relaxed) <= STREAM_HELD + SLACK + FIRST_PIECE);
        drop(reassembly);
        assert_eq!(connection.0.bytes.load(Relaxed), 0);
        assert_eq!(connection.0.runs.load(Relaxed), 0);
    }

    #[test]
    fn streams_of_one_connection_share_its_limit() {
        let connection = Held::default();
        let mut streams = Vec::new();
        let held = || connection.0.bytes.load(Relaxed);
        while held() < CONNECTION_HELD {
            let mut stream = Reassembly::new(connection.clone());
            while stream.takes() && stream.bytes < STREAM_HELD / 2 {
                let offset = 1 + stream.bytes as u64 * 2;
                stream.hold(offset, &[0; 60_000]).unwrap();
            }
            streams.push(stream);
        }
        assert!(!Reassembly::new(connection.clone()).takes());
        streams.pop();
        assert!(Reassembly::new(connection.clone()).takes());
    }

    /// Short of memory from so many bytes on, of which others hold and let go of some.
    #[derive(Debug)]
    struct Shared(AtomicUsize);

    impl HeldMemory for Shared {
        fn add(&self, bytes: usize) {
            self.0.fetch_add(bytes, Relaxed);
        }

        fn sub(&self, bytes: usize) {
            self.0.fetch_sub(bytes, Relaxed);
        }

        fn is_short(&self) -> bool {
            self.0.load(Relaxed) >= 1 << 20
        }
    }

    #[test]
    fn memory_that_becomes_short_again_and_again_is_no_reason_to_give_up() {
        let connection = Held::default();
        let memory = Arc::new(Shared(AtomicUsize::new(1 << 20)));
        connection.count(memory.clone());
        let mut reassembly = Reassembly::new(connection);
        for packet in 0..200 {
            // Others let go of a little, which one packet uses up.
            memory.sub(1_000);
            assert!(reassembly.takes());
            reassembly.hold(2 + 1_402 * packet, &[1; 1_400]).unwrap();
            assert!(!reassembly.takes());
            memory.sub(400);
        }
    }

    #[test]
    fn packets_that_mend_other_gaps_while_it_is_full_are_no_reason_to_give_up() {
        let mut reassembly = Reassembly::new(Held::default());
        let mut gaps = Vec::new();
        let mut offset = 1_400;
        while reassembly.takes() {
            reassembly.hold(offset, &[1; 60_000]).unwrap();
            gaps.push(offset + 60_000);
            offset += 60_000 + 1_400;
        }
        // Their first byte each is taken, to see whether it is the stream's next.
        for gap in gaps {
            reassembly.hold(gap, &[1]).unwrap();
        }
    }

    #[test]
    fn a_stream_that_holds_enough_takes_single_bytes_and_then_goes_on() {
        let mut reassembly = Reassembly::new(Held::default());
        let mut offset = 1;
        while reassembly.takes() {
            reassembly.hold(offset, &[1; 1_000]).unwrap();
            offset += 1_000;
        }
        for _ in 0..1_000 {
            reassembly.hold(offset, &[1]).unwrap();
            offset += 1;
        }
        assert!(reassembly.passes(0, 1));
        let mut got = Vec::new();
        drain(&mut reassembly, &mut got);
        assert_eq!(got.len() as u64, offset - 1);
        assert!(reassembly.takes());
    }
}
