//! Finds what is to be sent, and prepares small files, on a thread of its own.

use std::{io::Read, path::PathBuf, sync::Arc};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{SourceSpec, sealed::SealedFile, shared::RoundKeys};
use crate::{
    protocol::{CHUNK_SIZE, FileClass, FileIndex, FileName},
    sealing::{Head, HeadKind},
    storage::{Entry, EntryKind, OpenSource, Source, SourceError},
    transfer::{Failure, FailureKind},
};

/// Jobs that wait for a stream: at most this many chunks of prepared content in memory.
const QUEUE: usize = 24;

/// One file to be sent.
pub(super) struct Job {
    pub(super) index: FileIndex,
    pub(super) head: Head,
    pub(super) class: FileClass,
    pub(super) content: Content,
}

/// Where a job's content is.
pub(super) enum Content {
    /// Sealed already: the frames after the stream's header.
    Sealed(SealedFile),
    /// Still on disk.
    File(OpenSource),
    /// Comes as it comes.
    Pipe(Box<dyn Read + Send>),
    /// In memory.
    Bytes(Bytes),
}

/// What the producer says.
pub(super) enum Produced {
    /// The next file.
    Job(Job),
    /// A file that cannot be sent.
    Unreadable(String, Failure),
    /// No file comes after this many.
    End(u64),
}

/// Starts the producer; it ends when everything is found or the receiver is dropped.
///
/// With `seal_small`, files of one chunk are read and sealed here, so that each costs its stream
/// one write; otherwise their content waits until recipients have said where to begin.
pub(super) fn start(source: Producible, keys: Arc<RoundKeys>, seal_small: bool) -> mpsc::Receiver<Produced> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let mut producer = Producer { keys, seal_small, next: 0, sender };
        // An error here is a receiver that is gone: nobody wants more.
        let _ = producer.run(source);
    });
    receiver
}

/// A source, as one round consumes it.
pub(super) enum Producible {
    Paths { roots: Vec<PathBuf>, exclude: globset::GlobSet },
    Pipe { name: FileName, reader: Box<dyn Read + Send> },
    Text(Bytes),
}

impl Producible {
    /// Takes what a round needs; a pipe can be taken once.
    pub(super) fn take(source: &mut SourceSpec) -> Option<Self> {
        Some(match source {
            SourceSpec::Paths { roots, exclude } => Self::Paths { roots: roots.clone(), exclude: exclude.clone() },
            SourceSpec::Text(text) => Self::Text(Bytes::from(text.clone())),
            SourceSpec::Pipe { .. } => {
                let taken = std::mem::replace(source, SourceSpec::Paths { roots: vec![], exclude: globset::GlobSet::empty() });
                let SourceSpec::Pipe { name, reader } = taken else { return None };
                Self::Pipe { name, reader }
            }
        })
    }
}

struct Producer {
    keys: Arc<RoundKeys>,
    seal_small: bool,
    next: u64,
    sender: mpsc::Sender<Produced>,
}

/// The round is over.
struct Over;

impl Producer {
    fn run(&mut self, source: Producible) -> Result<(), Over> {
        match source {
            Producible::Paths { roots, exclude } => {
                for entry in Source::walk(&roots, &exclude) {
                    match entry.and_then(|entry| Self::open(&entry).map(|content| (entry, content))) {
                        Ok((entry, content)) => self.entry(&entry, content)?,
                        Err(error) => self.unreadable(&error)?,
                    }
                }
            }
            Producible::Pipe { name, reader } => {
                let head = Head::file(name.as_str().to_owned(), None, false, None);
                self.job(head, FileClass::Bulk, Content::Pipe(reader))?;
            }
            Producible::Text(text) => {
                let head = Head::text(text.len() as u64);
                self.job(head, FileClass::Small, Content::Bytes(text))?;
            }
        }
        self.say(Produced::End(self.next))
    }

    fn open(entry: &Entry) -> Result<Option<OpenSource>, SourceError> {
        match entry.kind {
            EntryKind::File { .. } => OpenSource::open(entry).map(Some),
            EntryKind::Directory | EntryKind::Symlink { .. } => Ok(None),
        }
    }

    fn entry(&mut self, entry: &Entry, source: Option<OpenSource>) -> Result<(), Over> {
        let path = entry.path.to_string();
        let (head, content) = match (&entry.kind, source) {
            (EntryKind::Symlink { target }, _) => {
                (Head::symlink(path, target.clone(), entry.modified), Content::Bytes(Bytes::new()))
            }
            (_, Some(file)) => {
                let head = Head::file(path, Some(file.size()), entry.executable, entry.modified);
                (head, Content::File(file))
            }
            (_, None) => (Head::directory(path, entry.modified), Content::Bytes(Bytes::new())),
        };
        let small = head.size.unwrap_or(0) <= CHUNK_SIZE as u64;
        let class = if small { FileClass::Small } else { FileClass::Bulk };
        self.job(head, class, content)
    }

    fn job(&mut self, head: Head, class: FileClass, content: Content) -> Result<(), Over> {
        let index = FileIndex(self.next);
        let content = match content {
            Content::File(file) if self.seal_small && class == FileClass::Small => {
                match SealedFile::seal(&self.keys, index, &head, file) {
                    Ok(sealed) => Content::Sealed(sealed),
                    // Not sent, so its number is free for the next file.
                    Err(error) => return self.unreadable(&error),
                }
            }
            Content::Bytes(bytes) if self.seal_small || head.kind != HeadKind::File => {
                Content::Sealed(SealedFile::seal_bytes(&self.keys, index, &head, &bytes))
            }
            other => other,
        };
        self.next += 1;
        self.say(Produced::Job(Job { index, head, class, content }))
    }

    fn unreadable(&mut self, error: &SourceError) -> Result<(), Over> {
        let path = error.path().map(|p| p.display().to_string()).unwrap_or_default();
        self.say(Produced::Unreadable(path, Failure::new(FailureKind::LocalFile, error)))
    }

    fn say(&mut self, produced: Produced) -> Result<(), Over> {
        self.sender.blocking_send(produced).map_err(|_| Over)
    }
}
