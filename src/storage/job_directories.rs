//! Where one job's files go: never into a directory that was there before it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use super::{Conflict, LocalPath, StorageError, conflict::numbers, directory::Tree};
use crate::protocol::NameError;

/// Hears what a directory that is sent is called here.
type Note = dyn Fn(&str, &str) + Send + Sync;

/// The directories at the top of a target that belong to one job.
pub(super) struct JobDirectories {
    pub(super) conflict: Conflict,
    /// What each directory that is sent is called here.
    tops: Mutex<HashMap<String, String>>,
    note: Box<Note>,
}

impl JobDirectories {
    pub(super) fn new(
        conflict: Conflict,
        tops: HashMap<String, String>,
        note: impl Fn(&str, &str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            conflict,
            tops: tops.into(),
            note: Box::new(note),
        }
    }

    /// Where something is to be put that would be at `held` if nothing were there; its top directory
    /// is made.
    pub(super) fn place(&self, tree: &Tree, held: LocalPath) -> Result<LocalPath, StorageError> {
        if self.conflict == Conflict::Overwrite {
            return Ok(held);
        }
        let (top, below) = held.top();
        let mut tops = self.lock();
        let own = match tops.get(top) {
            Some(own) => own.clone(),
            None => {
                let made = self.make(tree, top)?;
                tops.insert(top.to_owned(), made.clone());
                (self.note)(top, &made);
                made
            }
        };
        drop(tops);
        moved(tree, &own, below)
    }

    /// Where something would be found: in the job's own directory if there is one, else in what is
    /// there; and whether the job may put something there.
    pub(super) fn find(
        &self,
        tree: &Tree,
        held: LocalPath,
    ) -> Result<(LocalPath, bool), StorageError> {
        let (top, below) = held.top();
        let own = self.lock().get(top).cloned();
        match own {
            Some(own) => Ok((moved(tree, &own, below)?, true)),
            None => Ok((held, self.conflict == Conflict::Overwrite)),
        }
    }

