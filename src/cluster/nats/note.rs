//! What a relay says of one room: MAC, JSON.

use serde::{Deserialize, Serialize};

use super::super::{ClusterKey, Instance, RoomKey};

/// Members of a room came to a relay, or have all left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RoomNote {
    /// The relay.
    pub(super) instance: Instance,
    /// Counts up within one run of it.
    pub(super) number: u64,
    /// The room.
    pub(super) room: RoomKey,
    /// What it says.
    pub(super) word: Word,
}

/// What a note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// Members are there.
    Hello,
    /// The same, and who else has some is to say so.
    Ask,
    /// None is left.
    Bye,
    /// A word of a later version.
    #[serde(other)]
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Body {
    inst: Instance,
    n: u64,
    room: String,
    say: Word,
}

impl RoomNote {
    pub(super) fn encode(&self, key: &ClusterKey) -> Vec<u8> {
        let body = Body {
            inst: self.instance,
            n: self.number,
            room: self.room.to_string(),
            say: self.word,
        };
        let body = serde_json::to_vec(&body).expect("a note is plain JSON");
        let mac = key.mac(CONTEXT, &[&body]);
        [&mac[..], &body].concat()
    }

    pub(super) fn decode(bytes: &[u8], key: &ClusterKey) -> Option<Self> {
        if bytes.len() > NOTE_MAX {
            return None;
        }
        let (mac, body) = bytes.split_at_checked(MAC_LEN)?;
        if !key.is_mac(CONTEXT, &[body], mac) {
            return None;
        }
        let body: Body = serde_json::from_slice(body).ok()?;
        Some(Self {
            instance: body.inst,
            number: body.n,
            room: RoomKey::parse(&body.room)?,
            word: body.say,
        })
    }
}

const CONTEXT: &str = "p2p/1 cluster room note";
const MAC_LEN: usize = 32;
/// Several times what a note takes.
const NOTE_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::Identity, protocol::RoomId};

    #[test]
    fn a_note_reads_back_in_its_cluster_only() {
        let key = ClusterKey::new(Identity::generate());
        let note = RoomNote {
            instance: Instance::random(),
            number: u64::MAX,
            room: key.room_key(RoomId::from_bytes([1; 32])),
            word: Word::Ask,
        };
        let bytes = note.encode(&key);
        assert!(bytes.len() < NOTE_MAX / 2);
        assert_eq!(RoomNote::decode(&bytes, &key), Some(note));
        let other = ClusterKey::new(Identity::generate());
        assert_eq!(RoomNote::decode(&bytes, &other), None);
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert_eq!(RoomNote::decode(&changed, &key), None, "byte {i}");
            assert_eq!(RoomNote::decode(&bytes[..i], &key), None);
        }
        assert_eq!(RoomNote::decode(&[0; NOTE_MAX + 1], &key), None);
    }
}
