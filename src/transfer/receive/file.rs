//! One incoming file: its stream, its frames, and where it begins.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::mpsc;

use super::{
    Destination,
    incoming::{Active, Context, Lost, Settlement, Stored},
    store::{Job, Slot, Whole},
};
use crate::{
    protocol::{
        CHUNK_SIZE, Code, FileHeader, FileIndex, FrameHeader, FrameKind, PeerId, PeerMessage,
        RelativePath,
    },
    quic::{FileReceiver, StreamError},
    sealing::{FileOpener, HEAD_MAX, Head, HeadKind, OpenError, TAG_LEN},
    storage::{Conflict, IncomingFile, Partial, StorageError, Target},
};

/// Sealed chunks between the stream and the thread that opens and writes.
const CHUNKS_AHEAD: usize = 4;

/// A frame as it came.
pub(super) type Frame = (FrameHeader, Vec<u8>);

/// Receives one file, and says what became of it.
pub(super) async fn receive(
    context: Arc<Context>,
    mut stream: FileReceiver,
    header: FileHeader,
    active: Arc<Active>,
    settle: mpsc::UnboundedSender<Settlement>,
) {
    let task = FileTask {
        context,
        index: header.file,
        active,
    };
    match task.run(&mut stream).await {
        Ok(None) => {}
        Ok(Some(stored)) => {
            let _ = settle.send(Settlement {
                index: header.file,
                outcome: Ok(stored),
            });
        }
        Err(lost) => {
            stream.stop(lost.code);
            let _ = settle.send(Settlement {
                index: header.file,
                outcome: Err(lost),
            });
        }
    }
}

struct FileTask {
    context: Arc<Context>,
    index: FileIndex,
    active: Arc<Active>,
}

/// What this side has of a file before any content arrives.
enum Here {
    /// Nothing, or a part of it that is told to the sender.
    Part(Option<Partial>),
    /// All of it, if the sender agrees.
    Whole(Stored),
    /// A file of that name that is to be kept, and is not this one.
    Other,
}

impl FileTask {
    /// Returns what is settled already; `None` where the store settles it.
    async fn run(self, stream: &mut FileReceiver) -> Result<Option<Stored>, Lost> {
        let (head, mut opener) = self.head(stream).await?;
        let name = head.path.clone();
        let named = |lost: Lost| Lost {
            path: lost.path.or_else(|| Some(name.clone())),
            ..lost
        };
        self.active.describe(&name, head.size);
        let path = self.admit(&head).map_err(named)?;
        let small =
            head.kind != HeadKind::File || head.size.is_some_and(|size| size <= CHUNK_SIZE as u64);
        // Few larger files at a time; their streams wait without holding up anything else.
        let _permit = if small {
            None
        } else {
            self.context.bulk.acquire().await.ok()
        };
        let mut here = Here::Part(None);
        if self.context.each && head.kind == HeadKind::File {
            (here, opener) = self.agree(&head, &path, opener).await.map_err(named)?;
        }
        let (partial, whole) = match here {
            Here::Part(partial) => (partial, None),
            Here::Whole(stored) => (None, Some(stored)),
            Here::Other => {
                return Err(named(Lost::new(
                    None,
                    Code::Declined,
                    "another file of that name is there",
                )));
            }
        };
        let received = if small {
            self.small(stream, opener, head, path).await
        } else {
            self.bulk(stream, opener, head, path, partial).await
        };
        match (received, whole) {
            // The sender has compared: what is here is what it has.
            (
                Err(Lost {
                    code: Code::NotNeeded,
                    ..
                }),
                Some(stored),
            ) => Ok(Some(stored)),
            (received, _) => received.map(|()| None).map_err(named),
        }
    }

