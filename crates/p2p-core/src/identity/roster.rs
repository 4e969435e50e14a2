//! Whom we know in one room.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::protocol::{PeerId, PeerName};

/// The known peers of one room at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roster {
    peers: BTreeMap<PeerName, Entry>,
}

/// A name and the key that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// The name.
    pub name: PeerName,
    /// Whose it is.
    pub id: PeerId,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// How we came to know it.
    pub origin: Origin,
}

/// How we came to know a peer; the later ones count for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was in the room under this name.
    Seen,
    /// We sent it something under this name.
    SentTo,
    /// A person said so.
    Added,
}

/// What the known peers say about a name that comes with an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The name is not known.
    New,
    /// The name is this peer's.
    Same,
    /// The name is another peer's.
    Changed {
        /// Whose the name is.
        pinned: PeerId,
    },
}

/// The room has as many known peers as are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there are {} known peers in this room already, the most that are kept",
    Roster::MAX
)]
pub struct RosterFull;

impl Roster {
    /// The most names that are kept for one room.
    ///
    /// A member could otherwise fill the disk with names; none is ever dropped for a new one,
    /// since a dropped name could be taken by another key.
    pub const MAX: usize = 4096;

    /// What is known about a name that comes with an ID.
    #[must_use]
    pub fn check(&self, name: &PeerName, id: PeerId) -> Verdict {
        match self.peers.get(name) {
            None => Verdict::New,
            Some(entry) if entry.id == id => Verdict::Same,
            Some(entry) => Verdict::Changed { pinned: entry.id },
        }
    }

    /// Says what is known about the name, and pins it to the ID if nothing is.
    ///
    /// A name that is pinned to this ID keeps its date and the weightier origin; one that is pinned
    /// to another is left as it is. An ID gets one name by itself: a peer that goes by a name after
    /// the other would otherwise take them all from those who come by them later. What it is called
    /// besides, a person says ([`Roster::add`]).
    ///
    /// # Errors
    /// When the name is new and the room is full.
    pub fn pin(
        &mut self,
        name: &PeerName,
        id: PeerId,
        origin: Origin,
        now_unix: u64,
    ) -> Result<Verdict, RosterFull> {
        let verdict = self.check(name, id);
        match verdict {
            Verdict::New => match self.peers.values_mut().find(|entry| entry.id == id) {
                Some(entry) => entry.origin = entry.origin.max(origin),
                None => self.insert(name, id, origin, now_unix)?,
            },
            Verdict::Same => {
                let entry = self.peers.get_mut(name).expect("the name is known");
                entry.origin = entry.origin.max(origin);
            }
            // Nobody here has chosen whom the name means, until now.
            Verdict::Changed { .. } if origin > Origin::Seen && !self.is_chosen(name) => {
                self.insert(name, id, origin, now_unix)?;
                return Ok(Verdict::New);
            }
            Verdict::Changed { .. } => {}
        }
        Ok(verdict)
    }

    /// Whether a person here has chosen whom the name means, by sending to it or by adding it.
    ///
    /// One that was only received from has not been chosen.
    #[must_use]
    pub fn is_chosen(&self, name: &PeerName) -> bool {
        self.peers
            .get(name)
            .is_some_and(|entry| entry.origin > Origin::Seen)
    }

    /// Gives the name to the ID on a person's word, whosever it was before; returns whose it was.
    ///
    /// # Errors
    /// When the name is new and the room is full.
    pub fn add(
        &mut self,
        name: &PeerName,
        id: PeerId,
        now_unix: u64,
    ) -> Result<Option<KnownPeer>, RosterFull> {
        let before = self.get(name);
        match self.peers.get_mut(name) {
            Some(entry) if entry.id == id => entry.origin = Origin::Added,
            _ => self.insert(name, id, Origin::Added, now_unix)?,
        }
        Ok(before)
    }

    /// Forgets the name; returns whose it was.
    pub fn remove(&mut self, name: &PeerName) -> Option<KnownPeer> {
        self.peers.remove(name).map(|entry| entry.to_peer(name))
    }

    /// Whether a person added this peer, or sent something to it, under any name.
    #[must_use]
    pub fn is_trusted(&self, id: PeerId) -> bool {
        self.peers
            .values()
            .any(|entry| entry.id == id && entry.origin >= Origin::SentTo)
    }

    /// Whose the name is.
    #[must_use]
    pub fn get(&self, name: &PeerName) -> Option<KnownPeer> {
        self.peers.get(name).map(|entry| entry.to_peer(name))
    }

    /// Everybody, by name.
    pub fn iter(&self) -> impl Iterator<Item = KnownPeer> + '_ {
        self.peers.iter().map(|(name, entry)| entry.to_peer(name))
    }

    /// Whether nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    fn insert(
        &mut self,
        name: &PeerName,
        id: PeerId,
        origin: Origin,
        since: u64,
    ) -> Result<(), RosterFull> {
        if self.peers.len() >= Self::MAX && !self.peers.contains_key(name) {
            return Err(RosterFull);
        }
        self.peers.insert(name.clone(), Entry { id, since, origin });
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: PeerId,
    since: u64,
    origin: Origin,
}

impl Entry {
    fn to_peer(&self, name: &PeerName) -> KnownPeer {
        KnownPeer {
            name: name.clone(),
            id: self.id,
            since: self.since,
            origin: self.origin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_changes_its_name_takes_no_second_one_from_anybody() {
        let (a, b) = (
            PeerId::from_bytes([0xaa; 32]),
            PeerId::from_bytes([0xbb; 32]),
        );
        let name = |text: &str| text.parse::<PeerName>().unwrap();
        let mut roster = Roster::default();
        for text in ["mallory", "bob", "carol"] {
            assert_eq!(
                roster.pin(&name(text), a, Origin::Seen, 1),
                Ok(Verdict::New)
            );
        }
        assert_eq!(roster.iter().count(), 1);
        assert_eq!(
            roster.pin(&name("bob"), b, Origin::Seen, 1),
            Ok(Verdict::New)
        );
        assert_eq!(roster.check(&name("bob"), b), Verdict::Same);
        assert!(!roster.is_trusted(a));
        roster.pin(&name("carol"), a, Origin::SentTo, 2).unwrap();
        assert!(
            roster.is_trusted(a),
            "whoever was sent something is trusted, under any name"
        );
        roster.add(&name("carol"), a, 3).unwrap();
        assert_eq!(roster.iter().count(), 3);
    }

    #[test]
    fn a_full_room_takes_no_new_name_and_forgets_none() {
        let (a, b) = (
            PeerId::from_bytes([0xaa; 32]),
            PeerId::from_bytes([0xbb; 32]),
        );
        let name = |text: &str| text.parse::<PeerName>().unwrap();
        let mut roster = Roster::default();
        for i in 0..Roster::MAX {
            roster.add(&name(&format!("peer {i}")), a, 1).unwrap();
        }
        assert_eq!(
            roster.pin(&name("bob"), b, Origin::Seen, 1),
            Err(RosterFull)
        );
        assert_eq!(roster.add(&name("one more"), b, 1), Err(RosterFull));
        roster.add(&name("peer 0"), b, 1).unwrap();
        assert_eq!(roster.iter().count(), Roster::MAX);
    }
}
