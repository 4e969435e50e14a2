//! The file of a job's notes: found, or made, and locked.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use fs4::FileExt;

use super::EXTENSION;
use crate::{
    protocol::PeerId,
    storage::{StorageError, os},
};

/// The file of one job of one sender, by a name that says neither; if another process has it open, or
/// something that is no file of notes has its name, an empty one of its own.
pub(super) fn open_for(
    directory: &Path,
    sender: &PeerId,
    job: &[u8; 16],
) -> Result<(File, PathBuf), StorageError> {
    std::fs::create_dir_all(directory)
        .map_err(StorageError::io("create the journal", directory))?;
    let mut hasher = blake3::Hasher::new_derive_key("p2p 2026-11 journal");
    hasher.update(sender.as_bytes()).update(job);
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    let name = HEXLOWER.encode(&key);

    let path = directory.join(format!("{name}.{EXTENSION}"));
    let file = open_log(&path).map_err(StorageError::io("open the journal", &path))?;
    let free = file.filter(|file| {
        let locked = FileExt::try_lock(file);
        !matches!(locked, Err(fs4::TryLockError::WouldBlock))
    });
    let Some(file) = free else {
        p2p_core::crypto::random(&mut key);
        let own = format!("{name}-{}.{EXTENSION}", HEXLOWER.encode(&key));
        let path = directory.join(own);
        let taken =
            || StorageError::io("open the journal", &path)(io::ErrorKind::AlreadyExists.into());
        let file = open_log(&path).map_err(StorageError::io("open the journal", &path))?;
        let file = file.ok_or_else(taken)?;
        let _ = FileExt::try_lock(&file);
        return Ok((file, path));
    };
    Ok((file, path))
}

/// Opens or makes a file of notes; `None` if what has the name is no regular file.
fn open_log(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options
            .mode(0o600)
            .custom_flags(os::NONBLOCK | os::NOFOLLOW);
    }
    match options.open(path) {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        Err(_) if path.symlink_metadata().is_ok_and(|there| !there.is_file()) => Ok(None),
        Err(error) => Err(error),
    }
}
