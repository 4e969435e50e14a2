//! The directory that files arrive in.

use std::{collections::HashMap, io, path::Path, sync::Arc};

use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions},
};

use super::{
    Conflict, IncomingFile, LocalPath, Modified, Partial, StorageError, claim,
    directory::{Directory, Missing, Tree},
    job::Job,
    local::Holds,
    os,
};
use crate::protocol::RelativePath;

/// The directory that files arrive in, opened once.
///
/// Whatever is put in the place of a directory below it while files arrive, by a sender or by
/// anyone else: nothing is stored outside, since every component is opened from its parent's handle
/// without following links. Clones share the handles.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) tree: Arc<Tree>,
    holds: Holds,
    strict: bool,
    job: Option<Arc<Job>>,
}

impl Target {
    /// Opens a directory to store in, makes it if need be, and tries whether it can be written to.
    ///
    /// # Errors
    /// [`StorageError::Io`], which says at once what every file would run into.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        std::fs::create_dir_all(path).map_err(StorageError::io("create the directory", path))?;
        let mut target = Self::open_existing(path)?;
        target.holds = probe(&target.tree.root()).map_err(StorageError::io("store in", path))?;
        Ok(target)
    }

    /// The target, refusing what the file system cannot hold under the name that it was sent by.
    #[must_use]
    pub fn strict_names(mut self) -> Self {
        self.strict = true;
        self
    }

    /// The target as one job may use it: a directory that is there and is not the job's own is taken
    /// for another's. Nothing is put into it unless `conflict` is [`Conflict::Overwrite`]; with
    /// [`Conflict::Rename`] the job gets a directory of its own beside it, as a file would.
    ///
    /// `tops` are the directories that earlier attempts made, by the names that they were sent under
    /// ([`Journal::tops`](super::Journal::tops)); `note` hears of every further one, before anything
    /// is put into it.
    #[must_use]
    pub fn for_job(
        &self,
        conflict: Conflict,
        tops: HashMap<String, String>,
        note: impl Fn(&str, &str) + Send + Sync + 'static,
    ) -> Self {
        self.tree.reopen_if_replaced();
        Self {
            job: Some(Arc::new(Job::new(conflict, tops, note))),
            ..self.clone()
        }
    }

    /// Opens a directory that is there, without writing to it.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn open_existing(path: &Path) -> Result<Self, StorageError> {
        let path = std::path::absolute(path).map_err(StorageError::io("find", path))?;
        let handle = Dir::open_ambient_dir(&path, ambient_authority())
            .map_err(StorageError::io("open the directory", &path))?;
        let tree = Arc::new(Tree::new(Directory::new(handle, path)?));
        Ok(Self {
            tree,
            holds: Holds::All,
            strict: false,
            job: None,
        })
    }

    /// Where it is: absolute, with links as they were given.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.tree.path()
    }

    /// Bytes that may still be written here: what is free but for a reserve, so that other programs can
    /// go on.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn free_bytes(&self) -> Result<u64, StorageError> {
        os::space(self.tree.root().handle(), self.path())
            .map(os::Space::usable)
            .map_err(StorageError::io("ask for the free space of", self.path()))
    }

    /// Opens the partial file for something that arrives: what an interrupted attempt left, or an
    /// empty one. Directories on the way to it are made.
    ///
    /// # Errors
    /// [`StorageError::NotADirectory`] if a file or link is in the way, else [`StorageError::Io`].
    pub fn begin(&self, incoming: &IncomingFile) -> Result<Partial, StorageError> {
        let local = self.place(&incoming.path, false)?;
        self.tree.with_directory(local.parent(), |directory| {
            let (tree, directory) = (self.tree.clone(), directory.clone());
            Partial::open(tree, directory, incoming.clone(), local.clone())
        })
    }

    /// Makes a directory, and those on the way to it, and says where; one that is there is left as it
    /// is.
    ///
    /// Durable after the next [`store_all`](super::store_all) or [`Target::sync`].
    ///
    /// # Errors
    /// [`StorageError::NotADirectory`] if something else has its name, else [`StorageError::Io`].
    pub fn create_dir(&self, path: &RelativePath) -> Result<LocalPath, StorageError> {
        let (there, _) = self.find(path, true)?;
        let found = self.tree.directory(Some(there.as_str()), Missing::Fail);
        if found.is_ok() {
            return Ok(there);
        }
        let local = self.place(path, true)?;
        self.tree
            .with_directory(Some(local.as_str()), |_| Ok(local.clone()))
    }

    /// Sets a directory's modification time: once nothing more is stored in it, since that changes
    /// it. A time that cannot be held is ignored.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn set_dir_modified(
        &self,
        path: &RelativePath,
        modified: Modified,
    ) -> Result<(), StorageError> {
        let (local, is_ours) = self.find(path, true)?;
        if !is_ours {
            return Ok(());
        }
        let parent = self.tree.directory(local.parent(), Missing::Fail)?;
        let name = local.file_name();
        match os::set_modified(parent.handle(), name, modified) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other.map_err(StorageError::io("set the time of", parent.place(name))),
        }
    }

    /// Takes away what a directory of the job's own grants beyond these permission bits; its owner can
    /// always use it.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn restrict_dir(&self, path: &RelativePath, mode: u32) -> Result<(), StorageError> {
        let (local, is_ours) = self.find(path, true)?;
        if !is_ours {
            return Ok(());
        }
        let parent = self.tree.directory(local.parent(), Missing::Fail)?;
        let name = local.file_name();
        os::restrict_dir(parent.handle(), name, mode)
            .map_err(StorageError::io("set the mode of", parent.place(name)))
    }

    /// Makes the directories and links made so far durable.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn sync(&self) -> Result<(), StorageError> {
        self.tree.sync()
    }

    /// Removes an abandoned partial file by its [`Partial::partial_path`]: whether it did, or left
    /// it because it is young or in use; `None` if there is no such file.
    pub(super) fn remove_abandoned(
        &self,
        path: &str,
        before: std::time::SystemTime,
    ) -> Result<Option<bool>, StorageError> {
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (Some(parent), name),
            None => (None, path),
        };
        let valid = parent.is_none_or(|parent| parent.parse::<RelativePath>().is_ok());
        if !valid || !claim::is_partial_name(name) {
            return Ok(None);
        }
        let directory = self.tree.directory(parent, Missing::Fail)?;
        claim::remove_abandoned(directory.handle(), name, before)
            .map_err(StorageError::io("remove", directory.place(name)))
    }

    fn held(&self, path: &RelativePath) -> Result<LocalPath, StorageError> {
        self.holds
            .local(path, self.strict)
            .map_err(|error| StorageError::Name {
                path: self.path().join(path.as_str()),
                error,
            })
    }

    /// Where something of this name is to be put; the top directory is made if it is the job's own.
    pub(super) fn place(
        &self,
        path: &RelativePath,
        is_dir: bool,
    ) -> Result<LocalPath, StorageError> {
        let held = self.held(path)?;
        match &self.job {
            Some(job) if is_dir || held.parent().is_some() => job.place(&self.tree, held),
            _ => Ok(held),
        }
    }

    /// Where something of this name would be found, and whether it may be changed there.
    pub(super) fn find(
        &self,
        path: &RelativePath,
        is_dir: bool,
    ) -> Result<(LocalPath, bool), StorageError> {
        let held = self.held(path)?;
        match &self.job {
            Some(job) if is_dir || held.parent().is_some() => job.find(&self.tree, held),
            _ => Ok((held, true)),
        }
    }

    /// The places where a file of this name may be already, the likeliest first.
    pub(super) fn candidates(&self, path: &RelativePath) -> Result<Vec<LocalPath>, StorageError> {
        let held = self.held(path)?;
        match &self.job {
            Some(job) => job.candidates(&self.tree, held),
            None => Ok(vec![held]),
        }
    }
}

