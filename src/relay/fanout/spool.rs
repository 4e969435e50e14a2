//! Where bytes wait on disk for recipients that have fallen behind.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    super::budget::{Counted, Heaviest, Lease, Purpose, Share, SpoolFile},
    recent::Recent,
};

/// One file's part of the disk: unlinked segments, in the order of the stream.
///
/// Segments, not one file: what every recipient has passed is given back a segment at a time, so a
/// recipient that is always a little behind does not use up the quota. Unlinked: nothing is left
/// behind, however the relay ends, and what is dropped before the kernel has written it never
/// reaches the disk. The bytes are sealed, as all that the relay sees.
///
/// Only accounts here, under the ring's lock; a [`SpoolWrite`] or [`SpoolRead`] does the work.
#[derive(Debug)]
pub(super) struct Spool {
    dir: Arc<Path>,
    share: Share,
    /// What others see of it.
    file: Arc<SpoolFile>,
    segments: VecDeque<Segment>,
    /// From which size on a segment is followed by a new one, in bytes.
    segment: u64,
    written: u64,
    recent: Recent,
}

/// Some consecutive bytes of the stream, to be written.
#[derive(Debug)]
pub(super) struct SpoolWrite {
    at: u64,
    pieces: Vec<Bytes>,
    target: Target,
    quota: Lease,
}

/// What a [`SpoolWrite`] has written.
#[derive(Debug)]
pub(super) struct Segment {
    /// The position in the stream of the file's first byte.
    origin: u64,
    start: u64,
    end: u64,
    file: Arc<File>,
    quota: Lease,
    /// For the open file; the segment that made it has it.
    _descriptor: Option<Lease>,
}

/// Why nothing can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// The quota is used up.
    Quota,
    /// There may be no further open file.
    Descriptors,
}

/// Some consecutive bytes of the stream, to be read.
#[derive(Debug)]
pub(super) struct SpoolRead {
    position: u64,
    file: Arc<File>,
    offset: u64,
    available: u64,
}

#[derive(Debug)]
enum Target {
    Append { file: Arc<File>, origin: u64 },
    Create { dir: Arc<Path>, descriptor: Lease },
}

impl Spool {
    pub(super) fn new(dir: PathBuf, share: &Share) -> Self {
        Self {
            dir: dir.into(),
            share: share.clone(),
            file: share.spool_file(),
            segments: VecDeque::new(),
            segment: (share.budget().spool_limit() / SEGMENTS).max(SEGMENT_MIN),
            written: 0,
            recent: Recent::default(),
        }
    }

    /// The position after the last byte here, 0 when there is none.
    pub(super) fn end(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.end)
    }

    /// Bytes that were ever written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// A write of `pieces`, which begin at `at`.
    ///
    /// # Errors
    /// When there is no room for them, or no descriptor for a further file.
    pub(super) fn write(&self, at: u64, pieces: Vec<Bytes>) -> Result<SpoolWrite, NoRoom> {
        let mut quota = self.share.lease(Purpose::Spool);
        if !quota.try_grow(pieces.iter().map(Bytes::len).sum()) {
            return Err(NoRoom::Quota);
        }
        let target = match self.segments.back() {
            Some(last) if last.end == at && at - last.origin < self.segment => Target::Append {
                file: Arc::clone(&last.file),
                origin: last.origin,
            },
            _ => {
                let mut descriptor = self.share.lease(Purpose::Descriptors);
                if !descriptor.try_grow(1) {
                    return Err(NoRoom::Descriptors);
                }
                Target::Create {
                    dir: Arc::clone(&self.dir),
                    descriptor,
                }
            }
        };
        Ok(SpoolWrite {
            at,
            pieces,
            target,
            quota,
        })
    }

    /// Makes what was written readable.
    pub(super) fn commit(&mut self, new: Segment) {
        self.written += new.end - new.start;
        match self.segments.back_mut() {
            // Still there: it may have been forgotten while the write ran.
            Some(last) if Arc::ptr_eq(&last.file, &new.file) => {
                last.end = new.end;
                last.quota.absorb(new.quota);
            }
            _ => self.segments.push_back(new),
        }
        self.weigh();
    }

    /// Asks whoever holds most of the disk to give room.
    pub(super) fn shed_heaviest(&self) -> Heaviest {
        self.share.shed_heaviest(&self.file)
    }

    /// What others see of it.
    pub(super) fn file(&self) -> Arc<SpoolFile> {
        self.file.clone()
    }

    fn weigh(&self) {
        self.file
            .set(self.segments.iter().map(|s| s.quota.held()).sum());
    }

    /// The bytes from `position` on that another recipient has read, and whose transport holds them.
    pub(super) fn recent(&self, position: u64) -> Option<Bytes> {
        self.recent.get(position)
    }

    /// Notes what was read at `position`.
    pub(super) fn keep(&mut self, position: u64, piece: &Counted) {
        self.recent.keep(position, piece);
    }

    /// Where the bytes from `position` on are, if they are here.
    pub(super) fn read(&self, position: u64) -> Option<SpoolRead> {
        let index = self.segments.partition_point(|s| s.end <= position);
        let segment = self.segments.get(index)?;
        (segment.start <= position).then(|| SpoolRead {
            position,
            file: Arc::clone(&segment.file),
            offset: position - segment.origin,
            available: segment.end - position,
        })
    }

    /// The position up to which [`forget`](Self::forget) could give something back.
    pub(super) fn front_end(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.end)
    }

    /// Gives back the segments before `position`.
    pub(super) fn forget(&mut self, position: u64) {
        while self.segments.front().is_some_and(|s| s.end <= position) {
            self.segments.pop_front();
            self.weigh();
        }
        self.recent.forget(position);
    }

    /// Gives back everything.
    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.weigh();
        self.recent = Recent::default();
    }
}

