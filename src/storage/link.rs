//! Links that arrive.

use std::{io, path::Path};

use cap_std::fs::Dir;

use super::{
    Conflict, IncomingFile, LocalPath, Outcome, StorageError, Stored, Target, claim,
    conflict::{Placing, settle},
    directory::Missing,
    sync::store_all,
};
use crate::protocol::{LinkTarget, RelativePath};

impl Target {
    /// Makes a symbolic link. One that is there with the same target is left as it is, and counts as
    /// [`Outcome::Identical`].
    ///
    /// Durable after the next [`store_all`](super::store_all) or [`Target::sync`].
    ///
    /// # Errors
    /// [`StorageError::Link`] if it would point outside the tree that it is in, by the rules of
    /// [`LinkTarget::inside`]; else as for files.
    pub fn create_symlink(
        &self,
        path: &RelativePath,
        target: &LinkTarget,
        conflict: Conflict,
    ) -> Result<Stored, StorageError> {
        let place = || self.path().join(path.as_str());
        let target = target
            .clone()
            .inside(path)
            .map_err(|error| StorageError::Link {
                path: place(),
                error,
            })?;
        let (there, _) = self.find(path, false)?;
        if let Ok(directory) = self.tree.directory(there.parent(), Missing::Fail)
            && leads_to(directory.handle(), there.file_name(), &target)
        {
            return Ok(Stored {
                path: there,
                outcome: Outcome::Identical,
            });
        }
        let local = self.place(path, false)?;
        self.place_link(
            &local,
            conflict,
            |handle, name| symlink(handle, target.as_str(), name),
            |handle, name| leads_to(handle, name, &target),
        )
    }
}

