//! The socket that direct connections share with the connection to the relay.

mod place;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

pub(super) use place::Place;

use crate::{
    direct::{Candidates, Interfaces, Policy, Probe, probe_tag},
    protocol::{Code, FileHeader, PeerId, Road},
    quic::{Caller, Datagrams, DirectSocket, FileReceiver, Link},
    sealing::{PathEnd, PathKey},
};

/// Probes that wait for one conversation; more are lost, as on a network.
const PROBES: usize = 32;
/// Addresses from which the other end of a conversation may call.
const CALLERS_MAX: usize = 12;
/// Conversations at once: as many as there are transfers, and some that are about to end.
const CONVERSATIONS_MAX: usize = 256;
/// Handshakes of callers at once.
const HANDSHAKES_MAX: usize = 64;
/// From a caller's first packet to its handshake's end, and the same towards a peer.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// File streams of direct connections that wait to be taken.
const STREAMS: usize = 16;

/// Streams of one connection that have not said yet what they are of.
const HEADERS: usize = 64;
/// From a stream's first byte to its whole header.
const HEADER_LIMIT: Duration = Duration::from_secs(10);

/// A file's stream on a direct connection.
#[derive(Debug)]
pub struct DirectFile {
    /// The stream, behind its header.
    pub stream: FileReceiver,
    /// What it is of.
    pub header: FileHeader,
    /// The peer that opened it.
    pub from: PeerId,
}

/// The socket, and the conversations about direct paths that share it. Cheap to clone.
#[derive(Clone)]
pub(in crate::transfer) struct Hub(Arc<Shared>);

struct Shared {
    socket: DirectSocket,
    policy: Policy,
    /// Whether peers may connect.
    listening: bool,
    /// When ports were guessed last.
    guessed: Mutex<Option<Instant>>,
    /// From where the relay sees this machine.
    observed: Mutex<Option<SocketAddr>>,
    conversations: Mutex<HashMap<[u8; PathKey::TAG_LEN], Entry>>,
    streams: mpsc::Sender<DirectFile>,
    over: CancellationToken,
}

struct Entry {
    key: Arc<PathKey>,
    peer: PeerId,
    /// Which end of it this machine is.
    me: PathEnd,
    probes: mpsc::Sender<(Probe, SocketAddr)>,
    links: mpsc::Sender<Link>,
    /// Whence the other end has shown that it holds the key.
    callers: Vec<SocketAddr>,
}

impl Hub {
    /// Shares the socket from now on; lets peers connect where `listening`.
    ///
    /// The other half gives the file streams of the peers that have connected.
    pub(in crate::transfer) fn start(
        (socket, datagrams): (DirectSocket, Datagrams),
        policy: Policy,
        listening: bool,
    ) -> (Self, mpsc::Receiver<DirectFile>) {
        let (streams, called) = mpsc::channel(STREAMS);
        let hub = Self(Arc::new(Shared {
            socket,
            policy,
            listening,
            guessed: Mutex::default(),
            observed: Mutex::default(),
            conversations: Mutex::default(),
            streams,
            over: CancellationToken::new(),
        }));
        hub.spawn(hub.clone().read(datagrams));
        if listening {
            match hub.0.socket.open() {
                Ok(()) => hub.spawn(hub.clone().admit(hub.0.socket.clone())),
                Err(error) => tracing::warn!(%error, "peers cannot connect directly"),
            }
        }
        (hub, called)
    }

    /// Runs a task until the hub is closed.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let over = self.0.over.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Ends every conversation, and closes the connections that they have made.
    pub(in crate::transfer) fn close(&self) {
        self.0.over.cancel();
    }

    /// The relay says from where it sees this machine: it may lie, and is one candidate among others.
    pub(in crate::transfer) fn observed(&self, address: SocketAddr) {
        let mut observed = self
            .0
            .observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *observed = Some(address);
    }

    pub(in crate::transfer) fn policy(&self) -> Policy {
        self.0.policy
    }

    /// Where this machine can be reached, as it may be told.
    pub(super) fn candidates(&self) -> Candidates {
        let (interfaces, reach) = (Interfaces::now(), self.0.policy.reach());
        let port = self
            .0
            .socket
            .local_addr()
            .map_or(0, |address| address.port());
        let observed = match self.0.policy {
            Policy::Lan => None,
            _ => *self
                .0
                .observed
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        };
        let own = interfaces.sockets(port, reach);
        // Before the IPv6 addresses of which there may be more than can be named.
        let (local, others): (Vec<_>, Vec<_>) = own.partition(SocketAddr::is_ipv4);
        // Most NATs that have one port for all destinations leave it as it is where they can (RFC 4787, section 4.2).
        let hard = observed.is_some_and(|it| it.port() != port);
        Candidates::new(local.into_iter().chain(observed).chain(others), reach).hard(hard)
    }

    /// Opens what the other end, `from`, says of where it can be reached.
    pub(super) fn open_candidates(
        &self,
        key: &PathKey,
        from: PathEnd,
        sealed: &[u8],
    ) -> Option<Candidates> {
        let opened = Candidates::open(key, from, sealed, self.0.policy.reach());
        let mut opened = opened
            .inspect_err(|error| tracing::debug!(%error, "a path message is not taken"))
            .ok()?;
        if self.0.policy == Policy::Lan {
            let interfaces = Interfaces::now();
            opened
                .addresses
                .retain(|address| interfaces.is_on_link(address.ip()));
        }
        Some(opened)
    }

