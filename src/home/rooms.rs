//! The rooms that this home has joined, each by a name of its own.

use std::{fmt, fs, io, path::PathBuf, str::FromStr};

use super::{Home, HomeError, InviteFileError, load_invite, save_invite};
use crate::identity::Invite;

/// The rooms that were joined under one home. All methods block on the disk.
///
/// Each is a file below `rooms/`; the file `invite` is the one that is used where none is named.
/// A home from before there were several has that file alone, and so one room.
#[derive(Debug, Clone)]
pub struct Rooms<'a> {
    home: &'a Home,
}

/// A room as it was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRoom {
    /// What it is called here.
    pub name: RoomName,
    /// How to enter it.
    pub invite: Invite,
    /// Whether it is used where none is named.
    pub is_default: bool,
}

/// What a room is called on this machine: 1 to 64 letters, digits, `-`, `_` and `.`, no dot first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomName(String);

/// Why a text is no name of a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a room's name has 1 to 64 letters, digits, '-', '_' and '.', and does not begin with '.' or '-'"
)]
pub struct RoomNameError;

/// Why the rooms cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoomsError {
    /// A file with an invite cannot be used.
    #[error(transparent)]
    Invite(#[from] InviteFileError),
    /// The directory cannot be made.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The directory cannot be read, or a file in it not removed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// No room of this name was joined.
    #[error("no room is called {0}")]
    Unknown(RoomName),
    /// The default room is needed while there are others.
    #[error("{0} is the default room: it stays while there are others")]
    Default(RoomName),
    /// As many as are kept.
    #[error("there are {} rooms already, the most that are kept", Rooms::MAX)]
    Full,
}

