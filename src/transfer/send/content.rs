//! Content on its way from its source into sealed frames. Blocking.

use std::{
    io::{self, Cursor, Read},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    protocol::{CHUNK_SIZE, FRAME_HEADER_LEN, PeerId, PlanEntry},
    sealing::{Compression, FileDigest, FileSealer, SealError, Start, TAG_LEN, is_blank},
    storage::{OpenSource, StorageError},
    transfer::buffers::Buffers,
};

/// Where content is read from.
pub(super) enum Reader {
    /// A file, which must not change meanwhile.
    File(OpenSource),
    /// Whatever comes.
    Pipe(Box<dyn Read + Send>),
    /// What is in memory.
    Bytes(Cursor<Bytes>),
}

/// Why content cannot be sent whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContentError {
    #[error(transparent)]
    Source(#[from] StorageError),
    #[error("cannot read standard input: {0}")]
    Pipe(#[from] io::Error),
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Nobody takes the frames any more.
    #[error("the stream ended")]
    Over,
}

impl ContentError {
    /// Whether the source is not any more what it was when it was opened.
    pub(super) fn is_changed(&self) -> bool {
        matches!(
            self,
            Self::Source(StorageError::Changed { .. }) | Self::Seal(SealError::Size { .. })
        )
    }
}

impl Reader {
    /// Fills the buffer as far as there is content.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ContentError> {
        match self {
            Self::File(file) => Ok(file.read(buffer)?),
            Self::Pipe(reader) => Ok(read_full(reader, buffer)?),
            Self::Bytes(bytes) => Ok(read_full(bytes, buffer)?),
        }
    }

    /// A hasher that has been given the first `len` bytes, from after which is read next; nothing
    /// where there are not so many, or they can be read only once.
    fn hash_prefix(
        &mut self,
        len: u64,
        progress: impl FnMut(u64),
    ) -> Result<Option<blake3::Hasher>, ContentError> {
        match self {
            Self::File(file) if len <= file.len() => Ok(Some(file.hash_prefix(len, progress)?)),
            _ => Ok(None),
        }
    }

    /// The whole content's digest; nothing of what can be read only once. It is read from the
    /// beginning afterwards. `progress` is told the bytes that are hashed, now and then.
    pub(super) fn digest(
        &mut self,
        progress: impl FnMut(u64),
    ) -> Result<Option<FileDigest>, ContentError> {
        let Some(len) = self.len() else {
            return Ok(None);
        };
        let Some(hasher) = self.hash_prefix(len, progress)? else {
            return Ok(None);
        };
        self.hash_prefix(0, |_| ())?;
        let blake3 = *hasher.finalize().as_bytes();
        Ok(Some(FileDigest { len, blake3 }))
    }

    fn len(&self) -> Option<u64> {
        match self {
            Self::File(file) => Some(file.len()),
            Self::Pipe(_) => None,
            Self::Bytes(bytes) => Some(bytes.get_ref().len() as u64),
        }
    }

    fn check_unchanged(&self) -> Result<(), ContentError> {
        match self {
            Self::File(file) => Ok(file.check_unchanged()?),
            Self::Pipe(_) | Self::Bytes(_) => Ok(()),
        }
    }
}

/// What recipients have of a file, once it is compared with the source.
pub(super) struct Checked {
    /// The reader, ready to go on where sending begins.
    pub(super) reader: Reader,
    /// Recipients that do not start at the beginning.
    pub(super) plan: Vec<PlanEntry>,
    /// Where sending begins, with what was hashed before it.
    pub(super) begin: Option<(u32, blake3::Hasher)>,
    /// The whole content's digest, where someone has all of it.
    pub(super) whole: Option<FileDigest>,
}

/// Compares what each recipient says that it has with the source. Blocking.
///
/// A prefix or file that differs counts as nothing: the recipient gets the file anew. `known` is the
/// content's digest, where it was hashed before; `progress` is called now and then while hashing.
pub(super) fn check(
    mut reader: Reader,
    known: Option<FileDigest>,
    (starts, recipients): (&[(PeerId, Start)], usize),
    mut progress: impl FnMut(),
) -> Result<Checked, ContentError> {
    let mut plan = Vec::new();
    let mut whole = None;
    // The prefix that was hashed last, after which is read next.
    let mut last = None;
    for (peer, start) in starts {
        let first_chunk = match start {
            Start::At { chunk: 0, .. } => continue,
            Start::At { chunk, prefix } => {
                let len = u64::from(*chunk) * CHUNK_SIZE as u64;
                let hasher = reader.hash_prefix(len, |_| progress())?;
                let is_same = hasher
                    .as_ref()
                    .is_some_and(|hasher| hasher.finalize() == *prefix);
                last = hasher.map(|hasher| (len, hasher));
                match is_same {
                    true => *chunk,
                    false => continue,
                }
            }
            Start::Have { blake3 } => {
                if whole.is_none() {
                    whole = match known {
                        Some(digest) => Some(digest),
                        None => {
                            last = None;
                            reader.digest(|_| progress())?
                        }
                    };
                }
                if whole.is_none_or(|digest| digest.blake3 != *blake3) {
                    continue;
                }
                PlanEntry::NOTHING
            }
        };
        plan.push(PlanEntry {
            peer: *peer,
            first_chunk,
        });
    }
    // Content begins where the first recipient needs it.
    let all = plan.len() == recipients;
    let first = plan
        .iter()
        .map(|entry| entry.first_chunk)
        .min()
        .filter(|first| all && *first != PlanEntry::NOTHING);
    let first = first.unwrap_or(0);
    let len = u64::from(first) * CHUNK_SIZE as u64;
    let hasher = match last {
        // A long prefix takes long to read.
        Some((hashed, hasher)) if hashed == len => Some(hasher),
        _ => reader.hash_prefix(len, |_| progress())?,
    };
    let begin = hasher.filter(|_| first > 0).map(|hasher| (first, hasher));
    // What nobody takes is not read to its end, where a change would show.
    if plan
        .iter()
        .any(|entry| entry.first_chunk == PlanEntry::NOTHING)
    {
        reader.check_unchanged()?;
    }
    Ok(Checked {
        reader,
        plan,
        begin,
        whole,
    })
}

