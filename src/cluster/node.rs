//! One relay of a cluster, as the others know it.

use std::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    identity::HostPort,
    protocol::{IdError, PeerId},
};

/// A node: the hash of its key, which is its own and stays with its home.
///
/// The key that clients see (`relay.pem`) is the cluster's; this one is what relays show each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub PeerId);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

/// What people call a node: in metrics, logs and `status`. Two nodes may have the same name by mistake;
/// nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// A text that no node can be called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node's name has 1 to 63 letters, digits, dashes, dots and underscores")]
pub struct NodeNameError;

impl NodeName {
    /// The longest name, in characters: that of a DNS label.
    pub const MAX: usize = 63;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        let is_fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        match (1..=Self::MAX).contains(&text.len()) && text.bytes().all(is_fine) {
            true => Ok(Self(text.to_owned())),
            false => Err(NodeNameError),
        }
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;

    fn try_from(text: String) -> Result<Self, NodeNameError> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of a node: random at each start, so that what an earlier run said is never taken for its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(u64);

impl Instance {
    /// A fresh one.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 8];
        p2p_core::crypto::random(&mut bytes);
        Self(u64::from_be_bytes(bytes))
    }

    /// The instance of this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Its number, for the wire. Of two relays the one with the lower number dials.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Instance {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for Instance {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instance {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How busy a relay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Connections of admitted peers.
    pub connections: u32,
    /// How many there may be.
    pub connections_max: u32,
}

/// What a relay says of itself every two seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayBeat {
    /// Which node: authenticated by a token and a signature.
    pub node: NodeId,
    /// What people call it.
    pub name: NodeName,
    /// Which run of it.
    pub instance: Instance,
    /// Where clients reach it, the best address first; at most [`RelayBeat::PUBLIC_MAX`].
    pub public: Vec<HostPort>,
    /// Where other relays reach its trunk socket.
    pub trunk: SocketAddr,
    /// Whether it is about to end.
    pub draining: bool,
    /// How busy it is.
    pub load: Load,
}

impl RelayBeat {
    /// How many addresses of a relay are taken from its beat.
    pub const PUBLIC_MAX: usize = 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_name_can_hurt_neither_a_label_nor_a_terminal() {
        for good in ["a", "relay-1.example_x", &"n".repeat(63)] {
            assert_eq!(good.parse::<NodeName>().unwrap().as_str(), good);
        }
        for bad in ["", " ", "a b", "a\"b", "é", "a\u{1b}[31m", &"n".repeat(64)] {
            assert_eq!(bad.parse::<NodeName>(), Err(NodeNameError), "{bad}");
        }
        assert!(serde_json::from_str::<NodeName>("\"a b\"").is_err());
    }

    #[test]
    fn an_instance_reads_back() {
        let instance = Instance::random();
        assert_eq!(instance.to_string().parse(), Ok(instance));
        let text = serde_json::to_string(&instance).unwrap();
        assert_eq!(serde_json::from_str::<Instance>(&text).unwrap(), instance);
    }
}
