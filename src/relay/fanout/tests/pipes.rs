//! In-memory ends for a fan-out, which a test holds back, breaks and looks into.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use crate::{
    protocol::{Code, FRAME_HEADER_LEN, FrameHeader, FrameKind, PeerId, PlanEntry, encode_plan},
    relay::fanout::{Inlet, Outlet},
};

/// A sender's stream that plays a script.
#[derive(Clone)]
pub(super) struct Feed(Arc<FeedState>);

struct FeedState {
    script: Mutex<VecDeque<Step>>,
    more: Notify,
    taken: AtomicU64,
    stopped: Mutex<Option<Code>>,
}

/// What a feed does next.
pub(super) enum Step {
    /// Gives these bytes, in as many reads as it takes.
    Bytes(Bytes),
    /// Gives so many zeros.
    Zeros(u64),
    End,
    Reset(Code),
}

impl Feed {
    pub(super) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(Arc::new(FeedState {
            script: Mutex::new(steps.into_iter().collect()),
            more: Notify::new(),
            taken: AtomicU64::new(0),
            stopped: Mutex::new(None),
        }))
    }

    /// A feed of these bytes and a proper end.
    pub(super) fn whole(stream: &[u8]) -> Self {
        Self::new([Step::Bytes(Bytes::copy_from_slice(stream)), Step::End])
    }

    pub(super) fn push(&self, step: Step) {
        self.0.script.lock().unwrap().push_back(step);
        self.0.more.notify_one();
    }

    /// Bytes that were read from it.
    pub(super) fn taken(&self) -> u64 {
        self.0.taken.load(SeqCst)
    }

    pub(super) fn stopped(&self) -> Option<Code> {
        *self.0.stopped.lock().unwrap()
    }

    fn step(&self, buf: &mut BytesMut) -> Option<Result<usize, Code>> {
        let spare = buf.capacity() - buf.len();
        assert!(spare > 0, "no room to read into");
        let mut script = self.0.script.lock().unwrap();
        let read = match script.front_mut()? {
            Step::End => return Some(Ok(0)),
            Step::Reset(code) => return Some(Err(*code)),
            Step::Bytes(bytes) => {
                let piece = bytes.split_to(spare.min(bytes.len()));
                if bytes.is_empty() {
                    script.pop_front();
                }
                buf.extend_from_slice(&piece);
                piece.len()
            }
            Step::Zeros(left) => {
                let read = spare.min(usize::try_from(*left).unwrap());
                *left -= read as u64;
                if *left == 0 {
                    script.pop_front();
                }
                buf.resize(buf.len() + read, 0);
                read
            }
        };
        self.0.taken.fetch_add(read as u64, SeqCst);
        Some(Ok(read))
    }
}

impl Inlet for Feed {
    async fn read(&mut self, buf: &mut BytesMut) -> Result<usize, Code> {
        loop {
            let more = self.0.more.notified();
            if let Some(read) = self.step(buf) {
                return read;
            }
            more.await;
        }
    }

    fn stop(self, code: Code) {
        *self.0.stopped.lock().unwrap() = Some(code);
    }
}

/// A recipient, which takes what the test allows.
#[derive(Clone)]
pub(super) struct Tap(Arc<TapState>);

struct TapState {
    inner: Mutex<TapInner>,
    changed: Notify,
}

/// What a tap has seen.
pub(super) struct TapInner {
    pub(super) len: u64,
    pub(super) end: Option<Result<(), Code>>,
    hash: blake3::Hasher,
    credit: u64,
    most: usize,
    broken: Option<Code>,
}

pub(super) struct TapOutlet(Tap);

impl Tap {
    /// One that takes everything at once.
    pub(super) fn open() -> Self {
        Self::with(u64::MAX, usize::MAX)
    }

    /// One that takes nothing before it is told to.
    pub(super) fn shut() -> Self {
        Self::with(0, usize::MAX)
    }

    /// One that takes `credit` bytes, at most `most` at a time.
    pub(super) fn with(credit: u64, most: usize) -> Self {
        Self(Arc::new(TapState {
            inner: Mutex::new(TapInner {
                len: 0,
                end: None,
                hash: blake3::Hasher::new(),
                credit,
                most,
                broken: None,
            }),
            changed: Notify::new(),
        }))
    }

    /// Lets so many bytes more through.
    pub(super) fn allow(&self, bytes: u64) {
        let mut inner = self.lock();
        inner.credit = inner.credit.saturating_add(bytes);
        self.0.changed.notify_waiters();
    }

    /// Fails the next write.
    pub(super) fn break_with(&self, code: Code) {
        self.lock().broken = Some(code);
        self.0.changed.notify_waiters();
    }

    /// Bytes that it has.
    pub(super) fn len(&self) -> u64 {
        self.lock().len
    }