    /// The places where a file may be already, the likeliest first.
    pub(super) fn candidates(
        &self,
        tree: &Tree,
        held: LocalPath,
    ) -> Result<Vec<LocalPath>, StorageError> {
        let (top, Some(below)) = held.top() else {
            return Ok(vec![held]);
        };
        let mut places = Vec::new();
        if let Some(own) = self.lock().get(top) {
            places.push(moved(tree, own, Some(below))?);
        }
        let wanted: LocalPath = named(tree, top, top.parse())?;
        let others = std::iter::once(wanted.clone()).chain(numbers(&wanted));
        let tried = match self.conflict {
            Conflict::Rename => TOPS_SEARCHED,
            Conflict::Overwrite | Conflict::Skip => 1,
        };
        for other in others.take(tried) {
            let there = tree.root().handle().symlink_metadata(other.as_str());
            if there.is_err() {
                break;
            }
            let place = moved(tree, other.as_str(), Some(below))?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(places)
    }

    /// Makes a directory of its own for what is sent under this name.
    fn make(&self, tree: &Tree, top: &str) -> Result<String, StorageError> {
        let wanted: LocalPath = named(tree, top, top.parse())?;
        for name in std::iter::once(wanted.clone()).chain(numbers(&wanted)) {
            if tree.create_top(name.as_str())? {
                return Ok(name.as_str().to_owned());
            }
            if self.conflict == Conflict::Skip {
                return Err(StorageError::NotOurs {
                    path: tree.path().join(top),
                });
            }
        }
        Err(StorageError::NamesTaken {
            path: tree.path().join(top),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        // A map is whole after every step.
        self.tops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is below one top directory, below another.
fn moved(tree: &Tree, top: &str, below: Option<&str>) -> Result<LocalPath, StorageError> {
    named(tree, below.unwrap_or(top), LocalPath::below(top, below))
}

fn named<T>(tree: &Tree, name: &str, path: Result<T, NameError>) -> Result<T, StorageError> {
    path.map_err(|error| StorageError::Name {
        path: tree.path().join(name),
        error,
    })
}

impl fmt::Debug for JobDirectories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tops = self.lock();
        f.debug_struct("JobDirectories")
            .field("conflict", &self.conflict)
            .field("tops", &*tops)
            .finish_non_exhaustive()
    }
}

/// In how many directories of one name (`t`, `t (1)`, …) a file is looked for.
const TOPS_SEARCHED: usize = 64;

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc};

    use super::*;
    use crate::protocol::RelativePath;
    use crate::storage::{
        Outcome, Target,
        testing::{Place, incoming, names},
    };

    fn path(text: &str) -> RelativePath {
        text.parse().unwrap()
    }

    fn job(target: &Target, conflict: Conflict) -> Target {
        target.for_job(conflict, HashMap::new(), |_, _| ())
    }

    fn store(target: &Target, name: &str, content: &str, conflict: Conflict) -> String {
        let mut partial = target.begin(&incoming(name, content.len())).unwrap();
        partial.truncate(0).unwrap();
        partial.write_all(content.as_bytes()).unwrap();
        partial.finish(conflict).unwrap().path.to_string()
    }

    /// A target with a repository that a person works in.
    fn occupied() -> Place {
        let place = Place::new();
        fs::create_dir_all(place.out().join("repo/.git/hooks")).unwrap();
        fs::write(place.out().join("repo/README"), "mine").unwrap();
        place
    }

    #[test]
    fn nothing_is_put_into_a_directory_that_was_there_before() {
        let place = occupied();
        let ours = job(&place.target, Conflict::Rename);
        ours.create_dir(&path("repo")).unwrap();
        let hook = "repo/.git/hooks/post-checkout";
        assert_eq!(
            store(&ours, hook, "evil", Conflict::Rename),
            "repo (1)/.git/hooks/post-checkout"
        );
        let link = "README".parse().unwrap();
        let made = ours.create_symlink(&path("repo/link"), &link, Conflict::Rename);
        assert_eq!(made.unwrap().path.as_str(), "repo (1)/link");
        ours.create_dir(&path("repo/new/dir")).unwrap();
        assert!(place.out().join("repo (1)/new/dir").is_dir());
        assert_eq!(names(&place.out().join("repo")), [".git", "README"]);
        assert_eq!(names(&place.out().join("repo/.git/hooks")), [""; 0]);
        assert_eq!(place.names(), ["repo", "repo (1)"]);

        // Another job has another directory, and files at the top are not concerned.
        let other = job(&place.target, Conflict::Rename);
        assert_eq!(store(&other, "repo/x", "x", Conflict::Rename), "repo (2)/x");
        assert_eq!(store(&other, "file", "x", Conflict::Rename), "file");
    }

    #[test]
    fn only_overwriting_merges_and_skipping_leaves_the_whole_directory_alone() {
        let place = occupied();
        let overwriting = job(&place.target, Conflict::Overwrite);
        assert_eq!(
            store(&overwriting, "repo/README", "new", Conflict::Overwrite),
            "repo/README"
        );
        let skipping = job(&place.target, Conflict::Skip);
        skipping.create_dir(&path("repo")).unwrap();
        for refused in [
            skipping.begin(&incoming("repo/new", 1)).map(|_| ()),
            skipping.create_dir(&path("repo/new")).map(|_| ()),
        ] {
            let error = refused.unwrap_err();
            assert!(matches!(error, StorageError::NotOurs { .. }), "{error}");
        }
        assert_eq!(names(&place.out().join("repo")), [".git", "README"]);
        assert_eq!(
            store(&skipping, "fresh/new", "x", Conflict::Skip),
            "fresh/new"
        );
    }

    #[test]
    fn a_later_attempt_goes_on_in_the_directory_that_an_earlier_one_made() {
        let place = occupied();
        let (note, noted) = mpsc::sync_channel(8);
        let first = place
            .target
            .for_job(Conflict::Rename, HashMap::new(), move |sent, here| {
                let _ = note.send((sent.to_owned(), here.to_owned()));
            });
        store(&first, "repo/a", "a", Conflict::Rename);
        store(&first, "fresh/a", "a", Conflict::Rename);
        drop(first);
        let tops: HashMap<_, _> = noted.iter().collect();
        let again = place
            .target
            .for_job(Conflict::Rename, tops, |_, _| panic!("nothing is new"));
        assert_eq!(store(&again, "repo/b", "b", Conflict::Rename), "repo (1)/b");
        assert_eq!(store(&again, "fresh/b", "b", Conflict::Rename), "fresh/b");
    }

    #[test]
    fn a_tree_that_is_there_already_is_found_and_not_made_again() {
        let place = occupied();
        fs::create_dir(place.out().join("repo (1)")).unwrap();
        fs::write(place.out().join("repo (1)/second"), "two").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("README", place.out().join("repo/link")).unwrap();
        let ours = job(&place.target, Conflict::Rename);
        ours.create_dir(&path("repo")).unwrap();
        ours.create_dir(&path("repo/.git/hooks")).unwrap();
        for (name, content, found) in [
            ("repo/README", "mine", Some("repo/README")),
            ("repo/second", "two", Some("repo (1)/second")),
            ("repo/README", "other", None),
        ] {
            let hash = blake3::hash(content.as_bytes());
            let there = ours.find_identical(
                &path(name),
                content.len() as u64,
                &hash,
                Conflict::Rename,
                |_| (),
            );
            let there = there.unwrap().map(|path| path.to_string());
            assert_eq!(there.as_deref(), found);
        }
        #[cfg(unix)]
        {
            let link = "README".parse().unwrap();
            let made = ours.create_symlink(&path("repo/link"), &link, Conflict::Rename);
            assert_eq!(made.unwrap().outcome, Outcome::Identical);
        }
        ours.set_dir_modified(&path("repo"), (1, 0)).unwrap();
        assert_eq!(place.names(), ["repo", "repo (1)"]);
        let modified = fs::metadata(place.out().join("repo")).unwrap().modified();
        assert!(modified.unwrap() > std::time::UNIX_EPOCH + std::time::Duration::from_secs(9));
        // Only what is new has a directory made for it.
        assert_eq!(
            store(&ours, "repo/README", "other", Conflict::Rename),
            "repo (2)/README"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_a_directory_is_anothers_as_well() {
        let place = Place::new();
        std::os::unix::fs::symlink(place.outside(), place.out().join("t")).unwrap();
        let ours = job(&place.target, Conflict::Rename);
        assert_eq!(store(&ours, "t/a", "a", Conflict::Rename), "t (1)/a");
        assert_eq!(names(&place.outside()), [""; 0]);
    }
}
