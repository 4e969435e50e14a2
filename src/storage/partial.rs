//! A file while it arrives.

use std::{fs::File, io, path::PathBuf, sync::Arc};

use super::{
    Conflict, IncomingFile, LocalPath, Outcome, StorageError, Stored,
    claim::{Claim, claim, partial_name, random_name},
    conflict,
    directory::{Directory, Tree},
    os, time,
};
use crate::protocol::RelativePath;

/// A file while it arrives: hidden, beside its final place, locked, append only.
///
/// Dropped without [`Partial::finish`] or [`Partial::discard`], as after any error or kill, it stays
/// on the disk, so that a later [`Target::begin`](super::Target::begin) with the same key resumes
/// it. One that nobody could resume (empty, or under a random name) is removed instead.
#[derive(Debug)]
pub struct Partial {
    tree: Arc<Tree>,
    directory: Arc<Directory>,
    file: File,
    name: String,
    resumable: bool,
    settled: bool,
    len: u64,
    /// From which length on the free space is looked at again.
    look_at: u64,
    incoming: IncomingFile,
    local: LocalPath,
}

impl Partial {
    /// Opens or makes the partial file of `incoming` in its directory.
    pub(super) fn open(
        tree: Arc<Tree>,
        directory: Arc<Directory>,
        incoming: IncomingFile,
        local: LocalPath,
    ) -> Result<Self, StorageError> {
        let failed = |error| StorageError::Io {
            action: "create a partial file for",
            path: directory.place(local.file_name()),
            error,
        };
        // Nobody can send the rest of what has no end that is known: it is a pipe.
        let mut resumable = incoming.size.is_some();
        let mut name = match resumable {
            true => partial_name(&incoming.resume_key),
            false => random_name(),
        };
        // Each turn fails only if another process did something to the name in that moment.
        for _ in 0..TRIES_MAX {
            match claim(directory.handle(), &name).map_err(failed)? {
                Claim::Got { file, len } => {
                    let mut partial = Self {
                        tree,
                        directory,
                        file,
                        name,
                        resumable,
                        settled: false,
                        len,
                        look_at: len,
                        incoming,
                        local,
                    };
                    if partial.incoming.size.is_some_and(|size| len > size) {
                        partial.truncate(0)?;
                    }
                    return Ok(partial);
                }
                Claim::Moved => {}
                Claim::Taken => {
                    name = random_name();
                    resumable = false;
                }
            }
        }
        Err(failed(io::ErrorKind::ResourceBusy.into()))
    }

