//! What a relay says about itself: who is where, and what is held.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{ClusterStatus, TrunkStatus};
use crate::protocol::{PeerId, PeerState, Road, RoomId};

/// A relay at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RelayStatus {
    /// This program's version.
    pub version: String,
    /// For how many seconds it has run.
    pub uptime_secs: u64,
    /// Whether it takes no more transfers, since it is about to end.
    pub draining: bool,
    /// Connections of admitted peers that there may be at once.
    pub max_peers: usize,
    /// Bytes of others that are held in memory.
    pub memory_used: u64,
    /// Bytes that may be.
    pub memory_limit: u64,
    /// Bytes of content on disk.
    pub spool_used: u64,
    /// Bytes that may be.
    pub spool_limit: u64,
    /// Files that are being passed on.
    pub files_active: u64,
    /// Every room in which anybody is.
    pub rooms: Vec<RoomStatus>,
    /// The other relays of its cluster that it is connected to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trunks: Vec<TrunkStatus>,
    /// Its cluster; nothing where it is alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStatus>,
}

/// A room at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomStatus {
    /// The room.
    pub room: RoomId,
    /// Transfers that are offered or under way.
    pub transfers: usize,
    /// Every connection of its members.
    pub peers: Vec<PeerStatus>,
}

/// One connection of a peer at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Who it is.
    pub id: PeerId,
    /// What it says that it is doing.
    pub state: PeerState,
    /// From where.
    pub address: SocketAddr,
    /// How its packets come.
    pub road: Road,
    /// For how many seconds it has been there.
    pub since_secs: u64,
    /// Bytes of files that it has sent.
    pub received: u64,
    /// Bytes of files that it was sent.
    pub sent: u64,
    /// The estimate of the round-trip time, in milliseconds.
    pub rtt_ms: f64,
    /// Packets to it that were lost.
    pub packets_lost: u64,
    /// Bytes of messages that wait for it.
    pub queued: u64,
    /// Files that wait until it takes another stream.
    pub files_waiting: usize,
}

/// Numbers over all rooms, for gauges.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Totals {
    /// Connections on which peers listen.
    pub listeners: u64,
    /// All others.
    pub senders: u64,
    /// Rooms in which anybody is.
    pub rooms: u64,
    /// Bytes of messages that wait for peers.
    pub queued: u64,
    /// Bytes of others that are held in memory, and that may be.
    pub memory: (u64, u64),
    /// Bytes of content on disk, and that may be.
    pub spool: (u64, u64),
}
