//! What may be asked of a relay that runs, and set.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    ClusterStatus, Limits, Meters, PeerStatus, RelayStatus, RoomStatus, Shared, Totals,
    TrunkStatus, session::Session,
};
use crate::{
    protocol::RoomId,
    quic::{RelayHealth, SocketBuffers},
};

/// Asks a relay how it is, and sets what may change, from any thread, also after it has begun to run.
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

    /// Sets other limits and other rooms. Nobody who is here is dropped: who is not admitted any more, or
    /// beyond a limit, is not let in again.
    ///
    /// # Errors
    /// When the file of admitted rooms cannot be read or written; then no room changes.
    pub fn reload(
        &self,
        limits: Limits,
        open: bool,
        admit: impl IntoIterator<Item = RoomId>,
    ) -> io::Result<()> {
        let places = &self.shared.places;
        places.set(limits.max_peers, limits.network_connections);
        self.shared.quotas.set(limits);
        let admission = &self.shared.admission;
        admission.reload(open)?;
        admit.into_iter().try_for_each(|room| admission.admit(room))
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
