//! What is on disk about me: the home directory, and the files in it.
//!
//! | file | what is in it |
//! |---|---|
//! | `identity.pem` | my private key ([`load_or_create_identity`]) |
//! | `invite` | the default room's invite ([`load_invite`]) |
//! | `rooms/` | every room's invite, by name ([`Rooms`]) |
//! | `listening-….lock` | held while this home listens in a room ([`ListenLock`]) |
//! | `known-peers.json` | whom I know ([`KnownPeers`]) |
//! | `name` | the name I chose ([`Home::name`]) |
//! | `roads.json` | where UDP did not reach a relay ([`RoadNotes`]) |
//! | `journal/` | notes on partial transfers, kept by `storage` |
//! | `jobs/` | which sends are running |
//! | `relay/` | a relay that runs under this home |
//!
//! Everything here blocks on the disk.

mod identity_file;
mod invite_file;
mod known_peers;
mod listen_lock;
mod notes;
mod private_file;
mod rate_notes;
mod relay_notes;
mod road_notes;
mod rooms;

pub use identity_file::{IdentityError, load_or_create_identity};
pub use invite_file::{InviteFileError, load_invite, save_invite};
pub use known_peers::{KnownError, KnownPeers};
pub use listen_lock::{ListenLock, ListenLockError};
pub use private_file::PrivateFileError;
pub use rate_notes::{PathNote, RateNotes};
pub use relay_notes::RelayNotes;
pub use road_notes::RoadNotes;
pub use rooms::{RoomName, RoomNameError, Rooms, RoomsError, SavedRoom};

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use directories::ProjectDirs;

use crate::{
    identity::Name,
    protocol::{PeerName, PeerNameError},
};

/// The home directory: every file that this program keeps for itself is below it.
#[derive(Debug, Clone)]
pub struct Home {
    directory: PathBuf,
}

/// Why the home directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The platform names no directory for a user's data, as without `HOME`.
    #[error("this user has no home directory")]
    None,
    /// The directory can be neither used nor made.
    #[error("cannot use the home directory {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Somebody else on this machine could put a key of their own in the place of ours.
    #[error("others may write to the home directory {0} (mode {mode:04o}): chmod go-w {0}", path.display())]
    Writable {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file with my name cannot be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file with my name holds no name.
    #[error("{} holds no name", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PeerNameError,
    },
}

impl Home {
    /// Opens the home directory, and makes it (mode 0700) if there is none.
    ///
    /// Without `directory` it is the platform's place for a user's data, such as
    /// `~/.local/share/p2p`. The mode of an existing directory is left as it is: the files in
    /// it guard themselves.
    ///
    /// # Errors
    /// When it cannot be made, or others may write to it.
    pub fn open(directory: Option<PathBuf>) -> Result<Self, HomeError> {
        let directory = match directory {
            Some(directory) => directory,
            None => ProjectDirs::from("", "", "p2p")
                .ok_or(HomeError::None)?
                .data_local_dir()
                .to_owned(),
        };
        make_private_directory(&directory)?;
        refuse_writable(&directory)?;
        Ok(Self { directory })
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// The private key of my identity.
    #[must_use]
    pub fn identity_key(&self) -> PathBuf {
        self.directory.join("identity.pem")
    }

    /// The saved invite.
    #[must_use]
    pub fn invite(&self) -> PathBuf {
        self.directory.join("invite")
    }

    /// The directory of saved rooms.
    #[must_use]
    pub fn rooms(&self) -> PathBuf {
        self.directory.join("rooms")
    }

    /// The invite of a relay that runs under this home, by which the same home reaches it.
    #[must_use]
    pub fn relay_invite(&self) -> PathBuf {
        self.relay().join("invite")
    }

    /// The socket on which a relay that runs under this home says how it is.
    #[must_use]
    pub fn relay_socket(&self) -> PathBuf {
        self.relay().join("status.sock")
    }

    /// Whom I know, in every room.
    #[must_use]
    pub fn known_peers(&self) -> PathBuf {
        self.directory.join("known-peers.json")
    }

    /// Notes on where UDP did not reach a relay.
    #[must_use]
    pub fn road_notes(&self) -> PathBuf {
        self.directory.join("roads.json")
    }

    /// Notes on which relays a cluster has.
    #[must_use]
    pub fn relay_notes(&self) -> PathBuf {
        self.directory.join("relays.json")
    }

    /// The directory of notes on partial transfers.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.directory.join("journal")
    }