impl SpoolWrite {
    /// Writes. Once begun it is done, also when this future is dropped.
    ///
    /// # Errors
    /// Whatever the file system answers; nothing is then kept.
    pub(super) async fn run(self) -> io::Result<Segment> {
        blocking(move || self.run_here()).await
    }

    fn run_here(self) -> io::Result<Segment> {
        let (file, origin, descriptor) = match self.target {
            Target::Append { file, origin } => (file, origin, None),
            Target::Create { dir, descriptor } => {
                let file = Arc::new(tempfile::tempfile_in(dir)?);
                (file, self.at, Some(descriptor))
            }
        };
        let at = At {
            file: &file,
            offset: self.at - origin,
        };
        // Gathers small pieces; large ones pass through it.
        let mut out = BufWriter::with_capacity(GATHER, at);
        let mut end = self.at;
        for piece in &self.pieces {
            out.write_all(piece)?;
            end += piece.len() as u64;
        }
        out.flush()?;
        drop(out);
        Ok(Segment {
            origin,
            start: self.at,
            end,
            file,
            quota: self.quota,
            _descriptor: descriptor,
        })
    }
}

impl SpoolRead {
    /// The most that one read takes, in bytes: few and large, since each is a hop to a thread.
    pub(super) const MAX: usize = 256 * 1024;

    /// Where in the stream it begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes there are.
    pub(super) fn available(&self) -> usize {
        usize::try_from(self.available).map_or(Self::MAX, |there| there.min(Self::MAX))
    }

    /// Reads the first `len` bytes.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(super) async fn run(self, len: usize) -> io::Result<Bytes> {
        blocking(move || self.run_here(len)).await
    }

    fn run_here(&self, len: usize) -> io::Result<Bytes> {
        let mut out = vec![0; len.min(self.available())];
        At {
            file: &self.file,
            offset: self.offset,
        }
        .read_exact(&mut out)?;
        Ok(out.into())
    }
}

async fn blocking<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|failed| Err(failed.into()))
}

/// A place in a file that others use at the same time: its cursor is left alone.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Write for At<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let written = std::os::unix::fs::FileExt::write_at(self.file, buf, self.offset)?;
        #[cfg(windows)]
        let written = std::os::windows::fs::FileExt::seek_write(self.file, buf, self.offset)?;
        self.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for At<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(self.file, buf, self.offset)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(self.file, buf, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// The quota is about so many segments: they bound how much of it bytes that everyone has passed can
/// hold, and how many files are open.
const SEGMENTS: u64 = 64;

/// The least size of a segment, in bytes.
const SEGMENT_MIN: u64 = 1024 * 1024;

/// Pieces smaller than this are gathered into writes of this many bytes.
const GATHER: usize = 64 * 1024;

#[cfg(test)]
mod tests;
