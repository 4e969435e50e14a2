//! One incoming file: its stream, its frames, and where it begins.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::mpsc;

use super::{
    Destination,
    allowance::{Allowance, TooMuch},
    context::Context,
    here::{Here, incoming_file, look},
    settlement::{Active, Lost, Settlement, Stored},
    store::{Job, Slot, Whole},
};
use crate::{
    protocol::{
        CHUNK_SIZE, Code, FileHeader, FileIndex, FrameHeader, FrameKind, PeerMessage, RelativePath,
    },
    quic::{FileReceiver, StreamError},
    sealing::{FileOpener, HEAD_MAX, Head, HeadKind, OpenError, TAG_LEN},
    storage::{Partial, StorageError},
    transfer::buffers::{Buffer, Buffers},
};

/// Sealed chunks between the stream and the thread that opens and writes.
const CHUNKS_AHEAD: usize = 4;
/// What a sender is told of a full disk.
const NO_SPACE: &str = "no space is left on the recipient's disk";

/// A frame as it came.
pub(super) type Frame = (FrameHeader, Buffer);

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
        // So many files at a time; the streams of others wait, and so in the end does their sender.
        let places = match small {
            true => &self.context.small,
            false => &self.context.bulk,
        };
        let _place = places.acquire().await.ok();
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
        if let Some(size) = head.size {
            self.context
                .allowance
                .take(size)
                .map_err(|e| Lost::of_all(None, Code::Declined, e))?;
        }
        if let (Destination::Directory(target), Some(size)) = (&config.destination, head.size)
            && size > CHUNK_SIZE as u64
            && !head.sparse
            && !self.context.each
            && target.free_bytes().is_ok_and(|free| size > free)
        {
            // Found out before the disk is full to its last byte, which hurts others than p2p.
            return Err(Lost::of_all(None, Code::Storage, NO_SPACE));
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
        let Destination::Directory(target) = self.context.destination.clone() else {
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
                .messages
                .send(Some(self.context.from), self.context.transfer, message)
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
        let buffers = Buffers::default();
        while let Some(frame) = next_frame(stream, &buffers).await? {
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
        let unknown = head.size.is_none();
        let writing = tokio::task::spawn_blocking(move || {
            let mut slot = match partial {
                Some(partial) => Slot::Partial(partial),
                None => match Slot::open(&context.destination, &file) {
                    Ok(slot) => slot,
                    Err(error) => return (Slot::Nothing, Err(Writing::Storage(error))),
                },
            };
            context.note_partial(&slot);
            // What has announced its size was counted by it.
            let allowance = unknown.then_some(&context.allowance);
            let written = write(&mut slot, opener, received, (&active, allowance));
            (slot, written)
        });
        let buffers = Buffers::default();
        let mut ended = Ok(());
        loop {
            match next_frame(stream, &buffers).await {
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
            (_, Err(Writing::TooMuch(error))) => Lost::of_all(None, Code::Declined, error),
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

async fn next_frame(stream: &mut FileReceiver, buffers: &Buffers) -> Result<Option<Frame>, Lost> {
    let Some(header) = stream.frame_header().await.map_err(|e| ended(&e))? else {
        return Ok(None);
    };
    let mut payload = buffers.take();
    payload.resize(header.len, 0);
    stream.fill(&mut payload).await.map_err(|e| ended(&e))?;
    Ok(Some((header, payload)))
}

/// Why a larger file could not be written whole.
enum Writing {
    /// Frames ended before the trailer.
    Incomplete,
    Verification(OpenError),
    Storage(StorageError),
    /// More than this listener takes; a pipe cannot say so beforehand.
    TooMuch(TooMuch),
}

/// Opens and writes frames until the trailer; what is written is what was opened.
fn write(
    slot: &mut Slot,
    mut opener: FileOpener,
    mut frames: mpsc::Receiver<Frame>,
    (active, allowance): (&Active, Option<&Allowance>),
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
            if let Some(allowance) = allowance {
                allowance.take(chunk.offset).map_err(Writing::TooMuch)?;
            }
            active.resumed_from.store(chunk.offset, Ordering::Relaxed);
            slot.truncate(chunk.offset).map_err(Writing::Storage)?;
        }
        let end = chunk.offset + chunk.content.len() as u64;
        if let Some(allowance) = allowance {
            let len = chunk.content.len() as u64;
            allowance.take(len).map_err(Writing::TooMuch)?;
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
    if error.is_out_of_space() {
        return Lost::of_all(path, Code::Storage, NO_SPACE);
    }
    Lost::new(path, Code::Storage, error.reason())
}