    /// The directory of a relay that runs under this home.
    #[must_use]
    pub fn relay(&self) -> PathBuf {
        self.directory.join("relay")
    }

    /// The directory in which running sends are noted.
    #[must_use]
    pub fn jobs(&self) -> PathBuf {
        self.directory.join("jobs")
    }

    /// What holds my keys and secrets, and must never leave this machine with a tree that is sent.
    #[must_use]
    pub fn secrets(&self) -> Vec<PathBuf> {
        vec![
            self.identity_key(),
            self.invite(),
            self.rooms(),
            self.relay(),
        ]
    }

    /// Makes a directory below the home directory (mode 0700) if there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_directory(&self, directory: &Path) -> Result<(), HomeError> {
        make_private_directory(directory)
    }

    /// What I call myself: the chosen name, or else the host's.
    ///
    /// # Errors
    /// When a name was chosen and cannot be read.
    pub fn name(&self) -> Result<Name, HomeError> {
        let path = self.name_file();
        let Some(text) = private_file::read(&path, NAME_FILE_MAX)? else {
            return Ok(Name {
                name: PeerName::from_lossy(&gethostname::gethostname().to_string_lossy()),
                chosen: false,
            });
        };
        match text.trim_end_matches(['\r', '\n']).parse() {
            Ok(name) => Ok(Name { name, chosen: true }),
            Err(source) => Err(HomeError::Name { path, source }),
        }
    }

    /// Chooses my name, for now and later.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_name(&self, name: &PeerName) -> Result<(), HomeError> {
        let line = format!("{name}\n");
        Ok(private_file::replace(&self.name_file(), line.as_bytes())?)
    }

    fn name_file(&self) -> PathBuf {
        self.directory.join("name")
    }
}

fn make_private_directory(path: &Path) -> Result<(), HomeError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| HomeError::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(unix)]
fn refuse_writable(path: &Path) -> Result<(), HomeError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).map_err(|source| HomeError::Io {
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o7777;
    // In a sticky directory such as /tmp nobody can replace a file of ours.
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Err(HomeError::Writable {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_writable(_path: &Path) -> Result<(), HomeError> {
    Ok(())
}

/// The longest file with a name: 64 characters of at most four bytes, and the end of the line.
const NAME_FILE_MAX: u64 = 4 * PeerName::MAX_CHARS as u64 + 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn a_new_home_is_closed_to_others_and_an_old_one_is_left_as_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = dir.path().join("a/b");
        Home::open(Some(path.clone())).unwrap();
        assert_eq!(mode(&path), 0o700);
        set_mode(&path, 0o755);
        Home::open(Some(path.clone())).unwrap();
        assert_eq!(mode(&path), 0o755);
    }

    #[test]
    #[cfg(unix)]
    fn a_home_that_others_may_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Home::open(Some(dir.path().to_owned()));
        for unsafe_mode in [0o777, 0o770, 0o720, 0o702] {
            set_mode(dir.path(), unsafe_mode);
            assert!(matches!(open(), Err(HomeError::Writable { mode, .. }) if mode == unsafe_mode));
        }
        set_mode(dir.path(), 0o1777);
        assert!(open().is_ok());
    }

    #[test]
    fn a_name_is_the_hosts_until_one_is_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(Some(dir.path().to_owned())).unwrap();
        assert!(!home.name().unwrap().chosen);
        let name: PeerName = "Zoë 文".parse().unwrap();
        home.set_name(&name).unwrap();
        assert_eq!(home.name().unwrap(), Name { name, chosen: true });
        private_file::replace(&home.name_file(), b"\x1b[31m").unwrap();
        assert!(matches!(home.name(), Err(HomeError::Name { .. })));
    }
}
