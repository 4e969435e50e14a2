//! Names that belong to a key, once and for all.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use fs4::FileExt;
use serde::{Deserialize, Serialize};

use super::private_file::{self, PrivateFileError};
use crate::{
    identity::{KnownPeer, Origin, Roster, RosterFull, Standing, Verdict},
    protocol::{PeerId, PeerName, RoomId},
};

/// The file of known peers, seen from one room.
///
/// Every method reads the file anew, and every change is made under a lock, so that a listener, a
/// sender and `p2p trust` can run at the same time. All block on the disk.
#[derive(Debug, Clone)]
pub struct KnownPeers {
    path: PathBuf,
    room: RoomId,
}

/// Why the known peers cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnownError {
    /// The file cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file is no list of known peers. It is kept: to forget whom we know would let anybody in.
    #[error("{} holds no known peers ({source})", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file is of a later version.
    #[error("{} has version {got}, expected {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: u32,
    },
    /// The room has as many known peers as are kept.
    #[error(transparent)]
    Full(#[from] RosterFull),
}

impl KnownPeers {
    /// The known peers of `room`, in the file at `path`, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf, room: RoomId) -> Self {
        Self { path, room }
    }

    /// Whom we know in the room now.
    ///
    /// # Errors
    /// When the file cannot be read; never an empty list in its place.
    pub fn load(&self) -> Result<Roster, KnownError> {
        let mut rooms = self.read()?.rooms;
        let peers = rooms.remove(&self.room.compact());
        Ok(peers.unwrap_or_default())
    }

    /// Says what is known about the name, and pins it to the ID if nothing is.
    ///
    /// A name that is pinned to this ID keeps its date and the weightier origin; one that is pinned
    /// to another is left as it is. Do not pin names that nobody chose, such as host names: two
    /// machines may well share one.
    ///
    /// # Errors
    /// When the file cannot be read or written, or the room is full.
    pub fn pin(
        &self,
        name: &PeerName,
        id: PeerId,
        origin: Origin,
        now_unix: u64,
    ) -> Result<Verdict, KnownError> {
        // Most often nothing changes, and then nobody needs to wait for a lock.
        if let Some(entry) = self.load()?.get(name) {
            if entry.id != id && (origin == Origin::Seen || entry.origin > Origin::Seen) {
                return Ok(Verdict::Changed { pinned: entry.id });
            }
            if entry.id == id && entry.origin >= origin {
                return Ok(Verdict::Same);
            }
        }
        self.change(|peers| Ok(peers.pin(name, id, origin, now_unix)?))
    }

    /// Gives the name to the ID on a person's word, whosever it was before; returns whose it was.
    ///
    /// # Errors
    /// When the file cannot be read or written, or the room is full.
    pub fn add(
        &self,
        name: &PeerName,
        id: PeerId,
        now_unix: u64,
    ) -> Result<Option<KnownPeer>, KnownError> {
        self.change(|peers| Ok(peers.add(name, id, now_unix)?))
    }

    /// Notes what is to become of a peer's offers; returns the name that this is noted under.
    ///
    /// # Errors
    /// When the file cannot be read or written, or the room is full.
    pub fn set_standing(
        &self,
        name: (&PeerName, bool),
        id: PeerId,
        standing: Standing,
        now_unix: u64,
    ) -> Result<PeerName, KnownError> {
        self.change(|peers| Ok(peers.set_standing(name, id, standing, now_unix)?))
    }

    /// Forgets the name; returns whose it was.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn remove(&self, name: &PeerName) -> Result<Option<KnownPeer>, KnownError> {
        self.change(|peers| Ok(peers.remove(name)))
    }

    fn read(&self) -> Result<Document, KnownError> {
        let Some(text) = private_file::read(&self.path, FILE_MAX)? else {
            return Ok(Document::default());
        };
        let document: Document =
            serde_json::from_str(&text).map_err(|source| KnownError::Corrupt {
                path: self.path.clone(),
                source,
            })?;
        if document.v != VERSION {
            return Err(KnownError::Version {
                path: self.path.clone(),
                got: document.v,
            });
        }
        Ok(document)
    }

    fn change<T>(
        &self,
        edit: impl FnOnce(&mut Roster) -> Result<T, KnownError>,
    ) -> Result<T, KnownError> {
        let _lock = self.lock()?;
        let mut document = self.read()?;
        let room = self.room.compact();
        let peers = document.rooms.entry(room.clone()).or_default();
        let before = peers.clone();
        let result = edit(peers)?;
        if *peers != before {
            if peers.is_empty() {
                document.rooms.remove(&room);
            }
            let text = serde_json::to_vec_pretty(&document).expect("a map with text keys is JSON");
            private_file::replace(&self.path, &text)?;
        }
        Ok(result)
    }

    /// Waits for the lock; it is released when the file is dropped.
    ///
    /// The lock is a file of its own, since the list itself is replaced by every change.
    fn lock(&self) -> Result<File, PrivateFileError> {
        let path = with_suffix(&self.path, ".lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = private_file::never_wait(&mut options)
            .open(&path)
            .map_err(|e| private_file::io_error("open", &path, e))?;
        FileExt::lock(&file).map_err(|e| private_file::io_error("lock", &path, e))?;
        Ok(file)
    }
}

