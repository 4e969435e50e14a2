//! The content of files that are there.

use std::{fs::File, io};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions};

use super::os;

/// Whether two files of one directory hold the same.
pub(super) fn have_same_content(directory: &Dir, one: &str, other: &str) -> io::Result<bool> {
    let (Some((one, len)), Some((other, other_len))) =
        (open_file(directory, one)?, open_file(directory, other)?)
    else {
        return Ok(false);
    };
    if len != other_len {
        return Ok(false);
    }
    let [mut a, mut b] = [vec![0; os::READ_BYTES], vec![0; os::READ_BYTES]];
    let mut at = 0;
    while at < len {
        let got = os::read_at(&one, &mut a, at)?;
        if got == 0 || os::read_at(&other, &mut b[..got], at)? != got || a[..got] != b[..got] {
            return Ok(false);
        }
        at += got as u64;
    }
    Ok(true)
}

/// Opens a regular file and says how long it is; `None` if there is none, or something else.
pub(super) fn open_file(directory: &Dir, name: &str) -> io::Result<Option<(File, u64)>> {
    match directory.symlink_metadata(name) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No);
    let file = directory
        .open_with(name, os::never_wait(&mut options))?
        .into_std();
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata.len())))
}
