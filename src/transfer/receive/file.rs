//! One incoming file: its stream, its frames, and where it begins.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
};

use super::{
    Destination,
    context::Context,
    lanes::{Lane, Lanes},
    local_copy::{Known, LocalCopy, negotiate_start, probe},
    outcome::{FileError, FileProgress, NO_SPACE, Settlement, Stored},
    sink::FileSink,
    store::{ANOTHER, ArrivedContent, ArrivedFile, Frame},
    writing::{WriteError, Writing},
};
use crate::{
    protocol::{CHUNK_SIZE, Code, FileHeader, FileIndex, PeerMessage, RelativePath},
    quic::FileReceiver,
    sealing::{FileOpener, Head, HeadKind, OpenError},
    transfer::buffers::Buffers,
};

/// Sealed chunks between the stream and the thread that opens and writes.
const CHUNKS_AHEAD: usize = 4;
/// Files of one chunk that are in memory on their way to the disk: as many as a sender has under way.
///
/// Without a bound a sender that is faster than the disk would fill the memory, since a stream that
/// is read to its end makes room for the next.
const SMALL_AT_ONCE: usize = 128;
/// Larger files of one transfer that are written at once; the sender sends no more than three.
const BULK_AT_ONCE: usize = 4;

/// Receives the files of one transfer; cheap to clone, for tasks of their own.
#[derive(Clone)]
pub(super) struct FileTasks {
    context: Arc<Context>,
    store: mpsc::Sender<ArrivedFile>,
    small: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
}

/// One of them.
struct FileTask {
    tasks: FileTasks,
    index: FileIndex,
    progress: FileProgress,
}

impl FileTasks {
    pub(super) fn new(context: Arc<Context>, store: mpsc::Sender<ArrivedFile>) -> Self {
        Self {
            context,
            store,
            small: Arc::new(Semaphore::new(SMALL_AT_ONCE)),
            bulk: Arc::new(Semaphore::new(BULK_AT_ONCE)),
        }
    }

    /// Receives one file, and says what became of it.
    pub(super) async fn receive(
        self,
        stream: (FileReceiver, FileHeader),
        more: mpsc::Receiver<Lane>,
        progress: FileProgress,
    ) {
        let (stream, header) = stream;
        let mut stream = Lanes::new(header.file, stream, more, progress.clone());
        let (index, context) = (header.file, self.context.clone());
        let task = FileTask {
            tasks: self,
            index,
            progress,
        };
        let result = match task.run(&mut stream).await {
            Ok(None) => return,
            Ok(Some(stored)) => Ok(stored),
            Err(error) => {
                stream.stop(error.code);
                Err(error)
            }
        };
        context.settle(Settlement { index, result }).await;
    }
}

impl FileTask {
    /// Returns what is settled already; `None` where the store settles it.
    async fn run(self, stream: &mut Lanes) -> Result<Option<Stored>, FileError> {
        let context = self.tasks.context.clone();
        let (head, opener) = self.head(stream).await?;
        self.progress.describe(&head.path, head.size);
        context.linked.coming(self.index, &head);
        let path = match self.admit(&head) {
            Ok(path) => path,
            Err(error) => {
                context.linked.failed(&head);
                return Err(error.of(&head.path));
            }
        };
        let result = self.content(stream, &head, &path, opener).await;
        match &result {
            Ok(Some(_)) => context.allowance.stored(&head.path),
            Ok(None) => {}
            Err(_) => {
                context.allowance.failed(&head.path);
                context.linked.failed(&head);
            }
        }
        result.map_err(|error| error.of(&head.path))
    }

