//! Connections to the other relays of a cluster, which carry what members of one room say and send
//! across.
//!
//! - `dialling`: who connects to whom, and when again
//! - `hello`: whether the other end belongs to the cluster
//! - `room_stream`: one room's stream, from its proof to its end
//! - `room_words`: what is said there
//! - `inlet`: files that come from there
//!
//! The sender's relay decides about a transfer: who takes part, when it begins, when it is over. The
//! other relay has a transfer of its own, whose sender is a mailbox that leads back, and serves its
//! own members as it serves them everything else. One hop: what comes from a relay goes to no third.

mod dialling;
mod hello;
mod inlet;
mod room_stream;
mod room_words;

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::sleep,
};
use tracing::{debug, info};

use super::{
    Budget, Meters, Shared, budget::Share, line::Line, rooms::SharedRoom, windows::Windows,
};
use crate::{
    cluster::{Directory, Instance, NodeName, Picture},
    protocol::{Code, RoomId},
    quic::{Certificate, Credentials, Link, LinkError, TrunkEndpoint, Tuning, bind_udp},
};

/// How a relay is part of a cluster.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// What it knows of the others, and they of it.
    pub directory: Directory,
    /// Where it listens for other relays; port 0 picks one.
    pub bind: SocketAddr,
    /// Where they reach it, if not there; port 0 is the one that was bound.
    pub public: Option<SocketAddr>,
}

/// All connections of a relay to others.
#[derive(Debug)]
pub(super) struct Trunks {
    endpoint: TrunkEndpoint,
    directory: Directory,
    picture: watch::Sender<Arc<Picture>>,
    /// What the other relays may send before it is read, all together.
    share: Share,
    live: Mutex<HashMap<Instance, Arc<Trunk>>>,
}

/// One connection to another relay, which has shown its token.
#[derive(Debug)]
pub(super) struct Trunk {
    link: Link,
    windows: Windows,
    name: NodeName,
    instance: Instance,
    rooms: Mutex<Rooms>,
    /// A room's stream has ended: it may be opened again.
    freed: Notify,
    /// Bytes sent that were counted already.
    counted: AtomicU64,
}

#[derive(Debug, Default)]
struct Rooms {
    /// By the numbers of their streams.
    open: HashMap<u64, Arc<OpenLine>>,
    /// Rooms that have a stream, or are about to.
    claimed: HashSet<RoomId>,
}

/// A line, and the room that it belongs to.
#[derive(Debug)]
struct OpenLine {
    line: Arc<Line>,
    room: Arc<SharedRoom>,
    room_id: RoomId,
    /// Files that came from there and are being passed on.
    files: AtomicUsize,
}

/// A connection to another relay at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrunkStatus {
    /// What people call the other relay.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// Rooms that have members at both.
    pub rooms: usize,
    /// The estimate of the round-trip time, in milliseconds.
    pub rtt_ms: f64,
    /// Bytes of UDP payload sent to it: files, messages, and all that QUIC adds.
    pub sent: u64,
}