impl Target {
    /// Gives the file at `to` another name. Where that is its name already, or a file of the same content
    /// has it, it counts as [`Outcome::Identical`]. A file system without hard links gets a copy.
    ///
    /// Durable after the next [`store_all`](super::store_all) or [`Target::sync`].
    ///
    /// # Errors
    /// As for files; [`StorageError::Io`] if there is no file at `to`.
    pub fn create_hard_link(
        &self,
        link: &IncomingFile,
        to: &LocalPath,
        conflict: Conflict,
    ) -> Result<Stored, StorageError> {
        let source = self.tree.directory(to.parent(), Missing::Fail)?;
        let failed = |error| StorageError::io("link to", source.place(to.file_name()))(error);
        let there = source.handle().symlink_metadata(to.file_name());
        if !there.map_err(failed)?.is_file() {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        for path in self.candidates(&link.path)? {
            if self.are_alike(to, &path).unwrap_or(false) {
                let outcome = Outcome::Identical;
                return Ok(Stored { path, outcome });
            }
        }
        let local = self.place(&link.path, false)?;
        let linked = self.place_link(
            &local,
            conflict,
            |handle, name| source.handle().hard_link(to.file_name(), handle, name),
            |_, name| {
                let here = local.with_file_name(name);
                here.is_ok_and(|here| self.are_alike(to, &here).unwrap_or(false))
            },
        );
        match linked {
            Err(StorageError::Io { error, .. }) if has_no_links(&error) => {
                self.copy(link, to, conflict)
            }
            linked => linked,
        }
    }

    /// Makes a link by `create`, as the policy says where its name is taken; one for which `is_same` holds is
    /// left as it is.
    fn place_link(
        &self,
        local: &LocalPath,
        conflict: Conflict,
        create: impl Fn(&Dir, &str) -> io::Result<()>,
        is_same: impl Fn(&Dir, &str) -> bool,
    ) -> Result<Stored, StorageError> {
        self.tree.with_directory(local.parent(), |directory| {
            let handle = directory.handle();
            let replace = |name: &str| {
                let new = claim::random_name();
                create(handle, &new)?;
                handle
                    .rename(&new, handle, name)
                    .inspect_err(|_| drop(handle.remove_file(&new)))
            };
            let how = Placing {
                create: |name: &str| create(handle, name),
                replace,
                is_same: |name: &str| is_same(handle, name),
            };
            let stored = settle(directory, local, conflict, how)?;
            if !matches!(stored.outcome, Outcome::Skipped | Outcome::Identical) {
                self.tree.changed(directory)?;
            }
            Ok(stored)
        })
    }

    /// Whether two files are one, or have the same content.
    fn are_alike(&self, one: &LocalPath, other: &LocalPath) -> Result<bool, StorageError> {
        let (Some(one), Some(other)) = (self.existing_at(one)?, self.existing_at(other)?) else {
            return Ok(false);
        };
        Ok(one.is_same_file(&other)
            || (one.len == other.len && one.hash(|_| ())? == other.hash(|_| ())?))
    }

    fn copy(
        &self,
        link: &IncomingFile,
        from: &LocalPath,
        conflict: Conflict,
    ) -> Result<Stored, StorageError> {
        let mut copy = self.begin(link)?;
        copy.truncate(0)?;
        if let Some(there) = self.existing_at(from)? {
            there.read(|bytes| copy.write_all(bytes))?;
        }
        let mut stored = store_all(vec![copy], conflict);
        stored.pop().expect("as many as were given")
    }
}

/// Whether a file system, or its rules, has no further name for a file.
fn has_no_links(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(
        error.kind(),
        CrossesDevices | PermissionDenied | TooManyLinks | Unsupported
    )
}

fn leads_to(directory: &Dir, name: &str, target: &LinkTarget) -> bool {
    let there = directory.read_link_contents(name);
    there.is_ok_and(|there| there == Path::new(target.as_str()))
}

fn symlink(directory: &Dir, target: &str, name: &str) -> io::Result<()> {
    #[cfg(unix)]
    {
        directory.symlink(target, name)
    }
    #[cfg(not(unix))]
    {
        // Windows wants to know whether a link leads to a file or a directory, which may not have
        // arrived, and allows links to few users.
        let _ = (directory, target, name);
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::testing::{Place, incoming, names};

    fn path(text: &str) -> RelativePath {
        text.parse().unwrap()
    }

    #[test]
    fn a_sent_link_stays_inside_and_nothing_is_stored_through_it() {
        let place = Place::new();
        let make = |link: &str, to: &str, conflict| {
            place
                .target
                .create_symlink(&path(link), &to.parse().unwrap(), conflict)
        };
        let stored = make("t/l", "d", Conflict::Rename).unwrap();
        assert_eq!(stored.outcome, Outcome::Created);
        assert_eq!(
            fs::read_link(place.out().join("t/l")).unwrap(),
            Path::new("d")
        );
        for (link, to) in [("l", "t"), ("t/m", "../x"), ("t/d/m", "../../x")] {
            let error = make(link, to, Conflict::Rename).unwrap_err();
            assert!(matches!(error, StorageError::Link { .. }), "{error}");
        }
        place.target.create_dir(&path("t/d")).unwrap();
        assert!(place.target.begin(&incoming("t/l/f", 0)).is_err());
        let stored = place.arrived("t/l", b"file").finish(Conflict::Rename);
        assert_eq!(stored.unwrap().path.as_str(), "t/l (1)");
        assert_eq!(names(&place.out().join("t/d")), [""; 0]);

        let again = make("t/l", "d", Conflict::Rename).unwrap();
        assert_eq!(again.outcome, Outcome::Identical);
        let other = make("t/l", "e", Conflict::Rename).unwrap();
        assert_eq!(other.path.as_str(), "t/l (2)");
        let other = make("t/l", "e", Conflict::Rename).unwrap();
        assert_eq!(other.outcome, Outcome::Identical);
        assert_eq!(other.path.as_str(), "t/l (2)");
        let other = make("t/l", "e", Conflict::Overwrite).unwrap();
        assert_eq!(other.outcome, Outcome::Replaced);
        assert_eq!(
            fs::read_link(place.out().join("t/l")).unwrap(),
            Path::new("e")
        );
        place.target.sync().unwrap();
    }

    #[test]
    fn a_file_gets_further_names_and_what_is_there_already_stays() {
        use std::os::unix::fs::MetadataExt;
        let place = Place::new();
        place
            .arrived("t/a", b"one")
            .finish(Conflict::Rename)
            .unwrap();
        let make = |link: &str, to: &str, conflict| {
            let to = to.parse().unwrap();
            place
                .target
                .create_hard_link(&incoming(link, 0), &to, conflict)
        };
        let inode = |name: &str| fs::metadata(place.out().join(name)).unwrap().ino();
        let stored = make("t/d/b", "t/a", Conflict::Rename).unwrap();
        assert_eq!(stored.outcome, Outcome::Created);
        assert_eq!(inode("t/a"), inode("t/d/b"));
        let again = make("t/d/b", "t/a", Conflict::Rename).unwrap();
        assert_eq!(again.outcome, Outcome::Identical);
        fs::write(place.out().join("t/c"), "other").unwrap();
        let skipped = make("t/c", "t/a", Conflict::Skip).unwrap();
        assert_eq!(skipped.outcome, Outcome::Skipped);
        let beside = make("t/c", "t/a", Conflict::Rename).unwrap();
        assert_eq!(beside.path.as_str(), "t/c (1)");
        assert_eq!(fs::read(place.out().join("t/c")).unwrap(), b"other");
        make("t/c", "t/a", Conflict::Overwrite).unwrap();
        assert_eq!(inode("t/a"), inode("t/c"));
        // Neither a link nor what is not there gets another name.
        std::os::unix::fs::symlink("/etc/passwd", place.out().join("t/l")).unwrap();
        for to in ["t/l", "t/none"] {
            assert!(make("t/x", to, Conflict::Rename).is_err(), "{to}");
        }
        let mut link = incoming("t/copy", 0);
        link.size = None;
        let to = "t/a".parse().unwrap();
        let copied = place.target.copy(&link, &to, Conflict::Rename).unwrap();
        assert_eq!(copied.outcome, Outcome::Created);
        assert_eq!(fs::read(place.out().join("t/copy")).unwrap(), b"one");
        place.target.sync().unwrap();
    }
}
