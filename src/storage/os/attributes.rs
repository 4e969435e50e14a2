//! Modes, times and owners.

use std::{fs::File, io};

use cap_std::fs::{Dir, Metadata};

use crate::storage::Modified;

/// Whether a file may be executed.
pub(in crate::storage) fn is_executable(metadata: &std::fs::Metadata) -> bool {
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
pub(in crate::storage) fn mode(metadata: &std::fs::Metadata) -> Option<u32> {
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

/// Lets everyone execute a file who may read it, or nobody; of that, `mode` may take away.
///
/// The file was made under the umask, so following its read bits obeys the umask, which cannot be
/// asked for without changing it under all threads.
pub(in crate::storage) fn set_mode(
    file: &File,
    executable: bool,
    kept: Option<u32>,
) -> io::Result<()> {
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
pub(in crate::storage) fn restrict_dir(dir: &Dir, name: &str, kept: u32) -> io::Result<()> {
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
pub(in crate::storage) fn set_modified(
    dir: &Dir,
    name: &str,
    modified: Modified,
) -> io::Result<()> {
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
        let time = crate::storage::time::to_system(modified)
            .filter(|time| *time >= std::time::UNIX_EPOCH)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let time = SystemTimeSpec::from(cap_std::time::SystemTime::from_std(time));
        dir.set_symlink_times(name, None, Some(time))
    }
}

/// When a file's content or attributes changed last, in seconds and nanoseconds; `None` where the
/// system does not say.
pub(in crate::storage) fn changed(metadata: &Metadata) -> Option<(i64, i64)> {
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
pub(in crate::storage) fn is_mine(metadata: &Metadata) -> bool {
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