    /// Reads and opens the first frame.
    async fn head(&self, stream: &mut FileReceiver) -> Result<(Head, FileOpener), Lost> {
        let header = stream.frame_header().await.map_err(|e| ended(&e))?;
        let header =
            header.ok_or_else(|| Lost::new(None, Code::Verification, StreamError::Truncated))?;
        if header.len > HEAD_MAX + TAG_LEN || header.kind != FrameKind::Head {
            // No honest sender begins otherwise: this was changed on the way.
            return Err(Lost::new(
                None,
                Code::Verification,
                "the file does not begin with its head",
            ));
        }
        let mut payload = vec![0; header.len];
        stream.fill(&mut payload).await.map_err(|e| ended(&e))?;
        self.context
            .opener
            .open_head(self.index, header, &mut payload)
            .map_err(|e| verification(None, &e))
    }

    /// Checks what the head says against what this listener takes.
    fn admit(&self, head: &Head) -> Result<RelativePath, Lost> {
        let config = &self.context.shared.config;
        let refused = |reason: String| Lost::new(None, Code::Declined, reason);
        let path: RelativePath = head
            .path
            .parse()
            .map_err(|e| refused(format!("its name is refused: {e}")))?;
        if let (Some(max), Some(size)) = (config.max_size, head.size)
            && size > max
        {
            return Err(refused(format!("{size} bytes, where {max} are taken")));
        }
        if matches!(config.destination, Destination::Stdout)
            && (head.kind != HeadKind::File || self.index.0 != 0)
        {
            return Err(refused("only one file goes to standard output".to_owned()));
        }
        Ok(path)
    }

    /// Looks what is here of the file, and tells the sender.
    async fn agree(
        &self,
        head: &Head,
        path: &RelativePath,
        mut opener: FileOpener,
    ) -> Result<(Here, FileOpener), Lost> {
        let Destination::Directory(target) = self.context.shared.config.destination.clone() else {
            return Ok((Here::Part(None), opener));
        };
        let (head, path, context) = (head.clone(), path.clone(), self.context.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let (here, sealed) = look(&context, &target, &head, &path, &mut opener)?;
            Ok::<_, Lost>((here, opener, sealed))
        });
        let (here, opener, sealed) = looking
            .await
            .map_err(|_| Lost::new(None, Code::Internal, "looking for the file panicked"))??;
        if let Some(have) = sealed {
            let message = PeerMessage::Start {
                file: self.index,
                have: have.into(),
            };
            self.context
                .voice
                .tell(self.context.transfer, Some(self.context.from), message)
                .await;
        }
        Ok((here, opener))
    }

    /// Takes a file of one chunk, or an entry without content, in one piece.
    async fn small(
        &self,
        stream: &mut FileReceiver,
        opener: FileOpener,
        head: Head,
        path: RelativePath,
    ) -> Result<(), Lost> {
        let mut frames: Vec<Frame> = Vec::with_capacity(2);
        while let Some(frame) = next_frame(stream).await? {
            // One chunk and the trailer: more is a lie that need not be held in memory.
            if frames.len() >= 2 {
                return Err(verification(None, &OpenError::AfterLast));
            }
            frames.push(frame);
        }
        let job = Job::Small {
            index: self.index,
            opener: Box::new(opener),
            head,
            path,
            frames,
        };
        self.context.store.send(job).await.map_err(|_| over())
    }

    /// Takes a larger file chunk by chunk: this task reads, one thread opens and writes.
    async fn bulk(
        &self,
        stream: &mut FileReceiver,
        opener: FileOpener,
        head: Head,
        path: RelativePath,
        partial: Option<Partial>,
    ) -> Result<(), Lost> {
        let (frames, received) = mpsc::channel::<Frame>(CHUNKS_AHEAD);
        let (context, active) = (self.context.clone(), self.active.clone());
        let file = incoming_file(self.context.from, &head, &path);
        let writing = tokio::task::spawn_blocking(move || {
            let mut slot = match partial {
                Some(partial) => Slot::Partial(partial),
                None => match Slot::open(&context.shared.config.destination, &file) {
                    Ok(slot) => slot,
                    Err(error) => return (Slot::Nothing, Err(Writing::Storage(error))),
                },
            };
            context.note_partial(&slot);
            let limit = context.shared.config.max_size;
            let written = write(&mut slot, opener, received, (&active, limit));
            (slot, written)
        });
        let mut ended = Ok(());
        loop {
            match next_frame(stream).await {
                Ok(Some(frame)) => {
                    if frames.send(frame).await.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(lost) => {
                    ended = Err(lost);
                    break;
                }
            }
        }
        drop(frames);
        let (slot, written) = writing
            .await
            .map_err(|_| Lost::new(None, Code::Internal, "the writing thread panicked"))?;
        let lost = match (ended, written) {
            (Ok(()), Ok(whole)) => {
                let job = Job::Complete {
                    index: self.index,
                    slot,
                    whole,
                    head,
                    path,
                };
                return self.context.store.send(job).await.map_err(|_| over());
            }
            // The partial file stays, for a later attempt to go on with.
            (_, Err(Writing::Storage(error))) => return Err(storage(None, &error)),
            (Err(lost), Ok(_) | Err(Writing::Incomplete)) if lost.code != Code::SourceChanged => {
                return Err(lost);
            }
            (Err(lost), Ok(_) | Err(Writing::Incomplete)) => lost,
            (_, Err(Writing::Verification(error))) => verification(None, &error),
            (_, Err(Writing::TooLarge)) => {
                Lost::new(None, Code::Declined, "it is larger than is taken here")
            }
            (Ok(()), Err(Writing::Incomplete)) => {
                let reason = "the file ends before its trailer";
                Lost::new(None, Code::Verification, reason)
            }
        };
        // Of a source that has changed, or of a lie, nothing can be gone on with.
        slot.discard();
        Err(lost)
    }
}

