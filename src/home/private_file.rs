//! Files that only their owner may read: written whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};
use zeroize::Zeroizing;

/// Why a file in the home directory could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// The operating system said no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others than the owner may use the file, so its secret may be theirs by now.
    #[error("{} may be used by others than its owner (mode {mode:04o}, expected 0600)", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The path leads to something else than a regular file.
    #[error("{} is no regular file", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is longer than such a file can be.
    #[error("{} is longer than {max} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        max: u64,
    },
    /// The file is not UTF-8.
    #[error("{} is no text", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a private file whole; `None` when there is none.
///
/// # Errors
/// A file that others may read or write is refused: it is for its owner to decide what that means.
pub(super) fn read(path: &Path, max: u64) -> Result<Option<Zeroizing<String>>, PrivateFileError> {
    let failed = |source| io_error("read", path, source);
    let file = match never_wait(OpenOptions::new().read(true)).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    // Of the open file, not of the path: the path may lead elsewhere a moment later.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(PrivateFileError::NoFile {
            path: path.to_owned(),
        });
    }
    refuse_exposed(path, &metadata)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(metadata.len().min(max)).unwrap_or(0) + 1,
    ));
    (&file)
        .take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(PrivateFileError::TooLong {
            path: path.to_owned(),
            max,
        });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| PrivateFileError::NoText {
        path: path.to_owned(),
    })?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// Writes a new private file; `false` when there is one already, which is left as it is.
pub(super) fn create(path: &Path, contents: &[u8]) -> Result<bool, PrivateFileError> {
    match staged(path, contents)?.persist_noclobber(path) {
        Ok(_) => sync_parent(path).map(|()| true),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(io_error("create", path, e.error)),
    }
}

/// Puts a private file in the place of whatever is there.
pub(super) fn replace(path: &Path, contents: &[u8]) -> Result<(), PrivateFileError> {
    staged(path, contents)?
        .persist(path)
        .map_err(|e| io_error("replace", path, e.error))?;
    sync_parent(path)
}

pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> PrivateFileError {
    PrivateFileError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Opening must not wait: for a pipe in the file's place it would, until someone opens the other end.
pub(super) fn never_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    options
}

/// The directory that `path` is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A complete file beside `path`, on the disk, mode 0600 from its first moment.
fn staged(path: &Path, contents: &[u8]) -> Result<NamedTempFile, PrivateFileError> {
    let failed = |source| io_error("write", path, source);
    let mut builder = Builder::new();
    builder.prefix(".p2p-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o600));
    }
    let mut file = builder.tempfile_in(parent(path)).map_err(failed)?;
    file.write_all(contents).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    Ok(file)
}

#[cfg(unix)]
fn sync_parent(path: &Path) -> Result<(), PrivateFileError> {
    File::open(parent(path))
        .and_then(|directory| directory.sync_all())
        .map_err(|source| io_error("sync the directory of", path, source))
}

#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> Result<(), PrivateFileError> {
    Ok(())
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(PrivateFileError::Exposed {
        path: path.to_owned(),
        mode,
    })
}

#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_for_its_owner_alone_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert!(read(&path, 10).unwrap().is_none());
        assert!(create(&path, b"one").unwrap());
        assert_eq!(mode(&path), 0o600);
        replace(&path, b"two").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read(&path, 10).unwrap().unwrap().as_str(), "two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_file_is_never_replaced_by_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert!(create(&path, b"one").unwrap());
        assert!(!create(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_may_use_is_refused_for_every_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path, b"one").unwrap();
        for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600 | bit)).unwrap();
            assert!(
                matches!(read(&path, 10), Err(PrivateFileError::Exposed { mode, .. }) if mode == 0o600 | bit)
            );
        }
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (done, read_it) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            done.send(matches!(
                read(&path, 10),
                Err(PrivateFileError::NoFile { .. })
            ))
        });
        assert_eq!(
            read_it.recv_timeout(std::time::Duration::from_secs(10)),
            Ok(true)
        );
    }

    #[test]
    fn a_file_that_cannot_be_ours_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path, b"eleven byte").unwrap();
        assert!(matches!(
            read(&path, 10),
            Err(PrivateFileError::TooLong { .. })
        ));
        replace(&path, b"\xff\xfe").unwrap();
        assert!(matches!(
            read(&path, 10),
            Err(PrivateFileError::NoText { .. })
        ));
        assert!(matches!(
            read(dir.path(), 10),
            Err(PrivateFileError::NoFile { .. } | PrivateFileError::Io { .. })
        ));
    }
}
