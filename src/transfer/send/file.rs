//! One file of one round: its stream, where each recipient begins, and its content.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use super::{
    content::{self, Reader},
    producer::{Content, Job},
    shared::RoundKeys,
};
use crate::{
    protocol::{
        Base64, CHUNK_SIZE, Code, FileHeader, FileIndex, FrameHeader, FrameKind, PeerId, PlanEntry, encode_plan,
    },
    quic::{FileSender, Link, RateLimit, StreamError},
    sealing::{FileSealer, Have},
    storage::SourceError,
    transfer::{Failure, FailureKind},
};

/// How long a recipient may take to say where a file begins for it.
///
/// Hashing what it has of a 100 GB file takes a minute; others of a broadcast wait meanwhile, but
/// only where someone resumes.
const START_LIMIT: Duration = Duration::from_secs(120);
/// The same where several recipients take part: one must not hold up the others for long.
const START_LIMIT_SHARED: Duration = Duration::from_secs(10);
/// Sealed chunks between the thread that seals and the stream.
const CHUNKS_AHEAD: usize = 4;

/// What one file's task needs of its round.
pub(super) struct FileTask {
    pub(super) keys: Arc<RoundKeys>,
    pub(super) link: Link,
    pub(super) limit: Option<Arc<RateLimit>>,
    pub(super) ends: mpsc::UnboundedSender<FileEnd>,
    /// Counts content bytes given to the stream.
    pub(super) sent: Arc<AtomicU64>,
    /// Who says where to begin before content may be sent.
    pub(super) wait_for: Vec<PeerId>,
    pub(super) starts: Option<mpsc::UnboundedReceiver<Start>>,
}

/// Where one recipient wants a file to begin, still sealed.
pub(super) struct Start {
    pub(super) peer: PeerId,
    pub(super) have: Base64,
}

/// What a file's task tells its round.
#[derive(Debug)]
pub(super) enum FileEnd {
    /// The content is known; its last frame leaves after this.
    Sealed { index: FileIndex, len: u64, hash: blake3::Hash },
    /// It cannot be sent whole.
    Failed { index: FileIndex, failure: Failure },
}

