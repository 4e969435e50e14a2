//! Files that are there already, to compare with what arrives.

use std::{fs::File, io, path::PathBuf};

use cap_fs_ext::MetadataExt;

use super::{Conflict, LocalPath, StorageError, Target, conflict, content, directory::Missing, os};
use crate::protocol::RelativePath;

/// A file that is stored already, to compare with one that is offered.
#[derive(Debug)]
pub struct Existing {
    /// Bytes in it.
    pub len: u64,
    /// Where it is.
    pub local: LocalPath,
    file: File,
    path: PathBuf,
}

impl Target {
    /// The file of this name, if there is one; links are not followed.
    ///
    /// # Errors
    /// [`StorageError::Io`] if it is there and cannot be read.
    pub fn existing(&self, path: &RelativePath) -> Result<Option<Existing>, StorageError> {
        self.existing_at(&self.find(path, false)?.0)
    }

    /// The file at this place, if there is one; links are not followed.
    ///
    /// # Errors
    /// [`StorageError::Io`] if it is there and cannot be read.
    pub fn existing_at(&self, path: &LocalPath) -> Result<Option<Existing>, StorageError> {
        let directory = match self.tree.directory(path.parent(), Missing::Fail) {
            Ok(directory) => directory,
            Err(StorageError::NotADirectory { .. }) => return Ok(None),
            Err(StorageError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let place = directory.place(path.file_name());
        let found = content::open_file(directory.handle(), path.file_name())
            .map_err(StorageError::io("open", &place))?;
        Ok(found.map(|(file, len)| Existing {
            len,
            local: path.clone(),
            file,
            path: place,
        }))
    }

    /// Whether anything has this name, or one that it would be given here; a link or directory too.
    #[must_use]
    pub fn has(&self, path: &RelativePath) -> bool {
        self.candidates(path)
            .is_ok_and(|places| places.iter().any(|place| self.is_taken(place)))
    }

    /// Whether anything is at this place, a link or directory too.
    fn is_taken(&self, path: &LocalPath) -> bool {
        let directory = self.tree.directory(path.parent(), Missing::Fail);
        directory.is_ok_and(|directory| {
            let found = directory.handle().symlink_metadata(path.file_name());
            found.is_ok()
        })
    }

    /// Looks for a file of this length and content under the names that `conflict` would give it;
    /// where it is, if so. `progress` is told the bytes that are hashed, now and then.
    ///
    /// # Errors
    /// [`StorageError::Io`] if a file is there and cannot be read.
    pub fn find_identical(
        &self,
        path: &RelativePath,
        len: u64,
        blake3: &blake3::Hash,
        conflict: Conflict,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<LocalPath>, StorageError> {
        for place in self.candidates(path)? {
            let others = conflict::numbers(&place).take_while(|_| conflict == Conflict::Rename);
            for name in std::iter::once(place.clone()).chain(others) {
                match self.existing_at(&name)? {
                    Some(there) if there.len == len => {
                        if there.hash(&mut progress)? == *blake3 {
                            return Ok(Some(name));
                        }
                    }
                    Some(_) => {}
                    None if self.is_taken(&name) => {}
                    None => break,
                }
            }
        }
        Ok(None)
    }
}

impl Existing {
    /// Whether both are one file under two names.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        let identity = |file: &File| {
            let metadata = cap_std::fs::File::from_std(file.try_clone()?).metadata()?;
            Ok::<_, io::Error>((MetadataExt::dev(&metadata), MetadataExt::ino(&metadata)))
        };
        matches!((identity(&self.file), identity(&other.file)), (Ok(a), Ok(b)) if a == b)
    }

    /// Reads the content from its beginning, piece by piece.
    pub(super) fn read(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let (mut buffer, mut offset) = (vec![0; 256 << 10], 0);
        loop {
            let read = os::read_at(&self.file, &mut buffer, offset)
                .map_err(StorageError::io("read", &self.path))?;
            if read == 0 {
                return Ok(());
            }
            take(&buffer[..read])?;
            offset += read as u64;
        }
    }

    /// The hash of the content; `progress` is told how many bytes are hashed, now and then.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn hash(&self, progress: impl FnMut(u64)) -> Result<blake3::Hash, StorageError> {
        os::hash_prefix(&self.file, self.len, progress)
            .map(|(hasher, _)| hasher.finalize())
            .map_err(StorageError::io("read", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::{
        Outcome,
        testing::{Place, names},
    };

    const POLICIES: [Conflict; 3] = [Conflict::Rename, Conflict::Overwrite, Conflict::Skip];

    #[test]
    fn what_is_there_is_never_stored_again_whatever_the_policy() {
        for conflict in POLICIES {
            let place = Place::new();
            fs::write(place.out().join("a"), "same").unwrap();
            let stored = place.arrived("a", b"same").finish(conflict).unwrap();
            assert_eq!(stored.outcome, Outcome::Identical, "{conflict:?}");
            assert_eq!(names(place.out()), ["a"]);
        }
        let place = Place::new();
        for content in ["one", "two", "two", "one", "three", "two"] {
            let stored = place.arrived("a", content.as_bytes());
            stored.finish(Conflict::Rename).unwrap();
        }
        assert_eq!(names(place.out()), ["a", "a (1)", "a (2)"]);
    }

    #[test]
    fn it_is_found_under_every_name_that_it_may_have_been_given() {
        let place = Place::new();
        for (name, content) in [("a", "old"), ("a (1)", "new"), ("a (3)", "far")] {
            fs::write(place.out().join(name), content).unwrap();
        }
        fs::create_dir(place.out().join("d")).unwrap();
        fs::write(place.out().join("d (1)"), "new").unwrap();
        let find = |name: &str, content: &str, conflict| {
            let (hash, len) = (blake3::hash(content.as_bytes()), content.len() as u64);
            let name = name.parse().unwrap();
            let found = place
                .target
                .find_identical(&name, len, &hash, conflict, |_| ());
            found.unwrap().map(|path| path.as_str().to_owned())
        };
        assert_eq!(find("a", "old", Conflict::Skip).as_deref(), Some("a"));
        assert_eq!(find("a", "new", Conflict::Rename).as_deref(), Some("a (1)"));
        assert_eq!(find("d", "new", Conflict::Rename).as_deref(), Some("d (1)"));
        assert_eq!(find("a", "new", Conflict::Overwrite), None);
        // Behind a name that is free nothing was put by these rules.
        assert_eq!(find("a", "far", Conflict::Rename), None);
        assert_eq!(find("b/c", "new", Conflict::Rename), None);
    }
}
