//! Where files are stored that further names of the same transfer lead to.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::outcome::FileError;
use crate::{
    protocol::{Code, FileIndex},
    sealing::Head,
    storage::{HARD_LINK_PATHS_MAX, LocalPath},
};

/// The files of one transfer that have several names, by the first.
///
/// A hard link may lead to these and to nothing else: what the sender has not delivered in this very
/// transfer gets no second name, whatever it is called.
#[derive(Debug, Default)]
pub(super) struct LinkedFiles {
    files: Mutex<Files>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Files {
    by_path: HashMap<String, LinkedFile>,
    path_bytes: usize,
    /// The heads of all files below this number have come.
    heads_below: u64,
    /// Others that have: as many as streams overtake each other.
    heads_beyond: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
enum LinkedFile {
    Coming,
    Stored(LocalPath),
    Failed,
}

/// How long a link waits for the heads of files that were sent before it and that it may have overtaken.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

impl LinkedFiles {
    /// A file's head has come.
    pub(super) fn coming(&self, FileIndex(index): FileIndex, head: &Head) {
        let mut files = self.lock();
        if index >= files.heads_below {
            files.heads_beyond.insert(index);
        }
        while files.heads_beyond.first() == Some(&files.heads_below) {
            files.heads_beyond.pop_first();
            files.heads_below += 1;
        }
        let bytes = files.path_bytes.saturating_add(head.path.len());
        let fits = bytes <= HARD_LINK_PATHS_MAX && !files.by_path.contains_key(&head.path);
        if head.linked && fits {
            files.path_bytes = bytes;
            files.by_path.insert(head.path.clone(), LinkedFile::Coming);
        }
        drop(files);
        self.changed.notify_waiters();
    }

    /// A file is stored here, or was there.
    pub(super) fn stored(&self, head: &Head, place: &LocalPath) {
        self.set(head, LinkedFile::Stored(place.clone()));
    }

    /// A file will not come.
    pub(super) fn failed(&self, head: &Head) {
        self.set(head, LinkedFile::Failed);
    }

    /// Waits until it is known where this file is, for a link of this number.
    pub(super) async fn wait(&self, link: FileIndex, path: &str) -> Result<(), FileError> {
        let end = Instant::now() + HEAD_LIMIT;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (file, has_come) = {
                let files = self.lock();
                (files.by_path.get(path).cloned(), files.heads_below > link.0)
            };
            match file {
                Some(LinkedFile::Stored(_)) => return Ok(()),
                Some(LinkedFile::Failed) => return Err(missing()),
                // It ends with its stream, which has limits of its own.
                Some(LinkedFile::Coming) => changed.await,
                None if has_come => return Err(missing()),
                None => tokio::time::timeout_at(end, changed)
                    .await
                    .map_err(|_| missing())?,
            }
        }
    }

    /// Where this file is.
    pub(super) fn place(&self, path: &str) -> Result<LocalPath, FileError> {
        match self.lock().by_path.get(path) {
            Some(LinkedFile::Stored(place)) => Ok(place.clone()),
            _ => Err(missing()),
        }
    }

    fn set(&self, head: &Head, file: LinkedFile) {
        if let Some(known) = self.lock().by_path.get_mut(&head.path) {
            *known = file;
        }
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing() -> FileError {
    FileError::new(
        Code::Declined,
        "it is another name of a file that did not arrive in this transfer",
    )
}