/// Why a file's task ends early.
#[derive(Debug, thiserror::Error)]
enum SendFileError {
    /// The source failed: the recipients must hear it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The stream or the connection ended: the round hears why by other ways.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// Sends one file, and tells the round how that went.
pub(super) async fn send(task: FileTask, job: Job) {
    let (index, ends) = (job.index, task.ends.clone());
    match task.run(job).await {
        Err(SendFileError::Source(error)) => {
            let failure = Failure::new(FailureKind::LocalFile, error);
            let _ = ends.send(FileEnd::Failed { index, failure });
        }
        Err(SendFileError::Stream(error)) => tracing::debug!(%error, file = index.0, "file stream ended early"),
        Ok(()) => {}
    }
}

impl FileTask {
    async fn run(mut self, job: Job) -> Result<(), SendFileError> {
        let header = FileHeader { transfer: self.keys.transfer, file: job.index, class: job.class }.encode();
        let mut stream = self.link.open_file(job.class).await.map_err(StreamError::from)?;
        let reader = match job.content {
            Content::Sealed(file) => {
                self.pass(file.len as usize).await;
                self.sealed(job.index, file.len, file.hash);
                let mut first = Vec::with_capacity(header.len() + file.frames.len());
                first.extend_from_slice(&header);
                first.extend_from_slice(&file.frames);
                stream.write(first.into()).await?;
                return Ok(stream.finish()?);
            }
            Content::File(file) => Reader::File(file),
            Content::Pipe(reader) => Reader::Pipe(reader),
            Content::Bytes(bytes) => Reader::Bytes(io::Cursor::new(bytes)),
        };
        let (sealer, head) = self.keys.sealer(job.index, &job.head);
        stream.write([&header[..], &head[..]].concat().into()).await?;
        match self.agree(job.index, reader, sealer, &mut stream).await? {
            Some((reader, sealer)) => self.content(job.index, reader, sealer, stream).await,
            // Everyone has it already.
            None => Ok(stream.finish()?),
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
        let Some(mut starts) = self.starts.take() else { return Ok(Some((reader, sealer))) };
        let limit = if self.keys.solo() { START_LIMIT } else { START_LIMIT_SHARED };
        let mut haves = Vec::new();
        let hearing = async {
            while haves.len() < self.wait_for.len() {
                let Some(start) = starts.recv().await else { break };
                if !self.wait_for.contains(&start.peer) || haves.iter().any(|(peer, _)| *peer == start.peer) {
                    continue;
                }
                // What cannot be opened is nobody's progress: begin at the beginning.
                let have = self.keys.open_start(start.peer, index, &start.have.0).unwrap_or(Have::Nothing);
                haves.push((start.peer, have));
            }
        };
        let _ = timeout(limit, hearing).await;
        let keys = self.keys.clone();
        let checking = tokio::task::spawn_blocking(move || content::check(&keys, reader, &haves));
        let checked = checking.await.map_err(|_| StreamError::Malformed("the check panicked".into()))??;
        if !checked.plan.is_empty() {
            let plan = encode_plan(&checked.plan[..checked.plan.len().min(PlanEntry::MAX)]);
            let header = FrameHeader { kind: FrameKind::Plan, len: plan.len(), index: 0 };
            stream.write([&header.encode()[..], &plan[..]].concat().into()).await?;
        }
        if let Some((len, hash)) = checked.whole {
            self.sealed(index, len, hash);
            let nothing = |entry: &PlanEntry| entry.first_chunk == PlanEntry::NOTHING;
            if self.keys.recipients as usize == checked.plan.iter().filter(|e| nothing(e)).count() {
                return Ok(None);
            }
        }
        let begin = if self.keys.recipients as usize == checked.plan.len() { checked.begin } else { None };
        let mut reader = checked.reader;
        if let Some((first_chunk, hasher)) = begin {
            reader.seek(u64::from(first_chunk) * CHUNK_SIZE as u64)?;
            sealer.resume_at(first_chunk, hasher);
        }
        Ok(Some((reader, sealer)))
    }

    /// Streams the content: one thread reads, hashes and seals, this task writes.
    async fn content(
        &mut self,
        index: FileIndex,
        reader: Reader,
        sealer: FileSealer,
        mut stream: FileSender,
    ) -> Result<(), SendFileError> {
        let (chunks, mut sealed) = mpsc::channel::<(usize, Bytes)>(CHUNKS_AHEAD);
        let (ends, compress) = (self.ends.clone(), self.keys.compress);
        let sealing = tokio::task::spawn_blocking(move || {
            let note = |len, hash| {
                let _ = ends.send(FileEnd::Sealed { index, len, hash });
            };
            content::seal(reader, sealer, compress, &chunks, note)
        });
        let mut written = Ok(());
        while let Some((content, frame)) = sealed.recv().await {
            self.pass(content).await;
            written = stream.write(frame).await;
            if written.is_err() {
                break;
            }
            self.sent.fetch_add(content as u64, Ordering::Relaxed);
        }
        // Dropping the receiver ends the sealing thread at its next chunk.
        drop(sealed);
        if let Err(error) = written {
            return Err(error.into());
        }
        match sealing.await {
            Ok(Ok(())) => Ok(stream.finish()?),
            Ok(Err(error)) => {
                stream.reset(if error.is_changed() { Code::SourceChanged } else { Code::Source });
                Err(error.into())
            }
            Err(_) => {
                stream.reset(Code::Internal);
                Err(StreamError::Malformed("the sealing thread panicked".into()).into())
            }
        }
    }

    async fn pass(&self, bytes: usize) {
        if let Some(limit) = &self.limit {
            limit.pass(bytes).await;
        }
    }

    fn sealed(&self, index: FileIndex, len: u64, hash: blake3::Hash) {
        let _ = self.ends.send(FileEnd::Sealed { index, len, hash });
    }
}
