//! What a listener announces on its LAN, readable to members of its room alone.

use std::fmt;

use crate::{
    crypto::{Aead, Cipher, TAG_LEN, derive, random},
    protocol::PeerId,
};

use super::RoomSecret;

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
    pub const SEALED_LEN: usize = NONCE_LEN + 2 * ID_LEN + TAG_LEN;

    /// Seals it: `nonce (12) ‖ ciphertext (64) ‖ tag (16)`.
    ///
    /// The nonce is random: a room has a few announcements an hour.
    #[must_use]
    pub fn seal(&self, key: &LanKey, at: &AnnouncedAt<'_>) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce);
        self.seal_with(key, at, nonce)
    }

    pub(crate) fn seal_with(
        &self,
        key: &LanKey,
        at: &AnnouncedAt<'_>,
        nonce: [u8; NONCE_LEN],
    ) -> Vec<u8> {
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(self.peer.as_bytes());
        sealed.extend_from_slice(self.relay.as_bytes());
        let tag = key.0.seal(nonce, &at.bytes(), &mut sealed[NONCE_LEN..]);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what a member of the room has sealed for this place and hour; `None` for anything else.
    #[must_use]
    pub fn open(key: &LanKey, at: &AnnouncedAt<'_>, sealed: &[u8]) -> Option<Self> {
        if sealed.len() != Self::SEALED_LEN {
            return None;
        }
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let opened = key.0.open(*nonce, &at.bytes(), &mut sealed)?;
        let (peer, relay) = opened.split_first_chunk::<ID_LEN>()?;
        Some(Self {
            peer: PeerId::from_bytes(*peer),
            relay: PeerId::from_bytes(relay.try_into().ok()?),
        })
    }
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

    fn announcement() -> Announcement {
        Announcement {
            peer: PeerId::from_bytes([1; 32]),
            relay: PeerId::from_bytes([2; 32]),
        }
    }

    #[test]
    fn an_announcement_opens_for_its_room_place_and_hour_only() {
        let key = RoomSecret::from_bytes([1; 16]).lan_key();
        let sealed = announcement().seal(&key, &AT);
        assert_eq!(sealed.len(), Announcement::SEALED_LEN);
        assert_eq!(Announcement::open(&key, &AT, &sealed), Some(announcement()));
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
    fn two_announcements_of_one_listener_have_nothing_in_common() {
        let key = RoomSecret::from_bytes([1; 16]).lan_key();
        let [one, two] = [0, 1].map(|_| announcement().seal(&key, &AT));
        let same = one.iter().zip(&two).filter(|(a, b)| a == b).count();
        assert!(same < 10, "{same} equal bytes");
        assert_eq!(format!("{key:?}"), "LanKey(..)");
    }
}
