//! A way through everything that is sent.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    sync::Arc,
};

use walkdir::{DirEntry, WalkDir};

use super::{Filter, Modified, StorageError, claim::is_partial_name, filter::FilterWalk, os, time};
use crate::protocol::{LinkTarget, RelativePath};

/// A way through everything that is sent, one [`Entry`] at a time. Blocking.
#[derive(Debug)]
pub struct Walk {
    roots: Arc<[Root]>,
    filter: Filter,
    next_root: usize,
    below: Option<(walkdir::IntoIter, FilterWalk)>,
}

/// One of the paths that were given.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) disk: PathBuf,
    pub(super) path: RelativePath,
    /// Whether something in the path was replaced.
    pub(super) replaced: bool,
}

/// One thing to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub disk: PathBuf,
    /// What it is called.
    pub path: RelativePath,
    /// Whether something in that was replaced, as it cannot be shown.
    pub replaced: bool,
    /// What it is.
    pub kind: EntryKind,
    /// Whether it is a file that may be executed.
    pub executable: bool,
    /// Its permission bits, where they are sent; not for links.
    pub mode: Option<u32>,
    /// The bytes of a file that take room on a disk: fewer than it has if there are holes in it.
    pub room: u64,
    /// When it was last modified; not for links.
    pub modified: Option<Modified>,
    /// Which file it is, by device and number, if it has further names.
    pub(super) inode: Option<(u64, u64)>,
    /// A root may be a link, and is followed: it was named by whoever sends.
    pub(super) is_root: bool,
}

/// What kind of thing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its bytes when it was found. What counts is how many there are when it is opened.
        size: u64,
    },
    /// A directory; what is in it follows.
    Directory,
    /// A symbolic link that stays in its tree.
    Symlink {
        /// Where it points.
        target: LinkTarget,
    },
}

impl Walk {
    pub(super) fn new(roots: Arc<[Root]>, filter: Filter) -> Self {
        Self {
            roots,
            filter,
            next_root: 0,
            below: None,
        }
    }

    /// What to make of something found; `None` to leave it out.
    fn visit(&mut self, found: DirEntry) -> Option<Result<Entry, StorageError>> {
        let root = &self.roots[self.next_root - 1];
        let (_, filter) = self.below.as_mut()?;
        let is_root = found.depth() == 0;
        // Not through a link, except at the root.
        let is_dir = found.file_type().is_dir();
        let below = found
            .path()
            .strip_prefix(&root.disk)
            .unwrap_or(Path::new(""));
        let partial = found.file_name().to_str().is_some_and(is_partial_name);
        if partial || filter.leaves_out(below, found.depth(), is_dir) {
            self.leave(is_dir);
            return None;
        }
        let entry = name(root, &found, self.filter.replaces_names()).and_then(|name| {
            let metadata = match is_root {
                true => std::fs::metadata(found.path()),
                false => std::fs::symlink_metadata(found.path()),
            };
            let metadata = metadata.map_err(StorageError::io("read", found.path()))?;
            describe(found, name, &metadata, is_root)
        });
        let entry = entry.map(|entry| Entry {
            mode: entry.mode.filter(|_| self.filter.sends_modes()),
            ..entry
        });
        if matches!(entry, Err(StorageError::Unsendable { .. })) {
            // Nothing below a directory has a name if it has none.
            self.leave(is_dir);
        }
        Some(entry)
    }

    fn leave(&mut self, is_dir: bool) {
        if let Some((below, _)) = self.below.as_mut().filter(|_| is_dir) {
            below.skip_current_dir();
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Entry, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((below, _)) = &mut self.below else {
                let root = self.roots.get(self.next_root)?;
                self.next_root += 1;
                let walk = WalkDir::new(&root.disk).max_open(RelativePath::MAX_COMPONENTS + 1);
                let filter = self.filter.walk(&root.disk, root.path.as_str());
                self.below = Some((walk.into_iter(), filter));
                continue;
            };
            let visited = match below.next() {
                None => {
                    self.below = None;
                    continue;
                }
                Some(Ok(found)) => self.visit(found),
                Some(Err(error)) => Some(Err(failed(&self.roots[self.next_root - 1], error))),
            };
            if visited.is_some() {
                return visited;
            }
        }
    }
}

fn name(
    root: &Root,
    found: &DirEntry,
    replace: bool,
) -> Result<(RelativePath, bool), StorageError> {
    let below = found.path().strip_prefix(&root.disk).into_iter().flatten();
    below
        .into_iter()
        .try_fold(
            (root.path.clone(), root.replaced),
            |(path, before), name| {
                let child = match replace {
                    true => path.child_replaced(name),
                    false => path.child(name).map(|path| (path, false)),
                };
                child.map(|(path, here)| (path, before || here))
            },
        )
        .map_err(|error| StorageError::Unsendable {
            path: found.path().to_owned(),
            error,
        })
}

fn describe(
    found: DirEntry,
    (path, replaced): (RelativePath, bool),
    metadata: &Metadata,
    is_root: bool,
) -> Result<Entry, StorageError> {
    let disk = found.into_path();
    let kind = metadata.file_type();
    let kind = if kind.is_file() {
        EntryKind::File {
            size: metadata.len(),
        }
    } else if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_symlink() {
        let target = std::fs::read_link(&disk).map_err(StorageError::io("read", &disk))?;
        match LinkTarget::for_sending(&path, target.as_os_str()) {
            Ok(target) => EntryKind::Symlink { target },
            Err(error) => return Err(StorageError::Symlink { path: disk, error }),
        }
    } else {
        return Err(StorageError::Special {
            path: disk,
            what: os::name_of(metadata.file_type()),
        });
    };
    let is_link = matches!(kind, EntryKind::Symlink { .. });
    Ok(Entry {
        executable: matches!(kind, EntryKind::File { .. }) && os::is_executable(metadata),
        room: os::room(metadata),
        inode: os::shared_inode(metadata),
        mode: match is_link {
            true => None,
            false => os::mode(metadata),
        },
        modified: match is_link {
            true => None,
            false => metadata.modified().ok().and_then(time::from_system),
        },
        disk,
        path,
        replaced,
        kind,
        is_root,
    })
}

fn failed(root: &Root, error: walkdir::Error) -> StorageError {
    let path = error.path().unwrap_or(&root.disk).to_owned();
    let error = error
        .into_io_error()
        .unwrap_or_else(|| std::io::ErrorKind::Other.into());
    StorageError::io("read", path)(error)
}

#[cfg(test)]
mod tests;
