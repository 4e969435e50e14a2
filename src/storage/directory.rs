//! Directories below a target, held by handles that no link can divert.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cap_fs_ext::{DirExt, MetadataExt};
use cap_std::{
    ambient_authority,
    fs::{Dir, DirBuilder},
};

use super::{StorageError, os};

/// One directory, opened once.
#[derive(Debug)]
pub(super) struct Directory {
    handle: Dir,
    path: PathBuf,
    device: u64,
}

/// The directories below a root, and which of them are not durable yet.
#[derive(Debug)]
pub(super) struct Tree {
    path: PathBuf,
    root: Mutex<Arc<Directory>>,
    recent: Mutex<Vec<(String, Arc<Directory>)>>,
    unsynced: Mutex<Vec<Arc<Directory>>>,
    syncing: Mutex<()>,
}

/// What to do about a directory that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Fail,
}

impl Directory {
    pub(super) fn new(handle: Dir, path: PathBuf) -> Result<Self, StorageError> {
        let metadata = handle
            .dir_metadata()
            .map_err(StorageError::io("look at", &path))?;
        Ok(Self {
            handle,
            path,
            device: MetadataExt::dev(&metadata),
        })
    }

    /// The handle: names passed to it must be single components.
    pub(super) fn handle(&self) -> &Dir {
        &self.handle
    }

    /// Where something of this name is, for people.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the directory is, for people.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file system that it is in.
    pub(super) fn device(&self) -> u64 {
        self.device
    }

    /// Makes a directory in the place of this one, which was removed, with its permissions.
    ///
    /// Only in a parent that is there and on the same file system: where a disk was taken out, nothing is
    /// put onto the one below it.
    fn make_again(&self) -> io::Result<Dir> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let parent = self.path.parent().ok_or_else(missing)?;
        let name = self.path.file_name().ok_or_else(missing)?;
        let parent = Dir::open_ambient_dir(parent, ambient_authority())?;
        if MetadataExt::dev(&parent.dir_metadata()?) != self.device {
            return Err(missing());
        }
        #[cfg_attr(not(unix), expect(unused_mut))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        {
            use cap_std::fs::{DirBuilderExt, PermissionsExt};
            builder.mode(self.handle.dir_metadata()?.permissions().mode() & 0o7777);
        }
        match parent.create_dir_with(name, &builder) {
            // Somebody else was first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let _ = os::sync_dir(&parent);
        parent.open_dir_nofollow(name)
    }

    fn open(&self, name: &str) -> io::Result<Dir> {
        self.handle.open_dir_nofollow(name)
    }

    fn create(&self, name: &str) -> io::Result<()> {
        #[cfg_attr(not(unix), expect(unused_mut))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        {
            use cap_std::fs::DirBuilderExt;
            builder.mode(0o755);
        }
        self.handle.create_dir_with(name, &builder)
    }
}

impl Tree {
    pub(super) fn new(root: Directory) -> Self {
        Self {
            path: root.path().to_owned(),
            root: Mutex::new(Arc::new(root)),
            recent: Mutex::default(),
            unsynced: Mutex::default(),
            syncing: Mutex::default(),
        }
    }

