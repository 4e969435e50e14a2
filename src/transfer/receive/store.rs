//! The thread that puts files under their names: written, synced, renamed, in batches.
//!
//! While one batch is synced the next gathers, so the wait for the disk is shared by as many files
//! as arrive meanwhile.

use std::{io::Write, sync::Arc};

use tokio::sync::mpsc;

use super::{
    Destination, Shared,
    context::SharedJournal,
    file::{Frame, storage, verification},
    here::incoming_file,
    settlement::{Lost, Settlement, Stored},
};
use crate::{
    protocol::{Code, FileIndex, FrameKind, PeerId, RelativePath},
    sealing::{FileOpener, Head, HeadKind, OpenError},
    storage::{Done, IncomingFile, Modified, Outcome, Partial, StorageError, store_all},
};

/// Files that wait to be stored: at most so many chunks in memory.
const QUEUE: usize = 64;
/// Files in one batch.
const BATCH: usize = 256;

/// What is to be put under its name.
pub(super) enum Job {
    /// A file of one chunk, or an entry without content: still sealed.
    Small {
        index: FileIndex,
        opener: Box<FileOpener>,
        head: Head,
        path: RelativePath,
        frames: Vec<Frame>,
    },
    /// A larger file that is written and verified.
    Complete {
        index: FileIndex,
        slot: Slot,
        whole: Whole,
        head: Head,
        path: RelativePath,
    },
}

/// What a verified file turned out to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    pub(super) len: u64,
    pub(super) hash: blake3::Hash,
    pub(super) resumed_from: u64,
}

/// Where content is written.
#[derive(Debug)]
pub(super) enum Slot {
    Partial(Partial),
    Stdout,
    /// Taken out to be discarded.
    Nothing,
}

impl Slot {
    pub(super) fn open(
        destination: &Destination,
        file: &IncomingFile,
    ) -> Result<Self, StorageError> {
        Ok(match destination {
            Destination::Directory(target) => Self::Partial(target.begin(file)?),
            Destination::Stdout => Self::Stdout,
        })
    }

    pub(super) fn write_all(&mut self, content: &[u8]) -> Result<(), StorageError> {
        match self {
            Self::Partial(partial) => partial.write_all(content),
            Self::Stdout => std::io::stdout()
                .lock()
                .write_all(content)
                .map_err(stdout_error),
            Self::Nothing => Ok(()),
        }
    }

    pub(super) fn truncate(&mut self, len: u64) -> Result<(), StorageError> {
        match self {
            Self::Partial(partial) if len < partial.len() => partial.truncate(len),
            Self::Partial(_) => Ok(()),
            Self::Stdout | Self::Nothing => Ok(()),
        }
    }

    /// Removes what was written: it is of no use to a later attempt.
    pub(super) fn discard(self) {
        if let Self::Partial(partial) = self {
            let _ = partial.discard();
        }
    }
}

/// Starts the thread; it ends when every sender of jobs is gone.
pub(super) fn start(
    shared: Arc<Shared>,
    destination: Destination,
    sender: PeerId,
    journal: SharedJournal,
    settle: mpsc::UnboundedSender<Settlement>,
) -> mpsc::Sender<Job> {
    let (jobs, mut queue) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let mut store = Store {
            shared,
            destination,
            sender,
            journal,
            settle,
            directories: Vec::new(),
        };
        let mut batch = Vec::with_capacity(BATCH);
        while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
            store.store(batch.drain(..));
        }
        store.end();
    });
    jobs
}

struct Store {
    shared: Arc<Shared>,
    destination: Destination,
    sender: PeerId,
    journal: SharedJournal,
    settle: mpsc::UnboundedSender<Settlement>,
    /// Directories and the times that they are to have once nothing more is stored in them.
    directories: Vec<(RelativePath, Option<Modified>, Option<u32>)>,
}

/// A file that is written, verified, and not yet under its name.
struct Pending {
    index: FileIndex,
    whole: Whole,
    head: Head,
    path: RelativePath,
}

impl Store {
    fn store(&mut self, jobs: impl Iterator<Item = Job>) {
        let mut pending = Vec::new();
        let mut partials = Vec::new();
        for job in jobs {
            let index = match &job {
                Job::Small { index, .. } | Job::Complete { index, .. } => *index,
            };
            match self.written(job) {
                Ok(Written::Partial(written)) => {
                    let (file, partial) = *written;
                    pending.push(file);
                    partials.push(partial);
                }
                Ok(Written::Settled(stored)) => self.settled(index, Ok(stored)),
                Err(lost) => self.settled(index, Err(lost)),
            }
        }
        let Destination::Directory(target) = &self.destination else {
            return;
        };
        for (file, placed) in pending
            .into_iter()
            .zip(store_all(partials, self.shared.config.conflict))
        {
            let outcome = self.placed(&file, placed);
            self.settled(file.index, outcome);
        }
        if let Err(error) = target.sync() {
            tracing::warn!(%error, "directories were not synced");
        }
    }

