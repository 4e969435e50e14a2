//! How full a file system is.

use std::io;

use cap_std::fs::Dir;

/// How full a file system is, in bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::storage) struct Space {
    /// What this user may still write.
    free: u64,
    total: u64,
}

impl Space {
    /// What may be written without filling the file system to its last byte: other programs on it
    /// must be able to go on.
    pub(in crate::storage) fn usable(self) -> u64 {
        self.free.saturating_sub(RESERVE.min(self.total / 100))
    }
}

/// What is left free of a large file system; of a small one it is a hundredth.
const RESERVE: u64 = 64 * 1024 * 1024;

/// How full a directory's file system is.
pub(in crate::storage) fn space(dir: &Dir, path: &std::path::Path) -> io::Result<Space> {
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
}
