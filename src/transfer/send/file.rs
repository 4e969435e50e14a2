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
    keys::AttemptKeys,
    producer::{Content, Job, Open, source_failure},
};
use crate::{
    protocol::{
        CHUNK_SIZE, Code, FileHeader, FileIndex, FrameHeader, FrameKind, PlanEntry, TransferId,
        encode_plan,
    },
    quic::{FileSender, RateLimit, StreamError},
    sealing::{FileSealer, Start},
    transfer::{Error, FileStreams},
};

/// Sealed chunks between the thread that seals and the stream.
const CHUNKS_AHEAD: usize = 4;
/// How often hashing is reported.
const HASHING: Duration = Duration::from_millis(500);

/// What one file's task needs of its attempt.
pub(super) struct FileTask {
    pub(super) keys: Arc<AttemptKeys>,
    pub(super) streams: FileStreams,
    pub(super) limit: Option<Arc<RateLimit>>,
    pub(super) notes: Notes,
    /// Counts content bytes given to the stream.
    pub(super) sent: Arc<AtomicU64>,
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
    /// The source failed: the attempt must know.
    #[error("{0}")]
    Source(Error),
    /// The stream or the connection ended: the attempt learns why by other ways.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// Sends one file, and says how that went.
pub(super) async fn send(task: FileTask, job: Job) {
    let (index, class, notes) = (job.index, job.class, task.notes.clone());
    match task.run(job).await {
        Err(SendFileError::Source(error)) => notes.send(FileNote::Failed(index, error)).await,
        Err(SendFileError::Stream(error)) => {
            tracing::debug!(%error, file = index.0, "file stream ended early")
        }
        Ok(()) => {}
    }
    notes.send(FileNote::Ended(index, class)).await;
}

impl FileTask {
    async fn run(mut self, job: Job) -> Result<(), SendFileError> {
        let header = FileHeader {
            transfer: self.keys.transfer(),
            file: job.index,
            class: job.class,
        }
        .encode();
        let mut stream = self.streams.open_stream(job.class).await?;
        let open = match job.content {
            Content::Sealed(frames, digest) => {
                self.pass(frames.len()).await;
                self.notes.send(FileNote::Sealed(job.index, digest)).await;
                stream
                    .write([&header[..], &job.head_frame, &frames].concat().into())
                    .await?;
                return Ok(stream.finish()?);
            }
            Content::Open(open) => *open,
            Content::Failed(error) => {
                stream
                    .write([&header[..], &job.head_frame].concat().into())
                    .await?;
                stream.reset(Code::SourceChanged);
                return Err(SendFileError::Source(error));
            }
        };
        stream
            .write([&header[..], &job.head_frame].concat().into())
            .await?;
        match self.negotiate_start(job.index, open, &mut stream).await {
            Ok(Some((reader, sealer))) => self.content(job.index, reader, sealer, stream).await,
            // Everyone has it already.
            Ok(None) => Ok(stream.finish()?),
            Err(SendFileError::Source(error)) => {
                stream.reset(Code::SourceChanged);
                Err(SendFileError::Source(error))
            }
            Err(error) => Err(error),
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
        stream: &mut FileSender,
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
        let checked = checking
            .await
            .map_err(panicked)?
            .map_err(|e| SendFileError::Source(source_failure(e)))?;
        if !checked.plan.is_empty() {
            // Whom the plan does not name gets everything.
            let plan = encode_plan(&checked.plan[..checked.plan.len().min(PlanEntry::MAX)]);
            let header = FrameHeader {
                kind: FrameKind::Plan,
                len: plan.len(),
                index: 0,
            };
            stream
                .write([&header.encode()[..], &plan[..]].concat().into())
                .await?;
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
                .map_err(|e| SendFileError::Source(source_failure(ContentError::Seal(e))))?;
        }
        Ok(Some((checked.reader, sealer)))
    }

    /// Streams the content: one thread reads, hashes and seals, this task writes.
    async fn content(
        &mut self,
        index: FileIndex,
        reader: Reader,
        sealer: FileSealer,
        mut stream: FileSender,
    ) -> Result<(), SendFileError> {
        let (chunks, mut sealed) = mpsc::channel::<(u64, Bytes)>(CHUNKS_AHEAD);
        let (notes, compression) = (self.notes.clone(), self.keys.compression);
        self.sent.store(sealer.position(), Ordering::Relaxed);
        let sealing = tokio::task::spawn_blocking(move || {
            let note = |digest| notes.blocking_send(FileNote::Sealed(index, digest));
            content::seal(reader, sealer, compression, &chunks, note)
        });
        let mut written = Ok(());
        while let Some((content, frame)) = sealed.recv().await {
            self.pass(frame.len()).await;
            written = stream.write(frame).await;
            if written.is_err() {
                break;
            }
            self.sent.fetch_add(content, Ordering::Relaxed);
        }
        // Dropping the receiver ends the sealing thread at its next chunk.
        drop(sealed);
        written?;
        match sealing.await {
            Ok(Ok(())) => Ok(stream.finish()?),
            Ok(Err(error)) => {
                stream.reset(match error.is_changed() {
                    true => Code::SourceChanged,
                    false => Code::Source,
                });
                Err(SendFileError::Source(source_failure(error)))
            }
            Err(error) => {
                stream.reset(Code::Internal);
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

fn panicked(_: tokio::task::JoinError) -> SendFileError {
    StreamError::Malformed("a thread that seals panicked".into()).into()
}
