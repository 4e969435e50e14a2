//! One incoming file: its stream, its frames, and where it begins.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::mpsc;

use super::{
    Destination,
    incoming::{Active, Context, Lost, Settlement, Stored},
    store::{self, Job, Slot},
};
use crate::{
    protocol::{CHUNK_SIZE, Code, FileHeader, FileIndex, FrameHeader, FrameKind, PeerMessage, RelativePath},
    quic::{FileReceiver, StreamError},
    sealing::{FileOpener, Have, Head, HeadKind, OpenFileError},
    storage::{Conflict, IncomingFile, StorageError, Target},
};

/// The longest sealed head, in bytes.
const HEAD_MAX: usize = 17 * 1024;
/// Sealed chunks between the stream and the thread that opens and writes.
const CHUNKS_AHEAD: usize = 4;

/// A frame as it came.
pub(super) type Frame = (FrameHeader, Vec<u8>);

/// Receives one file, and says what became of it.
pub(super) async fn receive(
    context: Arc<Context>,
    stream: FileReceiver,
    header: FileHeader,
    active: Arc<Active>,
    settle: mpsc::UnboundedSender<Settlement>,
) {
    let index = header.file;
    let incoming = IncomingFileTask { context, index, active, settle: settle.clone() };
    if let Err((lost, stream)) = incoming.run(stream).await {
        if let Some(stream) = stream {
            stream.stop(lost.code);
        }
        let _ = settle.send(Settlement { index, outcome: Err(lost) });
    }
}

struct IncomingFileTask {
    context: Arc<Context>,
    index: FileIndex,
    active: Arc<Active>,
    settle: mpsc::UnboundedSender<Settlement>,
}

type Outcome = Result<(), (Lost, Option<FileReceiver>)>;

impl IncomingFileTask {
    async fn run(self, mut stream: FileReceiver) -> Outcome {
        let (mut opener, head) = match self.head(&mut stream).await {
            Ok(opened) => opened,
            Err(lost) => return Err((lost, Some(stream))),
        };
        let name = head.path.clone();
        self.active.describe(&name, head.size);
        let path = match self.admit(&head) {
            Ok(path) => path,
            Err(lost) => return Err((lost, Some(stream))),
        };
        let small = head.kind != HeadKind::File || head.size.is_some_and(|size| size <= CHUNK_SIZE as u64);
        // Few larger files at a time; their streams wait without holding up anything else.
        let permit = if small { None } else { self.context.bulk.acquire().await.ok() };
        let mut have = Have::Nothing;
        if self.context.each && head.kind == HeadKind::File {
            match self.agree(&head, &path).await {
                Ok(Agreed { slot_hasher, told }) => {
                    have = told;
                    if let (Have::Prefix { chunks, .. }, Some(hasher)) = (&have, slot_hasher) {
                        opener.expect_resume(*chunks, hasher);
                    }
                }
                Err(lost) => return Err((lost, Some(stream))),
            }
        }
        let done = if small {
            self.small(&mut stream, opener, head, path).await
        } else {
            self.bulk(&mut stream, opener, head, path).await
        };
        drop(permit);
        match (done, have) {
            (Ok(()), _) => Ok(()),
            // The sender has compared: what is here is what it has.
            (Err(Lost { code: Code::NotNeeded, .. }), Have::Whole { len, hash, path }) => {
                let stored = Stored {
                    path,
                    len,
                    hash,
                    resumed_from: 0,
                    already_there: true,
                    text: None,
                    notable: true,
                };
                let _ = self.settle.send(Settlement { index: self.index, outcome: Ok(stored) });
                Ok(())
            }
            (Err(lost), _) => Err((Lost { path: lost.path.or(Some(name)), ..lost }, Some(stream))),
        }
    }

