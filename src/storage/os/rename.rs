//! Renaming without ever replacing anything.

use std::io;

use cap_std::fs::Dir;

/// Renames within a directory; fails with `AlreadyExists` rather than replace anything.
pub(in crate::storage) fn rename_no_replace(dir: &Dir, from: &str, to: &str) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