impl Trunks {
    /// Binds the socket, and says in the directory where it is. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(super) fn bind(
        config: &ClusterConfig,
        tuning: Tuning,
        budget: &Budget,
    ) -> io::Result<Self> {
        let directory = config.directory.clone();
        let Certificate {
            certificate,
            private_key,
        } = Certificate::of(directory.node_key());
        let credentials = Credentials::new(certificate, private_key);
        let endpoint = TrunkEndpoint::on(bind_udp(config.bind)?, credentials, tuning)?;
        let bound = endpoint.local_addr()?;
        let mut public = config.public.unwrap_or(bound);
        if public.port() == 0 {
            public.set_port(bound.port());
        }
        directory.set_trunk(public);
        Ok(Self {
            endpoint,
            directory,
            picture: watch::Sender::default(),
            share: budget.share_of_trunks(),
            live: Mutex::default(),
        })
    }

    /// Where other relays reach this one.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Takes connections of other relays, and connects to those with which rooms are shared; never ends.
    pub(super) async fn run(&self, shared: &Arc<Shared>) {
        tokio::join!(self.accept(shared), dialling::run(shared, self));
    }

    async fn accept(&self, shared: &Arc<Shared>) {
        let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
        while let Some(incoming) = self.endpoint.accept().await {
            if !incoming.is_validated() && strangers.available_permits() < STRANGERS_MAX / 2 {
                incoming.validate();
                continue;
            }
            let Ok(place) = strangers.clone().try_acquire_owned() else {
                incoming.ignore();
                continue;
            };
            let shared = shared.clone();
            tokio::spawn(async move {
                let remote = incoming.remote();
                let Some(trunks) = &shared.trunks else { return };
                let trunk = hello::answer(trunks, incoming).await;
                drop(place);
                match trunk {
                    Ok(trunk) => drop(trunks.serve(&shared, trunk, false).await),
                    Err(error) => debug!(%remote, %error, "no trunk"),
                }
            });
        }
    }

    /// Waits until what other relays have of a room is known here, after it was opened.
    ///
    /// Whoever is the first of its room here, and asks at once who is there, would else be told that
    /// nobody is.
    pub(super) async fn known(&self, room_id: RoomId, room: &SharedRoom) {
        loop {
            let age = room.since.elapsed();
            let picture = self.picture.borrow().clone();
            let at = picture.rooms.get(&room_id).into_iter().flatten();
            let mut nodes = at.filter_map(|instance| picture.relays.get(instance));
            let is_known = nodes.all(|relay| room.lock().knows_all_of(relay.node.0));
            let limit = if is_known { QUIET } else { PATIENCE };
            if age >= limit || picture.relays.is_empty() {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// Serves a connection until it ends; why that was.
    async fn serve(&self, shared: &Arc<Shared>, trunk: Trunk, dialled: bool) -> LinkError {
        let trunk = Arc::new(trunk);
        let older = {
            let mut live = self.live();
            let node = trunk.link.peer();
            let others = live.values().filter(|other| other.link.peer() == node);
            if others.count() >= OF_ONE_NODE && !live.contains_key(&trunk.instance) {
                trunk.link.close(Code::Busy, "");
                return LinkError::Local;
            }
            live.insert(trunk.instance, trunk.clone())
        };
        if let Some(older) = older {
            older.link.close(Code::Replaced, "");
        }
        let (name, remote) = (&trunk.name, trunk.link.remote());
        info!(%name, %remote, "connected to a relay");
        let rooms = async {
            match dialled {
                true => room_stream::open_all(shared, &trunk, self).await,
                false => room_stream::accept_all(shared, &trunk).await,
            }
        };
        let reason = tokio::select! {
            () = rooms => trunk.link.closed().await,
            () = inlet::accept(shared, &trunk) => trunk.link.closed().await,
            reason = trunk.link.closed() => reason,
        };
        trunk.count_sent(&shared.meters);
        let mut live = self.live();
        if live
            .get(&trunk.instance)
            .is_some_and(|it| Arc::ptr_eq(it, &trunk))
        {
            live.remove(&trunk.instance);
        }
        drop(live);
        info!(%name, %remote, %reason, "no longer connected to a relay");
        reason
    }

    /// Closes all of them.
    pub(super) async fn close(&self, limit: Duration) {
        self.endpoint.close(Code::Shutdown);
        self.endpoint.drained(limit).await;
    }

    /// All that are up, after what each has sent was counted.
    pub(super) fn status(&self, meters: &Meters) -> Vec<TrunkStatus> {
        let live = self.live();
        let status = |trunk: &Arc<Trunk>| TrunkStatus {
            name: trunk.name.to_string(),
            address: trunk.link.remote(),
            rooms: trunk.rooms().open.len(),
            rtt_ms: trunk.link.rtt().as_secs_f64() * 1e3,
            sent: trunk.count_sent(meters),
        };
        live.values().map(status).collect()
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Instance, Arc<Trunk>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trunk {
    fn new(link: Link, share: &Share, (name, instance): (NodeName, Instance)) -> Self {
        Self {
            windows: Windows::of_trunk(link.clone(), share),
            link,
            name,
            instance,
            rooms: Mutex::default(),
            freed: Notify::new(),
            counted: AtomicU64::new(0),
        }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was sent since this was called last; all that was.
    fn count_sent(&self, meters: &Meters) -> u64 {
        let sent = self.link.udp_sent();
        let before = self.counted.fetch_max(sent, Relaxed);
        meters.sent_on_trunk(sent.saturating_sub(before));
        sent
    }

    /// The line of this number.
    fn line(&self, stream: u64) -> Option<Arc<OpenLine>> {
        self.rooms().open.get(&stream).cloned()
    }
}

/// How long a room is open before it is taken for granted that the directory knows where else it is.
const QUIET: Duration = Duration::from_millis(300);
/// How long those that are known are waited for.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(10);

/// Connections of one node, each by another instance of it: one, and what it had before it was started anew.
const OF_ONE_NODE: usize = 4;

/// Connections that have not shown a token yet.
const STRANGERS_MAX: usize = 64;
