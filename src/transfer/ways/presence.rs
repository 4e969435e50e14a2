//! Who listens, and by which ways.

use std::collections::HashMap;

use super::WayId;
use crate::{protocol::PeerId, transfer::Peer};

/// Who listens, and by which ways: the first that had it first.
#[derive(Debug, Default, Clone)]
pub struct Presence(HashMap<PeerId, Vec<(WayId, Peer)>>);

impl Presence {
    /// A peer came, changed, or went, as one way says.
    pub fn on_peer(&mut self, way: WayId, peer: Peer) {
        let ways = self.0.entry(peer.id).or_default();
        let known = ways.iter_mut().find(|(id, _)| *id == way);
        match (peer.is_listening(), known) {
            (true, Some(known)) => known.1 = peer,
            (true, None) => ways.push((way, peer)),
            (false, _) => {
                ways.retain(|(id, _)| *id != way);
                if ways.is_empty() {
                    self.0.remove(&peer.id);
                }
            }
        }
    }

    /// Nobody is there by this way any more.
    pub fn on_lost(&mut self, way: WayId) {
        self.0.retain(|_, ways| {
            ways.retain(|(id, _)| *id != way);
            !ways.is_empty()
        });
    }

    /// It could not be served by this way: another comes first, if there is one.
    pub fn on_failed(&mut self, way: WayId, peer: PeerId) {
        if let Some(ways) = self.0.get_mut(&peer)
            && ways.first().is_some_and(|(id, _)| *id == way)
        {
            ways.rotate_left(1);
        }
    }

    /// By which way a peer is to be served.
    #[must_use]
    pub fn of(&self, peer: PeerId) -> Option<&(WayId, Peer)> {
        self.0.get(&peer)?.first()
    }

    /// A peer as one way says that it is.
    #[must_use]
    pub fn by(&self, way: WayId, peer: PeerId) -> Option<&Peer> {
        let mut ways = self.0.get(&peer)?.iter();
        ways.find_map(|(id, peer)| (*id == way).then_some(peer))
    }

    /// Whether it listens.
    #[must_use]
    pub fn has(&self, peer: PeerId) -> bool {
        self.0.contains_key(&peer)
    }

    /// Everyone who listens, once.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.0.values().filter_map(|ways| Some(&ways.first()?.1))
    }
}
