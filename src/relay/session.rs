//! One connected peer.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    Meters,
    mailbox::{Mailbox, SessionId},
    places::Place,
    windows::Windows,
};
use crate::{
    protocol::{PeerId, PeerState, Road, ServerToClient, SignedBundle},
    quic::Link,
};

/// Bytes of files that one connection has carried.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// From the peer.
    pub(super) received: AtomicU64,
    /// To the peer.
    pub(super) sent: AtomicU64,
}

/// One connected peer.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) link: Link,
    pub(super) listening: bool,
    pub(super) windows: Windows,
    /// Files that wait for this peer to take another stream.
    pub(super) files_waiting: AtomicUsize,
    pub(super) traffic: Traffic,
    /// Lost packets that were counted already.
    lost: AtomicU64,
    since: Instant,
    bundle: Mutex<SignedBundle>,
    _place: Place,
}

impl Session {
    /// A peer that was admitted just now, and holds this place.
    pub(super) fn new(
        mailbox: Mailbox,
        (link, windows): (Link, Windows),
        (listening, bundle): (bool, SignedBundle),
        place: Place,
    ) -> Self {
        Self {
            mailbox: Arc::new(mailbox),
            link,
            listening,
            windows,
            files_waiting: AtomicUsize::new(0),
            traffic: Traffic::default(),
            lost: AtomicU64::new(0),
            since: Instant::now(),
            bundle: Mutex::new(bundle),
            _place: place,
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.mailbox.id
    }

    pub(super) fn peer(&self) -> PeerId {
        self.mailbox.peer
    }

    /// From where its packets come; nothing, where they travel over TCP.
    pub(super) fn udp_address(&self) -> Option<SocketAddr> {
        (self.link.road() == Road::Relay).then(|| self.link.remote())
    }

    /// What others are told of this peer.
    pub(super) fn presence(&self, state: PeerState) -> ServerToClient {
        ServerToClient::Peer {
            id: self.peer(),
            bundle: self
                .bundle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            state,
            since_secs: self.since.elapsed().as_secs(),
        }
    }

    /// For how long it has been here.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Counts the packets to it that were lost since this was called last.
    pub(super) fn count_lost(&self, meters: &Meters) {
        let (_, lost, _) = self.link.path_stats();
        // Never less than before, also where two count at once.
        let before = self.lost.fetch_max(lost, Relaxed);
        meters.lost(lost.saturating_sub(before));
    }

    /// What it is doing.
    pub(super) fn state(&self) -> PeerState {
        if self.listening {
            PeerState::Listening
        } else {
            PeerState::Sending
        }
    }

    pub(super) fn set_bundle(&self, bundle: SignedBundle) {
        *self.bundle.lock().unwrap_or_else(PoisonError::into_inner) = bundle;
    }
}
