//! Partial files on the disk: their names, and who may have one.

use std::{fs::File, io, time::SystemTime};

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt};
use cap_std::fs::{Dir, Metadata, OpenOptions};
use data_encoding::HEXLOWER;
use fs4::FileExt;

use super::os;
use crate::protocol::PRIVATE_PREFIX;

/// What came of trying to have a partial file for oneself.
pub(super) enum Claim {
    Got {
        file: File,
        len: u64,
    },
    /// Somebody else has it, or it is nothing that may be appended to.
    Taken,
    /// It was renamed or removed just now.
    Moved,
}

/// Opens the partial file of this name, or makes it, for nobody else to use.
pub(super) fn claim(directory: &Dir, name: &str) -> io::Result<Claim> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .follow(FollowSymlinks::No);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        options.mode(0o644);
    }
    let file = match directory.open_with(name, os::never_wait(&mut options)) {
        Ok(file) => file.into_std(),
        // Anything that stands there and is no file of ours: a link, a directory, another user's.
        Err(_) if directory.symlink_metadata(name).is_ok() => return Ok(Claim::Taken),
        Err(error) => return Err(error),
    };
    let opened = Metadata::from_file(&file)?;
    if !is_ours(&opened) {
        return Ok(Claim::Taken);
    }
    match FileExt::try_lock(&file) {
        Ok(()) => {}
        Err(fs4::TryLockError::WouldBlock) => return Ok(Claim::Taken),
        // A file system without locks: two that resume the same key at once are told apart by
        // nothing, so nobody resumes there.
        Err(fs4::TryLockError::Error(_)) if opened.len() > 0 => return Ok(Claim::Taken),
        Err(fs4::TryLockError::Error(_)) => {}
    }
    // Between the opening and the lock, whoever held it may have given the file its final name:
    // then what we have locked is a finished file, and appending would ruin it.
    match directory.symlink_metadata(name) {
        Ok(named)
            if MetadataExt::dev(&named) == MetadataExt::dev(&opened)
                && MetadataExt::ino(&named) == MetadataExt::ino(&opened) => {}
        Ok(_) => return Ok(Claim::Moved),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Claim::Moved),
        Err(error) => return Err(error),
    }
    // Only now nobody else is writing.
    let len = file.metadata()?.len();
    Ok(Claim::Got { file, len })
}

/// A second name would let somebody keep writing, or us write to what is theirs.
fn is_ours(metadata: &Metadata) -> bool {
    metadata.is_file() && os::is_mine(metadata) && MetadataExt::nlink(metadata) == 1
}

/// Removes an abandoned partial file; `None` if there is none that is ours.
///
/// Not one that is in use or younger than `before`.
pub(super) fn remove_abandoned(
    directory: &Dir,
    name: &str,
    before: SystemTime,
) -> io::Result<Option<bool>> {
    debug_assert!(is_partial_name(name));
    let mut options = OpenOptions::new();
    options.read(true).write(true).follow(FollowSymlinks::No);
    let file = directory
        .open_with(name, os::never_wait(&mut options))?
        .into_std();
    if !is_ours(&Metadata::from_file(&file)?) {
        return Ok(None);
    }
    if file.metadata()?.modified()? > before || FileExt::try_lock(&file).is_err() {
        return Ok(Some(false));
    }
    directory.remove_file(name)?;
    Ok(Some(true))
}

/// Whether a name is one that [`Partial`] gives.
pub(super) fn is_partial_name(name: &str) -> bool {
    name.strip_prefix(PRIVATE_PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .is_some_and(|key| {
            key.len() == 32 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
}

/// The name of the partial file with this key.
pub(super) fn partial_name(key: &[u8; 16]) -> String {
    format!("{PRIVATE_PREFIX}{}{SUFFIX}", HEXLOWER.encode(key))
}

/// The name of a partial file that nobody has yet, and nobody will resume.
pub(super) fn random_name() -> String {
    let mut key = [0; 16];
    p2p_core::crypto::random(&mut key);
    partial_name(&key)
}

const SUFFIX: &str = ".part";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::{
        Conflict,
        testing::{Place, incoming, names},
    };

    #[cfg(unix)]
    #[test]
    fn what_someone_plants_under_the_partial_name_is_neither_written_nor_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let place = Place::new();
        let file = incoming("a", 3);
        let name = place.out().join(partial_name(&file.resume_key));
        let secret = place.outside().join("secret");
        fs::write(&secret, "old").unwrap();
        let plant: [&dyn Fn(); 5] = [
            &|| std::os::unix::fs::symlink(&secret, &name).unwrap(),
            &|| std::os::unix::fs::symlink(place.outside().join("none"), &name).unwrap(),
            &|| fs::hard_link(&secret, &name).unwrap(),
            &|| fs::create_dir(&name).unwrap(),
            &|| mknodat(CWD, &name, FileType::Fifo, Mode::RWXU, 0).unwrap(),
        ];
        for (i, plant) in plant.iter().enumerate() {
            plant();
            let mut partial = place.target.begin(&file).unwrap();
            assert!(!partial.is_resumable() && partial.is_empty(), "plant {i}");
            partial.write_all(b"new").unwrap();
            partial.finish(Conflict::Overwrite).unwrap();
            let stored = place.out().join("a");
            assert_eq!(fs::read(&stored).unwrap(), b"new");
            assert!(fs::symlink_metadata(&stored).unwrap().is_file());
            let _ = fs::remove_file(&name).or_else(|_| fs::remove_dir(&name));
        }
        assert_eq!(fs::read(&secret).unwrap(), b"old");
        assert_eq!(names(&place.outside()), ["secret"]);
    }

    #[test]
    fn only_our_own_names_are_partial_names() {
        assert!(is_partial_name(&random_name()));
        for other in [
            ".p2p-.part",
            ".p2p-0123.part",
            ".P2P-00000000000000000000000000000000.part",
            ".p2p-0000000000000000000000000000000G.part",
            ".p2p-00000000000000000000000000000000",
            "00000000000000000000000000000000.part",
        ] {
            assert!(!is_partial_name(other), "{other}");
        }
    }
}
