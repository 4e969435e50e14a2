//! Whom we know in one room.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::protocol::{PeerId, PeerName};

/// The known peers of one room at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    peers: Peers,
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

impl Roster {
    pub(super) fn new(peers: Peers) -> Self {
        Self { peers }
    }

    /// What is known about a name that comes with an ID.
    #[must_use]
    pub fn check(&self, name: &PeerName, id: PeerId) -> Verdict {
        match self.peers.get(name) {
            None => Verdict::New,
            Some(entry) if entry.id == id => Verdict::Same,
            Some(entry) => Verdict::Changed { pinned: entry.id },
        }
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
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) id: PeerId,
    pub(super) since: u64,
    pub(super) origin: Origin,
}

impl Entry {
    pub(super) fn to_peer(&self, name: &PeerName) -> KnownPeer {
        KnownPeer {
            name: name.clone(),
            id: self.id,
            since: self.since,
            origin: self.origin,
        }
    }
}

/// Names and whose they are.
pub(super) type Peers = BTreeMap<PeerName, Entry>;