/// What names the file system of a directory can hold, found by trying.
fn probe(directory: &Directory) -> io::Result<Holds> {
    let plain = claim::random_name();
    let odd = format!("{plain}{ODD}");
    let try_name = |name: &str| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let handle = directory.handle();
        handle.open_with(name, &options)?;
        handle.remove_file(name)
    };
    // On Windows itself the name would be that of a stream of another file.
    if !cfg!(windows) && try_name(&odd).is_ok() {
        return Ok(Holds::All);
    }
    try_name(&plain).map(|()| Holds::Windows)
}

/// What file systems made for Windows have in no name.
const ODD: &str = ":\\\"*?<>|";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::{
        Outcome,
        testing::{Place, incoming, names},
        time,
    };

    fn path(text: &str) -> RelativePath {
        text.parse().unwrap()
    }

    #[test]
    fn a_tree_is_made_as_it_is_named() {
        let place = Place::new();
        place.target.create_dir(&path("t/empty")).unwrap();
        place.target.create_dir(&path("t/empty")).unwrap();
        for name in ["t/a", "t/.hidden/b", "t/x/y/z/c"] {
            let partial = place.arrived(name, name.as_bytes());
            partial.finish(Conflict::Rename).unwrap();
            assert_eq!(fs::read(place.out().join(name)).unwrap(), name.as_bytes());
        }
        assert_eq!(
            names(&place.out().join("t")),
            [".hidden", "a", "empty", "x"]
        );
        assert!(place.target.free_bytes().unwrap() > 0);
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_known_at_once() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "").unwrap();
        assert!(Target::open(&temp.path().join("file")).is_err());
        #[cfg(target_os = "linux")]
        assert!(Target::open(Path::new("/proc/self")).is_err());
    }

    #[test]
    fn a_file_in_the_way_of_a_directory_is_named_and_kept() {
        let place = Place::new();
        let partial = place.arrived("a", b"file");
        partial.finish(Conflict::Rename).unwrap();
        for below in ["a/b", "a/b/c"] {
            let error = place.target.begin(&incoming(below, 0)).unwrap_err();
            assert!(
                matches!(&error, StorageError::NotADirectory { path } if path.ends_with("a")),
                "{error}"
            );
        }
        assert!(place.target.create_dir(&path("a")).is_err());
        assert_eq!(fs::read(place.out().join("a")).unwrap(), b"file");
    }

    #[test]
    fn a_directory_in_the_way_of_a_file_is_kept() {
        let place = Place::new();
        place.target.create_dir(&path("d")).unwrap();
        for conflict in [Conflict::Overwrite, Conflict::Skip] {
            let error = place.arrived("d", b"file").finish(conflict).unwrap_err();
            assert!(
                matches!(error, StorageError::IsADirectory { .. }),
                "{error}"
            );
        }
        let stored = place.arrived("d", b"file").finish(Conflict::Rename);
        assert_eq!(stored.unwrap().path.as_str(), "d (1)");
        assert!(place.out().join("d").is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_planted_in_the_target_leads_nothing_outside() {
        use std::os::unix::fs::symlink;
        let place = Place::new();
        symlink(place.outside(), place.out().join("dir")).unwrap();
        symlink(place.outside().join("x"), place.out().join("file")).unwrap();
        fs::write(place.outside().join("x"), "old").unwrap();

        for below in ["dir/f", "dir/e/f"] {
            let error = place.target.begin(&incoming(below, 0)).unwrap_err();
            assert!(matches!(error, StorageError::NotADirectory { .. }));
            assert!(place.target.create_dir(&path(below)).is_err());
            assert!(place.target.existing(&path(below)).unwrap().is_none());
        }
        assert!(place.target.existing(&path("file")).unwrap().is_none());

        let stored = place.arrived("file", b"new").finish(Conflict::Skip);
        assert_eq!(stored.unwrap().outcome, Outcome::Skipped);
        let stored = place.arrived("file", b"new").finish(Conflict::Rename);
        assert_eq!(stored.unwrap().path.as_str(), "file (1)");
        let stored = place.arrived("file", b"new").finish(Conflict::Overwrite);
        assert_eq!(stored.unwrap().outcome, Outcome::Replaced);
        let replaced = fs::symlink_metadata(place.out().join("file")).unwrap();
        assert!(replaced.is_file());
        assert_eq!(names(&place.outside()), ["x"]);
        assert_eq!(fs::read(place.outside().join("x")).unwrap(), b"old");
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_becomes_a_link_leads_nothing_outside() {
        let place = Place::new();
        let partial = place.arrived("d/e/a", b"1");
        partial.finish(Conflict::Rename).unwrap();
        fs::remove_dir_all(place.out().join("d/e")).unwrap();
        std::os::unix::fs::symlink(place.outside(), place.out().join("d/e")).unwrap();
        let error = place.target.begin(&incoming("d/e/b", 1)).unwrap_err();
        assert!(
            matches!(error, StorageError::NotADirectory { .. }),
            "{error}"
        );
        assert_eq!(names(&place.outside()), [""; 0]);
    }

    #[test]
    fn what_a_file_system_cannot_hold_is_replaced_or_refused_and_never_lost() {
        let mut place = Place::new();
        #[cfg(target_os = "linux")]
        assert_eq!(place.target.holds, Holds::All);
        place.target.holds = Holds::Windows;
        let target = place.target.clone();
        let arrived = |name: &str, content: &str| {
            let partial = place.arrived(name, content.as_bytes());
            partial.finish(Conflict::Rename).unwrap().path.to_string()
        };
        assert_eq!(arrived("d:/aux.c", "one"), "d%3A/%61ux.c");
        assert_eq!(arrived("d:/aux.c", "two"), "d%3A/%61ux (1).c");
        assert_eq!(arrived("plain 20%.txt", "three"), "plain 20%.txt");
        assert_eq!(
            target.create_dir(&path("d:/e.")).unwrap().as_str(),
            "d%3A/e%2E"
        );
        let there = target.existing(&path("d:/aux.c")).unwrap().unwrap();
        assert_eq!(there.local.as_str(), "d%3A/%61ux.c");
        // What is written down of it leads to it again.
        assert!(target.existing_at(&there.local).unwrap().is_some());
        assert_eq!(place.names(), ["d%3A", "plain 20%.txt"]);

        let strict = target.strict_names();
        let error = strict.begin(&incoming("a:b", 0)).unwrap_err();
        assert!(matches!(error, StorageError::Name { .. }), "{error}");
        assert!(error.reason().contains("colon"), "{}", error.reason());
        assert!(strict.begin(&incoming("a b", 0)).is_ok());
    }

    #[test]
    fn a_target_that_is_removed_and_made_again_is_stored_in() {
        let place = Place::new();
        let aside = place.temp.path().join("aside");
        for (round, gone) in [true, false].into_iter().enumerate() {
            match gone {
                true => fs::remove_dir_all(place.out()).unwrap(),
                false => fs::rename(place.out(), &aside).unwrap(),
            }
            fs::create_dir(place.out()).unwrap();
            let job = place
                .target
                .for_job(Conflict::Rename, HashMap::new(), |_, _| ());
            for name in ["f", "t/f"] {
                let name = format!("{round}{name}");
                let target = match gone {
                    true => &place.target,
                    false => &job,
                };
                let mut partial = target.begin(&incoming(&name, 1)).unwrap();
                partial.write_all(b"x").unwrap();
                partial.finish(Conflict::Rename).unwrap();
                assert!(place.out().join(&name).exists(), "{name}");
            }
        }
    }

    #[test]
    fn a_directory_removed_meanwhile_is_made_again() {
        let place = Place::new();
        let partial = place.arrived("d/e/a", b"1");
        partial.finish(Conflict::Rename).unwrap();
        fs::remove_dir_all(place.out().join("d")).unwrap();
        let partial = place.arrived("d/e/b", b"2");
        partial.finish(Conflict::Rename).unwrap();
        assert_eq!(fs::read(place.out().join("d/e/b")).unwrap(), b"2");
    }

    #[test]
    fn what_is_there_can_be_compared() {
        let place = Place::new();
        assert!(place.target.existing(&path("none/a")).unwrap().is_none());
        let partial = place.arrived("a", b"content");
        partial.finish(Conflict::Rename).unwrap();
        let existing = place.target.existing(&path("a")).unwrap().unwrap();
        assert_eq!(existing.len, 7);
        let hash = existing.hash(|_| ()).unwrap();
        assert_eq!(hash, blake3::hash(b"content"));
        place.target.create_dir(&path("d")).unwrap();
        assert!(place.target.existing(&path("d")).unwrap().is_none());
    }

    #[test]
    fn a_directory_gets_its_time_back() {
        let place = Place::new();
        let partial = place.arrived("t/d/a", b"");
        partial.finish(Conflict::Rename).unwrap();
        for (dir, time) in [("t/d", (1_000_000_000, 7_000)), ("t", (-5, 0))] {
            place.target.set_dir_modified(&path(dir), time).unwrap();
            let found = fs::metadata(place.out().join(dir)).unwrap();
            assert_eq!(time::from_system(found.modified().unwrap()), Some(time));
        }
        place
            .target
            .set_dir_modified(&path("t"), (i64::MAX, u32::MAX))
            .unwrap();
    }

    #[test]
    fn many_and_deep_directories_hold_few_handles() {
        let place = Place::new();
        for i in 0..300 {
            let name = format!("t/{}{i}", "d/".repeat(40));
            place.target.create_dir(&path(&name)).unwrap();
        }
        let partials: Vec<Partial> = (0..50)
            .map(|i| place.arrived(&format!("u{i}/{}f", "d/".repeat(40)), b"1"))
            .collect();
        #[cfg(target_os = "linux")]
        {
            let open = fs::read_dir("/proc/self/fd").unwrap().count();
            assert!(open < 500, "{open} open files");
        }
        for stored in crate::storage::store_all(partials, Conflict::Rename) {
            stored.unwrap();
        }
    }
}
