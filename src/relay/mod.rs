//! The relay: lets peers into rooms, passes on what they say, and fans files out.
//!
//! It sees who, when, and how many bytes; never names, types or content.
//!
//! - [`admission`](Admission): which rooms may use it
//! - `arrivals`, `places`: who is let in, and how many
//! - `serve`, `session`, `requests`: one peer's connection, and what it asks
//! - `rooms`, `room`: who is where
//! - `transfer`: who takes part in what
//! - `mailbox`, `outbox`: what each is still to be told
//! - [`Budget`]: what may be held of all that
//! - `files`: one file's streams
//! - [`Meters`], `status`: what its operator sees of all that; `handle`: how, and what may be set meanwhile
//! - [`Embedded`]: a relay inside of a listener
//! - [`fanout`]: one file's bytes, from one inlet to many outlets

mod admission;
mod arrivals;
mod audit;
mod budget;
mod cluster_status;
mod config;
mod drain;
mod embedded;
pub mod fanout;
mod files;
mod handle;
mod hook;
mod line;
pub mod machine;
mod mailbox;
mod meters;
mod outbox;
mod outlets;
mod pace;
mod participants;
mod places;
mod prefix;
mod quotas;
mod requests;
mod room;
mod rooms;
mod serve;
mod session;
mod status;
mod tally;
mod transfer;
mod trunk;
mod trunk_message;
mod windows;

use std::{
    future::pending,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use admission::Admission;
pub use audit::TARGET as AUDIT;
pub use budget::{Budget, Share};
pub use cluster_status::{ClusterStatus, OtherRelay};
pub use config::{DEFAULT_MAX_PEERS, RelayConfig, TcpListen, TcpListenError};
pub use embedded::Embedded;
pub use handle::RelayHandle;
pub use hook::{FileHook, Hook};
pub use meters::Meters;
pub use quotas::{Limits, RoomQuota};
pub use status::{PeerStatus, RelayStatus, RoomStatus, Totals};
pub use trunk::{ClusterConfig, TrunkStatus};

use self::{
    arrivals::{Arrivals, Newcomer},
    fanout::FanoutConfig,
    mailbox::SessionId,
    places::Places,
    quotas::Quotas,
    rooms::Rooms,
    trunk::Trunks,
};
use crate::{
    cluster::{Directory, Load},
    protocol::Code,
    quic::{Credentials, Incoming, RelayEndpoint, SocketBuffers},
};

/// A relay that is bound and not yet serving.
#[derive(Debug)]
pub struct Relay {
    endpoint: RelayEndpoint,
    shared: Arc<Shared>,
}

/// What every session of one relay shares.
#[derive(Debug)]
struct Shared {
    admission: Admission,
    places: Arc<Places>,
    rooms: Rooms,
    sessions: AtomicU64,
    fanout: FanoutConfig,
    budget: Budget,
    quotas: Quotas,
    direct: bool,
    hook: Option<Arc<dyn Hook>>,
    meters: Meters,
    started: Instant,
    /// No more transfers are begun: the relay is about to end.
    draining: AtomicBool,
    /// What it knows of its cluster, and the others of it; nothing where it is alone.
    directory: Option<Directory>,
    trunks: Option<Trunks>,
}

impl Shared {
    /// Where clients reach the relays of the cluster, this one among them; nothing where it is alone.
    fn cluster_places(&self) -> Vec<String> {
        let places = self.directory.as_ref().map(Directory::places);
        let places = places.unwrap_or_default();
        let is_alone = places.len() < 2;
        let places = places.iter().filter(|_| !is_alone);
        places.map(ToString::to_string).collect()
    }

    /// Where clients reach the other relays of the cluster.
    fn other_places(&self) -> Vec<String> {
        let places = self.directory.as_ref().map(Directory::other_places);
        let places = places.unwrap_or_default();
        places.iter().map(ToString::to_string).collect()
    }

    /// Notes for the other relays how busy this one is.
    fn note_load(&self) {
        if let Some(directory) = &self.directory {
            let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            directory.set_load(Load {
                connections: number(self.places.in_use()),
                connections_max: number(self.places.max()),
            });
        }
    }

    fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }
}

