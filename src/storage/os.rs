//! What differs between operating systems, and what the standard library lacks.

use std::{fs::File, io};

use cap_std::fs::{Dir, Metadata, OpenOptions};

use super::Modified;

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

/// Renames within a directory; fails with `AlreadyExists` rather than replace anything.
pub(super) fn rename_no_replace(dir: &Dir, from: &str, to: &str) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::{fs::RenameFlags, io::Errno};
        match rustix::fs::renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // Some network and user-space file systems do not know the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    link_and_remove(dir, from, to)
}

/// The same where the system has no such rename: a hard link fails if its name exists.
fn link_and_remove(dir: &Dir, from: &str, to: &str) -> io::Result<()> {
    match dir.hard_link(from, dir, to) {
        // A kill between the two leaves a second name, which `clean` removes: the content under
        // the final name is complete.
        Ok(()) => dir.remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => look_and_rename(dir, from, to),
    }
}

/// The same where there are no hard links either: right as long as only this process stores here.
fn look_and_rename(dir: &Dir, from: &str, to: &str) -> io::Result<()> {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    match dir.symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => dir.rename(from, dir, to),
        Err(error) => Err(error),
    }
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

/// How full a file system is, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Space {
    /// What this user may still write.
    free: u64,
    total: u64,
}

impl Space {
    /// What may be written without filling the file system to its last byte: other programs on it
    /// must be able to go on.
    pub(super) fn usable(self) -> u64 {
        self.free.saturating_sub(RESERVE.min(self.total / 100))
    }
}

/// What is left free of a large file system; of a small one it is a hundredth.
const RESERVE: u64 = 64 * 1024 * 1024;

/// How full a directory's file system is.
pub(super) fn space(dir: &Dir, path: &std::path::Path) -> io::Result<Space> {
    #[cfg(unix)]
    {
        let _ = path;
        let stat = rustix::fs::fstatvfs(dir)?;
        Ok(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        Ok(Space {
            free: fs4::available_space(path)?,
            total: fs4::total_space(path)?,
        })
    }
}

/// Whether a file may be executed.
pub(super) fn is_executable(metadata: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        metadata.mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

/// The permission bits of a file or directory; `None` where the system has none.
pub(super) fn mode(metadata: &std::fs::Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some(metadata.mode() & 0o777)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
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

/// Lets everyone execute a file who may read it, or nobody; of that, `mode` may take away.
///
/// The file was made under the umask, so following its read bits obeys the umask, which cannot be
/// asked for without changing it under all threads.
pub(super) fn set_mode(file: &File, executable: bool, kept: Option<u32>) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata()?.permissions().mode() & 0o7777;
        let wanted = match executable {
            true => (mode & 0o666) | ((mode & 0o444) >> 2),
            false => mode & 0o666,
        };
        let wanted = match kept {
            // Executable for those that its mode says, readable for its owner in any case: it is theirs.
            Some(kept) => (wanted | (mode & 0o444) >> 2) & kept | 0o400,
            None => wanted,
        };
        if wanted != mode {
            file.set_permissions(std::fs::Permissions::from_mode(wanted))?;
        }
    }
    #[cfg(not(unix))]
    let _ = (file, executable, kept);
    Ok(())
}

/// Takes away what a directory grants beyond `kept`; its owner can always use it.
pub(super) fn restrict_dir(dir: &Dir, name: &str, kept: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::fs::{Mode, OFlags, fchmod, openat};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(dir, name, flags, Mode::empty())?;
        let now = rustix::fs::fstat(&opened)?.st_mode & 0o777;
        Ok(fchmod(&opened, Mode::from_raw_mode(now & kept | 0o700))?)
    }
    #[cfg(not(unix))]
    {
        let _ = (dir, name, kept);
        Ok(())
    }
}

/// Sets the modification time of something in a directory, without following a link; fails with
/// `InvalidInput` for a time that cannot be.
pub(super) fn set_modified(dir: &Dir, name: &str, modified: Modified) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_OMIT, utimensat};
        let (tv_sec, nanos) = modified;
        if nanos >= 1_000_000_000 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec,
                tv_nsec: nanos.into(),
            },
        };
        Ok(utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
    #[cfg(not(unix))]
    {
        use cap_fs_ext::{DirExt, SystemTimeSpec};
        let time = super::time::to_system(modified)
            .filter(|time| *time >= std::time::UNIX_EPOCH)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let time = SystemTimeSpec::from(cap_std::time::SystemTime::from_std(time));
        dir.set_symlink_times(name, None, Some(time))
    }
}

/// When a file's content or attributes changed last, in seconds and nanoseconds; `None` where the
/// system does not say.
pub(super) fn changed(metadata: &Metadata) -> Option<(i64, i64)> {
    #[cfg(unix)]
    {
        use cap_std::fs::MetadataExt;
        Some((metadata.ctime(), metadata.ctime_nsec()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// Whether a file belongs to the user that this process acts for.
pub(super) fn is_mine(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use cap_std::fs::MetadataExt;
        metadata.uid() == rustix::process::geteuid().as_raw()
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_never_filled_to_its_last_byte() {
        let usable = |free, total| Space { free, total }.usable();
        assert_eq!(usable(10 << 30, 100 << 30), (10 << 30) - RESERVE);
        assert_eq!(usable(1 << 20, 100 << 20), 0);
        assert_eq!(usable(2 << 20, 100 << 20), 1 << 20);
        assert_eq!(usable(0, 0), 0);
    }

    #[test]
    fn no_way_of_renaming_replaces_what_is_there() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), cap_std::ambient_authority()).unwrap();
        for rename in [rename_no_replace, link_and_remove, look_and_rename] {
            dir.write("from", "new").unwrap();
            dir.write("taken", "old").unwrap();
            let error = rename(&dir, "from", "taken").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(dir.read("taken").unwrap(), b"old");
            rename(&dir, "from", "free").unwrap();
            assert_eq!(dir.read("free").unwrap(), b"new");
            assert!(!dir.exists("from"));
            dir.remove_file("free").unwrap();
        }
    }
}
