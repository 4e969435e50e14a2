//! One listener for each home and room.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::PathBuf,
};

use fs4::{FileExt, TryLockError};

use super::Home;
use crate::protocol::RoomId;

/// Held for as long as this home listens in a room; the system releases it with the process.
///
/// The relay sends what is for an identity to the listener that came last. A second one would take
/// the first one's files, and put them wherever it was started.
#[derive(Debug)]
#[must_use]
pub struct ListenLock {
    _file: File,
}

/// Why this home cannot listen in a room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenLockError {
    /// It listens there already.
    #[error("this home listens in this room already{}", ProcessNumber(*pid))]
    Held {
        /// The process that does, where it has said so.
        pid: Option<u32>,
    },
    /// The lock cannot be had.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file that is locked.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl ListenLock {
    /// Takes the lock, if nobody has it. Does not wait.
    ///
    /// # Errors
    /// See [`ListenLockError`].
    pub fn take(home: &Home, room: RoomId) -> Result<Self, ListenLockError> {
        let path = home.path().join(format!("listening-{}.lock", room.short()));
        let failed = |source| ListenLockError::Io {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = (&file).take(16).read_to_string(&mut pid);
                let pid = pid.trim().parse().ok();
                return Err(ListenLockError::Held { pid });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The number is only for people: on a full disk the lock holds without it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

struct ProcessNumber(Option<u32>);

impl std::fmt::Display for ProcessNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (process {pid})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_listener_of_a_room_is_refused_and_told_who_is_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(Some(dir.path().to_owned())).unwrap();
        let (room, other) = (RoomId::from_bytes([1; 32]), RoomId::from_bytes([2; 32]));
        let first = ListenLock::take(&home, room).unwrap();
        let held = ListenLock::take(&home, room).unwrap_err();
        let me = std::process::id().to_string();
        assert!(held.to_string().contains(&me), "{held}");
        let _elsewhere = ListenLock::take(&home, other).unwrap();
        drop(first);
        let _second = ListenLock::take(&home, room).unwrap();
    }
}