/// Reads, hashes and seals until the end, then the trailer.
///
/// `note` hears the digest before the trailer is handed over: no receipt can be earlier.
pub(super) fn seal(
    mut reader: Reader,
    mut sealer: FileSealer,
    compression: Compression,
    frames: &mpsc::Sender<(u64, Bytes)>,
    note: impl FnOnce(FileDigest),
) -> Result<(), ContentError> {
    let buffers = Buffers::default();
    let mut link = LinkPace::new();
    loop {
        let mut frame = buffers.take();
        let before = sealer.position();
        let usual = if link.is_slow(frames) {
            compression
        } else {
            Compression::Never
        };
        if !next_chunk(&mut reader, &mut sealer, &mut frame, (usual, compression))? {
            break;
        }
        let len = frame.len();
        frames
            .blocking_send((sealer.position() - before, frame.freeze()))
            .map_err(|_| ContentError::Over)?;
        link.passed(len);
    }
    reader.check_unchanged()?;
    let (trailer, digest) = sealer.finish()?;
    note(digest);
    frames
        .blocking_send((0, trailer.into()))
        .map_err(|_| ContentError::Over)
}

/// How fast sealed chunks leave.
struct LinkPace {
    since: Instant,
    seconds_per_byte: f64,
    chunks: usize,
}

impl LinkPace {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            seconds_per_byte: 0.0,
            chunks: 0,
        }
    }

    /// Whether compression pays: where the network is what is waited for, and is slower than
    /// compressing is.
    ///
    /// Before the queue can have filled nobody knows, and a little is cheap to compress.
    fn is_slow(&self, queue: &mpsc::Sender<(u64, Bytes)>) -> bool {
        let is_waited_for = queue.capacity() == 0 && self.seconds_per_byte > 1.0 / FAST;
        is_waited_for || self.chunks < queue.max_capacity()
    }

    /// Notes that so many bytes were handed over, after waiting for room.
    fn passed(&mut self, bytes: usize) {
        let now = Instant::now();
        let took = now.duration_since(self.since).as_secs_f64();
        self.since = now;
        self.chunks += 1;
        #[expect(clippy::cast_precision_loss, reason = "at most a chunk")]
        let each = took / bytes.max(1) as f64;
        // Over some ten chunks: a single one that is scheduled late says nothing.
        self.seconds_per_byte += (each - self.seconds_per_byte) / 10.0;
    }
}

/// A network that takes so many bytes a second is not worth compressing for: a quarter of what the
/// compressor takes in, and more than a gigabit carries.
const FAST: f64 = 130e6;

/// A file of at most one chunk, sealed in one go: all frames after its head.
pub(super) fn seal_small(
    mut reader: Reader,
    mut sealer: FileSealer,
    compression: Compression,
    frames: &mut Vec<u8>,
) -> Result<FileDigest, ContentError> {
    let mut frame = Vec::new();
    if next_chunk(
        &mut reader,
        &mut sealer,
        &mut frame,
        (compression, compression),
    )? {
        frames.extend_from_slice(&frame);
    }
    reader.check_unchanged()?;
    let (trailer, digest) = sealer.finish()?;
    frames.extend_from_slice(&trailer);
    Ok(digest)
}

/// Reads and seals one chunk into `frame`; whether there was one.
fn next_chunk(
    reader: &mut Reader,
    sealer: &mut FileSealer,
    frame: &mut Vec<u8>,
    (usual, blank): (Compression, Compression),
) -> Result<bool, ContentError> {
    let left = reader
        .len()
        .map(|len| len.saturating_sub(sealer.position()));
    let wanted = left
        .and_then(|left| usize::try_from(left).ok())
        .map_or(CHUNK_SIZE, |left| left.min(CHUNK_SIZE));
    // Room for the tag from the start, or sealing would have to move the chunk.
    frame.reserve_exact((FRAME_HEADER_LEN + wanted + TAG_LEN).saturating_sub(frame.len()));
    frame.resize(FRAME_HEADER_LEN + wanted, 0);
    let got = reader.fill(&mut frame[FRAME_HEADER_LEN..])?;
    frame.truncate(FRAME_HEADER_LEN + got);
    if got > 0 {
        // A hole costs nothing on any line.
        let compression = match is_blank(&frame[FRAME_HEADER_LEN..]) {
            true => blank,
            false => usual,
        };
        sealer.seal_chunk(frame, compression)?;
    }
    Ok(got > 0)
}

/// Reads until the buffer is full or the source ends.
fn read_full(reader: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match reader.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
