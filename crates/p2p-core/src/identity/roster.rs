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
    /// What a person here has said for good about its offers.
    pub standing: Option<Standing>,
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

/// What becomes of a peer's offers without a question, by a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// They are taken.
    Always,
    /// They are declined.
    Never,
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
            Some(entry) if entry.id == id => {
                entry.origin = Origin::Added;
                // Whoever is added is not shut out any more.
                entry.standing = entry.standing.filter(|it| *it == Standing::Always);
            }
            _ => self.insert(name, id, Origin::Added, now_unix)?,
        }
        Ok(before)
    }

    /// Notes what is to become of this peer's offers; returns the name that this is noted under, which
    /// [`Roster::remove`] takes to undo it.
    ///
    /// A name that is another's, or that nobody chose, as a host's is not, gets the ID's beginning: the
    /// peer does not come to own it.
    ///
    /// # Errors
    /// When the peer is new and the room is full.
    pub fn set_standing(
        &mut self,
        (name, chosen): (&PeerName, bool),
        id: PeerId,
        standing: Standing,
        now_unix: u64,
    ) -> Result<PeerName, RosterFull> {
        let known = self.peers.iter().find(|(_, entry)| entry.id == id);
        let name = match known {
            Some((known, _)) => known.clone(),
            None if chosen && !self.peers.contains_key(name) => name.clone(),
            None => PeerName::from_lossy(&format!("{name}-{}", id.short())),
        };
        if !self.peers.contains_key(&name) {
            self.insert(&name, id, Origin::Seen, now_unix)?;
        }
        for entry in self.peers.values_mut().filter(|entry| entry.id == id) {
            entry.standing = Some(standing);
        }
        Ok(name)
    }

    /// What a person has said about this peer's offers.
    #[must_use]
    pub fn standing(&self, id: PeerId) -> Option<Standing> {
        let mut known = self.peers.values().filter(|entry| entry.id == id);
        known.find_map(|entry| entry.standing)
    }

    /// Forgets the name; returns whose it was.
    pub fn remove(&mut self, name: &PeerName) -> Option<KnownPeer> {
        self.peers.remove(name).map(|entry| entry.to_peer(name))
    }

    /// Whether a person added this peer, sent something to it, or always takes what it offers, under any
    /// name.
    #[must_use]
    pub fn is_trusted(&self, id: PeerId) -> bool {
        match self.standing(id) {
            Some(standing) => standing == Standing::Always,
            None => self
                .peers
                .values()
                .any(|entry| entry.id == id && entry.origin >= Origin::SentTo),
        }
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
        let standing = self.standing(id);
        let entry = Entry {
            id,
            since,
            origin,
            standing,
        };
        self.peers.insert(name.clone(), entry);
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: PeerId,
    since: u64,
    origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    standing: Option<Standing>,
}

impl Entry {
    fn to_peer(&self, name: &PeerName) -> KnownPeer {
        KnownPeer {
            name: name.clone(),
            id: self.id,
            since: self.since,
            origin: self.origin,
            standing: self.standing,
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
    fn what_a_person_said_for_good_goes_with_the_key_and_owns_no_name() {
        let [a, b, c] = [0xaa, 0xbb, 0xcc].map(|byte| PeerId::from_bytes([byte; 32]));
        let name = |text: &str| text.parse::<PeerName>().unwrap();
        let mut roster = Roster::default();
        let mut say = |id, chosen, standing| {
            let named = roster.set_standing((&name("bob"), chosen), id, standing, 1);
            named.unwrap().to_string()
        };
        assert_eq!(say(a, true, Standing::Always), "bob");
        assert_eq!(say(b, true, Standing::Never), format!("bob-{}", b.short()));
        assert_eq!(say(c, false, Standing::Never), format!("bob-{}", c.short()));
        assert!(roster.is_trusted(a) && !roster.is_trusted(b));
        assert_eq!(roster.standing(b), Some(Standing::Never));
        // It is undone by forgetting, and by adding.
        roster.remove(&name("bob"));
        assert!(!roster.is_trusted(a));
        roster.pin(&name("b"), b, Origin::SentTo, 2).unwrap();
        assert!(
            !roster.is_trusted(b),
            "that it was sent to does not let it in"
        );
        let text = serde_json::to_string(&roster).unwrap();
        assert_eq!(serde_json::from_str::<Roster>(&text).unwrap(), roster);
        let known = roster.iter().find(|peer| peer.id == b).unwrap();
        roster.add(&known.name, b, 3).unwrap();
        assert!(roster.is_trusted(b));
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
