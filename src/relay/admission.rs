//! Which rooms may use this relay.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use crate::protocol::RoomId;

/// The rooms that are admitted: the remembered ones, or any.
#[derive(Debug)]
pub struct Admission {
    open: AtomicBool,
    rooms: Mutex<BTreeSet<RoomId>>,
    file: Option<PathBuf>,
}

impl Admission {
    /// Admits every room.
    #[must_use]
    pub fn open() -> Self {
        Self {
            open: AtomicBool::new(true),
            rooms: Mutex::default(),
            file: None,
        }
    }

    /// Admits these rooms, and forgets them with the process.
    #[must_use]
    pub fn of(rooms: impl IntoIterator<Item = RoomId>) -> Self {
        Self {
            open: AtomicBool::new(false),
            rooms: Mutex::new(rooms.into_iter().collect()),
            file: None,
        }
    }

    /// Reads the admitted rooms from a file, one ID a line; a file that is not there holds none.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is no room ID.
    pub fn load(file: &Path, open: bool) -> io::Result<Self> {
        Ok(Self {
            open: AtomicBool::new(open),
            rooms: Mutex::new(Self::read(file)?),
            file: Some(file.to_owned()),
        })
    }

    /// Admits every room, or those of the file as it is now. Who is in a room stays there.
    ///
    /// # Errors
    /// As for [`load`](Self::load); then nothing changes.
    pub fn reload(&self, open: bool) -> io::Result<()> {
        if let Some(file) = &self.file {
            let rooms = Self::read(file)?;
            *self.rooms.lock().unwrap_or_else(PoisonError::into_inner) = rooms;
        }
        self.open.store(open, Relaxed);
        Ok(())
    }

    fn read(file: &Path) -> io::Result<BTreeSet<RoomId>> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut rooms = BTreeSet::new();
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let bad = |e| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {}: {e}", number + 1),
                )
            };
            rooms.insert(line.parse().map_err(bad)?);
        }
        Ok(rooms)
    }

    /// Admits one more room, and remembers it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn admit(&self, room: RoomId) -> io::Result<()> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if !rooms.insert(room) {
            return Ok(());
        }
        let Some(file) = &self.file else {
            return Ok(());
        };
        let text: String = rooms.iter().map(|room| format!("{room}\n")).collect();
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut temporary, text.as_bytes())?;
        temporary.as_file().sync_all()?;
        temporary.persist(file).map_err(|e| e.error)?;
        Ok(())
    }

    /// Whether no room is admitted yet and none will be without asking.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.open.load(Relaxed)
            && self
                .rooms
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty()
    }

    pub(super) fn admits(&self, room: RoomId) -> bool {
        self.open.load(Relaxed)
            || self
                .rooms
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_admitted_once_is_admitted_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rooms");
        let (known, other) = (RoomId::from_bytes([1; 32]), RoomId::from_bytes([2; 32]));
        let first = Admission::load(&file, false).unwrap();
        assert!(first.is_empty());
        first.admit(known).unwrap();
        let second = Admission::load(&file, false).unwrap();
        assert!(second.admits(known) && !second.admits(other) && !second.is_empty());
        assert!(Admission::load(&file, true).unwrap().admits(other));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_empty_list() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rooms");
        fs::write(&file, "not a room\n").unwrap();
        assert!(
            Admission::load(&file, false)
                .unwrap_err()
                .to_string()
                .contains("line 1")
        );
    }
}
