//! Marks beside a journal: what was told of its files.
//!
//! The line of a stored file begins at some place in the journal; at the same place in the marks is one
//! byte for its event, and the next is for the program that is run on it. Whoever is about to tell sets
//! the byte first, under a lock, and tells only if it was not set.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use fs4::FileExt;

use crate::storage::os;

/// What is done once for each file that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// An event says that it is there.
    Event = 0,
    /// A program is run on it.
    Program = 1,
}

/// Sets the mark at this place; whether it was not set before. Not so where the marks are gone: they go
/// once everybody was told of everything. If they cannot be written, yes: better twice than never.
#[must_use]
pub fn claim(marks: &Path, at: u64) -> bool {
    claimed(marks, at).unwrap_or_else(|error| {
        tracing::debug!(%error, "not marked as told");
        error.kind() != io::ErrorKind::NotFound
    })
}

fn claimed(marks: &Path, at: u64) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(os::NONBLOCK | os::NOFOLLOW);
    }
    let mut file = options.open(marks)?;
    FileExt::lock(&file)?;
    if is_marked(&file, at) {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(at))?;
    file.write_all(b"1")?;
    Ok(true)
}

/// Whether the mark at this place is set.
pub(super) fn is_marked(marks: &File, at: u64) -> bool {
    let mut mark = [0];
    os::read_at(marks, &mut mark, at).is_ok_and(|read| read == 1 && mark[0] != 0)
}

/// Makes the marks of a journal, if they are not there; `anew` without any of an earlier one.
pub(super) fn make_marks(journal: &Path, anew: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(anew);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options
            .mode(0o600)
            .custom_flags(os::NONBLOCK | os::NOFOLLOW);
    }
    options.open(marks_of(journal)).map(drop)
}

/// The file of marks beside a journal.
pub(super) fn marks_of(journal: &Path) -> PathBuf {
    journal.with_extension("told")
}

/// Opens the marks beside a journal, if there are any.
pub(super) fn open_marks(journal: &Path) -> Option<File> {
    let marks = os::open_by_path(&marks_of(journal), false).ok()?;
    marks.metadata().ok()?.is_file().then_some(marks)
}