impl Relay {
    /// Binds the relay's address. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound or the credentials cannot be used.
    pub fn bind(config: RelayConfig, credentials: &Credentials) -> io::Result<Self> {
        let (tuning, threads) = (config.tuning, config.threads);
        let mut endpoint = match config.udp_socket {
            Some(socket) => RelayEndpoint::adopt(socket, credentials, tuning, threads)?,
            None => RelayEndpoint::bind(config.bind, credentials, tuning, threads)?,
        };
        match config.tcp {
            _ if config.tcp_socket.is_some() => {
                let socket = config.tcp_socket.expect("just seen");
                endpoint.take_tcp(socket, credentials)?;
            }
            TcpListen::Off => {}
            TcpListen::At(address) => endpoint
                .bind_tcp(address, credentials)
                .map_err(|e| io::Error::new(e.kind(), format!("TCP {address}: {e}")))?,
            TcpListen::SameAsUdp => {
                let address = endpoint.local_addr()?;
                if let Err(error) = endpoint.bind_tcp(address, credentials) {
                    tracing::info!(%address, %error, "the port is not free on TCP: UDP only");
                }
            }
        }
        let budget =
            Budget::with_descriptors(config.memory_limit, config.spool_limit, config.spool_files);
        let trunks = config.cluster.as_ref().map(|cluster| {
            let trunks = Trunks::bind(cluster, config.tuning, &budget);
            let at = |e: io::Error| format!("trunk {}: {e}", cluster.bind);
            trunks.map_err(|e| io::Error::new(e.kind(), at(e)))
        });
        let shared = Shared {
            admission: config.admission,
            places: Places::new(config.limits.max_peers, config.limits.network_connections),
            rooms: Rooms::new(config.cluster.as_ref().map(|c| c.directory.clone())),
            sessions: AtomicU64::new(0),
            fanout: FanoutConfig::new(config.spool),
            budget,
            quotas: Quotas::new(config.limits),
            direct: config.direct,
            hook: config.hook,
            meters: Meters::new(),
            started: Instant::now(),
            draining: AtomicBool::new(false),
            directory: config.cluster.map(|cluster| cluster.directory),
            trunks: trunks.transpose()?,
        };
        Ok(Self {
            endpoint,
            shared: Arc::new(shared),
        })
    }

    /// The address that is bound.
    ///
    /// # Errors
    /// When the socket cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The TCP address that is bound, where one is.
    #[must_use]
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.endpoint.tcp_addr()
    }

    /// The UDP address that is bound for other relays, where this one is part of a cluster.
    #[must_use]
    pub fn trunk_addr(&self) -> Option<SocketAddr> {
        self.shared.trunks.as_ref()?.local_addr().ok()
    }

    /// The socket buffers that the kernel granted.
    #[must_use]
    pub fn buffers(&self) -> SocketBuffers {
        self.endpoint.buffers()
    }

    /// Asks how it is while it runs.
    #[must_use]
    pub fn handle(&self) -> RelayHandle {
        RelayHandle {
            shared: self.shared.clone(),
            health: self.endpoint.health(),
            buffers: self.endpoint.buffers(),
        }
    }

    /// Serves until `shutdown`, then tells every peer and ends within [`SHUTDOWN_LIMIT`].
    pub async fn run(self, shutdown: CancellationToken) {
        let sessions = TaskTracker::new();
        let mut arrivals = Arrivals::new();
        let trunks = self.shared.trunks.as_ref();
        let mut across = pin!(async {
            match trunks {
                Some(trunks) => trunks.run(&self.shared).await,
                None => pending().await,
            }
        });
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => match self.shared.quotas.may_try(incoming.remote().ip()) {
                        true => arrivals.push(incoming),
                        false => incoming.ignore(),
                    },
                    None => break,
                },
                () = arrivals.due() => {}
                () = &mut across => break,
            }
            while let Some((incoming, seat)) = arrivals.next() {
                let worker = incoming.worker().clone();
                let serving = serve::serve(self.shared.clone(), incoming, seat);
                sessions.spawn_on(serving, &worker);
            }
        }
        self.endpoint.close(Code::Shutdown, Code::Shutdown.reason());
        if let Some(trunks) = trunks {
            trunks.close(SHUTDOWN_LIMIT).await;
        }
        sessions.close();
        let _ = tokio::time::timeout(SHUTDOWN_LIMIT, sessions.wait()).await;
        self.endpoint.drained(SHUTDOWN_LIMIT).await;
    }
}

/// How long sessions, and then the last packets, may take when the relay ends.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

impl Newcomer for Incoming {
    fn address(&self) -> SocketAddr {
        self.remote()
    }

    fn is_validated(&self) -> bool {
        Incoming::is_validated(self)
    }

    fn validate(self) {
        Incoming::validate(self);
    }

    fn ignore(self) {
        Incoming::ignore(self);
    }
}