    /// Reads and opens the first frame.
    async fn head(&self, stream: &mut FileReceiver) -> Result<(FileOpener, Head), Lost> {
        let (header, mut payload) = self.frame(stream, HEAD_MAX).await?;
        self.context.offer.open_file(self.index, header, &mut payload).map_err(|e| verification(None, &e))
    }

    /// Checks what the head says against what this listener takes.
    fn admit(&self, head: &Head) -> Result<RelativePath, Lost> {
        let config = &self.context.shared.config;
        let refused = |reason: String| Lost::new(Some(&head.path), Code::Declined, reason);
        if head.kind == HeadKind::Text {
            return Ok("message".parse().expect("a valid name"));
        }
        let path: RelativePath = head.path.parse().map_err(|e| refused(format!("its name is refused: {e}")))?;
        if let (Some(max), Some(size)) = (config.max_size, head.size)
            && size > max
        {
            return Err(refused(format!("{size} bytes, where {max} are taken")));
        }
        if matches!(config.destination, Destination::Stdout) && (head.kind != HeadKind::File || self.index.0 != 0) {
            return Err(refused("only one file goes to standard output".to_owned()));
        }
        Ok(path)
    }

    /// Looks what is here of the file, and tells the sender.
    async fn agree(&self, head: &Head, path: &RelativePath) -> Result<Agreed, Lost> {
        let Destination::Directory(target) = self.context.shared.config.destination.clone() else {
            return Ok(Agreed { slot_hasher: None, told: Have::Nothing });
        };
        let (head, path, context) = (head.clone(), path.clone(), self.context.clone());
        let looking = tokio::task::spawn_blocking(move || look(&context, &target, &head, &path));
        let agreed = looking.await.map_err(|_| Lost::new(None, Code::Internal, "looking for the file panicked"))??;
        let have = self.context.offer.seal_start(self.context.shared.member.id(), self.index, &agreed.told);
        self.context
            .voice
            .tell(
                self.context.transfer,
                Some(self.context.offer.sender),
                PeerMessage::Start { file: self.index, have: have.into() },
            )
            .await;
        Ok(agreed)
    }

    /// Takes a file of one chunk, or an entry without content, in one piece.
    async fn small(&self, stream: &mut FileReceiver, opener: FileOpener, head: Head, path: RelativePath) -> Result<(), Lost> {
        let mut frames: Vec<Frame> = Vec::with_capacity(2);
        while let Some(header) = stream.frame_header().await.map_err(|e| self.ended(&e))? {
            // One chunk and the trailer: more is a lie that need not be held in memory.
            if frames.len() >= 2 {
                return Err(verification(None, &OpenFileError::Trailing));
            }
            let mut payload = vec![0; header.len];
            stream.fill(&mut payload).await.map_err(|e| self.ended(&e))?;
            frames.push((header, payload));
        }
        let job = Job::Small { index: self.index, opener: Box::new(opener), head, path, frames };
        self.context.store.send(job).await.map_err(|_| self.over())
    }

