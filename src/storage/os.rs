//! What differs between operating systems, and what the standard library lacks.

mod attributes;
mod rename;
mod space;

use std::{fs::File, io};

use cap_std::fs::{Dir, Metadata, OpenOptions};

use super::crash::slow_disk;

pub(super) use self::{
    attributes::{changed, is_executable, is_mine, mode, restrict_dir, set_mode, set_modified},
    rename::rename_no_replace,
    space::{Space, space},
};

/// Reads at a position without moving one; fewer bytes only at the end of the file.
pub(super) fn read_at(file: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let wanted = buf.len();
    while !buf.is_empty() {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(file, buf, offset);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(file, buf, offset);
        match read {
            Ok(0) => break,
            Ok(n) => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - buf.len())
}

/// A hasher that has been given the first `len` bytes of a file, and how many there were.
///
/// `progress` is called after each [`READ_BYTES`] with the bytes so far: of a large file it may take
/// minutes.
pub(super) fn hash_prefix(
    file: &File,
    len: u64,
    mut progress: impl FnMut(u64),
) -> io::Result<(blake3::Hasher, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut buf = vec![0; READ_BYTES];
    let mut at = 0;
    while at < len {
        let wanted = usize::try_from(len - at).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        let read = read_at(file, &mut buf[..wanted], at)?;
        if read == 0 {
            break;
        }
        hasher.update(&buf[..read]);
        at += read as u64;
        slow_disk();
        progress(at);
    }
    Ok((hasher, at))
}

/// What is read from a file at once: large enough for the disk, small enough for the cache.
pub(super) const READ_BYTES: usize = 256 * 1024;

/// Writes at a position without moving one; says how much was written before an error.
pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> (usize, io::Result<()>) {
    let mut done = 0;
    while done < bytes.len() {
        let (rest, at) = (&bytes[done..], offset + done as u64);
        #[cfg(unix)]
        let written = std::os::unix::fs::FileExt::write_at(file, rest, at);
        #[cfg(windows)]
        let written = std::os::windows::fs::FileExt::seek_write(file, rest, at);
        match written {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

/// Appends at `offset`, the file's end, and leaves a hole where there are blocks of zeros; says how
/// much was written before an error.
pub(super) fn write_with_holes(file: &File, bytes: &[u8], offset: u64) -> (usize, io::Result<()>) {
    let mut done = 0;
    for block in bytes.chunks(BLOCK) {
        if !crate::sealing::is_blank(block) {
            let (written, result) = write_all_at(file, block, offset + done as u64);
            if result.is_err() {
                return (done + written, result);
            }
        }
        done += block.len();
    }
    let end = offset + done as u64;
    match file.metadata().map(|found| found.len() < end) {
        Ok(true) => (done, file.set_len(end)),
        Ok(false) => (done, Ok(())),
        Err(error) => (done, Err(error)),
    }
}

/// The blocks that are looked at for zeros: file systems have no smaller holes.
const BLOCK: usize = 4096;

/// Opening must not wait: on a pipe that someone put in a file's place it would, for ever.
pub(super) fn never_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        options.custom_flags(NONBLOCK);
    }
    options
}

/// `most`, or less where this process may have few files open at once: a third of what is left beside
/// sockets and notes.
pub(super) fn handles(most: usize) -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            let left = usize::try_from(limit).unwrap_or(usize::MAX);
            return (left.saturating_sub(FILES_BESIDE) / 3).clamp(2, most);
        }
    }
    most
}

/// Files that a process has open beside those that it stores.
#[cfg(unix)]
const FILES_BESIDE: usize = 36;

/// Whether a call failed since this process has as many files open as it may.
pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    #[cfg(unix)]
    return rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::MFILE);
    #[cfg(not(unix))]
    return false;
}

/// The same for a file that is opened by its path; with `follow` unset, a link is not followed.
pub(super) fn open_by_path(path: &std::path::Path, follow: bool) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let nofollow = if follow { 0 } else { NOFOLLOW };
        options.custom_flags(NONBLOCK | nofollow);
    }
    #[cfg(windows)]
    if !follow {
        use std::os::windows::fs::OpenOptionsExt;
        // FILE_FLAG_OPEN_REPARSE_POINT: opens the link itself, which then is no regular file.
        options.custom_flags(0x0020_0000);
    }
    options.open(path)
}

/// What a path leads to, with its identity.
pub(super) fn metadata_by_path(path: &std::path::Path, follow: bool) -> io::Result<Metadata> {
    #[cfg(unix)]
    {
        let found = match follow {
            true => std::fs::metadata(path)?,
            false => std::fs::symlink_metadata(path)?,
        };
        Ok(Metadata::from_just_metadata(found))
    }
    #[cfg(not(unix))]
    {
        // On Windows only an open file has an identity.
        Metadata::from_file(&open_by_path(path, follow)?)
    }
}

#[cfg(unix)]
pub(super) const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
#[cfg(unix)]
pub(super) const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Tells the system that a file will be read from front to back. A hint: it may be ignored.
pub(super) fn will_read_all(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = file;
}

/// Makes a directory's entries durable.
pub(super) fn sync_dir(dir: &Dir) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::fs::{Mode, OFlags};
        // The handle at hand may be one that can only be passed on (O_PATH).
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let readable = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
        match rustix::fs::fsync(readable) {
            // The file system has nothing to sync, such as some network ones.
            Err(rustix::io::Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }
    #[cfg(not(unix))]
    {
        // Windows orders a rename after the flush of the file by its own journal.
        let _ = dir;
        Ok(())
    }
}

/// Makes everything durable that was written to the file system of `dir` so far, if the system
/// can, else fails with `Unsupported`.
///
/// Only Linux reports in it what could not be written (since 5.8), so only there is it enough.
pub(super) fn sync_file_system(dir: &Dir) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let readable = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
        Ok(rustix::fs::syncfs(readable)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = dir;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What is neither file nor directory nor link, in words.
pub(super) fn name_of(kind: std::fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    let _ = kind;
    "a device"
}

/// The device and number of a file that has several names.
pub(super) fn shared_inode(metadata: &std::fs::Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let is_shared = metadata.is_file() && metadata.nlink() > 1;
        is_shared.then(|| (metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// The bytes of a file that take room on its disk: not those in holes.
pub(super) fn room(metadata: &std::fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        match metadata.blocks() {
            // A small file may have its place beside its name, and a new one may have none yet.
            0 if metadata.len() < BLOCK as u64 => metadata.len(),
            blocks => blocks.saturating_mul(512).min(metadata.len()),
        }
    }
    #[cfg(not(unix))]
    {
        metadata.len()
    }
}

/// Where the next byte of a file is that is not in a hole, at `offset` or after it; `None` if there
/// is none, or the system cannot tell.
pub(super) fn next_data(file: &File, offset: u64) -> Option<u64> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(at) => Some(at),
            // A hole up to the end.
            Err(rustix::io::Errno::NXIO) => Some(u64::MAX),
            Err(_) => None,
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (file, offset);
        None
    }
}