    /// How its stream ended.
    pub(super) fn end(&self) -> Option<Result<(), Code>> {
        self.lock().end
    }

    /// Whether it got exactly these bytes, and a proper end.
    #[track_caller]
    pub(super) fn assert_got(&self, stream: &[u8]) {
        let inner = self.lock();
        assert_eq!((inner.len, inner.end), (stream.len() as u64, Some(Ok(()))));
        assert!(inner.hash.finalize() == blake3::hash(stream), "other bytes");
    }

    /// Waits until it has so many bytes.
    pub(super) async fn has(&self, bytes: u64) {
        self.until(|inner| inner.len >= bytes).await;
    }

    /// Waits until its stream has ended.
    pub(super) async fn ended(&self) {
        self.until(|inner| inner.end.is_some()).await;
    }

    pub(super) async fn until(&self, mut holds: impl FnMut(&TapInner) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            if holds(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    pub(super) async fn outlet(self) -> Result<TapOutlet, Code> {
        Ok(TapOutlet(self))
    }

    /// The future of an outlet that opens when `opens` says so.
    pub(super) async fn outlet_after(self, opens: Arc<Notify>) -> Result<TapOutlet, Code> {
        opens.notified().await;
        Ok(TapOutlet(self))
    }

    fn lock(&self) -> MutexGuard<'_, TapInner> {
        self.0.inner.lock().unwrap()
    }
}

impl Outlet for TapOutlet {
    async fn write(&mut self, piece: &mut Bytes) -> Result<(), Code> {
        assert!(!piece.is_empty());
        loop {
            let changed = self.0.0.changed.notified();
            {
                let mut inner = self.0.lock();
                if let Some(code) = inner.broken {
                    return Err(code);
                }
                let credit = usize::try_from(inner.credit).unwrap_or(usize::MAX);
                let taken = piece.len().min(credit).min(inner.most);
                if taken > 0 {
                    inner.credit = inner.credit.saturating_sub(taken as u64);
                    inner.len += taken as u64;
                    inner.hash.update(&piece.split_to(taken));
                    drop(inner);
                    self.0.0.changed.notify_waiters();
                    return Ok(());
                }
            }
            changed.await;
        }
    }

    async fn finish(&mut self) -> Result<(), Code> {
        self.0.lock().end = Some(Ok(()));
        self.0.0.changed.notify_waiters();
        Ok(())
    }

    fn reset(self, code: Code) {
        self.0.lock().end = Some(Err(code));
        self.0.0.changed.notify_waiters();
    }
}

/// An outlet that never opens.
pub(super) async fn never_opens() -> Result<TapOutlet, Code> {
    pending().await
}

/// The peer in a slot.
pub(super) fn peer(slot: usize) -> PeerId {
    PeerId::from_bytes([u8::try_from(slot).unwrap(); 32])
}

/// One frame, its payload made from its index.
pub(super) fn frame(kind: FrameKind, index: u32, len: usize) -> Vec<u8> {
    let mut out = FrameHeader { kind, len, index }.encode().to_vec();
    let seed = u64::from(index) * 31 + kind as u64;
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill({
            out.resize(FRAME_HEADER_LEN + len, 0);
            &mut out[FRAME_HEADER_LEN..]
        });
    out
}

pub(super) fn head() -> Vec<u8> {
    frame(FrameKind::Head, 0, 300)
}

pub(super) fn trailer() -> Vec<u8> {
    frame(FrameKind::Trailer, 0, 120)
}

/// A plan for slots.
pub(super) fn plan(entries: &[(usize, u32)]) -> Vec<u8> {
    let entry = |(slot, first_chunk): &(usize, u32)| PlanEntry {
        peer: peer(*slot),
        first_chunk: *first_chunk,
    };
    let payload = encode_plan(&entries.iter().map(entry).collect::<Vec<_>>());
    let header = FrameHeader {
        kind: FrameKind::Plan,
        len: payload.len(),
        index: 0,
    };
    [&header.encode()[..], &payload].concat()
}

/// The chunks of a file, without head and trailer.
pub(super) fn chunks(from: u32, lens: &[usize]) -> Vec<u8> {
    let chunk = |(index, len): (usize, &usize)| frame(FrameKind::Chunk, index as u32, *len);
    lens.iter()
        .enumerate()
        .skip(from as usize)
        .flat_map(chunk)
        .collect()
}

/// A whole file's stream, with about `len` bytes of content.
pub(super) fn stream(len: usize) -> Vec<u8> {
    let chunk = 64 * 1024;
    let mut lens = vec![chunk; len / chunk];
    if !len.is_multiple_of(chunk) {
        lens.push(len % chunk);
    }
    [head(), chunks(0, &lens), trailer()].concat()
}
