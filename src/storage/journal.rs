//! What an interrupted transfer has stored already.

mod clean;
mod line;
mod marks;
mod open;
mod pending;
mod retire;
mod told;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

pub use clean::Cleaned;
pub use line::{Done, Named, News};
pub use marks::{Telling, claim};
pub use pending::{Pending, pending};
pub use told::Ticket;

use super::{Modified, Partial, StorageError, Target, incoming::hash_file, os};
use crate::protocol::{PeerId, RelativePath};
use line::{DoneLine, FinishedLine, LINE_MAX, Line, NamedLine, PartialLine, TopLine, each_line};
use marks::make_marks;
use open::open_for;
use retire::remove;
use told::Told;

/// How old a partial file and the journal that names it become before they are removed.
///
/// A week: whoever was interrupted on a Friday may go on after the weekend.
pub const PARTIAL_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The record of one job of one sender: an append-only file of JSON lines, which outlives a kill at
/// any moment, and is removed when the job is done.
///
/// ```text
/// {"top":{"out":"/home/me/in","sent":"photos","stored":"photos (1)"}}
/// {"partial":{"out":"/home/me/in","path":"photos (1)/.p2p-….part","of":"photos/a.jpg"}}
/// {"named":{"path":"photos/a.jpg","size":7,"modified":[1,0],"len":7,"blake3":"…"}}
/// {"done":{"path":"photos/a.jpg","size":7,"modified":[1,0],"stored":"photos/a (1).jpg","len":7,"blake3":"…"}}
/// {"finished":{}}
/// ```
/// `named` comes before the file gets its name, `done` after. Beside the journal lie marks of who was told
/// of each file ([`Telling`]); `finished` stands there while somebody still has to be.
///
/// It is a memory, not a proof: who is told by it that a file is there has to look.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    len: u64,
    /// Where in the file each earlier `done` line begins. Of a long job the lines are many and long;
    /// they stay on the disk.
    known: HashMap<[u8; 16], u64>,
    /// The directories at the top that were made for the job, each with the target and the name that
    /// it was sent under.
    tops: HashMap<(String, String), String>,
    /// The partial files noted, by what they are of.
    parts: HashMap<RelativePath, Part>,
    /// Files that an earlier attempt was about to give their names.
    named: HashMap<[u8; 16], (u64, blake3::Hash)>,
    /// Nothing if there are no marks of what is told.
    told: Option<Told>,
}

/// A partial file: the target, and the path below it.
type Part = (String, String);