    /// Takes a larger file chunk by chunk: this task reads, one thread opens and writes.
    async fn bulk(&self, stream: &mut FileReceiver, opener: FileOpener, head: Head, path: RelativePath) -> Result<(), Lost> {
        let (frames, received) = mpsc::channel::<Frame>(CHUNKS_AHEAD);
        let (destination, resume) = (self.context.shared.config.destination.clone(), self.context.offer.resume_key());
        let active = self.active.clone();
        let context = self.context.clone();
        let sender = context.offer.sender;
        let writing = tokio::task::spawn_blocking(move || {
            let mut slot = Slot::open(&destination, &incoming_file(sender, &head, &path, resume))?;
            if let (Some(journal), Slot::Partial(partial)) = (&context.journal, &slot) {
                journal.lock().unwrap_or_else(PoisonError::into_inner).begun(partial);
            }
            write(&mut slot, opener, received, &active.stored).map(|whole| (slot, whole, head, path))
        });
        let mut ended = Ok(());
        loop {
            let frame = match self.next_frame(stream).await {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(lost) => {
                    ended = Err(lost);
                    break;
                }
            };
            if frames.send(frame).await.is_err() {
                break;
            }
        }
        drop(frames);
        let written = writing.await.map_err(|_| Lost::new(None, Code::Internal, "the writing thread panicked"))?;
        match (ended, written) {
            (Err(lost), Ok((slot, ..)) | Err(Writing::Incomplete(slot))) => {
                if lost.code == Code::SourceChanged {
                    slot.discard();
                }
                Err(lost)
            }
            (Err(lost), Err(Writing::Storage(_) | Writing::Verification(..))) => Err(lost),
            (Ok(()), Ok((slot, whole, head, path))) => {
                let job = Job::Complete { index: self.index, slot, whole, head, path };
                self.context.store.send(job).await.map_err(|_| self.over())
            }
            (Ok(()), Err(Writing::Incomplete(slot))) => {
                slot.discard();
                Err(verification(None, &OpenFileError::Truncated))
            }
            (Ok(()), Err(Writing::Verification(error, slot))) => {
                slot.discard();
                Err(verification(None, &error))
            }
            (Ok(()), Err(Writing::Storage(error))) => Err(storage(None, &error)),
        }
    }

    async fn next_frame(&self, stream: &mut FileReceiver) -> Result<Option<Frame>, Lost> {
        let Some(header) = stream.frame_header().await.map_err(|e| self.ended(&e))? else { return Ok(None) };
        let mut payload = vec![0; header.len];
        stream.fill(&mut payload).await.map_err(|e| self.ended(&e))?;
        Ok(Some((header, payload)))
    }

    async fn frame(&self, stream: &mut FileReceiver, max: usize) -> Result<Frame, Lost> {
        let header = stream.frame_header().await.map_err(|e| self.ended(&e))?;
        let header = header.ok_or_else(|| verification(None, &OpenFileError::Truncated))?;
        if header.len > max || header.kind != FrameKind::Head {
            return Err(Lost::new(None, Code::Protocol, "the file does not begin with its head"));
        }
        let mut payload = vec![0; header.len];
        stream.fill(&mut payload).await.map_err(|e| self.ended(&e))?;
        Ok((header, payload))
    }

    /// What the end of the stream means for the file.
    fn ended(&self, error: &StreamError) -> Lost {
        match error {
            StreamError::Ended(code) => Lost::new(None, *code, code.reason()),
            StreamError::Truncated | StreamError::Malformed(_) => Lost::new(None, Code::Verification, error),
            StreamError::Link(_) => Lost::new(None, Code::PeerGone, error),
        }
    }

    fn over(&self) -> Lost {
        Lost::new(None, Code::Cancelled, "the transfer is over")
    }
}

/// What this side has of a file.
struct Agreed {
    slot_hasher: Option<blake3::Hasher>,
    told: Have,
}

