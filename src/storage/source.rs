//! What is sent: files and directories, by name.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{Filter, HardLinks, Linked, StorageError, Walk, os, walk, walk::Root};
use crate::protocol::RelativePath;

/// What is sent: files and directories that are there and can be named.
///
/// `photos/` is sent as `photos/…`, and `.` under the name that the directory has. A root that is a
/// link is followed; links inside are not.
#[derive(Debug, Clone)]
pub struct Source {
    roots: Arc<[Root]>,
    filter: Filter,
}

/// How much there is to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Files; not directories and links.
    pub files: u64,
    /// Bytes in these files.
    pub bytes: u64,
    /// The room that they take on a disk: less where there are holes in files.
    pub room: u64,
    /// Whether there are files with several names among them.
    pub has_links: bool,
    /// Whether all was counted.
    pub complete: bool,
}

impl Source {
    /// Looks at every path given, so that a typing error is found before anything is sent.
    ///
    /// What the filter leaves out is left out with all below it.
    ///
    /// # Errors
    /// The first of the paths that cannot be sent.
    pub fn new(paths: &[PathBuf], filter: Filter) -> Result<Self, StorageError> {
        let mut roots: Vec<Root> = Vec::with_capacity(paths.len());
        let mut named: HashMap<RelativePath, PathBuf> = HashMap::new();
        for disk in paths {
            let kind = std::fs::metadata(disk)
                .map_err(|error| unreadable(disk, error))?
                .file_type();
            if !kind.is_file() && !kind.is_dir() {
                return Err(StorageError::Special {
                    path: disk.clone(),
                    what: os::name_of(kind),
                });
            }
            if filter.is_own(disk) {
                return Err(StorageError::Secret { path: disk.clone() });
            }
            let (path, replaced) = name_of(disk, filter.replaces_names())?;
            if let Some(first) = named.insert(path.clone(), disk.clone()) {
                return Err(StorageError::SameName {
                    first,
                    second: disk.clone(),
                });
            }
            roots.push(Root {
                disk: disk.clone(),
                path,
                replaced,
            });
        }
        Ok(Self {
            roots: roots.into(),
            filter,
        })
    }

    /// Everything below the roots and the roots themselves, each directory before what is in it.
    ///
    /// Reads as it goes: memory for the depth, not for the number of files. What cannot be sent is
    /// an error in its place, and the walk goes on after it.
    #[must_use]
    pub fn walk(&self) -> Walk {
        Walk::new(self.roots.clone(), self.filter.clone())
    }

    /// Counts what a walk would find, but no more than `limit` entries, nor after `deadline`.
    ///
    /// What cannot be sent counts nothing; with `once`, a file with several names counts once.
    #[must_use]
    pub fn totals(&self, limit: u64, deadline: Instant, once: bool) -> Totals {
        let (mut totals, mut links) = (Totals::default(), HardLinks::default());
        for (seen, entry) in (0..).zip(self.walk()) {
            if seen >= limit || Instant::now() >= deadline {
                return totals;
            }
            let Ok(entry) = entry else { continue };
            let is_again = matches!(links.note(&entry), Linked::To(_));
            totals.has_links |= is_again;
            if let walk::EntryKind::File { size } = entry.kind
                && !(once && is_again)
            {
                totals.room = totals.room.saturating_add(entry.room);
                totals.files += 1;
                totals.bytes = totals.bytes.saturating_add(size);
            }
        }
        totals.complete = true;
        totals
    }
}

/// Why a path that was given cannot be looked at: of a link, that what it leads to is missing.
fn unreadable(disk: &Path, error: std::io::Error) -> StorageError {
    match std::fs::read_link(disk) {
        Ok(target) if error.kind() == std::io::ErrorKind::NotFound => StorageError::Dangling {
            path: disk.to_owned(),
            target,
        },
        _ => StorageError::io("read", disk)(error),
    }
}

/// The name under which a path that was given is sent, and whether something in it was replaced.
fn name_of(disk: &Path, replace: bool) -> Result<(RelativePath, bool), StorageError> {
    let real;
    let name = match disk.file_name() {
        Some(name) => Some(name),
        // `.`, `..` and the like have a name only where they lead.
        None => {
            real = disk
                .canonicalize()
                .map_err(StorageError::io("find", disk))?;
            real.file_name()
        }
    };
    let path = match name {
        Some(name) if replace => RelativePath::top_replaced(name),
        name => RelativePath::for_sending(name).map(|path| (path, false)),
    };
    path.map_err(|error| StorageError::Unsendable {
        path: disk.to_owned(),
        error,
    })
}
