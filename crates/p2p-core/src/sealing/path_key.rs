//! What two peers of a transfer share with nobody else, to find a direct path between them.
//!
//! The transfer's own key will not do: every recipient of a broadcast holds that one. This one is an
//! HPKE export (RFC 9180, section 5.3) of the wrap to one recipient.

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::{Aead, Cipher, MacKey, derive, random, same};

/// Which end of the path speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathEnd {
    /// The transfer's sender.
    Sender,
    /// The recipient.
    Recipient,
}

/// A key of one sender and one recipient in one transfer.
pub struct PathKey {
    of_sender: Aead,
    of_recipient: Aead,
    probes: MacKey,
    tag: [u8; Self::TAG_LEN],
}

impl PathKey {
    /// Bytes of [`PathKey::tag`].
    pub const TAG_LEN: usize = 8;
    /// Bytes of a MAC.
    pub const MAC_LEN: usize = 32;
    const NONCE_LEN: usize = 12;

    /// From what HPKE exports.
    #[must_use]
    pub fn new(exported: &[u8; 32]) -> Self {
        let part = |label: &[u8]| derive(exported, b"p2p/1 path", &[label]);
        let cipher = |label| Aead::new(Cipher::ChaCha20Poly1305, &part(label));
        let mut tag = [0; Self::TAG_LEN];
        tag.copy_from_slice(&part(b"tag")[..Self::TAG_LEN]);
        Self {
            of_sender: cipher(b"sender"),
            of_recipient: cipher(b"recipient"),
            probes: MacKey::new(&*part(b"probe")),
            tag,
        }
    }

    /// Names the key where its probes arrive among others; says nothing of it.
    #[must_use]
    pub fn tag(&self) -> [u8; Self::TAG_LEN] {
        self.tag
    }

    /// Seals what one end tells the other: `nonce (12) ‖ ciphertext ‖ tag (16)`.
    ///
    /// The nonce is random: there are a few messages under one key.
    #[must_use]
    pub fn seal(&self, from: PathEnd, message: &[u8]) -> Vec<u8> {
        let mut nonce = [0; Self::NONCE_LEN];
        random(&mut nonce);
        let mut sealed = [&nonce[..], message].concat();
        let tag = self
            .cipher(from)
            .seal(nonce, b"", &mut sealed[Self::NONCE_LEN..]);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what the end `from` has sealed; `None` where nobody else could have.
    #[must_use]
    pub fn open(&self, from: PathEnd, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<{ Self::NONCE_LEN }>()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let len = self.cipher(from).open(*nonce, b"", &mut sealed)?.len();
        sealed.truncate(len);
        Some(sealed)
    }

    /// The MAC of a probe.
    #[must_use]
    pub fn mac(&self, probe: &[u8]) -> [u8; Self::MAC_LEN] {
        self.probes.mac([probe])
    }

    /// Whether this is the MAC of a probe; in constant time.
    #[must_use]
    pub fn is_mac(&self, probe: &[u8], mac: &[u8]) -> bool {
        same(&self.mac(probe), mac)
    }

    fn cipher(&self, of: PathEnd) -> &Aead {
        match of {
            PathEnd::Sender => &self.of_sender,
            PathEnd::Recipient => &self.of_recipient,
        }
    }
}

impl fmt::Debug for PathKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PathKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_as_the_same_ends_only() {
        let (key, other) = (PathKey::new(&[1; 32]), PathKey::new(&[2; 32]));
        let sealed = key.seal(PathEnd::Sender, b"here");
        assert_eq!(*key.open(PathEnd::Sender, &sealed).unwrap(), b"here");
        assert!(key.open(PathEnd::Recipient, &sealed).is_none(), "reflected");
        assert!(other.open(PathEnd::Sender, &sealed).is_none());
        for cut in 0..sealed.len() {
            assert!(key.open(PathEnd::Sender, &sealed[..cut]).is_none());
        }
        assert_ne!(sealed, key.seal(PathEnd::Sender, b"here"), "a fresh nonce");
    }

    #[test]
    fn a_probe_has_one_mac() {
        let (key, other) = (PathKey::new(&[1; 32]), PathKey::new(&[2; 32]));
        let mac = key.mac(b"probe");
        assert!(key.is_mac(b"probe", &mac));
        assert!(!key.is_mac(b"prone", &mac) && !other.is_mac(b"probe", &mac));
        assert!(!key.is_mac(b"probe", &mac[1..]));
        assert_ne!(key.tag(), other.tag());
    }
}
