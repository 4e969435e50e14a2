//! The streams by which one file goes: through the relay, or on a direct connection while there is one.
//!
//! A file that is under way goes on directly once that is possible, and through the relay again when it is not
//! any more. Every lane begins with the same header and head, and goes on with frames as they were
//! sealed: nothing is ever sealed twice.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    protocol::{Code, FileClass, FrameHeader, FrameKind, Road},
    quic::{FileSender, Link, Pressure, StreamError},
    transfer::FileStreams,
};

/// Sealed frames of one file that are kept for the case that a direct connection ends, in bytes.
///
/// A recipient holds at most 16 MiB behind a gap, and 8 MB more may be on their way to it: that is all
/// that can be lost of what was written.
const KEPT_MAX: usize = 24 << 20;
/// What each file may send through the relay while the search for a path has just begun, in bytes.
///
/// On a relay's line of less than 160 Mbit/s nobody waits for that. On a faster one, what is written at once is
/// still in the relay's queue when the path is open, a few milliseconds later.
const EARLY_MAX: usize = 2 << 20;
/// How long the recipient may take to say what it lacks, before everything that is kept is sent again.
///
/// It finds out a moment later than this end, or half a second later if it is of an earlier version. On a relay's
/// line of 10 Mbit/s, what is sent again for nothing takes up to 13 s.
const AGAIN_LIMIT: Duration = Duration::from_secs(1);

/// The roads that a file may take.
#[derive(Clone)]
pub(super) struct FileRoads {
    pub(super) relay: FileStreams,
    /// The direct connection, while there is one; its sender is gone where there will be none.
    pub(super) direct: Option<watch::Receiver<Option<Link>>>,
    /// Whether to wait for that.
    pub(super) only_direct: bool,
    /// Until when it is likely to come, so that large files hold back a little.
    pub(super) expected_until: Instant,
}

impl FileRoads {
    fn link(&self) -> Option<Link> {
        let link = self.direct.as_ref()?.borrow().clone();
        link.filter(|link| link.close_reason().is_none())
    }

    /// Opens a stream on the best road that is open.
    async fn open(&self, class: FileClass) -> Result<FileSender, StreamError> {
        loop {
            if let Some(link) = self.link()
                && let Ok(stream) = link.open_file(class).await
            {
                return Ok(stream);
            }
            let Some(mut direct) = self.direct.clone().filter(|_| self.only_direct) else {
                return self.relay.open_stream(class).await;
            };
            if direct.changed().await.is_err() {
                return Err(StreamError::Ended(Code::PeerGone));
            }
        }
    }

    /// Waits for the direct connection, as long as it is likely to come.
    async fn expected(&self) {
        if let Some(mut direct) = self.direct.clone() {
            let _ = timeout_at(self.expected_until, direct.changed()).await;
        }
    }

    /// A stream on the direct connection, if there is one and it takes a stream at once.
    fn open_direct_now(&self, class: FileClass) -> Option<FileSender> {
        let link = self.link()?;
        link.open_file(class).now_or_never()?.ok()
    }
}

/// One file on its way.
pub(super) struct Lanes {
    roads: FileRoads,
    class: FileClass,
    /// Header and head.
    beginning: Bytes,
    stream: FileSender,
    kept: Kept,
    /// Bytes that were sent through the relay at first.
    early: usize,
    /// What the recipient says is missing after a direct connection has ended.
    again: mpsc::Receiver<u32>,
}

impl Lanes {
    /// Opens the first lane, and sends the beginning of the file and, where it is small, all of it.
    pub(super) async fn open(
        roads: FileRoads,
        class: FileClass,
        (beginning, whole): (Bytes, Option<Bytes>),
        again: mpsc::Receiver<u32>,
    ) -> Result<Self, StreamError> {
        let stream = roads.open(class).await?;
        let mut lanes = Self {
            roads,
            class,
            beginning,
            stream,
            kept: Kept::default(),
            early: 0,
            again,
        };
        if let Some(whole) = whole {
            lanes.kept.push(0, whole);
        }
        let first = lanes.from(0).unwrap_or_default();
        lanes.write_or_again(first).await?;
        Ok(lanes)
    }

    /// The road that it takes now.
    pub(super) fn road(&self) -> Road {
        self.stream.road()
    }

    /// What holds up the lane that it takes now.
    pub(super) fn pressure(&self) -> Pressure {
        match self.roads.link().filter(|_| self.is_direct()) {
            Some(link) => link.pressure(),
            None => self.roads.relay.pressure(),
        }
    }

    pub(super) fn is_direct(&self) -> bool {
        self.stream.is_direct()
    }

    /// Sends the plan, which is for a relay.
    pub(super) async fn write_plan(&mut self, plan: Bytes) -> Result<(), StreamError> {
        match self.is_direct() {
            true => Ok(()),
            false => self.stream.write(plan).await,
        }
    }

    /// Sends one sealed frame.
    pub(super) async fn write(&mut self, frame: Bytes) -> Result<(), StreamError> {
        if !self.is_direct() && self.early <= EARLY_MAX {
            self.early += frame.len();
            if self.early > EARLY_MAX && self.roads.link().is_none() {
                self.roads.expected().await;
            }
        }
        if !self.is_direct()
            && let Some(direct) = self.roads.open_direct_now(self.class)
        {
            // What was written before arrives through the relay, and then its end.
            self.stream.finish()?;
            self.stream = direct;
            self.kept.clear();
            // Of a connection before, and too late.
            while self.again.try_recv().is_ok() {}
            let beginning = self.beginning.clone();
            self.write_or_again(beginning).await?;
        }
        if self.is_direct() {
            self.kept.push(index_of(&frame), frame.clone());
        }
        self.write_or_again(frame).await
    }

