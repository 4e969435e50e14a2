//! One conversation's place at the hub.

use std::{
    io,
    net::SocketAddr,
    sync::PoisonError,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{HANDSHAKE_LIMIT, Hub};
use crate::{
    direct::{PROBE_LEN, Probe},
    protocol::PeerId,
    quic::{ConnectError, DirectSocket, Link, ManySockets},
    sealing::PathKey,
};

/// How often ports are guessed in one conversation: what two searches do not find, a third does not either.
const GUESSES_MAX: usize = 2;
/// From one guess to the next, over all conversations.
///
/// Each sends some two thousand probes to one machine: 8.7 KB a second come of it at the most.
const BETWEEN_GUESSES: Duration = Duration::from_secs(15);

/// A conversation's place at the hub, given up when it is dropped.
pub(in crate::transfer::direct) struct Place {
    hub: Hub,
    tag: [u8; PathKey::TAG_LEN],
    /// Probes of the other end.
    pub(in crate::transfer::direct) probes: mpsc::Receiver<(Probe, SocketAddr)>,
    /// Connections that the other end has made.
    pub(in crate::transfer::direct) links: mpsc::Receiver<Link>,
    /// The socket that leads to the other end: the hub's, or one of its own.
    socket: DirectSocket,
    /// Ends what happens at a socket of its own.
    own: Option<DropGuard>,
    /// How often ports may still be guessed, and whether this search has begun to.
    guesses: (usize, bool),
}

impl Place {
    pub(super) fn new(
        hub: Hub,
        tag: [u8; PathKey::TAG_LEN],
        (probes, links): (mpsc::Receiver<(Probe, SocketAddr)>, mpsc::Receiver<Link>),
    ) -> Self {
        let socket = hub.0.socket.clone();
        Self {
            hub,
            tag,
            probes,
            links,
            socket,
            own: None,
            guesses: (GUESSES_MAX, false),
        }
    }

    /// Sends a probe.
    pub(in crate::transfer::direct) fn send(&self, probe: &[u8; PROBE_LEN], to: SocketAddr) {
        self.socket.send(probe, to);
    }

    /// Connects to a peer at an address that has answered within `rtt`.
    pub(in crate::transfer::direct) async fn connect(
        &self,
        to: SocketAddr,
        peer: PeerId,
        rtt: Duration,
    ) -> Result<Link, ConnectError> {
        let road = self.hub.road_to(to);
        let socket = &self.socket;
        socket.connect(to, peer, (road, rtt), HANDSHAKE_LIMIT).await
    }

    /// For a new search: with the hub's socket.
    pub(in crate::transfer::direct) fn reset(&mut self) {
        self.socket = self.hub.0.socket.clone();
        self.own = None;
        self.guesses.1 = false;
    }

    /// Whether this search may guess ports, from now on.
    pub(in crate::transfer::direct) fn may_guess(&mut self) -> bool {
        if self.guesses.1 {
            return true;
        }
        let guessed = &self.hub.0.guessed;
        let mut guessed = guessed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_too_soon = guessed.is_some_and(|at| at.elapsed() < BETWEEN_GUESSES);
        if is_too_soon || self.guesses.0 == 0 {
            return false;
        }
        *guessed = Some(Instant::now());
        self.guesses = (self.guesses.0 - 1, true);
        true
    }

    /// Goes on with one of many sockets, at which the other end was heard from this address.
    ///
    /// # Errors
    /// When the socket is of no use.
    pub(in crate::transfer::direct) fn take(
        &mut self,
        many: ManySockets,
        index: usize,
        heard_from: SocketAddr,
    ) -> io::Result<()> {
        let hub = &self.hub;
        let (socket, datagrams) = many.take(index, &hub.0.socket)?;
        if let Some(entry) = hub.conversations().get_mut(&self.tag) {
            entry.heard_from(heard_from);
        }
        let over = CancellationToken::new();
        let until = |over: CancellationToken, task: BoxFuture<'static, ()>| async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = task => {}
            }
        };
        hub.spawn(until(over.clone(), hub.clone().read(datagrams).boxed()));
        if hub.0.listening {
            socket.open()?;
            let admitting = hub.clone().admit(socket.clone());
            hub.spawn(until(over.clone(), admitting.boxed()));
        }
        (self.socket, self.own) = (socket, Some(over.drop_guard()));
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.conversations().remove(&self.tag);
    }
}
