//! Finds what is to be sent, and seals small files, on a thread of its own.

use std::{
    io::{Cursor, Read},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    content::{self, ContentError, Reader},
    shared::RoundKeys,
};
use crate::{
    protocol::{CHUNK_SIZE, FileClass, FileIndex, FileName},
    sealing::{FileDigest, FileSealer, Head, HeadKind, ModifiedTime},
    storage::{Entry, EntryKind, OpenSource, Source},
    transfer::{Error, ErrorKind},
};

/// Jobs that wait for a stream: at most this many chunks of sealed content in memory.
const QUEUE: usize = 24;

/// One file to be sent.
pub(super) struct Job {
    pub(super) index: FileIndex,
    pub(super) head: Head,
    /// The sealed head, as the first frame.
    pub(super) head_frame: Vec<u8>,
    pub(super) class: FileClass,
    pub(super) content: Content,
}

/// What follows the head.
pub(super) enum Content {
    /// All frames, sealed already.
    Sealed(Vec<u8>, FileDigest),
    /// Still to be read and sealed.
    Open(Reader, Box<FileSealer>),
    /// The source failed after its number was taken.
    Failed(Error),
}

/// What the producer says.
pub(super) enum Produced {
    /// The next file.
    Job(Box<Job>),
    /// A file that cannot be sent.
    Unreadable(String, Error),
    /// No file comes after this many.
    End(u64),
}

/// A source, as one round consumes it.
pub(super) enum Producible {
    /// Files and directories.
    Paths(Source),
    /// One stream of unknown length.
    Pipe(FileName, Box<dyn Read + Send>),
    /// A message.
    Text(Bytes),
}

/// Starts the producer; it ends when everything is found or the receiver is dropped.
///
/// With `seal_small`, files of one chunk are read and sealed here, so that each costs its stream
/// one write; otherwise their content waits until recipients have said where to begin.
pub(super) fn start(
    source: Producible,
    keys: Arc<RoundKeys>,
    seal_small: bool,
) -> mpsc::Receiver<Produced> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let mut producer = Producer {
            keys,
            seal_small,
            sender,
        };
        // An error here is a receiver that is gone: nobody wants more.
        let _ = producer.run(source);
    });
    receiver
}

struct Producer {
    keys: Arc<RoundKeys>,
    seal_small: bool,
    sender: mpsc::Sender<Produced>,
}

/// The round is over.
struct Over;

impl Producer {
    fn run(&mut self, source: Producible) -> Result<(), Over> {
        match source {
            Producible::Paths(source) => {
                for entry in source.walk() {
                    match entry {
                        Ok(entry) => self.entry(&entry)?,
                        Err(error) => {
                            self.unreadable(error.path().display().to_string(), &error)?
                        }
                    }
                }
            }
            Producible::Pipe(name, reader) => {
                self.job(
                    head(HeadKind::File, name.as_str(), None),
                    Reader::Pipe(reader),
                )?;
            }
            Producible::Text(text) => {
                let head = head(HeadKind::Text, "message", Some(text.len() as u64));
                self.job(head, Reader::Bytes(Cursor::new(text)))?;
            }
        }
        self.say(Produced::End(self.keys.sealer.files()))
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Over> {
        let path = entry.path.as_str();
        let nothing = || Reader::Bytes(Cursor::new(Bytes::new()));
        let (head, reader) = match &entry.kind {
            EntryKind::File { .. } => match OpenSource::open(entry) {
                Ok(file) => {
                    let mut head = head(HeadKind::File, path, Some(file.len()));
                    head.exec = entry.executable;
                    head.mode = entry.mode;
                    head.sparse = file.is_sparse();
                    head.mtime = file
                        .modified()
                        .map(|(secs, nanos)| ModifiedTime(secs, nanos));
                    (head, Reader::File(file))
                }
                Err(error) => return self.unreadable(path.to_owned(), &error),
            },
            EntryKind::Directory => {
                let mut head = head(HeadKind::Dir, path, None);
                head.mode = entry.mode;
                head.mtime = entry
                    .modified
                    .map(|(secs, nanos)| ModifiedTime(secs, nanos));
                (head, nothing())
            }
            EntryKind::Symlink { target } => {
                let mut head = head(HeadKind::Symlink, path, None);
                head.target = Some(target.as_str().to_owned());
                (head, nothing())
            }
        };
        self.job(head, reader)
    }

    fn job(&mut self, head: Head, reader: Reader) -> Result<(), Over> {
        let small = match head.kind {
            HeadKind::File => head.size.is_some_and(|size| size <= CHUNK_SIZE as u64),
            _ => true,
        };
        let (sealer, head_frame) = match self.keys.sealer.seal_file(&head) {
            Ok(sealed) => sealed,
            Err(error) => return self.unreadable(head.path.clone(), &error),
        };
        let index = sealer.file();
        let content = if small && (self.seal_small || head.kind != HeadKind::File) {
            let mut frames = Vec::new();
            match content::seal_small(reader, sealer, self.keys.compression, &mut frames) {
                Ok(digest) => Content::Sealed(frames, digest),
                Err(error) => Content::Failed(source_failure(&error)),
            }
        } else {
            Content::Open(reader, Box::new(sealer))
        };
        let class = if small {
            FileClass::Small
        } else {
            FileClass::Bulk
        };
        self.say(Produced::Job(Box::new(Job {
            index,
            head,
            head_frame,
            class,
            content,
        })))
    }

    fn unreadable(&mut self, path: String, error: &dyn std::fmt::Display) -> Result<(), Over> {
        self.say(Produced::Unreadable(
            path,
            Error::new(ErrorKind::LocalFile, error),
        ))
    }

    fn say(&mut self, produced: Produced) -> Result<(), Over> {
        self.sender.blocking_send(produced).map_err(|_| Over)
    }
}

/// What a source's error means to whoever asked for the file.
pub(super) fn source_failure(error: &ContentError) -> Error {
    let reason = match error {
        ContentError::Seal(_) => "it changed while it was being sent".to_owned(),
        other => other.to_string(),
    };
    Error::new(ErrorKind::LocalFile, reason)
}

fn head(kind: HeadKind, path: &str, size: Option<u64>) -> Head {
    Head {
        path: path.to_owned(),
        kind,
        size,
        target: None,
        exec: false,
        mode: None,
        sparse: false,
        mtime: None,
        blake3: None,
    }
}
