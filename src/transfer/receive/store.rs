//! The thread that puts files under their names: written, synced, renamed, in batches.
//!
//! While one batch is synced the next gathers, so the wait for the disk is shared by as many files
//! as arrive meanwhile.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::mpsc;

use super::{
    Destination,
    context::{Context, modified},
    outcome::{FileError, Settlement, Stored, Whole},
    sink::{FileSink, SharedWriter},
};
use crate::{
    protocol::{Code, FileIndex, FrameHeader, FrameKind, RelativePath, Road},
    sealing::{FileDigest, FileOpener, Head, HeadKind, OpenError},
    storage::{Modified, Named, Outcome, Partial, Target, batch_size, crash_point, store_all},
    transfer::{Event, buffers::Buffer},
};

/// Files that wait to be stored: at most so many chunks in memory.
const QUEUE: usize = 64;
/// Directories of one transfer that get the times they had at the sender.
const DIRECTORIES: usize = 64 * 1024;

/// A frame as it came.
pub(super) type Frame = (FrameHeader, Buffer);

/// What is to be put under its name.
pub(super) struct ArrivedFile {
    pub(super) index: FileIndex,
    pub(super) head: Head,
    pub(super) path: RelativePath,
    pub(super) content: ArrivedContent,
}

pub(super) enum ArrivedContent {
    /// A file of one chunk, or an entry without content: still sealed.
    Sealed(Box<FileOpener>, Vec<Frame>, Road),
    /// A larger file that is written and verified.
    Written(Box<FileSink>, Whole),
}

/// Starts the thread; it ends when every sender of files is gone.
pub(super) fn start(context: Arc<Context>) -> mpsc::Sender<ArrivedFile> {
    let (arrived, mut queue) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let mut store = Store {
            context,
            directories: BTreeMap::new(),
        };
        let size = batch_size();
        let mut batch = Vec::with_capacity(size);
        while queue.blocking_recv_many(&mut batch, size) > 0 {
            store.store(batch.drain(..));
        }
        store.set_directory_times();
    });
    arrived
}

struct Store {
    context: Arc<Context>,
    /// Directories and the times and modes that they are to have once nothing more is stored in them.
    directories: BTreeMap<RelativePath, (Option<Modified>, Option<u32>)>,
}

/// How far a file gets before its batch is synced.
enum Step {
    /// Nothing is left to do.
    Settled(Stored),
    /// It waits for its name.
    Pending(Partial, Whole),
}

impl Store {
    fn store(&mut self, arrived: impl Iterator<Item = ArrivedFile>) {
        let (mut waiting, mut partials) = (Vec::new(), Vec::new());
        for file in arrived {
            let ArrivedFile {
                index,
                head,
                path,
                content,
            } = file;
            match self.write(&head, &path, content) {
                Ok(Step::Pending(partial, whole)) => {
                    waiting.push((index, head, path, whole));
                    partials.push(partial);
                }
                Ok(Step::Settled(stored)) => self.settle(index, &head, Ok(stored)),
                Err(error) => self.settle(index, &head, Err(error)),
            }
        }
        let names: Vec<_> = waiting
            .iter()
            .map(|(_, head, path, whole): &(_, Head, _, Whole)| Named {
                path,
                size: head.size,
                modified: modified(head),
                len: whole.len,
                blake3: whole.hash,
            })
            .collect();
        if !names.is_empty() {
            self.context.note_names(&names);
        }
        crash_point("named");
        let conflict = self.context.shared.config.conflict;
        for ((index, head, path, whole), placed) in
            waiting.into_iter().zip(store_all(partials, conflict))
        {
            let result = match placed {
                Ok(placed) if placed.outcome == Outcome::Skipped => {
                    Err(FileError::new(Code::Declined, ANOTHER))
                }
                Ok(placed) => {
                    crash_point("placed");
                    let identical = placed.outcome == Outcome::Identical;
                    let stored = Stored {
                        whole,
                        // Not so what was stored just before a kill, when nobody was told.
                        already_there: identical
                            && self.context.named_before(&path, &head)
                                != Some((whole.len, whole.hash)),
                        is_renamed: placed.path.as_str() != path.as_str(),
                        is_user_visible: true,
                    };
                    self.context.report(&head, &path, &placed.path, &stored);
                    Ok(stored)
                }
                Err(error) => Err(error.into()),
            };
            self.settle(index, &head, result);
        }
        if let Destination::Directory(target) = &self.context.destination
            && let Err(error) = target.sync()
        {
            tracing::warn!(%error, "directories were not synced");
        }
    }

    /// Opens, verifies and writes what is not written yet.
    fn write(
        &mut self,
        head: &Head,
        path: &RelativePath,
        content: ArrivedContent,
    ) -> Result<Step, FileError> {
        let context = self.context.clone();
        match (content, &context.destination) {
            (ArrivedContent::Written(sink, whole), _) => match *sink {
                FileSink::Partial(partial) => Ok(Step::Pending(partial, whole)),
                FileSink::Writer(writer) => self.written(head, &writer, whole),
            },
            (ArrivedContent::Sealed(opener, frames, road), destination) => {
                let (content, digest) = open_small(*opener, frames)?;
                let whole = Whole {
                    len: digest.len,
                    hash: digest.blake3.into(),
                    resumed_from: 0,
                    road,
                };
                match destination {
                    Destination::Directory(target) => {
                        self.place(target, head, path, &content, whole)
                    }
                    Destination::Writer(writer) => {
                        writer.write(&content)?;
                        self.written(head, writer, whole)
                    }
                }
            }
        }
    }