    /// Where the root is: absolute, with links as they were given.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn root(&self) -> Arc<Directory> {
        lock(&self.root).clone()
    }

    /// Opens the root anew if its path leads to another directory by now: someone has removed it
    /// and made it again, or mounted something there. One that is missing is made again.
    ///
    /// # Errors
    /// [`StorageError::Gone`] where it is missing and cannot be made.
    pub(super) fn reopen_if_replaced(&self) -> Result<(), StorageError> {
        let handle = match Dir::open_ambient_dir(&self.path, ambient_authority()) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let gone = || StorageError::Gone {
                    path: self.path.clone(),
                };
                let made = self.root().make_again();
                tracing::info!(path = %self.path.display(), is_made = made.is_ok(), "it was removed");
                made.map_err(|_| gone())?
            }
            // What cannot be opened shows where something is to be stored.
            Err(_) => return Ok(()),
        };
        let identity = |handle: &Dir| {
            let metadata = handle.dir_metadata().ok()?;
            Some((MetadataExt::dev(&metadata), MetadataExt::ino(&metadata)))
        };
        if identity(&handle) != identity(self.root().handle())
            && let Ok(root) = Directory::new(handle, self.path.clone())
        {
            *lock(&self.root) = Arc::new(root);
            self.forget();
        }
        Ok(())
    }

    /// Does something in a directory, made if need be; once more if it was removed meanwhile.
    pub(super) fn with_directory<T>(
        &self,
        path: Option<&str>,
        mut act: impl FnMut(&Arc<Directory>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut once = || act(&self.directory(path, Missing::Create)?);
        match once() {
            Err(StorageError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                // A handle kept from before leads to a directory that is no longer there.
                self.reopen_if_replaced()?;
                self.forget();
                once()
            }
            other => other,
        }
    }

    /// Makes a directory in the root; `false` if the name is taken.
    pub(super) fn create_top(&self, name: &str) -> Result<bool, StorageError> {
        self.with_directory(None, |root| match root.create(name) {
            Ok(()) => self.changed(root).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(StorageError::io("create the directory", root.place(name))(
                error,
            )),
        })
    }

    /// The directory at a path below the root (`None` is the root), each component opened without
    /// following links.
    pub(super) fn directory(
        &self,
        path: Option<&str>,
        missing: Missing,
    ) -> Result<Arc<Directory>, StorageError> {
        let Some(path) = path else {
            return Ok(self.root());
        };
        let (mut at, mut directory) = self.nearest(path);
        while at < path.len() {
            let rest = &path[at..];
            let name = rest.split('/').next().unwrap_or(rest);
            directory = self.step(&directory, name, missing)?;
            let end = at + name.len();
            self.remember(&path[..end], &directory);
            at = end + 1;
        }
        Ok(directory)
    }

    /// Forgets open directories: some may have been removed since.
    pub(super) fn forget(&self) {
        lock(&self.recent).clear();
    }

    /// Notes that something was made in a directory whose entry is not durable yet.
    ///
    /// # Errors
    /// When there are so many that they are synced now, and this fails.
    pub(super) fn changed(&self, directory: &Arc<Directory>) -> Result<(), StorageError> {
        let many = {
            let mut unsynced = lock(&self.unsynced);
            if !unsynced.iter().any(|d| Arc::ptr_eq(d, directory)) {
                unsynced.push(directory.clone());
            }
            unsynced.len() >= os::handles(UNSYNCED_MAX)
        };
        if many { self.sync() } else { Ok(()) }
    }

    /// Makes the entries of every changed directory durable.
    ///
    /// Returns only when those that another thread is about to sync are durable as well.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        let _turn = lock(&self.syncing);
        let mut all = std::mem::take(&mut *lock(&self.unsynced));
        let result = sync_directories(&all);
        if result.is_err() {
            // Not forgotten: a later call must not claim what this one could not do.
            lock(&self.unsynced).append(&mut all);
        }
        result
    }

    fn step(
        &self,
        directory: &Arc<Directory>,
        name: &str,
        missing: Missing,
    ) -> Result<Arc<Directory>, StorageError> {
        let place = || directory.place(name);
        let opened = match directory.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Create => {
                match directory.create(name) {
                    Ok(()) => self.changed(directory)?,
                    // Another file of the same tree was first.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => {
                        return Err(StorageError::io("create the directory", place())(error));
                    }
                }
                directory.open(name)
            }
            other => other,
        };
        match opened {
            Ok(handle) => Ok(Arc::new(Directory::new(handle, place())?)),
            Err(error) => Err(match directory.handle.symlink_metadata(name) {
                Ok(found) if !found.is_dir() => StorageError::NotADirectory { path: place() },
                _ => StorageError::io("open the directory", place())(error),
            }),
        }
    }

    /// The nearest open directory above or at a path, and where in the path what is below it begins.
    fn nearest(&self, path: &str) -> (usize, Arc<Directory>) {
        let mut recent = lock(&self.recent);
        let holds = |known: &str| {
            path.strip_prefix(known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found = (0..recent.len())
            .filter(|i| holds(&recent[*i].0))
            .max_by_key(|i| recent[*i].0.len());
        match found {
            None => (0, self.root()),
            Some(found) => {
                let entry = recent.remove(found);
                let result = (entry.0.len() + 1, entry.1.clone());
                recent.push(entry);
                result
            }
        }
    }

    fn remember(&self, path: &str, directory: &Arc<Directory>) {
        let mut recent = lock(&self.recent);
        if recent.iter().any(|(known, _)| known == path) {
            return;
        }
        if recent.len() >= os::handles(RECENT_MAX) {
            recent.remove(0);
        }
        recent.push((path.to_owned(), directory.clone()));
    }
}

/// Makes the entries of directories durable: each on its own, or, where there are many in one file
/// system and the system can, all at once.
fn sync_directories(directories: &[Arc<Directory>]) -> Result<(), StorageError> {
    let mut by_device: Vec<&Arc<Directory>> = directories.iter().collect();
    by_device.sort_by_key(|d| d.device());
    for group in by_device.chunk_by(|a, b| a.device() == b.device()) {
        if group.len() >= AT_ONCE_FROM && os::sync_file_system(group[0].handle()).is_ok() {
            continue;
        }
        for directory in group {
            os::sync_dir(directory.handle()).map_err(StorageError::io("sync", directory.path()))?;
        }
    }
    Ok(())
}

/// From how many files or directories on, one sync of the file system is cheaper than one of each.
///
/// One sync of a file costs a flush of the disk (1 to 10 ms), and one of the file system costs
/// little more, but it also waits for what other programs have written.
pub(super) const AT_ONCE_FROM: usize = 8;

/// Directories kept open: a tree that is sent in order needs those on its way down.
const RECENT_MAX: usize = 16;

/// Directories held open until they are synced: bounds the handles that a sender can make us hold.
const UNSYNCED_MAX: usize = 32;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the mutexes guard is valid after every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