impl Rooms<'_> {
    /// The most rooms that are kept.
    pub const MAX: usize = 256;

    /// The rooms under this home.
    #[must_use]
    pub fn of(home: &Home) -> Rooms<'_> {
        Rooms { home }
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn list(&self) -> Result<Vec<SavedRoom>, RoomsError> {
        let default = load_invite(&self.home.invite())?;
        let mut rooms = Vec::new();
        for name in self.names()? {
            if let Some(invite) = load_invite(&self.path(&name))? {
                rooms.push(SavedRoom {
                    is_default: default.as_ref() == Some(&invite),
                    name,
                    invite,
                });
            }
        }
        if let Some(invite) = default
            && !rooms.iter().any(|room| room.is_default)
        {
            rooms.push(SavedRoom {
                name: free_name(&rooms, &invite),
                invite,
                is_default: true,
            });
        }
        rooms.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rooms)
    }

    /// The room of this name.
    ///
    /// # Errors
    /// [`RoomsError::Unknown`], or when the rooms cannot be read.
    pub fn get(&self, name: &RoomName) -> Result<SavedRoom, RoomsError> {
        let rooms = self.list()?;
        let found = rooms.into_iter().find(|room| room.name == *name);
        found.ok_or_else(|| RoomsError::Unknown(name.clone()))
    }

    /// Saves a room, and makes it the default if there is none.
    ///
    /// Without a name it is called after the relay's host, or `lan`. An invite to a room that is saved already,
    /// or to a relay that was set up anew at the same address, takes the place of the old one.
    ///
    /// # Errors
    /// When it cannot be written, or there are [`Rooms::MAX`] already.
    pub fn add(&self, invite: &Invite, name: Option<&RoomName>) -> Result<SavedRoom, RoomsError> {
        let rooms = self.list()?;
        let old = rooms.iter().find(|room| match name {
            Some(name) => room.name == *name,
            None => is_same(&room.invite, invite),
        });
        if old.is_none() && rooms.len() >= Self::MAX {
            return Err(RoomsError::Full);
        }
        let room = SavedRoom {
            name: match (name, old) {
                (Some(name), _) => name.clone(),
                (None, Some(old)) => old.name.clone(),
                (None, None) => free_name(&rooms, invite),
            },
            invite: invite.clone(),
            is_default: old.map_or(rooms.is_empty(), |old| old.is_default),
        };
        self.home.make_directory(&self.home.rooms())?;
        self.keep_default(&rooms)?;
        save_invite(invite, &self.path(&room.name))?;
        if room.is_default {
            save_invite(invite, &self.home.invite())?;
        }
        Ok(room)
    }

    /// Makes this room the default.
    ///
    /// # Errors
    /// [`RoomsError::Unknown`], or when it cannot be written.
    pub fn make_default(&self, name: &RoomName) -> Result<(), RoomsError> {
        let room = self.get(name)?;
        self.home.make_directory(&self.home.rooms())?;
        self.keep_default(&self.list()?)?;
        Ok(save_invite(&room.invite, &self.home.invite())?)
    }

    /// Forgets a room. What is known of its peers stays.
    ///
    /// # Errors
    /// [`RoomsError::Unknown`]; [`RoomsError::Default`] while there are others; or when it cannot be
    /// removed.
    pub fn remove(&self, name: &RoomName) -> Result<(), RoomsError> {
        let (room, others) = (self.get(name)?, self.list()?.len() - 1);
        if room.is_default && others > 0 {
            return Err(RoomsError::Default(room.name));
        }
        let default = room.is_default.then(|| self.home.invite());
        for path in default.into_iter().chain([self.path(name)]) {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(RoomsError::Io { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives the default room a file by its name, where it has none yet: what replaces the file
    /// `invite` must not be the end of it.
    fn keep_default(&self, rooms: &[SavedRoom]) -> Result<(), RoomsError> {
        for room in rooms.iter().filter(|room| room.is_default) {
            save_invite(&room.invite, &self.path(&room.name))?;
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<RoomName>, RoomsError> {
        let path = self.home.rooms();
        let failed = |source| RoomsError::Io {
            path: path.clone(),
            source,
        };
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries.take(2 * Self::MAX) {
            // Files that are being written have other names.
            if let Ok(name) = entry.map_err(failed)?.file_name().to_string_lossy().parse() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn path(&self, name: &RoomName) -> PathBuf {
        self.home.rooms().join(&name.0)
    }
}

/// The same room of a relay, or the first room of a relay whose key is a new one.
fn is_same(old: &Invite, new: &Invite) -> bool {
    match (&old.relay, &new.relay) {
        (Some(old), Some(new)) if old.fingerprint != new.fingerprint => old.at == new.at,
        (Some(_), Some(_)) | (None, None) => old.secret == new.secret,
        _ => false,
    }
}

/// The relay's host, or `lan`, with a number behind it where that is taken.
fn free_name(rooms: &[SavedRoom], invite: &Invite) -> RoomName {
    let host = invite.relay.as_ref().map_or("lan", |relay| relay.at.host());
    let host: String = host
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    let host = host.trim_start_matches(['-', '.']);
    let host: String = host.chars().take(RoomName::MAX_CHARS - 4).collect();
    let host = if host.is_empty() { "room" } else { &host };
    let names = std::iter::once(host.to_owned()).chain((2..).map(|n| format!("{host}-{n}")));
    let mut free = names
        .map(RoomName)
        .filter(|name| !rooms.iter().any(|room| room.name == *name));
    free.next().expect("rooms are fewer than numbers")
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

impl RoomName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 64;
}

impl FromStr for RoomName {
    type Err = RoomNameError;

    fn from_str(text: &str) -> Result<Self, RoomNameError> {
        let fits = (1..=Self::MAX_CHARS).contains(&text.chars().count())
            && text.chars().all(is_plain)
            && !text.starts_with(['.', '-']);
        fits.then(|| Self(text.to_owned())).ok_or(RoomNameError)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::RoomSecret, protocol::PeerId};

    fn invite(relay: &str, key: u8, secret: u8) -> Invite {
        Invite::new(
            relay.parse().unwrap(),
            PeerId::from_bytes([key; 32]),
            RoomSecret::from_bytes([secret; 16]),
        )
    }

    fn names(rooms: &Rooms<'_>) -> Vec<(String, bool)> {
        let rooms = rooms.list().unwrap();
        rooms
            .into_iter()
            .map(|room| (room.name.to_string(), room.is_default))
            .collect()
    }

    #[test]
    fn a_second_room_is_added_and_the_first_stays_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(Some(dir.path().to_owned())).unwrap();
        let rooms = Rooms::of(&home);
        // As an earlier version left it.
        let first = invite("relay.example:1", 1, 1);
        save_invite(&first, &home.invite()).unwrap();
        assert_eq!(names(&rooms), [("relay.example".into(), true)]);
        let second = invite("relay.example:1", 1, 2);
        assert_eq!(
            rooms.add(&second, None).unwrap().name.to_string(),
            "relay.example-2"
        );
        let work = "work".parse().unwrap();
        rooms
            .add(&invite("elsewhere:1", 3, 3), Some(&work))
            .unwrap();
        let all = |default: &str| {
            ["relay.example", "relay.example-2", "work"]
                .map(|name| (name.to_owned(), name == default))
        };
        assert_eq!(names(&rooms), all("relay.example"));
        assert_eq!(load_invite(&home.invite()).unwrap(), Some(first.clone()));
        rooms.make_default(&work).unwrap();
        assert_eq!(names(&rooms), all("work"));
        assert_eq!(
            rooms.get(&"relay.example".parse().unwrap()).unwrap().invite,
            first
        );
        assert!(matches!(rooms.remove(&work), Err(RoomsError::Default(_))));
        rooms.remove(&"relay.example".parse().unwrap()).unwrap();
        assert_eq!(names(&rooms).len(), 2);
    }

    #[test]
    fn an_invite_of_a_relay_that_was_set_up_anew_takes_the_place_of_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(Some(dir.path().to_owned())).unwrap();
        let rooms = Rooms::of(&home);
        rooms.add(&invite("relay:1", 1, 1), None).unwrap();
        let anew = invite("relay:1", 2, 2);
        assert!(rooms.add(&anew, None).unwrap().is_default);
        assert_eq!(names(&rooms), [("relay".into(), true)]);
        assert_eq!(load_invite(&home.invite()).unwrap(), Some(anew));
    }

    #[test]
    fn a_rooms_name_leads_nowhere_else() {
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "-x",
            ".hidden",
            "a b",
            "a\u{1b}",
            &"x".repeat(65),
        ] {
            assert_eq!(text.parse::<RoomName>(), Err(RoomNameError), "{text:?}");
        }
        for text in ["work", "relay.example.org", "日本", "a_b-2"] {
            assert_eq!(text.parse::<RoomName>().unwrap().to_string(), text);
        }
    }
}