    async fn content(
        self,
        stream: &mut Lanes,
        head: &Head,
        path: &RelativePath,
        mut opener: FileOpener,
    ) -> Result<Option<Stored>, FileError> {
        let context = self.tasks.context.clone();
        if head.kind == HeadKind::HardLink {
            // Without a place, which its file may need.
            let target = head.target.as_deref().unwrap_or_default();
            context.linked.wait(self.index, target).await?;
        }
        let small =
            head.kind != HeadKind::File || head.size.is_some_and(|size| size <= CHUNK_SIZE as u64);
        // So many files at a time; the streams of others wait, and so in the end does their sender.
        let places = match small {
            true => self.tasks.small.clone(),
            false => self.tasks.bulk.clone(),
        };
        let _place = places.acquire().await.ok();
        let mut copy = LocalCopy::Missing;
        if context.each && head.kind == HeadKind::File {
            (copy, opener) = self.negotiate_start(head, path, opener).await?;
        }
        let (partial, whole) = match copy {
            LocalCopy::Missing => (None, None),
            LocalCopy::Part(partial) => (Some(FileSink::Partial(partial)), None),
            LocalCopy::Whole(stored, whole, known) => (None, Some((stored, whole, known))),
            LocalCopy::Other => return Err(FileError::new(Code::Declined, ANOTHER)),
        };
        if whole.is_none() {
            context.allowance.may_come(&head.path)?;
        }
        let received = match small {
            true => self.small(stream, opener, head, path).await,
            false => self.bulk(stream, opener, head, path, partial).await,
        };
        match (received, whole) {
            // The sender has compared: what is here is what it has.
            (Err(error), Some((place, whole, known))) if error.code == Code::NotNeeded => {
                let stored = Stored {
                    whole,
                    already_there: known != Known::Named,
                    is_renamed: place.as_str() != path.as_str(),
                    is_user_visible: true,
                };
                if known == Known::Noted {
                    context.linked.stored(head, &place);
                } else {
                    let (head, path) = (head.clone(), path.clone());
                    let reporting =
                        spawn_blocking(move || context.report(&head, &path, &place, &stored));
                    let _ = reporting.await;
                }
                Ok(Some(stored))
            }
            (received, _) => received.map(|()| None),
        }
    }

    /// Reads and opens the first frame.
    async fn head(&self, stream: &mut Lanes) -> Result<(Head, FileOpener), FileError> {
        let (header, mut payload) = stream.head().await?;
        let opener = &self.tasks.context.opener;
        Ok(opener.open_head(self.index, header, &mut payload)?)
    }

    /// Checks what the head says before anything is made of it.
    fn admit(&self, head: &Head) -> Result<RelativePath, FileError> {
        let (context, declined) = (&self.tasks.context, Code::Declined);
        let path: RelativePath = head
            .path
            .parse()
            .map_err(|e| FileError::new(declined, format!("its name is refused: {e}")))?;
        context.allowance.admit(head)?;
        match &context.destination {
            // Found out before the disk is full to its last byte, which hurts others than p2p.
            Destination::Directory(target)
                if head.size.is_some_and(|size| {
                    let large = size > CHUNK_SIZE as u64 && !head.sparse && !context.each;
                    large && target.free_bytes().is_ok_and(|free| size > free)
                }) =>
            {
                Err(FileError::of_all(Code::Storage, NO_SPACE))
            }
            Destination::Directory(target) if head.replaced && target.is_strict() => {
                let reason = "its name was changed to be sent (--names strict)";
                Err(FileError::new(declined, reason))
            }
            Destination::Writer(_) if head.kind != HeadKind::File || self.index.0 != 0 => {
                let reason = "only one file goes to standard output";
                Err(FileError::new(declined, reason))
            }
            _ => Ok(path),
        }
    }

    /// Looks what is here of the file, and tells the sender.
    async fn negotiate_start(
        &self,
        head: &Head,
        path: &RelativePath,
        mut opener: FileOpener,
    ) -> Result<(LocalCopy, FileOpener), FileError> {
        let context = self.tasks.context.clone();
        let Destination::Directory(target) = context.destination.clone() else {
            return Ok((LocalCopy::Missing, opener));
        };
        let (head, path, progress) = (head.clone(), path.clone(), self.progress.clone());
        let looking = {
            let context = context.clone();
            spawn_blocking(move || {
                let copy = probe(&context, &target, &head, &path, &progress)?;
                let sealed = negotiate_start(&copy, &mut opener, &progress)?;
                Ok::<_, FileError>((copy, opener, sealed))
            })
        };
        let (copy, opener, sealed) = looking.await.map_err(panicked)??;
        if let Some(have) = sealed {
            let (file, have) = (self.index, have.into());
            context.send(PeerMessage::Start { file, have }).await;
        }
        Ok((copy, opener))
    }

