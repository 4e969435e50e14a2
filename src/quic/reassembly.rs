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
mod tests;
