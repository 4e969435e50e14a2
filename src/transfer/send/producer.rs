//! Finds what is to be sent, and seals small files, on a thread of its own.

use std::{
    io::{Cursor, Read},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::content::{self, ContentError, Reader};
use crate::{
    protocol::{CHUNK_SIZE, FileClass, FileIndex, FileName, RelativePath, TransferId},
    sealing::{Compression, FileDigest, FileSealer, Head, HeadKind, ModifiedTime, TransferSealer},
    storage::{Entry, EntryKind, HardLinks, Linked, OpenSource, Source},
    transfer::{Error, ErrorKind},
};

/// Files that wait for a stream: at most this many chunks of sealed content in memory.
const QUEUE: usize = 24;
/// How often hashing is reported.
const HASHING: Duration = Duration::from_millis(500);

/// The keys of one attempt, and how it seals.
#[derive(Debug)]
pub(super) struct AttemptKeys {
    pub(super) sealer: TransferSealer,
    pub(super) compression: Compression,
}

impl AttemptKeys {
    pub(super) fn transfer(&self) -> TransferId {
        self.sealer.transfer()
    }
}

/// One file to be sent.
pub(super) struct PreparedFile {
    pub(super) index: FileIndex,
    pub(super) head: Head,
    /// The sealed head, as the first frame.
    pub(super) head_frame: Vec<u8>,
    pub(super) class: FileClass,
    pub(super) content: PreparedContent,
}

/// What follows the head.
pub(super) enum PreparedContent {
    /// All frames, sealed already.
    Sealed(Vec<u8>, FileDigest),
    /// Still to be read and sealed.
    Open(Box<Open>),
    /// The source failed after its number was taken.
    Failed(Error),
}

/// Content that is not sealed yet.
pub(super) struct Open {
    pub(super) reader: Reader,
    pub(super) sealer: FileSealer,
    /// What the content is, where it was hashed already.
    pub(super) known: Option<FileDigest>,
}

/// What the producer says.
pub(super) enum Produced {
    /// The next file.
    File(Box<PreparedFile>),
    /// Content is being hashed before its head is sealed: this side is at work.
    Hashing,
    /// A name that is sent as another: what it is, and what it becomes.
    Replaced(String, String),
    /// A file that cannot be sent.
    Unreadable(String, Error),
    /// No file comes after this many.
    End(u64),
}

/// A source, as one attempt consumes it.
pub(super) enum Walk {
    /// Files and directories.
    Paths(Source),
    /// One stream of unknown length.
    Pipe(FileName, Box<dyn Read + Send>),
    /// A message.
    Text(Bytes),
}

/// How the files of an attempt are prepared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preparation {
    /// Read and seal files of one chunk here, so that each costs its stream one write; otherwise their
    /// content waits until recipients have said where to begin.
    pub(super) seal_small: bool,
    /// Hash each file before its head is sealed, and say in the head what it is: then a recipient that
    /// has it says so. To a sender that does not know the content, it says nothing.
    pub(super) hash: bool,
    /// Send further names of a file as hard links, after everything else.
    pub(super) link: bool,
    /// Say which names were replaced.
    pub(super) announce: bool,
}

/// Starts the producer; it ends when everything is found or the receiver is dropped.
pub(super) fn start(
    source: Walk,
    keys: Arc<AttemptKeys>,
    preparation: Preparation,
) -> mpsc::Receiver<Produced> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        let mut producer = Producer {
            keys,
            preparation,
            sender,
        };
        // An error here is a receiver that is gone: nobody wants more.
        let _ = producer.run(source);
    });
    receiver
}

struct Producer {
    keys: Arc<AttemptKeys>,
    preparation: Preparation,
    sender: mpsc::Sender<Produced>,
}

/// The attempt is over.
struct Over;

impl Producer {
    fn run(&mut self, source: Walk) -> Result<(), Over> {
        match source {
            Walk::Paths(source) => self.paths(&source)?,
            Walk::Pipe(name, reader) => {
                self.file(
                    Head::new(HeadKind::File, name.as_str(), None),
                    Reader::Pipe(reader),
                )?;
            }
            Walk::Text(text) => {
                let head = Head::new(HeadKind::Text, "message", Some(text.len() as u64));
                self.file(head, Reader::Bytes(Cursor::new(text)))?;
            }
        }
        self.say(Produced::End(self.keys.sealer.files()))
    }