async fn next_frame(stream: &mut FileReceiver) -> Result<Option<Frame>, Lost> {
    let Some(header) = stream.frame_header().await.map_err(|e| ended(&e))? else {
        return Ok(None);
    };
    let mut payload = vec![0; header.len];
    stream.fill(&mut payload).await.map_err(|e| ended(&e))?;
    Ok(Some((header, payload)))
}

/// Looks for the file in the journal, in the directory, and among the partial files.
///
/// Returns what is to be told to the sender, sealed; nothing where the file is refused.
fn look(
    context: &Context,
    target: &Target,
    head: &Head,
    path: &RelativePath,
    opener: &mut FileOpener,
) -> Result<(Here, Option<Vec<u8>>), Lost> {
    let here = |error: StorageError| storage(None, &error);
    let told = |error: OpenError| verification(None, &error);
    let modified = head.mtime.map(|time| (time.0, time.1));
    let whole = |stored: &RelativePath, len, hash: blake3::Hash, opener: &mut FileOpener| {
        let sealed = opener.have(*hash.as_bytes()).map_err(told)?;
        let stored = Stored {
            path: context.shared.config.out.join(stored.to_path_buf()),
            len,
            hash,
            resumed_from: 0,
            already_there: true,
            text: None,
            notable: true,
        };
        Ok::<_, Lost>((Here::Whole(stored), Some(sealed)))
    };
    // What was stored may have been moved or changed since: it is hashed again.
    if let Some(done) = context.stored_before(path, head.size, modified)
        && let Some(existing) = target.existing(&done.stored).map_err(here)?
        && existing.len == done.len
        && existing.hash_prefix(existing.len).map_err(here)?.finalize() == done.blake3
    {
        return whole(&done.stored, done.len, done.blake3, opener);
    }
    if context.shared.config.conflict == Conflict::Skip
        && let Some(existing) = target.existing(path).map_err(here)?
    {
        if head.size.is_some_and(|size| size != existing.len) {
            return Ok((Here::Other, None));
        }
        let hash = existing.hash_prefix(existing.len).map_err(here)?.finalize();
        return whole(path, existing.len, hash, opener);
    }
    if head.size.is_some_and(|size| size <= CHUNK_SIZE as u64) {
        let sealed = opener.start_at(0, blake3::Hasher::new()).map_err(told)?;
        return Ok((Here::Part(None), Some(sealed)));
    }
    let partial = target
        .begin(&incoming_file(context.from, head, path))
        .map_err(here)?;
    // Killed after a file got its name and before that was noted: it is there, and whole.
    if partial.is_empty()
        && let Some(existing) = target.existing(path).map_err(here)?
        && head.size == Some(existing.len)
    {
        let hash = existing.hash_prefix(existing.len).map_err(here)?.finalize();
        return whole(path, existing.len, hash, opener);
    }
    let chunks = u32::try_from(partial.len() / CHUNK_SIZE as u64).unwrap_or(u32::MAX - 1);
    let hasher = partial
        .hash_prefix(u64::from(chunks) * CHUNK_SIZE as u64)
        .map_err(here)?;
    let sealed = opener.start_at(chunks, hasher).map_err(told)?;
    Ok((Here::Part(Some(partial)), Some(sealed)))
}