    /// What a path to this address is called.
    fn road_to(&self, to: SocketAddr) -> Road {
        match !to.ip().is_loopback() && Interfaces::now().is_on_link(to.ip()) {
            true => Road::Lan,
            false => Road::Direct,
        }
    }

    /// Lets a conversation have its probes and calls; `None` where there are too many.
    pub(super) fn enter(&self, key: &Arc<PathKey>, peer: PeerId, me: PathEnd) -> Option<Place> {
        let (probes, probed) = mpsc::channel(PROBES);
        let (links, linked) = mpsc::channel(1);
        let tag = key.tag();
        let mut conversations = self.conversations();
        if conversations.len() >= CONVERSATIONS_MAX {
            return None;
        }
        conversations.insert(
            tag,
            Entry {
                key: key.clone(),
                peer,
                me,
                probes,
                links,
                callers: Vec::new(),
            },
        );
        drop(conversations);
        Some(Place::new(self.clone(), tag, (probed, linked)))
    }

    /// Gives the streams of a connection to whoever accepts streams, until the connection ends.
    pub(super) async fn feed(&self, link: &Link) {
        let from = link.peer();
        let mut headers = JoinSet::new();
        loop {
            tokio::select! {
                stream = link.accept_file(), if headers.len() < HEADERS => match stream {
                    Ok(stream) => { headers.spawn(read_header(stream)); }
                    Err(_) => return,
                },
                Some(read) = headers.join_next(), if !headers.is_empty() => {
                    let Ok(Some((stream, header))) = read else { continue };
                    let file = DirectFile { stream, header, from };
                    if self.0.streams.send(file).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until the hub is closed.
    pub(super) async fn closed(&self) {
        self.0.over.cancelled().await;
    }

    fn conversations(&self) -> MutexGuard<'_, HashMap<[u8; PathKey::TAG_LEN], Entry>> {
        let conversations = &self.0.conversations;
        conversations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands every probe to its conversation.
    async fn read(self, mut datagrams: Datagrams) {
        while let Some((from, datagram)) = datagrams.recv().await {
            let Some(tag) = probe_tag(&datagram) else {
                continue;
            };
            let mut conversations = self.conversations();
            let Some(entry) = conversations.get_mut(&tag) else {
                continue;
            };
            let Some(probe) = Probe::decode(&datagram, &entry.key) else {
                continue;
            };
            if probe.from == entry.me || !self.may_lead_to(from) {
                continue;
            }
            entry.heard_from(from);
            let _ = entry.probes.try_send((probe, from));
        }
    }

    fn may_lead_to(&self, address: SocketAddr) -> bool {
        self.0.policy != Policy::Lan || Interfaces::now().is_on_link(address.ip())
    }

    /// Takes the calls of those who have shown that they are in a conversation, and of nobody else.
    async fn admit(self, socket: DirectSocket) {
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                caller = socket.accept() => match caller {
                    Some(caller) => {
                        let expected = self.expected(&caller);
                        match expected.filter(|_| handshakes.len() < HANDSHAKES_MAX) {
                            Some((peer, links)) => {
                                let road = self.road_to(caller.remote());
                                handshakes.spawn(handshake(caller, road, peer, links));
                            }
                            // As if nobody were here.
                            None => caller.ignore(),
                        }
                    }
                    None => return,
                },
                Some(_) = handshakes.join_next(), if !handshakes.is_empty() => {}
            }
        }
    }

    fn expected(&self, caller: &Caller) -> Option<(PeerId, mpsc::Sender<Link>)> {
        let from = caller.remote();
        let conversations = self.conversations();
        let entry = conversations
            .values()
            .find(|entry| entry.me == PathEnd::Recipient && entry.callers.contains(&from))?;
        Some((entry.peer, entry.links.clone()))
    }
}

async fn read_header(mut stream: FileReceiver) -> Option<(FileReceiver, FileHeader)> {
    match timeout(HEADER_LIMIT, stream.header()).await {
        Ok(Ok(header)) => Some((stream, header)),
        Ok(Err(_)) => None,
        Err(_) => {
            stream.stop(Code::Timeout);
            None
        }
    }
}

async fn handshake(caller: Caller, road: Road, peer: PeerId, links: mpsc::Sender<Link>) {
    match caller.admit(road, HANDSHAKE_LIMIT).await {
        Ok(link) if link.peer() == peer => {
            if let Err(unwanted) = links.try_send(link) {
                unwanted.into_inner().close(Code::NotNeeded, "");
            }
        }
        Ok(link) => link.close(Code::NotAdmitted, ""),
        Err(error) => tracing::debug!(%error, "a direct connection failed"),
    }
}

impl Entry {
    /// The other end has shown that it holds the key, from there.
    fn heard_from(&mut self, address: SocketAddr) {
        if !self.callers.contains(&address) && self.callers.len() < CALLERS_MAX {
            self.callers.push(address);
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}
