//! One file of one attempt: its stream, where each recipient begins, and its content.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{
    attempt::{FileNote, FileStarts, SealedStart},
    content::{self, ContentError, Reader},
    holdups::{Holdups, Wait},
    lanes::{FileRoads, Lanes},
    producer::{AttemptKeys, Open, PreparedContent, PreparedFile, source_failure},
};
use crate::{
    protocol::{
        CHUNK_SIZE, Code, FileHeader, FileIndex, FrameHeader, FrameKind, PlanEntry, TransferId,
        encode_plan,
    },
    quic::{RateLimit, StreamError},
    sealing::{FileSealer, Start},
    transfer::Error,
};

/// Sealed chunks between the thread that seals and the stream.
const CHUNKS_AHEAD: usize = 4;
/// How often hashing is reported.
const HASHING: Duration = Duration::from_millis(500);

/// What one file's task needs of its attempt.
pub(super) struct FileTask {
    pub(super) keys: Arc<AttemptKeys>,
    pub(super) roads: FileRoads,
    /// What the recipient lacks after a direct connection has ended.
    pub(super) again: mpsc::Receiver<u32>,
    pub(super) limit: Option<Arc<RateLimit>>,
    pub(super) notes: Notes,
    /// Counts content bytes given to the stream.
    pub(super) sent: Arc<AtomicU64>,
    /// Counts what is waited for.
    pub(super) holdups: Arc<Holdups>,
    /// Says where each recipient begins, before content may be sent.
    pub(super) starts: Option<oneshot::Receiver<FileStarts>>,
}

/// The way to the attempt's state, for what tasks find out. The queue is bounded: a task waits.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    pub(super) transfer: TransferId,
    pub(super) sender: mpsc::Sender<(TransferId, FileNote)>,
}

impl Notes {
    async fn send(&self, note: FileNote) {
        // Nobody receives any more when the send is over.
        let _ = self.sender.send((self.transfer, note)).await;
    }

    fn blocking_send(&self, note: FileNote) {
        let _ = self.sender.blocking_send((self.transfer, note));
    }
}

/// Why a file's task ends early.
#[derive(Debug, thiserror::Error)]
enum SendFileError {
    /// The source failed: the attempt must know, and why its stream is reset.
    #[error("{0}")]
    Source(Error, Code),
    /// The stream or the connection ended: the attempt learns why by other ways.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// Sends one file, and says how that went.
pub(super) async fn send(task: FileTask, prepared: PreparedFile) {
    let (index, class, notes) = (prepared.index, prepared.class, task.notes.clone());
    let ended =
        |error: &StreamError| tracing::debug!(%error, file = index.0, "file stream ended early");
    let finished = match task.run(prepared).await {
        Err(SendFileError::Source(error, code)) => {
            notes.send(FileNote::Failed(index, error, code)).await;
            None
        }
        Err(SendFileError::Stream(error)) => {
            ended(&error);
            None
        }
        Ok(finished) => finished,
    };
    notes.send(FileNote::Ended(index, class)).await;
    // Its place is free for another meanwhile.
    if let Some(lanes) = finished {
        let _ = lanes.settle().await.inspect_err(ended);
    }
}

impl FileTask {
    /// Returns what is finished and may still be lost.
    async fn run(mut self, prepared: PreparedFile) -> Result<Option<Lanes>, SendFileError> {
        let header = FileHeader {
            transfer: self.keys.transfer(),
            file: prepared.index,
            class: prepared.class,
        }
        .encode();
        let beginning = Bytes::from([&header[..], &prepared.head_frame].concat());
        let (whole, open) = match prepared.content {
            PreparedContent::Sealed(frames, digest) => {
                self.pass(frames.len()).await;
                self.notes
                    .send(FileNote::Sealed(prepared.index, digest))
                    .await;
                (Some(frames.into()), None)
            }
            PreparedContent::Open(open) => (None, Some(Ok(*open))),
            PreparedContent::Failed(error) => (None, Some(Err(error))),
        };
        let (_, unused) = mpsc::channel(1);
        let again = std::mem::replace(&mut self.again, unused);
        let (roads, beginning) = (self.roads.clone(), (beginning, whole));
        let mut lanes = Lanes::open(roads, prepared.class, beginning, again).await?;
        self.took(prepared.index, &lanes).await;
        let open = match open {
            None => {
                lanes.finish()?;
                return Ok(Some(lanes));
            }
            Some(Ok(open)) => open,
            Some(Err(error)) => {
                lanes.reset(Code::SourceChanged);
                return Err(SendFileError::Source(error, Code::SourceChanged));
            }
        };
        match self.negotiate_start(prepared.index, open, &mut lanes).await {
            Ok(Some((reader, sealer))) => self.content(prepared.index, reader, sealer, lanes).await,
            // Everyone has it already.
            Ok(None) => Ok(lanes.not_needed().map(|()| None)?),
            Err(SendFileError::Source(error, code)) => {
                lanes.reset(Code::SourceChanged);
                Err(SendFileError::Source(error, code))
            }
            Err(error) => Err(error),
        }
    }

    /// Says which road the file takes, if not the relay's.
    async fn took(&self, index: FileIndex, lanes: &Lanes) {
        if self.roads.direct.is_some() {
            self.notes.send(FileNote::Took(index, lanes.road())).await;
        }
    }