/// How storage knows the file, so that a later attempt finds its partial file again.
pub(super) fn incoming_file(sender: PeerId, head: &Head, path: &RelativePath) -> IncomingFile {
    let modified = head.mtime.map(|time| (time.0, time.1));
    IncomingFile {
        path: path.clone(),
        size: head.size,
        executable: head.exec,
        modified,
        resume_key: IncomingFile::resume_key(&sender, path, head.size, modified),
    }
}

/// Why a larger file could not be written whole.
enum Writing {
    /// Frames ended before the trailer.
    Incomplete,
    Verification(OpenError),
    Storage(StorageError),
    /// More than this listener takes; a pipe cannot say so beforehand.
    TooLarge,
}

/// Opens and writes frames until the trailer; what is written is what was opened.
fn write(
    slot: &mut Slot,
    mut opener: FileOpener,
    mut frames: mpsc::Receiver<Frame>,
    (active, limit): (&Active, Option<u64>),
) -> Result<Whole, Writing> {
    let mut resumed_from = None;
    while let Some((header, mut payload)) = frames.blocking_recv() {
        if header.kind == FrameKind::Trailer {
            let digest = opener
                .finish(header, &mut payload)
                .map_err(Writing::Verification)?;
            if frames.blocking_recv().is_some() {
                return Err(Writing::Verification(OpenError::AfterLast));
            }
            let resumed_from = resumed_from.unwrap_or(digest.len);
            slot.truncate(digest.len).map_err(Writing::Storage)?;
            return Ok(Whole {
                len: digest.len,
                hash: digest.blake3.into(),
                resumed_from,
            });
        }
        let chunk = opener
            .open_chunk(header, &mut payload)
            .map_err(Writing::Verification)?;
        if resumed_from.is_none() {
            // Not where this side asked, if the sender found that the prefix is not its own.
            resumed_from = Some(chunk.offset);
            active.resumed_from.store(chunk.offset, Ordering::Relaxed);
            slot.truncate(chunk.offset).map_err(Writing::Storage)?;
        }
        let end = chunk.offset + chunk.content.len() as u64;
        if limit.is_some_and(|limit| end > limit) {
            return Err(Writing::TooLarge);
        }
        slot.write_all(chunk.content).map_err(Writing::Storage)?;
        active.stored.store(end, Ordering::Relaxed);
    }
    Err(Writing::Incomplete)
}

/// What the end of the stream means for the file.
fn ended(error: &StreamError) -> Lost {
    match error {
        StreamError::Ended(code) => Lost::new(None, *code, code.reason()),
        StreamError::Truncated | StreamError::Malformed(_) => {
            Lost::new(None, Code::Verification, error)
        }
        StreamError::Link(_) => Lost::new(None, Code::PeerGone, error),
    }
}

fn over() -> Lost {
    Lost::new(None, Code::Cancelled, "the transfer is over")
}

pub(super) fn verification(path: Option<&str>, error: &OpenError) -> Lost {
    Lost::new(path, Code::Verification, error)
}

pub(super) fn storage(path: Option<&str>, error: &StorageError) -> Lost {
    Lost::new(path, Code::Storage, error.reason())
}