    /// All frames are written.
    pub(super) fn finish(&mut self) -> Result<(), StreamError> {
        self.stream.finish()
    }

    /// The recipient has all of it already.
    pub(super) fn not_needed(mut self) -> Result<(), StreamError> {
        if !self.is_direct() {
            return self.stream.finish();
        }
        self.stream.reset(Code::NotNeeded);
        Ok(())
    }

    /// Ends the file early, and says why.
    pub(super) fn reset(self, code: Code) {
        self.stream.reset(code);
    }

    /// Waits until what was finished on a direct connection has arrived, and sends it through the relay
    /// where that ends before.
    ///
    /// The relay delivers what it has, and a receipt says the rest.
    pub(super) async fn settle(mut self) -> Result<(), StreamError> {
        while self.is_direct() {
            let again = tokio::select! {
                biased;
                stopped = self.stream.stopped() => match stopped {
                    Some(Code::PeerGone) => None,
                    _ => return Ok(()),
                },
                Some(chunk) = self.again.recv() => Some(chunk),
            };
            self.go_back(again).await?;
            self.stream.finish()?;
        }
        Ok(())
    }

    /// Writes a piece; where the direct connection ends meanwhile, what was lost with it.
    async fn write_or_again(&mut self, piece: Bytes) -> Result<(), StreamError> {
        let again = tokio::select! {
            biased;
            Some(chunk) = self.again.recv(), if self.is_direct() => Some(chunk),
            written = self.stream.write(piece) => match written {
                Err(StreamError::Link(_)) if self.is_direct() => None,
                written => return written,
            },
        };
        self.go_back(again).await
    }

    /// Goes on by another lane from the chunk that the recipient lacks, the piece in hand included.
    async fn go_back(&mut self, mut again: Option<u32>) -> Result<(), StreamError> {
        loop {
            if again.is_none() {
                again = timeout(AGAIN_LIMIT, self.again.recv()).await.ok().flatten();
            }
            let from = again.take().unwrap_or(0);
            self.stream = self.roads.open(self.class).await?;
            let Some(piece) = self.from(from) else {
                // More is missing than is kept: another attempt goes on from what has arrived.
                let fresh = self.roads.open(self.class).await?;
                std::mem::replace(&mut self.stream, fresh).reset(Code::Behind);
                return Err(StreamError::Ended(Code::Behind));
            };
            match self.stream.write(piece).await {
                Err(StreamError::Link(_)) if self.is_direct() => {}
                written => return written,
            }
        }
    }

    /// The beginning of a lane, and what is kept from this chunk on.
    fn from(&self, chunk: u32) -> Option<Bytes> {
        let frames = self.kept.from(chunk)?;
        let mut piece = BytesMut::from(&self.beginning[..]);
        frames.for_each(|frame| piece.extend_from_slice(frame));
        Some(piece.freeze())
    }
}

/// The last frames that were given to a direct connection.
#[derive(Debug, Default)]
struct Kept {
    frames: VecDeque<(u32, Bytes)>,
    bytes: usize,
    /// The first chunk that is not kept any more was this one.
    dropped: Option<u32>,
}

impl Kept {
    fn push(&mut self, index: u32, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back((index, frame));
        while self.bytes > KEPT_MAX
            && let Some((index, dropped)) = self.frames.pop_front()
        {
            self.bytes -= dropped.len();
            self.dropped = Some(index);
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    /// The frames from this chunk on, or all where it was kept later; `None` where it is not kept any more.
    fn from(&self, chunk: u32) -> Option<impl Iterator<Item = &Bytes>> {
        // Nobody has said what is missing: what is kept covers all that can be.
        let is_gone = chunk > 0 && self.dropped.is_some_and(|dropped| chunk <= dropped);
        let frames = self.frames.iter();
        (!is_gone).then(|| {
            frames
                .filter(move |(index, _)| *index >= chunk)
                .map(|(_, frame)| frame)
        })
    }
}

/// The chunk that a frame is; the trailer comes behind all of them.
fn index_of(frame: &Bytes) -> u32 {
    let header = frame.first_chunk().copied().map(FrameHeader::decode);
    match header {
        Some(Ok(header)) if header.kind != FrameKind::Trailer => header.index,
        _ => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(chunks: std::ops::Range<u32>, len: usize) -> Kept {
        let mut kept = Kept::default();
        for index in chunks {
            kept.push(index, vec![0; len].into());
        }
        kept
    }

    #[test]
    fn what_the_recipient_lacks_is_there_as_long_as_it_is_kept() {
        let count = |kept: &Kept, chunk| kept.from(chunk).map(Iterator::count);
        let few = kept(4..10, 1000);
        assert_eq!(count(&few, 7), Some(3));
        // What came before was sent by another road.
        assert_eq!((count(&few, 4), count(&few, 0)), (Some(6), Some(6)));
        assert_eq!(count(&few, 10), Some(0), "it has everything");
        let chunk = KEPT_MAX / 4;
        let many = kept(0..6, chunk);
        assert_eq!(many.bytes, KEPT_MAX);
        assert_eq!((count(&many, 1), count(&many, 2)), (None, Some(4)));
        assert_eq!(count(&many, 0), Some(4), "nobody has said what is missing");
    }
}