    /// Bytes that are there: those of an earlier attempt, and all written since.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is there yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a later attempt will find what is written now.
    ///
    /// Not so when the partial file of the same key is in use, or not fit for use, and for a pipe.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        self.resumable
    }

    /// The name that it was sent under.
    #[must_use]
    pub fn path(&self) -> &RelativePath {
        &self.incoming.path
    }

    /// The partial file's own path below the target directory, with `/` between components.
    #[must_use]
    pub fn partial_path(&self) -> String {
        match self.local.parent() {
            Some(parent) => format!("{parent}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Appends.
    ///
    /// # Errors
    /// [`StorageError::Size`] beyond the announced size, before anything is written. After an
    /// [`StorageError::Io`], what was written is still there and counted.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let end = self.len + bytes.len() as u64;
        if let Some(size) = self.incoming.size.filter(|size| end > *size) {
            return Err(self.wrong_size(size, end));
        }
        if end > self.look_at {
            self.leave_room(bytes.len() as u64)?;
            self.look_at = end + LOOK_EVERY;
        }
        let write = match self.incoming.sparse {
            true => os::write_with_holes,
            false => os::write_all_at,
        };
        let (written, result) = write(&self.file, bytes, self.len);
        self.len += written as u64;
        result.map_err(StorageError::io("write", self.place()))
    }

    /// Fails as on a full disk before it is full to its last byte, which would hurt others.
    fn leave_room(&self, bytes: u64) -> Result<(), StorageError> {
        let directory = &self.directory;
        match os::space(directory.handle(), directory.path()) {
            Ok(space) if space.usable() < bytes => {
                let error = io::ErrorKind::StorageFull.into();
                Err(StorageError::io("write", self.place())(error))
            }
            // A file system that cannot say how full it is will say when it is.
            _ => Ok(()),
        }
    }

    /// Drops everything after the first `len` bytes.
    ///
    /// # Errors
    /// [`StorageError::Size`] if there are not so many.
    pub fn truncate(&mut self, len: u64) -> Result<(), StorageError> {
        if len > self.len {
            return Err(self.wrong_size(len, self.len));
        }
        self.file
            .set_len(len)
            .map_err(StorageError::io("truncate", self.place()))?;
        self.len = len;
        Ok(())
    }

    /// A hasher that has been given the first `len` bytes; `progress` is told how many, now and then.
    ///
    /// # Errors
    /// [`StorageError::Size`] if there are not so many.
    pub fn hash_prefix(
        &self,
        len: u64,
        progress: impl FnMut(u64),
    ) -> Result<blake3::Hasher, StorageError> {
        if len > self.len {
            return Err(self.wrong_size(len, self.len));
        }
        let (hasher, got) = os::hash_prefix(&self.file, len, progress)
            .map_err(StorageError::io("read", self.place()))?;
        match got == len {
            true => Ok(hasher),
            false => Err(self.wrong_size(len, got)),
        }
    }

    /// Removes it.
    ///
    /// # Errors
    /// [`StorageError::Io`] if it cannot be removed; it then stays as if dropped.
    pub fn discard(mut self) -> Result<(), StorageError> {
        self.settled = true;
        self.remove()
            .map_err(StorageError::io("remove the partial file of", self.place()))
    }

    /// The first part of storing: everything but the content's durability and the name.
    pub(super) fn seal(&self) -> Result<(), StorageError> {
        if let Some(size) = self.incoming.size.filter(|size| self.len != *size) {
            return Err(self.wrong_size(size, self.len));
        }
        os::set_mode(&self.file, self.incoming.executable, self.incoming.mode)
            .map_err(StorageError::io("set the mode of", self.place()))?;
        // A file system that cannot hold this time is no reason to lose the content.
        if let Some(time) = self.incoming.modified.and_then(time::to_system) {
            let _ = self.file.set_modified(time);
        }
        Ok(())
    }

    /// Makes the content and the attributes durable.
    ///
    /// After a failure the system may have dropped what it could not write and yet show it to
    /// readers, so nothing may be resumed from it: the file is emptied.
    pub(super) fn sync(&mut self) -> Result<(), StorageError> {
        let result = self
            .file
            .sync_all()
            .map_err(StorageError::io("sync", self.place()));
        if result.is_err() {
            let _ = self.truncate(0);
        }
        result
    }

    /// The last part: the final name. The lock is held until it is there.
    pub(super) fn place_by(mut self, conflict: Conflict) -> Result<Stored, StorageError> {
        let placed = conflict::place(&self.directory, &self.name, &self.local, conflict);
        if matches!(&placed, Err(StorageError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound)
        {
            // Removed with all that it was in?
            self.tree.reopen_if_replaced()?;
        }
        let stored = placed?;
        self.settled = true;
        if matches!(stored.outcome, Outcome::Skipped | Outcome::Identical) {
            let _ = self.remove();
        }
        Ok(stored)
    }

    pub(super) fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    pub(super) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    fn remove(&self) -> io::Result<()> {
        self.directory.handle().remove_file(&self.name)
    }

    fn place(&self) -> PathBuf {
        self.directory.place(self.local.file_name())
    }

    fn wrong_size(&self, expected: u64, got: u64) -> StorageError {
        StorageError::Size {
            path: self.place(),
            expected,
            got,
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.settled && (!self.resumable || self.len == 0) {
            // It is locked until the file is closed, which is after this: no one else is using it.
            let _ = self.remove();
        }
    }
}

/// How often another process may come between before it counts as an error.
const TRIES_MAX: usize = 16;

/// After how many bytes the free space is looked at again: little beside what is left free.
const LOOK_EVERY: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
