//! The directory that files arrive in.

use std::{collections::HashMap, io, path::Path, sync::Arc};

use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions},
};

use super::{
    Conflict, IncomingFile, LocalPath, Modified, Partial, StorageError, claim,
    directory::{Directory, Missing, Tree},
    job_directories::JobDirectories,
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
    job: Option<Arc<JobDirectories>>,
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

    /// Whether names that were changed on the way are refused.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.strict
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
        // What is wrong shows at the first file.
        let _ = self.tree.reopen_if_replaced();
        Self {
            job: Some(Arc::new(JobDirectories::new(conflict, tops, note))),
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

    /// Makes sure that the directory is there: one that was removed is made again.
    ///
    /// # Errors
    /// [`StorageError::Gone`] where what it was in is gone as well, or is another file system.
    pub fn ensure(&self) -> Result<(), StorageError> {
        self.tree.reopen_if_replaced()
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
mod tests;
