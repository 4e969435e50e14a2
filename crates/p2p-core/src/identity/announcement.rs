//! What a listener announces on its LAN, readable to members of its room alone.

use std::fmt;

use crate::{
    crypto::{Aead, Cipher, SIGNATURE_LEN, TAG_LEN, derive, random},
    protocol::PeerId,
};

use super::{Identity, PublicKey, RoomSecret};

/// Seals announcements to the members of one room.
#[derive(Clone)]
pub struct LanKey(std::sync::Arc<Aead>);

/// A listener that can be reached on this LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Announcement {
    /// Who listens.
    pub peer: PeerId,
    /// The key of the relay that it runs for its room, which is a fresh one in every run.
    pub relay: PeerId,
}

/// Where and when an announcement holds: in any other place it does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnouncedAt<'a> {
    /// The service instance's name, which is a fresh one in every run.
    pub instance: &'a str,
    /// The port that is announced with it.
    pub port: u16,
    /// Hours since 1970.
    pub hour: u64,
}

impl RoomSecret {
    /// What members of the room announce themselves to each other with.
    #[must_use]
    pub fn lan_key(&self) -> LanKey {
        let key = derive(self.bytes(), b"", &[b"p2p/1 lan"]);
        LanKey(Aead::new(Cipher::ChaCha20Poly1305, &key).into())
    }
}

impl Announcement {
    /// Bytes of a sealed announcement.
    pub const SEALED_LEN: usize = NONCE_LEN + 2 * ID_LEN + SIGNATURE_LEN + TAG_LEN;

    /// Signs and seals what this member announces: that its relay shows this key.
    ///
    /// The nonce is random: a room has a few announcements an hour.
    #[must_use]
    pub fn seal(me: &Identity, relay: PeerId, key: &LanKey, at: &AnnouncedAt<'_>) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce);
        Self::seal_with(me, relay, key, at, nonce)
    }

    pub(crate) fn seal_with(
        me: &Identity,
        relay: PeerId,
        key: &LanKey,
        at: &AnnouncedAt<'_>,
        nonce: [u8; NONCE_LEN],
    ) -> Vec<u8> {
        let place = at.bytes();
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(me.public_key().as_bytes());
        sealed.extend_from_slice(relay.as_bytes());
        sealed.extend_from_slice(&me.sign(CONTEXT, &signed(relay, &place)));
        let tag = key.0.seal(nonce, &place, &mut sealed[NONCE_LEN..]);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what a member of the room has sealed for this place and hour, and signed as itself; `None`
    /// for anything else.
    #[must_use]
    pub fn open(key: &LanKey, at: &AnnouncedAt<'_>, sealed: &[u8]) -> Option<Self> {
        if sealed.len() != Self::SEALED_LEN {
            return None;
        }
        let place = at.bytes();
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let opened = key.0.open(*nonce, &place, &mut sealed)?;
        let (public, opened) = opened.split_first_chunk::<ID_LEN>()?;
        let (relay, signature) = opened.split_first_chunk::<ID_LEN>()?;
        let (public, relay) = (PublicKey::from_bytes(*public), PeerId::from_bytes(*relay));
        public
            .verify(CONTEXT, &signed(relay, &place), signature)
            .ok()?;
        Some(Self {
            peer: public.peer_id(),
            relay,
        })
    }
}

/// What is signed: `relay (32) ‖ port (2) ‖ hour (8) ‖ instance`.
fn signed(relay: PeerId, place: &[u8]) -> Vec<u8> {
    [relay.as_bytes(), place].concat()
}

impl AnnouncedAt<'_> {
    /// The associated data: `port (2) ‖ hour (8) ‖ instance`.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.port.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.hour.to_be_bytes());
        bytes.extend_from_slice(self.instance.as_bytes());
        bytes
    }
}

impl fmt::Debug for LanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LanKey(..)")
    }
}

/// What keeps the signature apart from those of anything else.
const CONTEXT: &str = "p2p/1 lan";
const NONCE_LEN: usize = 12;
const ID_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const AT: AnnouncedAt<'_> = AnnouncedAt {
        instance: "abc",
        port: 5000,
        hour: 7,
    };

    const RELAY: PeerId = PeerId::from_bytes([2; 32]);

    #[test]
    fn an_announcement_opens_for_its_room_place_and_hour_only() {
        let (me, key) = (
            Identity::generate(),
            RoomSecret::from_bytes([1; 16]).lan_key(),
        );
        let sealed = Announcement::seal(&me, RELAY, &key, &AT);
        assert_eq!(sealed.len(), Announcement::SEALED_LEN);
        let opened = Announcement {
            peer: me.id(),
            relay: RELAY,
        };
        assert_eq!(Announcement::open(&key, &AT, &sealed), Some(opened));
        let other = RoomSecret::from_bytes([2; 16]).lan_key();
        assert_eq!(Announcement::open(&other, &AT, &sealed), None);
        for at in [
            AnnouncedAt {
                instance: "abd",
                ..AT
            },
            AnnouncedAt { port: 5001, ..AT },
            AnnouncedAt { hour: 8, ..AT },
        ] {
            assert_eq!(Announcement::open(&key, &at, &sealed), None, "{at:?}");
        }
        for cut in 0..sealed.len() {
            assert_eq!(Announcement::open(&key, &AT, &sealed[..cut]), None);
            let mut changed = sealed.clone();
            changed[cut] ^= 1;
            assert_eq!(Announcement::open(&key, &AT, &changed), None);
        }
    }

    #[test]
    fn a_member_cannot_announce_another() {
        let key = RoomSecret::from_bytes([1; 16]).lan_key();
        let (me, other) = (Identity::generate(), Identity::generate());
        let nonce = [0; NONCE_LEN];
        // Everything of a member's own but the key that it claims.
        let place = AT.bytes();
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(other.public_key().as_bytes());
        sealed.extend_from_slice(RELAY.as_bytes());
        sealed.extend_from_slice(&me.sign(CONTEXT, &signed(RELAY, &place)));
        let tag = key.0.seal(nonce, &place, &mut sealed[NONCE_LEN..]);
        sealed.extend_from_slice(&tag);
        assert_eq!(Announcement::open(&key, &AT, &sealed), None);
    }

    #[test]
    fn two_announcements_of_one_listener_have_nothing_in_common() {
        let (me, key) = (
            Identity::generate(),
            RoomSecret::from_bytes([1; 16]).lan_key(),
        );
        let [one, two] = [0, 1].map(|_| Announcement::seal(&me, RELAY, &key, &AT));
        let same = one.iter().zip(&two).filter(|(a, b)| a == b).count();
        assert!(same < 10, "{same} equal bytes");
        assert_eq!(format!("{key:?}"), "LanKey(..)");
    }
}