/// Looks for the file in the journal, in the directory, and among the partial files.
fn look(context: &Context, target: &Target, head: &Head, path: &RelativePath) -> Result<Agreed, Lost> {
    let here = |error: StorageError| storage(Some(&head.path), &error);
    let size = head.size.unwrap_or(u64::MAX);
    if let Some(journal) = &context.journal {
        let done = journal.lock().unwrap_or_else(PoisonError::into_inner).lookup(path, head.size, head.modified);
        // What was stored may have been moved or changed since.
        if let Some(done) = done
            && let Some(existing) = target.existing(&done.path).map_err(here)?
            && existing.len() == done.len
        {
            let told = Have::Whole { len: done.len, hash: done.blake3, path: done.path.to_path_buf() };
            return Ok(Agreed { slot_hasher: None, told });
        }
    }
    if context.shared.config.conflict == Conflict::Skip
        && let Some(existing) = target.existing(path).map_err(here)?
    {
        if existing.len() != size {
            return Err(Lost::new(Some(&head.path), Code::Declined, "another file of that name is there"));
        }
        let hash = existing.hash().map_err(here)?;
        return Ok(Agreed { slot_hasher: None, told: Have::Whole { len: size, hash, path: path.to_path_buf() } });
    }
    let file = incoming_file(context.offer.sender, head, path, context.offer.resume_key());
    let Some(mut partial) = target.resumable(&file).map_err(here)? else {
        return Ok(Agreed { slot_hasher: None, told: Have::Nothing });
    };
    let chunks = (partial.len() / CHUNK_SIZE as u64).min(u64::from(u32::MAX - 1));
    if chunks == 0 {
        return Ok(Agreed { slot_hasher: None, told: Have::Nothing });
    }
    let hasher = partial.hash_prefix(chunks * CHUNK_SIZE as u64).map_err(here)?;
    let chunks = u32::try_from(chunks).expect("bounded above");
    let told = Have::Prefix { chunks, hash: hasher.finalize() };
    Ok(Agreed { slot_hasher: Some(hasher), told })
}

/// How storage knows the file, so that a later attempt finds its partial file again.
pub(super) fn incoming_file(
    sender: crate::protocol::PeerId,
    head: &Head,
    path: &RelativePath,
    resume: Option<[u8; 32]>,
) -> IncomingFile {
    let mut hasher = blake3::Hasher::new_derive_key("p2p partial file");
    hasher.update(sender.as_bytes());
    hasher.update(&resume.unwrap_or_default());
    hasher.update(path.to_string().as_bytes());
    hasher.update(format!("\0{:?}\0{:?}", head.size, head.modified).as_bytes());
    let mut resume_key = [0; 16];
    resume_key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    IncomingFile {
        path: path.clone(),
        size: head.size,
        executable: head.executable,
        modified: head.modified,
        resume_key: resume.map(|_| resume_key),
    }
}

/// Why a larger file could not be written whole.
enum Writing {
    /// Frames ended before the trailer.
    Incomplete(Slot),
    Verification(OpenFileError, Slot),
    Storage(StorageError),
}

impl From<StorageError> for Writing {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// Opens and writes frames until the trailer; what is written is what was opened.
fn write(
    slot: &mut Slot,
    mut opener: FileOpener,
    mut frames: mpsc::Receiver<Frame>,
    stored: &AtomicU64,
) -> Result<store::Whole, Writing> {
    let mut first = true;
    let mut resumed_from = 0;
    while let Some((header, mut payload)) = frames.blocking_recv() {
        if header.kind == FrameKind::Trailer {
            return match opener.finish(header, &mut payload) {
                Ok((len, hash)) if frames.blocking_recv().is_none() => Ok(store::Whole { len, hash, resumed_from }),
                Ok(_) => Err(Writing::Verification(OpenFileError::Trailing, slot.take())),
                Err(error) => Err(Writing::Verification(error, slot.take())),
            };
        }
        if first {
            first = false;
            // Chunk 0 where more was offered: the sender found that the prefix is not its own.
            resumed_from = opener.begin_at(header.index).map_or(0, |chunks| u64::from(chunks) * CHUNK_SIZE as u64);
            slot.truncate(resumed_from)?;
            stored.store(resumed_from, Ordering::Relaxed);
        }
        match opener.open_chunk(header, &mut payload) {
            Ok(content) => slot.write_all(content)?,
            Err(error) => return Err(Writing::Verification(error, slot.take())),
        }
        stored.store(opener.position(), Ordering::Relaxed);
    }
    Err(Writing::Incomplete(slot.take()))
}

pub(super) fn verification(path: Option<&str>, error: &OpenFileError) -> Lost {
    Lost::new(path, Code::Verification, error)
}

pub(super) fn storage(path: Option<&str>, error: &StorageError) -> Lost {
    Lost::new(path, Code::Storage, error)
}
