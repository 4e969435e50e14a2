//! What a relay says about itself: who is where, and what is held.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{ClusterStatus, Meters, Shared, TrunkStatus, session::Session};
use crate::{
    protocol::{PeerId, PeerState, Road, RoomId},
    quic::{RelayHealth, SocketBuffers},
};

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

/// Asks a relay how it is, from any thread, also after it has begun to run.
#[derive(Debug, Clone)]
pub struct RelayHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) health: RelayHealth,
    pub(super) buffers: SocketBuffers,
}

impl RelayHandle {
    /// Everybody, one by one.
    #[must_use]
    pub fn status(&self) -> RelayStatus {
        let budget = &self.shared.budget;
        let rooms = self.shared.rooms.all().into_iter();
        let rooms = rooms.map(|(room, transfers, sessions)| RoomStatus {
            room,
            transfers,
            peers: sessions.iter().map(|s| self.peer(s)).collect(),
        });
        RelayStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_secs: self.shared.started.elapsed().as_secs(),
            draining: self.is_draining(),
            max_peers: self.shared.places.max(),
            memory_used: budget.memory_in_use(),
            memory_limit: budget.memory_limit(),
            spool_used: budget.spool_in_use(),
            spool_limit: budget.spool_limit(),
            files_active: self.shared.meters.files_active(),
            rooms: rooms.collect(),
            trunks: self.trunks(),
            cluster: self.cluster(),
        }
    }

    /// The sums, after every connection's losses were counted.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let budget = &self.shared.budget;
        let mut totals = Totals {
            memory: (budget.memory_in_use(), budget.memory_limit()),
            spool: (budget.spool_in_use(), budget.spool_limit()),
            ..Totals::default()
        };
        for (_, _, sessions) in self.shared.rooms.all() {
            totals.rooms += 1;
            for session in sessions {
                match session.listening {
                    true => totals.listeners += 1,
                    false => totals.senders += 1,
                }
                totals.queued += session.mailbox.outbox().queued();
                session.count_lost(&self.shared.meters);
            }
        }
        totals
    }

    /// What it knows of its cluster; nothing where it is alone.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterStatus> {
        self.shared.directory.as_ref().map(ClusterStatus::of)
    }

    /// The other relays of its cluster that it is connected to.
    #[must_use]
    pub fn trunks(&self) -> Vec<TrunkStatus> {
        let trunks = self.shared.trunks.as_ref();
        trunks.map_or_else(Vec::new, |trunks| trunks.status(&self.shared.meters))
    }

    /// The counters.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    /// For how long each thread that drives connections has given no sign.
    #[must_use]
    pub fn ticks(&self) -> Vec<Duration> {
        self.health.ticks()
    }

    /// Packets that the kernel dropped before the relay read them; nothing where it does not say.
    ///
    /// Blocks on a read of `/proc`.
    #[must_use]
    pub fn udp_drops(&self) -> Option<u64> {
        self.health.udp_drops()
    }

    /// Whether no further peer is let in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.places.is_full()
    }

    /// Whether it takes no more transfers, since it is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Relaxed)
    }

    /// The socket buffers that the kernel granted.
    #[must_use]
    pub fn buffers(&self) -> SocketBuffers {
        self.buffers
    }

    fn peer(&self, session: &Session) -> PeerStatus {
        session.count_lost(&self.shared.meters);
        let (_, packets_lost, _) = session.link.path_stats();
        PeerStatus {
            id: session.peer(),
            state: session.state(),
            address: session.link.remote(),
            road: session.link.road(),
            since_secs: session.age().as_secs(),
            received: session.traffic.received.load(Relaxed),
            sent: session.traffic.sent.load(Relaxed),
            rtt_ms: session.link.rtt().as_secs_f64() * 1e3,
            packets_lost,
            queued: session.mailbox.outbox().queued(),
            files_waiting: session.files_waiting.load(Relaxed),
        }
    }
}
