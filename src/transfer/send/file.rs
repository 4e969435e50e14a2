//! One file of one round: its stream, where each recipient begins, and its content.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use super::{
    content::{self, ContentError, Reader},
    producer::{Content, Job, source_failure},
    shared::RoundKeys,
};
use crate::{
    protocol::{
        Base64, CHUNK_SIZE, Code, FileHeader, FileIndex, FrameHeader, FrameKind, PeerId, PlanEntry,
        encode_plan,
    },
    quic::{FileSender, RateLimit, StreamError},
    sealing::{FileDigest, FileSealer, Start},
    transfer::{Error, FileStreams},
};

/// How long a recipient may take to say where a file begins for it.
///
/// Hashing what it has of a 100 GB file takes a minute.
const START_LIMIT: Duration = Duration::from_secs(120);
/// The same where several recipients take part: one must not hold up the others for long.
const START_LIMIT_SHARED: Duration = Duration::from_secs(10);
/// Sealed chunks between the thread that seals and the stream.
const CHUNKS_AHEAD: usize = 4;

/// What one file's task needs of its round.
pub(super) struct FileTask {
    pub(super) keys: Arc<RoundKeys>,
    pub(super) streams: FileStreams,
    pub(super) limit: Option<Arc<RateLimit>>,
    pub(super) ends: mpsc::UnboundedSender<FileEnd>,
    /// Counts content bytes given to the stream.
    pub(super) sent: Arc<AtomicU64>,
    /// How many recipients take part.
    pub(super) recipients: u32,
    /// Who says where to begin before content may be sent.
    pub(super) wait_for: Vec<PeerId>,
    pub(super) starts: Option<mpsc::UnboundedReceiver<SealedStart>>,
}

/// Where one recipient wants a file to begin, still sealed.
pub(super) struct SealedStart {
    pub(super) peer: PeerId,
    pub(super) have: Base64,
}

/// What a file's task tells its round.
#[derive(Debug)]
pub(super) enum FileEnd {
    /// The content is known; its last frame leaves after this.
    Sealed(FileIndex, FileDigest),
    /// A recipient has so many bytes of it already.
    Resumed(FileIndex, PeerId, u64),
    /// It cannot be sent whole.
    Failed(FileIndex, Error),
}

/// Why a file's task ends early.
#[derive(Debug, thiserror::Error)]
enum SendFileError {
    /// The source failed: the round must hear it.
    #[error("{0}")]
    Source(Error),
    /// The stream or the connection ended: the round hears why by other ways.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// Sends one file, and tells the round how that went.
pub(super) async fn send(task: FileTask, job: Job) {
    let (index, ends) = (job.index, task.ends.clone());
    match task.run(job).await {
        Err(SendFileError::Source(failure)) => {
            let _ = ends.send(FileEnd::Failed(index, failure));
        }
        Err(SendFileError::Stream(error)) => {
            tracing::debug!(%error, file = index.0, "file stream ended early")
        }
        Ok(()) => {}
    }
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
        let (reader, sealer) = match job.content {
            Content::Sealed(frames, digest) => {
                self.pass(frames.len()).await;
                let _ = self.ends.send(FileEnd::Sealed(job.index, digest));
                stream
                    .write([&header[..], &job.head_frame, &frames].concat().into())
                    .await?;
                return Ok(stream.finish()?);
            }
            Content::Open(reader, sealer) => (reader, *sealer),
            Content::Failed(failure) => {
                stream
                    .write([&header[..], &job.head_frame].concat().into())
                    .await?;
                stream.reset(Code::SourceChanged);
                return Err(SendFileError::Source(failure));
            }
        };
        stream
            .write([&header[..], &job.head_frame].concat().into())
            .await?;
        match self.agree(job.index, reader, sealer, &mut stream).await {
            Ok(Some((reader, sealer))) => self.content(job.index, reader, sealer, stream).await,
            // Everyone has it already.
            Ok(None) => Ok(stream.finish()?),
            Err(SendFileError::Source(failure)) => {
                stream.reset(Code::SourceChanged);
                Err(SendFileError::Source(failure))
            }
            Err(error) => Err(error),
        }
    }

    /// Hears where each recipient begins, checks what it says to have, and tells the relay.
    ///
    /// Returns what remains to be sent; nothing, when all have all.
    async fn agree(
        &mut self,
        index: FileIndex,
        reader: Reader,
        mut sealer: FileSealer,
        stream: &mut FileSender,
    ) -> Result<Option<(Reader, FileSealer)>, SendFileError> {
        let Some(mut sealed) = self.starts.take() else {
            return Ok(Some((reader, sealer)));
        };
        let limit = if self.recipients == 1 {
            START_LIMIT
        } else {
            START_LIMIT_SHARED
        };
        let mut starts: Vec<(PeerId, Start)> = Vec::new();
        let hearing = async {
            while starts.len() < self.wait_for.len() {
                let Some(SealedStart { peer, have }) = sealed.recv().await else {
                    break;
                };
                if !self.wait_for.contains(&peer) || starts.iter().any(|(known, _)| *known == peer)
                {
                    continue;
                }
                // What cannot be opened is nobody's progress: begin at the beginning.
                let nothing = Start::At {
                    chunk: 0,
                    prefix: [0; 32],
                };
                let start = self
                    .keys
                    .sealer
                    .open_start(peer, index, &have.0)
                    .unwrap_or(nothing);
                starts.push((peer, start));
            }
        };
        let _ = timeout(limit, hearing).await;
        let everyone = self.recipients;
        let checking =
            tokio::task::spawn_blocking(move || content::check(reader, &starts, everyone));
        let checked = checking
            .await
            .map_err(panicked)?
            .map_err(|e| SendFileError::Source(source_failure(&e)))?;
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
            let _ = self.ends.send(FileEnd::Sealed(index, digest));
        }
        for entry in &checked.plan {
            if entry.first_chunk != PlanEntry::NOTHING {
                let bytes = u64::from(entry.first_chunk) * CHUNK_SIZE as u64;
                let _ = self.ends.send(FileEnd::Resumed(index, entry.peer, bytes));
            }
        }
        let nothing = |entry: &&PlanEntry| entry.first_chunk == PlanEntry::NOTHING;
        if checked.plan.iter().filter(nothing).count() == everyone as usize {
            return Ok(None);
        }
        if let Some((chunk, hasher)) = checked.begin {
            sealer
                .start_at(chunk, hasher)
                .map_err(|e| SendFileError::Source(source_failure(&ContentError::Seal(e))))?;
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
        let (ends, compression) = (self.ends.clone(), self.keys.compression);
        self.sent.store(sealer.position(), Ordering::Relaxed);
        let sealing = tokio::task::spawn_blocking(move || {
            let note = |digest| {
                let _ = ends.send(FileEnd::Sealed(index, digest));
            };
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
                stream.reset(if error.is_changed() {
                    Code::SourceChanged
                } else {
                    Code::Source
                });
                Err(SendFileError::Source(source_failure(&error)))
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