/// The file: rooms by ID, without dashes.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    v: u32,
    rooms: BTreeMap<String, Roster>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            v: VERSION,
            rooms: BTreeMap::new(),
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The version of the file.
const VERSION: u32 = 1;

/// A dozen full rooms.
const FILE_MAX: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    fn known(dir: &tempfile::TempDir) -> KnownPeers {
        let path = dir.path().join("known-peers.json");
        KnownPeers::new(path, RoomId::from_bytes([1; 32]))
    }

    fn name(text: &str) -> PeerName {
        text.parse().unwrap()
    }

    const A: PeerId = PeerId::from_bytes([0xaa; 32]);
    const B: PeerId = PeerId::from_bytes([0xbb; 32]);

    #[test]
    fn the_first_contact_pins_and_another_key_does_not_unpin() {
        let dir = tempfile::tempdir().unwrap();
        let known = known(&dir);
        let alice = name("alice");
        let pin = |id| known.pin(&alice, id, Origin::Seen, 7).unwrap();
        assert_eq!(pin(A), Verdict::New);
        assert_eq!(pin(A), Verdict::Same);
        assert_eq!(pin(B), Verdict::Changed { pinned: A });
        let roster = known.load().unwrap();
        assert_eq!(roster.check(&alice, A), Verdict::Same);
        assert_eq!(roster.check(&alice, B), Verdict::Changed { pinned: A });
        assert_eq!(roster.check(&name("bob"), B), Verdict::New);
        assert_eq!(roster.get(&alice).unwrap().since, 7);
    }

    #[test]
    fn a_person_may_accept_a_changed_key() {
        let dir = tempfile::tempdir().unwrap();
        let known = known(&dir);
        known.pin(&name("alice"), A, Origin::SentTo, 7).unwrap();
        let before = known.add(&name("alice"), B, 9).unwrap().unwrap();
        assert_eq!((before.id, before.since), (A, 7));
        let now = known.load().unwrap().get(&name("alice")).unwrap();
        assert_eq!((now.id, now.since, now.origin), (B, 9, Origin::Added));
        assert_eq!(known.remove(&name("alice")).unwrap().unwrap().id, B);
        assert_eq!(known.remove(&name("alice")).unwrap(), None);
    }

    #[test]
    fn to_be_seen_is_not_to_be_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let known = known(&dir);
        known.pin(&name("alice"), A, Origin::Seen, 7).unwrap();
        assert!(!known.load().unwrap().is_trusted(A));
        known.pin(&name("alice"), A, Origin::SentTo, 8).unwrap();
        assert!(known.load().unwrap().is_trusted(A));
        known.pin(&name("alice"), A, Origin::Seen, 9).unwrap();
        let roster = known.load().unwrap();
        assert!(roster.is_trusted(A) && !roster.is_trusted(B));
        assert_eq!(roster.get(&name("alice")).unwrap().since, 7);
    }

    #[test]
    fn one_peer_may_have_several_names() {
        let dir = tempfile::tempdir().unwrap();
        let known = known(&dir);
        known.add(&name("alice"), A, 7).unwrap();
        known.add(&name("work laptop"), A, 7).unwrap();
        let names: Vec<_> = known.load().unwrap().iter().map(|peer| peer.name).collect();
        assert_eq!(names, [name("alice"), name("work laptop")]);
        known.remove(&name("alice")).unwrap();
        assert!(known.load().unwrap().is_trusted(A));
    }

    #[test]
    fn rooms_do_not_know_of_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let here = known(&dir);
        let there = KnownPeers::new(here.path.clone(), RoomId::from_bytes([2; 32]));
        here.add(&name("alice"), A, 7).unwrap();
        assert_eq!(
            there.pin(&name("alice"), B, Origin::Seen, 7).unwrap(),
            Verdict::New
        );
        assert_eq!(here.load().unwrap().get(&name("alice")).unwrap().id, A);
    }

    #[test]
    fn changes_made_at_the_same_time_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let known = known(&dir);
        thread::scope(|scope| {
            for i in 0_u8..8 {
                let known = &known;
                scope.spawn(move || {
                    for j in 0_u8..4 {
                        let name = name(&format!("peer {i} {j}"));
                        let id = PeerId::from_bytes([i * 4 + j; 32]);
                        known.pin(&name, id, Origin::Seen, 7).unwrap();
                    }
                });
            }
        });
        assert_eq!(known.load().unwrap().iter().count(), 32);
    }

    #[test]
    fn a_damaged_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let known = known(&dir);
        for bad in ["", "{}", "[1]", r#"{"v":1,"rooms":{"x":{"a":{"id":"?"}}}}"#] {
            private_file::replace(&known.path, bad.as_bytes()).unwrap();
            assert!(matches!(known.load(), Err(KnownError::Corrupt { .. })));
            assert!(known.pin(&name("a"), A, Origin::Seen, 1).is_err());
            assert!(known.add(&name("a"), A, 1).is_err());
            assert_eq!(fs::read_to_string(&known.path).unwrap(), bad);
        }
        private_file::replace(&known.path, br#"{"v":2,"rooms":{}}"#).unwrap();
        assert!(matches!(
            known.load(),
            Err(KnownError::Version { got: 2, .. })
        ));
    }
}