    /// Takes a file of one chunk, or an entry without content, in one piece.
    async fn small(
        &self,
        stream: &mut Lanes,
        opener: FileOpener,
        head: &Head,
        path: &RelativePath,
    ) -> Result<(), FileError> {
        let mut frames: Vec<Frame> = Vec::with_capacity(2);
        let buffers = Buffers::default();
        while let Some(frame) = stream.next_frame(&self.tasks.context, &buffers).await? {
            // One chunk and the trailer: more is a lie that need not be held in memory.
            if frames.len() >= 2 {
                return Err(OpenError::AfterLast.into());
            }
            frames.push(frame);
        }
        self.store(
            head,
            path,
            ArrivedContent::Sealed(Box::new(opener), frames, self.progress.road()),
        )
        .await
    }

    /// Takes a larger file chunk by chunk: this task reads, one thread opens and writes.
    async fn bulk(
        &self,
        stream: &mut Lanes,
        opener: FileOpener,
        head: &Head,
        path: &RelativePath,
        sink: Option<FileSink>,
    ) -> Result<(), FileError> {
        let (frames, received) = mpsc::channel::<Frame>(CHUNKS_AHEAD);
        let writing = {
            let (context, progress) = (self.tasks.context.clone(), self.progress.clone());
            let (head, path) = (head.clone(), path.clone());
            spawn_blocking(move || {
                let sink = match sink {
                    Some(sink) => sink,
                    None => FileSink::open(&context, &head, &path)?,
                };
                if let FileSink::Partial(partial) = &sink {
                    context.note_partial(partial);
                }
                Ok::<_, FileError>(
                    Writing::new(context, head.size.is_some(), progress, sink)
                        .run(opener, received),
                )
            })
        };
        let buffers = Buffers::default();
        let read = loop {
            match stream.next_frame(&self.tasks.context, &buffers).await {
                Ok(Some(frame)) => {
                    if frames.send(frame).await.is_err() {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(frames);
        let (sink, written) = writing.await.map_err(panicked)??;
        let (error, may_resume) = match (read, written) {
            (Ok(()), Ok(whole)) => {
                let sink = sink.expect("it is there where all was written");
                return self
                    .store(head, path, ArrivedContent::Written(Box::new(sink), whole))
                    .await;
            }
            (_, Err(WriteError::Failed(error))) => {
                let may_resume = error.code == Code::Storage;
                (error, may_resume)
            }
            (Err(error), Ok(_) | Err(WriteError::Incomplete)) => {
                let may_resume = error.code != Code::SourceChanged;
                (error, may_resume)
            }
            (Ok(()), Err(WriteError::Incomplete)) => {
                let reason = "the file ends before its trailer";
                (FileError::new(Code::Verification, reason), false)
            }
        };
        // Of a source that has changed, or of a lie, nothing can be gone on with.
        if let Some(sink) = sink.filter(|_| !may_resume) {
            let _ = spawn_blocking(move || sink.discard()).await;
        }
        Err(error)
    }

    async fn store(
        &self,
        head: &Head,
        path: &RelativePath,
        content: ArrivedContent,
    ) -> Result<(), FileError> {
        let file = ArrivedFile {
            index: self.index,
            head: head.clone(),
            path: path.clone(),
            content,
        };
        let sent = self.tasks.store.send(file).await;
        sent.map_err(|_| FileError::new(Code::Cancelled, "the transfer is over"))
    }
}

fn panicked(_: tokio::task::JoinError) -> FileError {
    FileError::new(Code::Internal, "a thread that stores files panicked")
}
