//! What keeps a channel open: the connection below it, and the two tasks that serve it.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{Member, Relays};
use crate::{
    identity::{HostPort, RelayAddress},
    protocol::{Code, RoomId},
    quic::{ClientEndpoint, Link, LinkError},
};

/// How long a close may take to arrive behind a stream's end.
pub(super) const REASON_LIMIT: Duration = Duration::from_secs(1);
/// How long what still waits may take to arrive when a connection is closed.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// What keeps a channel through a relay open.
#[derive(Debug)]
pub(super) struct RelayRoad {
    pub(super) endpoint: ClientEndpoint,
    pub(super) link: Link,
    /// Which relay it leads to.
    pub(super) place: HostPort,
    /// Cancelled once another relay would do better.
    pub(super) moves: CancellationToken,
    pub(super) writing: JoinHandle<()>,
    pub(super) reading: JoinHandle<()>,
    /// Ends the connection early where there is another relay to go to.
    pub(super) _vigil: Option<AbortOnDropHandle<()>>,
    /// How often the relay can afford to be pinged, if it says so.
    pub(super) ping_every: Option<Duration>,
}

impl RelayRoad {
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) async fn ended(&self) -> LinkError {
        timeout(REASON_LIMIT, self.link.closed())
            .await
            .unwrap_or(LinkError::TimedOut)
    }

    /// Closes the connection once everything that waits has arrived; its queue must be closed already.
    ///
    /// The relay answers the end of the control stream with a close of its own. Where that comes,
    /// there is no need to wait until a close of ours must have arrived (RFC 9000, section 10.2: three
    /// times the probe timeout, some 50 ms even on the shortest path).
    pub(super) async fn close(self, code: Code) {
        let flushed = async {
            let _ = self.writing.await;
            self.link.closed().await;
        };
        if timeout(FLUSH_LIMIT, flushed).await.is_err() {
            self.endpoint.close(code).await;
        }
        self.reading.abort();
    }
}

/// What follows when a relay says that it is about to end.
pub(super) struct Leaving {
    relays: Arc<Relays>,
    relay: RelayAddress,
    room: RoomId,
    place: HostPort,
    pub(super) moves: CancellationToken,
}

impl Leaving {
    /// Of a member at this place of its invite's relay.
    pub(super) fn new(member: &Member, relay: &RelayAddress, place: &HostPort) -> Self {
        Self {
            relays: member.relays.clone(),
            relay: relay.clone(),
            room: member.room(),
            place: place.clone(),
            moves: CancellationToken::new(),
        }
    }

    /// The relay ends, and names others of its cluster.
    pub(super) fn on_draining(&self, others: &[String]) {
        if !others.is_empty() {
            self.relays.refresh(&self.relay, others);
        }
        self.relays.failed(&self.place);
        let order = self.relays.order(&self.relay, self.room);
        if order.first() != Some(&self.place) {
            self.moves.cancel();
        }
    }
}
