//! What makes a relay a member of a cluster.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use data_encoding::BASE32_NOPAD;
use p2p_core::crypto::{mac, same_mac};
use zeroize::Zeroizing;

use super::{NodeName, token::NodeToken};
use crate::{
    identity::{Identity, PublicKey, RoomSecret},
    protocol::RoomId,
};

/// The key that all relays of a cluster have: it signs their tokens, and hides room IDs from NATS.
///
/// Whoever has it can run a relay of the cluster.
#[derive(Clone)]
pub struct ClusterKey {
    identity: Arc<Identity>,
    /// What is not to be known outside of the cluster is derived from this.
    secret: Arc<Zeroizing<[u8; 32]>>,
}

/// What a room is called outside of the relays that admit it.
///
/// A room's ID lets a stranger in, and subjects appear in the logs and monitoring pages of NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomKey([u8; RoomKey::LEN]);

impl ClusterKey {
    /// The cluster of this key.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            secret: Arc::new(identity.derive("p2p/1 cluster secret")),
            identity: Arc::new(identity),
        }
    }

    /// What the cluster is called on NATS and in tokens: 16 characters of its key's hash.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = self.identity.id().compact();
        name.truncate(16);
        name
    }

    /// The key that verifies the cluster's tokens.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.identity.public_key()
    }

    /// Says for 24 hours that this node belongs to the cluster. Made anew for each use, so that no
    /// relay has to be restarted because its token is old.
    #[must_use]
    pub fn token(&self, node: PublicKey, name: &NodeName) -> NodeToken {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let expires = now.unwrap_or_default() + TOKEN_LIFETIME;
        NodeToken::sign(&self.identity, node, name, expires.as_secs())
    }

    /// What a room is called on NATS.
    #[must_use]
    pub fn room_key(&self, room: RoomId) -> RoomKey {
        let mac = mac(self.secret.as_slice(), &[b"room\0", room.as_bytes()]);
        RoomKey(std::array::from_fn(|i| mac[i]))
    }

    /// A room of the cluster's operator, the same on each of its relays.
    #[must_use]
    pub fn own_room(&self) -> RoomSecret {
        let secret = self.identity.derive("p2p/1 cluster room");
        RoomSecret::from_bytes(std::array::from_fn(|i| secret[i]))
    }

    /// Vouches for `parts`, joined, to other relays of the cluster.
    #[must_use]
    pub fn mac(&self, context: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut all = vec![context.as_bytes(), &[0]];
        all.extend(parts);
        mac(self.secret.as_slice(), &all)
    }

    /// Whether another relay of the cluster has made this MAC.
    #[must_use]
    pub fn is_mac(&self, context: &str, parts: &[&[u8]], got: &[u8]) -> bool {
        same_mac(&self.mac(context, parts), got)
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterKey({})", self.name())
    }
}

impl RoomKey {
    /// Bytes: enough that no two rooms share one.
    pub const LEN: usize = 20;

    /// From its text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes());
        bytes.ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

/// How long a token holds: clocks of relays may differ by hours.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_key_is_of_its_room_and_cluster_and_reads_back() {
        let (one, other) = (
            ClusterKey::new(Identity::generate()),
            ClusterKey::new(Identity::generate()),
        );
        let room = RoomId::from_bytes([7; 32]);
        let key = one.room_key(room);
        assert_eq!(key.to_string().len(), 32);
        assert_eq!(RoomKey::parse(&key.to_string()), Some(key));
        assert_ne!(key, other.room_key(room));
        assert_ne!(key, one.room_key(RoomId::from_bytes([8; 32])));
        for bad in ["", "a", "ééééééééééééééééé", &"a".repeat(40)] {
            assert_eq!(RoomKey::parse(bad), None);
        }
    }

    #[test]
    fn a_mac_is_of_its_cluster_context_and_content() {
        let key = ClusterKey::new(Identity::generate());
        let mac = key.mac("a", &[b"one", b"two"]);
        assert!(key.is_mac("a", &[b"onetwo"], &mac));
        assert!(!key.is_mac("b", &[b"onetwo"], &mac));
        assert!(!key.is_mac("a", &[b"onetwO"], &mac));
        assert!(!key.is_mac("a", &[b"onetwo"], &mac[1..]));
        assert!(!ClusterKey::new(Identity::generate()).is_mac("a", &[b"onetwo"], &mac));
    }
}
