//! The thread that puts files under their names: written, synced, renamed, in batches.
//!
//! While one batch is synced the next gathers, so the wait for the disk is shared by as many files
//! as arrive meanwhile.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::mpsc;

use super::{
    Destination, Shared,
    file::{Frame, incoming_file, storage, verification},
    incoming::{Lost, Settlement, Stored},
};
use crate::{
    protocol::{Code, FileIndex, PeerId, RelativePath},
    sealing::{FileOpener, Head, HeadKind, OpenFileError},
    storage::{Done, Finished, IncomingFile, Journal, Partial, StorageError, Target, finish_all},
};

/// Files that wait to be stored: at most so many chunks in memory.
const QUEUE: usize = 64;
/// Files in one batch.
const BATCH: usize = 256;

/// What is to be put under its name.
pub(super) enum Job {
    /// A file of one chunk, or an entry without content: still sealed.
    Small { index: FileIndex, opener: Box<FileOpener>, head: Head, path: RelativePath, frames: Vec<Frame> },
    /// A larger file that is written and verified.
    Complete { index: FileIndex, slot: Slot, whole: Whole, head: Head, path: RelativePath },
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
    pub(super) fn open(destination: &Destination, file: &IncomingFile) -> Result<Self, StorageError> {
        Ok(match destination {
            Destination::Directory(target) => Self::Partial(target.begin(file)?),
            Destination::Stdout => Self::Stdout,
        })
    }

    pub(super) fn write_all(&mut self, content: &[u8]) -> Result<(), StorageError> {
        match self {
            Self::Partial(partial) => partial.write_all(content),
            Self::Stdout => std::io::stdout().lock().write_all(content).map_err(StorageError::stdout),
            Self::Nothing => Ok(()),
        }
    }

    pub(super) fn truncate(&mut self, len: u64) -> Result<(), StorageError> {
        match self {
            Self::Partial(partial) => partial.truncate(len),
            Self::Stdout | Self::Nothing => Ok(()),
        }
    }

    /// Moves it out, so that it can outlive the one who writes.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Nothing)
    }

    /// Removes what was written: it is of no use to a later attempt.
    pub(super) fn discard(self) {
        if let Self::Partial(partial) = self {
            partial.discard();
        }
    }
}

/// Starts the thread; it ends when every sender of jobs is gone.
pub(super) fn start(
    shared: Arc<Shared>,
    sender: PeerId,
    journal: Option<Arc<Mutex<Journal>>>,
    settle: mpsc::UnboundedSender<Settlement>,
) -> mpsc::Sender<Job> {
    let (jobs, mut queue) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let store = Store { shared, sender, journal, settle };
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
    sender: PeerId,
    journal: Option<Arc<Mutex<Journal>>>,
    settle: mpsc::UnboundedSender<Settlement>,
}

/// A file that is written, verified, and not yet under its name.
struct Pending {
    index: FileIndex,
    whole: Whole,
    head: Head,
    path: RelativePath,
}

impl Store {
    fn store(&self, jobs: impl Iterator<Item = Job>) {
        let mut pending = Vec::new();
        let mut partials = Vec::new();
        for job in jobs {
            let index = match &job {
                Job::Small { index, .. } | Job::Complete { index, .. } => *index,
            };
            match self.written(job) {
                Ok(Written::Partial(file, partial)) => {
                    pending.push(file);
                    partials.push(partial);
                }
                Ok(Written::Settled(stored)) => self.settled(index, Ok(stored)),
                Err(lost) => self.settled(index, Err(lost)),
            }
        }
        let Destination::Directory(target) = &self.shared.config.destination else { return };
        let finished = finish_all(target, partials, self.shared.config.conflict);
        for (file, finished) in pending.into_iter().zip(finished) {
            let outcome = self.finished(&file, finished);
            self.settled(file.index, outcome);
        }
    }

    /// Opens, verifies and writes what is not written yet.
    fn written(&self, job: Job) -> Result<Written, Lost> {
        let (index, mut opener, head, path, frames) = match job {
            Job::Complete { index, slot: Slot::Partial(partial), whole, head, path } => {
                return Ok(Written::Partial(Pending { index, whole, head, path }, partial));
            }
            Job::Complete { whole, head, .. } => {
                std::io::stdout().flush().map_err(|e| storage(Some(&head.path), &StorageError::stdout(e)))?;
                return Ok(Written::Settled(stored("-".into(), whole, true)));
            }
            Job::Small { index, opener, head, path, frames } => (index, opener, head, path, frames),
        };
        let wrong = |error: OpenFileError| verification(Some(&head.path), &error);
        let here = |error: StorageError| storage(Some(&head.path), &error);
        let mut frames = frames.into_iter();
        let (mut header, mut payload) = frames.next().ok_or_else(|| wrong(OpenFileError::Truncated))?;
        let mut content = Vec::new();
        if header.kind != crate::protocol::FrameKind::Trailer {
            content = opener.open_chunk(header, &mut payload).map_err(wrong)?.to_vec();
            (header, payload) = frames.next().ok_or_else(|| wrong(OpenFileError::Truncated))?;
        }
        let (len, hash) = opener.finish(header, &mut payload).map_err(wrong)?;
        let whole = Whole { len, hash, resumed_from: 0 };
        let target = match &self.shared.config.destination {
            Destination::Directory(target) => target,
            Destination::Stdout if head.kind == HeadKind::File => {
                let mut out = std::io::stdout().lock();
                out.write_all(&content).and_then(|()| out.flush()).map_err(|e| here(StorageError::stdout(e)))?;
                return Ok(Written::Settled(stored("-".into(), whole, true)));
            }
            Destination::Stdout => return Err(Lost::new(Some(&head.path), Code::Declined, "only files go to standard output")),
        };
        match head.kind {
            HeadKind::Text => {
                let text = String::from_utf8_lossy(&content).into_owned();
                Ok(Written::Settled(Stored { text: Some(text), ..stored("".into(), whole, true) }))
            }
            HeadKind::Directory => {
                target.create_dir(&path, head.modified).map_err(here)?;
                Ok(Written::Settled(stored(path.to_path_buf(), whole, false)))
            }
            HeadKind::Symlink => {
                let to = head.target.as_deref().unwrap_or_default();
                let made = target.create_symlink(&path, to, self.shared.config.conflict).map_err(here)?;
                Ok(Written::Settled(stored(made, whole, false)))
            }
            HeadKind::File => {
                // Nothing to resume in one chunk.
                let file = IncomingFile { resume_key: None, ..incoming_file(self.sender, &head, &path, None) };
                let mut partial = target.begin(&file).map_err(here)?;
                partial.write_all(&content).map_err(here)?;
                Ok(Written::Partial(Pending { index, whole, head, path }, partial))
            }
        }
    }

    fn finished(&self, file: &Pending, finished: Result<Finished, StorageError>) -> Result<Stored, Lost> {
        let finished = finished.map_err(|e| storage(Some(&file.head.path), &e))?;
        if finished.skipped {
            return Err(Lost::new(Some(&file.head.path), Code::Declined, "another file of that name is there"));
        }
        if let Some(journal) = &self.journal {
            let done = Done { path: finished.path.clone(), len: file.whole.len, blake3: file.whole.hash };
            let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal.done(&file.path, file.head.size, file.head.modified, &done);
        }
        Ok(stored(finished.path.to_path_buf(), file.whole, true))
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
        if let Destination::Directory(target) = &self.shared.config.destination {
            target.restore_directory_times();
        }
    }
}

enum Written {
    Partial(Pending, Partial),
    Settled(Stored),
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