    /// Waits until it is known where each recipient begins, checks what it says to have, and says so
    /// to the relay.
    ///
    /// Returns what remains to be sent; nothing, when all have all.
    async fn negotiate_start(
        &mut self,
        index: FileIndex,
        open: Open,
        lanes: &mut Lanes,
    ) -> Result<Option<(Reader, FileSealer)>, SendFileError> {
        let Open {
            reader,
            mut sealer,
            known,
        } = open;
        let Some(starts) = self.starts.take() else {
            return Ok(Some((reader, sealer)));
        };
        self.notes.send(FileNote::HeadSent(index)).await;
        // Without an answer, nobody takes part any more.
        let Ok(FileStarts { starts, recipients }) = starts.await else {
            return Err(StreamError::Ended(Code::Cancelled).into());
        };
        let opened = |SealedStart { peer, have }| {
            // What cannot be opened is nobody's progress: begin at the beginning.
            let nothing = Start::At {
                chunk: 0,
                prefix: [0; 32],
            };
            let start = self.keys.sealer.open_start(peer, index, &have.0);
            (peer, start.unwrap_or(nothing))
        };
        let starts: Vec<_> = starts.into_iter().map(opened).collect();
        let notes = self.notes.clone();
        let checking = tokio::task::spawn_blocking(move || {
            let mut last = Instant::now();
            content::check(reader, known, (&starts, recipients), || {
                if last.elapsed() >= HASHING {
                    last = Instant::now();
                    notes.blocking_send(FileNote::Hashing(index));
                }
            })
        });
        let checked = checking.await.map_err(panicked)?.map_err(of_source)?;
        if !checked.plan.is_empty() {
            // Whom the plan does not name gets everything.
            let plan = encode_plan(&checked.plan[..checked.plan.len().min(PlanEntry::MAX)]);
            let header = FrameHeader {
                kind: FrameKind::Plan,
                len: plan.len(),
                index: 0,
            };
            let plan = [&header.encode()[..], &plan[..]].concat();
            lanes.write_plan(plan.into()).await?;
        }
        if let Some(digest) = checked.whole {
            self.notes.send(FileNote::Sealed(index, digest)).await;
        }
        for entry in &checked.plan {
            if entry.first_chunk != PlanEntry::NOTHING {
                let bytes = u64::from(entry.first_chunk) * CHUNK_SIZE as u64;
                let resumed = FileNote::Resumed(index, entry.peer, bytes);
                self.notes.send(resumed).await;
            }
        }
        let nothing = |entry: &&PlanEntry| entry.first_chunk == PlanEntry::NOTHING;
        if checked.plan.iter().filter(nothing).count() == recipients {
            return Ok(None);
        }
        if let Some((chunk, hasher)) = checked.begin {
            sealer
                .start_at(chunk, hasher)
                .map_err(|e| of_source(ContentError::Seal(e)))?;
        }
        Ok(Some((checked.reader, sealer)))
    }

    /// Streams the content: one thread reads, hashes and seals, this task writes.
    async fn content(
        &mut self,
        index: FileIndex,
        reader: Reader,
        sealer: FileSealer,
        mut lanes: Lanes,
    ) -> Result<Option<Lanes>, SendFileError> {
        let (chunks, mut sealed) = mpsc::channel::<(u64, Bytes)>(CHUNKS_AHEAD);
        let (notes, compression) = (self.notes.clone(), self.keys.compression);
        self.sent.store(sealer.position(), Ordering::Relaxed);
        let sealing = tokio::task::spawn_blocking(move || {
            let note = |digest| notes.blocking_send(FileNote::Sealed(index, digest));
            content::seal(reader, sealer, compression, &chunks, note)
        });
        let (mut written, mut road) = (Ok(()), lanes.road());
        let holdups = self.holdups.clone();
        while let Some((content, frame)) = holdups.during(Wait::Source, sealed.recv()).await {
            let len = frame.len();
            holdups.during(Wait::Limit, self.pass(len)).await;
            written = holdups.during(Wait::Network, lanes.write(frame)).await;
            if written.is_err() {
                break;
            }
            holdups.written(len, lanes.is_direct(), || lanes.pressure());
            if std::mem::replace(&mut road, lanes.road()) != lanes.road() {
                self.took(index, &lanes).await;
            }
            self.sent.fetch_add(content, Ordering::Relaxed);
        }
        // Dropping the receiver ends the sealing thread at its next chunk.
        drop(sealed);
        written?;
        match sealing.await {
            Ok(Ok(())) => {
                lanes.finish()?;
                Ok(Some(lanes))
            }
            Ok(Err(error)) => {
                let error = of_source(error);
                if let SendFileError::Source(_, code) = &error {
                    lanes.reset(*code);
                }
                Err(error)
            }
            Err(error) => {
                lanes.reset(Code::Internal);
                Err(panicked(error))
            }
        }
    }

    /// Waits for the rate limit, which counts what goes to the network: sealed, and compressed.
    async fn pass(&self, bytes: usize) {
        if let Some(limit) = &self.limit {
            limit.pass(bytes).await;
        }
    }
}

fn of_source(error: ContentError) -> SendFileError {
    let code = match error.is_changed() {
        true => Code::SourceChanged,
        false => Code::Source,
    };
    SendFileError::Source(source_failure(error), code)
}

fn panicked(_: tokio::task::JoinError) -> SendFileError {
    StreamError::Malformed("a thread that seals panicked".into()).into()
}
