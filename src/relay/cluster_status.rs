//! What a relay says of its cluster.

use serde::{Deserialize, Serialize};

use crate::cluster::{Directory, NodeId, NodeName, RelayBeat};

/// A cluster as one of its relays sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClusterStatus {
    /// What people call this relay.
    pub name: NodeName,
    /// Its node.
    pub node: NodeId,
    /// Whether it is connected to NATS. While it is not, other relays that start are not found.
    pub nats: bool,
    /// The others that are up.
    pub relays: Vec<OtherRelay>,
}

/// Another relay of the cluster, as it says itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OtherRelay {
    /// What people call it.
    pub name: NodeName,
    /// Its node.
    pub node: NodeId,
    /// Where clients reach it.
    pub public: Vec<String>,
    /// Whether it is about to end.
    pub draining: bool,
    /// Connections of admitted peers.
    pub connections: u32,
    /// How many there may be.
    pub connections_max: u32,
}

impl ClusterStatus {
    pub(super) fn of(directory: &Directory) -> Self {
        let relays = directory.picture().relays.into_values();
        let mut relays: Vec<_> = relays.map(OtherRelay::from).collect();
        relays.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            name: directory.name().clone(),
            node: directory.node(),
            nats: directory.is_connected(),
            relays,
        }
    }
}

impl From<RelayBeat> for OtherRelay {
    fn from(beat: RelayBeat) -> Self {
        Self {
            name: beat.name,
            node: beat.node,
            public: beat.public.iter().map(ToString::to_string).collect(),
            draining: beat.draining,
            connections: beat.load.connections,
            connections_max: beat.load.connections_max,
        }
    }
}
