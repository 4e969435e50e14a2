//! Probes: the packets that open a way through NATs, and show that it is open.
//!
//! 64 bytes: `kind (1) ‖ zeros (7) ‖ tag (8) ‖ id (16) ‖ MAC (32)`. Every QUIC packet has the bit 0x40 in its first
//! byte (RFC 9000, section 17; it is not greased here), and no probe has it: so both share a socket.

use crate::sealing::{PathEnd, PathKey};

/// Bytes of a probe.
pub const PROBE_LEN: usize = 64;
const TAG_AT: usize = 8;
const ID_AT: usize = TAG_AT + PathKey::TAG_LEN;
const MAC_AT: usize = PROBE_LEN - PathKey::MAC_LEN;

/// What a probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// Do you hear me?
    Ping,
    /// I have heard the ping of this ID.
    Pong,
}

/// One probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// What it says.
    pub kind: ProbeKind,
    /// Who says it.
    pub from: PathEnd,
    /// Made for one ping; its pong repeats it.
    pub id: [u8; Self::ID_LEN],
}

impl Probe {
    /// Bytes of an ID: nobody who has not seen a ping can answer it.
    pub const ID_LEN: usize = MAC_AT - ID_AT;

    /// An ID that nobody can guess.
    #[must_use]
    pub fn fresh_id() -> [u8; Self::ID_LEN] {
        let mut id = [0; Self::ID_LEN];
        p2p_core::crypto::random(&mut id);
        id
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn encode(&self, key: &PathKey) -> [u8; PROBE_LEN] {
        let mut bytes = [0; PROBE_LEN];
        bytes[0] = first_byte(self.kind, self.from);
        bytes[TAG_AT..ID_AT].copy_from_slice(&key.tag());
        bytes[ID_AT..MAC_AT].copy_from_slice(&self.id);
        let mac = key.mac(&bytes[..MAC_AT]);
        bytes[MAC_AT..].copy_from_slice(&mac);
        bytes
    }

    /// Reads a probe; `None` for anything that an end with this key has not made.
    #[must_use]
    pub fn decode(bytes: &[u8], key: &PathKey) -> Option<Self> {
        if probe_tag(bytes)? != key.tag() || !key.is_mac(&bytes[..MAC_AT], &bytes[MAC_AT..]) {
            return None;
        }
        let kinds = [ProbeKind::Ping, ProbeKind::Pong];
        let ends = [PathEnd::Sender, PathEnd::Recipient];
        let (kind, from) = kinds
            .into_iter()
            .flat_map(|kind| ends.map(|from| (kind, from)))
            .find(|(kind, from)| first_byte(*kind, *from) == bytes[0])?;
        let id = bytes[ID_AT..MAC_AT].try_into().ok()?;
        Some(Self { kind, from, id })
    }
}

/// Which key a packet may be a probe of; `None` if it is none.
#[must_use]
pub fn probe_tag(packet: &[u8]) -> Option<[u8; PathKey::TAG_LEN]> {
    if packet.len() != PROBE_LEN || packet[0] & 0x40 != 0 {
        return None;
    }
    packet[TAG_AT..ID_AT].try_into().ok()
}

/// All four below 0x40, and none of STUN's (RFC 7983, section 7).
fn first_byte(kind: ProbeKind, from: PathEnd) -> u8 {
    match (kind, from) {
        (ProbeKind::Ping, PathEnd::Sender) => 0x21,
        (ProbeKind::Ping, PathEnd::Recipient) => 0x22,
        (ProbeKind::Pong, PathEnd::Sender) => 0x23,
        (ProbeKind::Pong, PathEnd::Recipient) => 0x24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_reads_back_with_its_key_only_and_unchanged_only() {
        let (key, other) = (PathKey::new(&[1; 32]), PathKey::new(&[2; 32]));
        for kind in [ProbeKind::Ping, ProbeKind::Pong] {
            for from in [PathEnd::Sender, PathEnd::Recipient] {
                let id = [9; Probe::ID_LEN];
                let probe = Probe { kind, from, id };
                let bytes = probe.encode(&key);
                assert_eq!(bytes[0] & 0x40, 0, "no QUIC packet");
                assert_eq!(Probe::decode(&bytes, &key), Some(probe));
                assert_eq!(Probe::decode(&bytes, &other), None);
                for at in 0..bytes.len() {
                    let mut changed = bytes;
                    changed[at] ^= 1;
                    assert_eq!(Probe::decode(&changed, &key), None, "byte {at}");
                    assert_eq!(Probe::decode(&bytes[..at], &key), None);
                }
            }
        }
    }

    #[test]
    fn quic_packets_are_no_probes() {
        for first in [0x40, 0x7f, 0xc0, 0xff] {
            let mut packet = [0; PROBE_LEN];
            packet[0] = first;
            assert_eq!(probe_tag(&packet), None);
        }
    }
}