    fn paths(&mut self, source: &Source) -> Result<(), Over> {
        let (mut links, mut further) = (HardLinks::default(), Vec::new());
        for entry in source.walk() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unreadable(error.path().display().to_string(), error)?;
                    continue;
                }
            };
            self.announce(&entry)?;
            let linked = match self.preparation.link {
                true => links.note(&entry),
                false => Linked::Alone,
            };
            match linked {
                Linked::Alone => {
                    self.entry(&entry, false)?;
                }
                Linked::First => {
                    if !self.entry(&entry, true)? {
                        links.forget(&entry);
                    }
                }
                Linked::To(first) => further.push((entry, first)),
            }
        }
        // Their files are on their way by now, so that nothing waits for what has not been opened.
        for (entry, first) in further {
            self.hard_link(&entry, &first)?;
        }
        Ok(())
    }

    /// Says so if the entry's own name was replaced; those below it go with it.
    fn announce(&mut self, entry: &Entry) -> Result<(), Over> {
        let name = entry.disk.file_name().unwrap_or_default();
        let is_new = name.to_str() != Some(entry.path.file_name());
        if entry.replaced && is_new && self.preparation.announce {
            let (from, to) = (format!("{name:?}"), entry.path.to_string());
            self.say(Produced::Replaced(from, to))?;
        }
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, first: &RelativePath) -> Result<(), Over> {
        let mut head = Head::new(HeadKind::HardLink, entry.path.as_str(), None);
        head.target = Some(first.as_str().to_owned());
        head.replaced = entry.replaced;
        // For a recipient whose file system has no hard links.
        head.exec = entry.executable;
        head.mode = entry.mode;
        head.mtime = entry
            .modified
            .map(|(secs, nanos)| ModifiedTime(secs, nanos));
        self.file(head, Reader::Bytes(Cursor::new(Bytes::new())))
    }

    /// Whether it can be sent.
    fn entry(&mut self, entry: &Entry, linked: bool) -> Result<bool, Over> {
        let path = entry.path.as_str();
        let nothing = || Reader::Bytes(Cursor::new(Bytes::new()));
        let (mut head, reader) = match &entry.kind {
            EntryKind::File { .. } => match OpenSource::open(entry) {
                Ok(file) => {
                    let mut head = Head::new(HeadKind::File, path, Some(file.len()));
                    head.exec = entry.executable;
                    head.mode = entry.mode;
                    head.sparse = file.is_sparse();
                    head.linked = linked;
                    head.mtime = file
                        .modified()
                        .map(|(secs, nanos)| ModifiedTime(secs, nanos));
                    (head, Reader::File(file))
                }
                Err(error) => {
                    self.unreadable(path.to_owned(), error)?;
                    return Ok(false);
                }
            },
            EntryKind::Directory => {
                let mut head = Head::new(HeadKind::Dir, path, None);
                head.mode = entry.mode;
                head.mtime = entry
                    .modified
                    .map(|(secs, nanos)| ModifiedTime(secs, nanos));
                (head, nothing())
            }
            EntryKind::Symlink { target } => {
                let mut head = Head::new(HeadKind::Symlink, path, None);
                head.target = Some(target.as_str().to_owned());
                (head, nothing())
            }
        };
        head.replaced = entry.replaced;
        self.file(head, reader)?;
        Ok(true)
    }

    fn file(&mut self, mut head: Head, mut reader: Reader) -> Result<(), Over> {
        let mut known = None;
        if self.preparation.hash && head.kind == HeadKind::File {
            match self.hash(&mut reader)? {
                Ok(digest) => known = digest,
                Err(error) => return self.unreadable(head.path.clone(), source_failure(error)),
            }
            head.blake3 = known.map(|digest| digest.blake3);
        }
        let small = match head.kind {
            HeadKind::File => head.size.is_some_and(|size| size <= CHUNK_SIZE as u64),
            _ => true,
        };
        let (sealer, head_frame) = match self.keys.sealer.seal_file(&head) {
            Ok(sealed) => sealed,
            Err(error) => {
                let error = Error::from_source(ErrorKind::LocalFile, error);
                return self.unreadable(head.path.clone(), error);
            }
        };
        let index = sealer.file();
        let content = if small && (self.preparation.seal_small || head.kind != HeadKind::File) {
            let mut frames = Vec::new();
            match content::seal_small(reader, sealer, self.keys.compression, &mut frames) {
                Ok(digest) => PreparedContent::Sealed(frames, digest),
                Err(error) => PreparedContent::Failed(source_failure(error)),
            }
        } else {
            PreparedContent::Open(Box::new(Open {
                reader,
                sealer,
                known,
            }))
        };
        let class = if small {
            FileClass::Small
        } else {
            FileClass::Bulk
        };
        self.say(Produced::File(Box::new(PreparedFile {
            index,
            head,
            head_frame,
            class,
            content,
        })))
    }

    /// The content's digest; nothing of what can be read only once.
    fn hash(
        &mut self,
        reader: &mut Reader,
    ) -> Result<Result<Option<FileDigest>, ContentError>, Over> {
        let mut last = Instant::now();
        let mut over = Ok(());
        let digest = reader.digest(|_| {
            if last.elapsed() >= HASHING {
                last = Instant::now();
                over = self.say(Produced::Hashing);
            }
        });
        over.map(|()| digest)
    }

    fn unreadable(&mut self, path: String, error: impl Into<Error>) -> Result<(), Over> {
        self.say(Produced::Unreadable(path, error.into()))
    }

    fn say(&mut self, produced: Produced) -> Result<(), Over> {
        self.sender.blocking_send(produced).map_err(|_| Over)
    }
}

/// What a source's error means to whoever asked for the file.
pub(super) fn source_failure(error: ContentError) -> Error {
    match error {
        ContentError::Seal(error) => Error::from_source(ErrorKind::LocalFile, error)
            .context("it changed while it was being sent"),
        ContentError::Source(error) => error.into(),
        error => Error::from_source(ErrorKind::LocalFile, error),
    }
}