    /// All of a file has gone to the writer.
    fn written(&self, head: &Head, writer: &SharedWriter, whole: Whole) -> Result<Step, FileError> {
        writer.flush()?;
        let stored = shown(whole);
        self.context.announce(head, "-".into(), &stored);
        Ok(Step::Settled(stored))
    }

    /// Makes what one piece of content makes.
    fn place(
        &mut self,
        target: &Target,
        head: &Head,
        path: &RelativePath,
        content: &[u8],
        whole: Whole,
    ) -> Result<Step, FileError> {
        let fixture = Stored {
            is_user_visible: false,
            ..shown(whole)
        };
        match head.kind {
            HeadKind::Text => {
                self.context.shared.observer.event(Event::Message {
                    transfer: self.context.transfer,
                    from: self.context.from.clone(),
                    text: String::from_utf8_lossy(content).into_owned(),
                });
                Ok(Step::Settled(shown(whole)))
            }
            HeadKind::Dir => {
                let made = target.create_dir(path)?;
                // Directories of one transfer, each a few hundred bytes: bounded by the depth of
                // what a sender can make this side create anyway.
                let modified = modified(head);
                if (modified.is_some() || head.mode.is_some())
                    && self.directories.len() < DIRECTORIES
                {
                    self.directories.insert(path.clone(), (modified, head.mode));
                }
                let _ = made;
                Ok(Step::Settled(fixture))
            }
            HeadKind::Symlink => {
                let to = head.target.as_deref().unwrap_or_default().parse();
                let to = to.map_err(|e| {
                    FileError::new(Code::Declined, format!("the link is refused: {e}"))
                })?;
                target.create_symlink(path, &to, self.context.shared.config.conflict)?;
                Ok(Step::Settled(fixture))
            }
            HeadKind::HardLink => {
                let linked = &self.context.linked;
                let to = linked.place(head.target.as_deref().unwrap_or_default())?;
                let conflict = self.context.shared.config.conflict;
                let link = self.context.incoming(head, path);
                let stored = target.create_hard_link(&link, &to, conflict)?;
                match stored.outcome {
                    Outcome::Skipped => Err(FileError::new(Code::Declined, ANOTHER)),
                    _ => Ok(Step::Settled(fixture)),
                }
            }
            HeadKind::File => {
                let mut partial = target.begin(&self.context.incoming(head, path))?;
                partial.truncate(0)?;
                partial.write_all(content)?;
                Ok(Step::Pending(partial, whole))
            }
        }
    }

    fn settle(&self, index: FileIndex, head: &Head, result: Result<Stored, FileError>) {
        match &result {
            Ok(_) => self.context.allowance.stored(&head.path),
            Err(_) => {
                self.context.allowance.failed(&head.path);
                self.context.linked.failed(head);
            }
        }
        let result = result.map_err(|error| error.of(&head.path));
        let _ = self
            .context
            .settle
            .blocking_send(Settlement { index, result });
    }

    /// Gives directories the times that writing into them has changed.
    fn set_directory_times(&self) {
        if let Destination::Directory(target) = &self.context.destination {
            // What is inside comes behind in this order, and first in the other: a directory that
            // nobody may write to any more can still be given a time.
            for (path, (modified, mode)) in self.directories.iter().rev() {
                let set = modified
                    .map_or(Ok(()), |modified| target.set_dir_modified(path, modified))
                    .and(mode.map_or(Ok(()), |mode| target.restrict_dir(path, mode)));
                if let Err(error) = set {
                    tracing::debug!(%error, "time or mode of a directory not set");
                }
            }
        }
    }
}

/// Opens the frames of a file of one chunk.
fn open_small(
    mut opener: FileOpener,
    frames: Vec<Frame>,
) -> Result<(Vec<u8>, FileDigest), FileError> {
    let truncated = || FileError::new(Code::Verification, "the file ends before its trailer");
    let mut frames = frames.into_iter();
    let (mut header, mut payload) = frames.next().ok_or_else(truncated)?;
    let mut content = Vec::new();
    if header.kind != FrameKind::Trailer {
        content = opener.open_chunk(header, &mut payload)?.content.to_vec();
        (header, payload) = frames.next().ok_or_else(truncated)?;
    }
    let digest = opener.finish(header, &mut payload)?;
    match frames.next() {
        Some(_) => Err(OpenError::AfterLast.into()),
        None => Ok((content, digest)),
    }
}

/// Why a file is not stored where `--conflict skip` keeps another.
pub(super) const ANOTHER: &str = "another file of that name is there";

fn shown(whole: Whole) -> Stored {
    Stored {
        whole,
        already_there: false,
        is_renamed: false,
        is_user_visible: true,
    }
}
