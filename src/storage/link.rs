//! Symbolic links that arrive.

use std::{io, path::Path};

use cap_std::fs::Dir;

use super::{
    Conflict, Outcome, StorageError, Stored, Target, claim,
    conflict::{Placing, settle},
    directory::Missing,
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
        self.tree.with_directory(local.parent(), |directory| {
            let handle = directory.handle();
            let link = |name: &str| symlink(handle, target.as_str(), name);
            let replace = |name: &str| {
                let new = claim::random_name();
                link(&new)?;
                handle
                    .rename(&new, handle, name)
                    .inspect_err(|_| drop(handle.remove_file(&new)))
            };
            let is_same = |name: &str| leads_to(handle, name, &target);
            let how = Placing {
                create: link,
                replace,
                is_same,
            };
            let stored = settle(directory, &local, conflict, how)?;
            if !matches!(stored.outcome, Outcome::Skipped | Outcome::Identical) {
                self.tree.changed(directory)?;
            }
            Ok(stored)
        })
    }
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
}