impl Journal {
    /// Opens the journal of one job of one sender; says whether an earlier attempt left something
    /// in it.
    ///
    /// If another process has it open, or something that is no file of notes has its name, this one
    /// gets an empty one of its own.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn open(
        directory: &Path,
        sender: &PeerId,
        job: &[u8; 16],
    ) -> Result<(Self, bool), StorageError> {
        let (file, path) = open_for(directory, sender, job)?;
        Self::of(file, path)
    }

    /// Reads what is there. A last line that a kill or a full disk cut off is dropped.
    fn of(file: File, path: PathBuf) -> Result<(Self, bool), StorageError> {
        let mut known = HashMap::new();
        let mut tops = HashMap::new();
        let mut parts = HashMap::new();
        let mut named = HashMap::new();
        let mut any = false;
        let whole = each_line(&file, |at, line| {
            any = true;
            match line {
                Line::Done(done) if known.len() < KNOWN_MAX => {
                    parts.remove(&done.path);
                    let key = key_of(&done.path, done.size, done.modified);
                    named.remove(&key);
                    known.insert(key, at);
                }
                Line::Named(line) if named.len() < KNOWN_MAX => {
                    if let Ok(blake3) = blake3::Hash::from_hex(&line.blake3) {
                        let key = key_of(&line.path, line.size, line.modified);
                        named.insert(key, (line.len, blake3));
                    }
                }
                // What follows is of another run of the job.
                Line::Finished(_) => {
                    (any, known, tops) = (false, HashMap::new(), HashMap::new());
                    (named, parts) = (HashMap::new(), HashMap::new());
                }
                Line::Top(top) if tops.len() < TOPS_MAX => {
                    tops.insert((top.out, top.sent), top.stored);
                }
                Line::Partial(part) if parts.len() < KNOWN_MAX => {
                    parts.extend(part.of.map(|of| (of, (part.out, part.path))));
                }
                _ => {}
            }
        })
        .and_then(|whole| file.set_len(whole).map(|()| whole));
        let len = whole.map_err(StorageError::io("read the journal", &path))?;
        let marked = make_marks(&path, len == 0)
            .inspect_err(|error| tracing::debug!(%error, "no marks of what is told"));
        let journal = Self {
            file,
            told: marked.is_ok().then(|| Told::of(&path)),
            path,
            len,
            known,
            tops,
            parts,
            named,
        };
        Ok((journal, any))
    }

    /// Notes that a partial file was begun, so that it is removed when it is old.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn partial(&mut self, target: &Target, partial: &Partial) -> Result<(), StorageError> {
        // A path that is no text cannot be noted; its partial file is removed by a person, or
        // resumed.
        let Some(out) = target.path().to_str() else {
            return Ok(());
        };
        let part = (out.to_owned(), partial.partial_path());
        let of = partial.path().clone();
        if let Some(old) = self.parts.insert(of.clone(), part.clone())
            && old != part
        {
            // The source has changed since: of the part that was left nobody sends the rest.
            remove_part(&old);
        }
        self.append(&Line::Partial(PartialLine {
            out: part.0,
            path: part.1,
            of: Some(of),
        }))
        .map(drop)
    }

    /// Notes that a directory was made for the job at the top of the target, and how what it is for
    /// is called by the sender.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn top(&mut self, target: &Target, sent: &str, stored: &str) -> Result<(), StorageError> {
        let Some(out) = target.path().to_str() else {
            return Ok(());
        };
        self.append(&Line::Top(TopLine {
            out: out.to_owned(),
            sent: sent.to_owned(),
            stored: stored.to_owned(),
        }))
        .map(drop)
    }

    /// The directories that earlier attempts made at the top of this target, by the names that they
    /// were sent under.
    #[must_use]
    pub fn tops(&self, target: &Target) -> HashMap<String, String> {
        let out = target.path().to_str();
        let ours = self.tops.iter().filter(|((at, _), _)| Some(&**at) == out);
        ours.map(|((_, sent), stored)| (sent.clone(), stored.clone()))
            .collect()
    }

    /// Notes that verified files are about to get their names: a kill may come before the next note.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn named(&mut self, files: &[Named<'_>]) -> Result<(), StorageError> {
        let lines = files.iter().map(|file| {
            Line::Named(NamedLine {
                path: file.path.clone(),
                size: file.size,
                modified: file.modified,
                len: file.len,
                blake3: file.blake3.to_hex().to_string(),
            })
        });
        let lines: Vec<_> = lines.collect();
        self.append_all(&lines).map(drop)
    }

    /// Length and hash of a file that an earlier attempt was about to give its name, if it did not
    /// come to note that it had.
    #[must_use]
    pub fn was_named(
        &self,
        path: &RelativePath,
        size: Option<u64>,
        modified: Option<Modified>,
    ) -> Option<(u64, blake3::Hash)> {
        self.named.get(&key_of(path, size, modified)).copied()
    }

    /// Notes that a file is stored: after it is durable, and before anybody is told. Returns where the
    /// note is, for [`Journal::ticket`].
    ///
    /// `path`, `size` and `modified` are what the sender says of it.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn done(
        &mut self,
        path: &RelativePath,
        size: Option<u64>,
        modified: Option<Modified>,
        done: &Done,
        news: Option<News>,
    ) -> Result<u64, StorageError> {
        // It has its final name by now, or it was the part of an older version.
        if let Some(part) = self.parts.remove(path) {
            remove_part(&part);
        }
        self.append(&Line::Done(DoneLine {
            path: path.clone(),
            size,
            modified,
            stored: done.stored.clone(),
            len: done.len,
            blake3: done.blake3.to_hex().to_string(),
            news: news.filter(|_| self.told.is_some()),
        }))
    }

    /// The right to tell of the file that was noted there, once; nothing where that cannot be marked.
    #[must_use]
    pub fn ticket(&self, line: u64, telling: Telling) -> Option<Ticket> {
        Some(self.told.as_ref()?.ticket(line, telling))
    }

    /// What an earlier attempt has stored of a file that the sender describes so.
    #[must_use]
    pub fn lookup(
        &self,
        path: &RelativePath,
        size: Option<u64>,
        modified: Option<Modified>,
    ) -> Option<Done> {
        let at = *self.known.get(&key_of(path, size, modified))?;
        let mut line = vec![0; LINE_MAX];
        let read = os::read_at(&self.file, &mut line, at).ok()?;
        let end = line[..read].iter().position(|byte| *byte == b'\n')?;
        let Ok(Line::Done(done)) = serde_json::from_slice(&line[..end]) else {
            return None;
        };
        let same = done.path == *path && done.size == size && done.modified == modified;
        let blake3 = blake3::Hash::from_hex(&done.blake3).ok()?;
        same.then_some(Done {
            stored: done.stored,
            len: done.len,
            blake3,
        })
    }

    /// Bytes of the job that are below this target directory already, in whole files and parts.
    ///
    /// As far as notes and directory tell without reading content: for an estimate of free space.
    #[must_use]
    pub fn held(&self, target: &Target) -> u64 {
        let mut held: u64 = 0;
        // Every attempt notes the same partial file again.
        let mut parts = HashSet::new();
        // Lines are appended wherever this leaves the place to read from.
        if (&self.file).rewind().is_err() {
            return 0;
        }
        let _ = each_line(&self.file, |_, line| {
            if let Line::Finished(_) = line {
                held = 0;
            }
            held = held.saturating_add(match line {
                Line::Done(done) => done.len,
                Line::Partial(partial)
                    if target.path().to_str() == Some(&partial.out)
                        && parts.insert(partial.path.clone()) =>
                {
                    std::fs::symlink_metadata(target.path().join(&partial.path))
                        .map_or(0, |metadata| metadata.len())
                }
                Line::Partial(_) | Line::Top(_) | Line::Named(_) | Line::Finished(_) => 0,
            });
        });
        held
    }

    /// Removes the journal: the job is done. Not so if a file failed and a part of it is left: then
    /// it stays, for the next attempt to go on with and for [`Journal::clean`] to find. While somebody
    /// is still to be told of a file it stays as well, for the last one to remove.
    ///
    /// Dropped instead, it stays as well.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn finish(mut self) -> Result<(), StorageError> {
        let is_left = |(out, path): &Part| Path::new(out).join(path).symlink_metadata().is_ok();
        if self.parts.values().any(is_left) {
            return Ok(());
        }
        if self.told.as_ref().is_some_and(Told::has_open) {
            self.append(&Line::Finished(FinishedLine {}))?;
        }
        // The last ticket may have been used since; then nobody else removes it.
        match self.told.as_ref().is_none_or(Told::finish) {
            true => remove(&self.path).map_err(StorageError::io("remove the journal", &self.path)),
            false => Ok(()),
        }
    }

    fn append(&mut self, line: &Line) -> Result<u64, StorageError> {
        self.append_all(std::slice::from_ref(line))
    }

    /// Appends these at once; returns where they begin.
    fn append_all(&mut self, lines: &[Line]) -> Result<u64, StorageError> {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, line).expect("paths and numbers are JSON");
            bytes.push(b'\n');
        }
        let at = self.len;
        match self.file.write_all(&bytes) {
            Ok(()) => {
                self.len += bytes.len() as u64;
                Ok(at)
            }
            Err(error) => {
                // Half a line would spoil the next one.
                let _ = self.file.set_len(self.len);
                Err(StorageError::io("write the journal", &self.path)(error))
            }
        }
    }
}

/// Removes a partial file, unless it is in use.
fn remove_part((out, path): &Part) {
    let soon = SystemTime::now() + Duration::from_secs(60);
    if let Ok(target) = Target::open_existing(Path::new(out)) {
        let _ = target.remove_abandoned(path, soon);
    }
}

fn key_of(path: &RelativePath, size: Option<u64>, modified: Option<Modified>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hash_file(&mut hasher, path, size, modified);
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

const EXTENSION: &str = "log";

/// Files remembered of one job: some 40 bytes each. What is beyond is received again.
const KNOWN_MAX: usize = 1_000_000;

/// Directories at the top remembered of one job: nobody names more on a command line.
const TOPS_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