    /// Opens, verifies and writes what is not written yet.
    fn written(&mut self, job: Job) -> Result<Written, Lost> {
        let (index, mut opener, head, path, frames) = match job {
            Job::Complete {
                index,
                slot: Slot::Partial(partial),
                whole,
                head,
                path,
            } => {
                return Ok(Written::partial(
                    Pending {
                        index,
                        whole,
                        head,
                        path,
                    },
                    partial,
                ));
            }
            Job::Complete { whole, head, .. } => {
                std::io::stdout()
                    .flush()
                    .map_err(|e| storage(Some(&head.path), &stdout_error(e)))?;
                return Ok(Written::Settled(stored("-".into(), whole, true)));
            }
            Job::Small {
                index,
                opener,
                head,
                path,
                frames,
            } => (index, opener, head, path, frames),
        };
        let wrong = |error: OpenError| verification(Some(&head.path), &error);
        let here = |error: StorageError| storage(Some(&head.path), &error);
        let truncated = || {
            Lost::new(
                Some(&head.path),
                Code::Verification,
                "the file ends before its trailer",
            )
        };
        let mut frames = frames.into_iter();
        let (mut header, mut payload) = frames.next().ok_or_else(truncated)?;
        let mut content = Vec::new();
        if header.kind != FrameKind::Trailer {
            content = opener
                .open_chunk(header, &mut payload)
                .map_err(wrong)?
                .content
                .to_vec();
            (header, payload) = frames.next().ok_or_else(truncated)?;
        }
        let digest = opener.finish(header, &mut payload).map_err(wrong)?;
        if frames.next().is_some() {
            return Err(wrong(OpenError::AfterLast));
        }
        let whole = Whole {
            len: digest.len,
            hash: digest.blake3.into(),
            resumed_from: 0,
        };
        let target = match &self.destination {
            Destination::Directory(target) => target,
            Destination::Stdout if head.kind == HeadKind::File => {
                let mut out = std::io::stdout().lock();
                out.write_all(&content)
                    .and_then(|()| out.flush())
                    .map_err(|e| here(stdout_error(e)))?;
                return Ok(Written::Settled(stored("-".into(), whole, true)));
            }
            Destination::Stdout => {
                return Err(Lost::new(
                    Some(&head.path),
                    Code::Declined,
                    "only files go to standard output",
                ));
            }
        };
        match head.kind {
            HeadKind::Text => {
                let text = String::from_utf8_lossy(&content).into_owned();
                Ok(Written::Settled(Stored {
                    text: Some(text),
                    ..stored("".into(), whole, true)
                }))
            }
            HeadKind::Dir => {
                let made = target.create_dir(&path).map_err(here)?;
                // Directories of one transfer, each a few hundred bytes: bounded by the depth of
                // what a sender can make this side create anyway.
                let modified = head.mtime.map(|time| (time.0, time.1));
                if modified.is_some() || head.mode.is_some() {
                    self.directories.push((path.clone(), modified, head.mode));
                }
                Ok(Written::Settled(stored(made.to_path_buf(), whole, false)))
            }
            HeadKind::Symlink => {
                let to = head.target.as_deref().unwrap_or_default().parse();
                let to = to.map_err(|e| {
                    Lost::new(
                        Some(&head.path),
                        Code::Declined,
                        format!("the link is refused: {e}"),
                    )
                })?;
                let made = target
                    .create_symlink(&path, &to, self.shared.config.conflict)
                    .map_err(here)?;
                Ok(Written::Settled(stored(
                    made.path.to_path_buf(),
                    whole,
                    false,
                )))
            }
            HeadKind::File => {
                let mut partial = target
                    .begin(&incoming_file(self.sender, &head, &path))
                    .map_err(here)?;
                partial
                    .truncate(0)
                    .and_then(|()| partial.write_all(&content))
                    .map_err(here)?;
                Ok(Written::partial(
                    Pending {
                        index,
                        whole,
                        head,
                        path,
                    },
                    partial,
                ))
            }
        }
    }

    fn placed(
        &self,
        file: &Pending,
        placed: Result<crate::storage::Stored, StorageError>,
    ) -> Result<Stored, Lost> {
        let placed = placed.map_err(|e| storage(Some(&file.head.path), &e))?;
        if placed.outcome == Outcome::Skipped {
            return Err(Lost::new(
                Some(&file.head.path),
                Code::Declined,
                "another file of that name is there",
            ));
        }
        let done = Done {
            stored: placed.path.clone(),
            len: file.whole.len,
            blake3: file.whole.hash,
        };
        let modified = file.head.mtime.map(|time| (time.0, time.1));
        self.journal
            .with(|journal| journal.done(&file.path, file.head.size, modified, &done));
        let already_there = placed.outcome == Outcome::Identical;
        Ok(Stored {
            already_there,
            ..stored(placed.path.to_path_buf(), file.whole, true)
        })
    }

    fn settled(&self, index: FileIndex, outcome: Result<Stored, Lost>) {
        let outcome = outcome.map(|mut stored| {
            if stored.notable && stored.text.is_none() && stored.path.as_os_str() != "-" {
                stored.path = self.shared.config.out.join(&stored.path);
            }
            stored
        });
        let _ = self.settle.send(Settlement { index, outcome });
    }

    /// Gives directories the times that writing into them has changed.
    fn end(&self) {
        if let Destination::Directory(target) = &self.destination {
            // The deepest first: setting a time inside a directory changes nothing above it, but
            // a directory that is made late does.
            for (path, modified, mode) in self.directories.iter().rev() {
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

fn stdout_error(error: std::io::Error) -> StorageError {
    StorageError::Io {
        action: "write to",
        path: "standard output".into(),
        error,
    }
}

enum Written {
    Partial(Box<(Pending, Partial)>),
    Settled(Stored),
}

impl Written {
    fn partial(file: Pending, partial: Partial) -> Self {
        Self::Partial(Box::new((file, partial)))
    }
}

fn stored(path: std::path::PathBuf, whole: Whole, notable: bool) -> Stored {
    Stored {
        path,
        len: whole.len,
        hash: whole.hash,
        resumed_from: whole.resumed_from,
        already_there: false,
        text: None,
        notable,
    }
}
