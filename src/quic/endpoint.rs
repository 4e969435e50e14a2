//! Endpoints: the relay's, which accepts, and what a client's is made of.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    num::{NonZeroU8, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use futures_util::future::select_all;
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    Credentials, Link, LinkError, RelayHealth, SocketBuffers, Tuning,
    batch_size::FrugalRuntime,
    batches::batching,
    endpoint_config::placed_endpoint_config,
    health,
    socket::{adopt_udp, bind_udp},
    stagger::canonical,
    steering::{self, Place, SOCKETS_MAX},
    tls,
    tuning::is_internet,
    tunnel::{TunnelListener, tcp_listener},
    workers::Workers,
};
use crate::protocol::{Code, Road};

/// Clients whose handshake has not begun.
const INCOMING_MAX: usize = 1024;
/// What each of them may send ahead, in bytes, and all of them: a first flight is two or three packets.
const INCOMING_BUFFER: u64 = 16 << 10;
const INCOMING_BUFFERS: u64 = 2 << 20;

/// The relay's endpoints: one for each thread behind one port, or one for all of them.
#[derive(Debug)]
pub struct RelayEndpoint {
    endpoints: Vec<quinn::Endpoint>,
    /// For clients on this machine, and on the Internet. Those between have the endpoint's own.
    near: Arc<quinn::ServerConfig>,
    far: Arc<quinn::ServerConfig>,
    buffers: SocketBuffers,
    tunnels: Option<TunnelListener>,
    tuning: Tuning,
    workers: Arc<Workers>,
    /// What `/proc` calls the UDP sockets, where the system can say.
    sockets: Vec<u64>,
}

impl RelayEndpoint {
    /// Binds an address and serves there; port 0 picks one. Call it inside a tokio runtime, on whose thread
    /// all connections are driven, or with more `threads` those that fall to it.
    ///
    /// Each thread has a socket and an endpoint of its own, where the system can tell them apart by connection
    /// IDs; elsewhere one thread receives for all.
    ///
    /// # Errors
    /// When the address cannot be bound or the credentials do not make a TLS configuration.
    pub fn bind(
        address: SocketAddr,
        credentials: &Credentials,
        tuning: Tuning,
        threads: NonZeroUsize,
    ) -> io::Result<Self> {
        let several = u8::try_from(threads.get())
            .ok()
            .and_then(NonZeroU8::new)
            .filter(|count| (2..=SOCKETS_MAX.get()).contains(&count.get()));
        let (sockets, buffers) = match several.map(|count| steering::group(address, count)) {
            Some(Ok(group)) => group,
            // Whatever else is wrong with the address shows when it is bound without sharing.
            tried => {
                if let Some(Err(error)) = tried {
                    debug!(%error, "no socket for each thread");
                }
                let (socket, buffers) = bind_udp(address)?;
                (vec![socket], buffers)
            }
        };
        Self::on(sockets, buffers, credentials, tuning, threads)
    }

    /// The same on a socket that is bound already, which one thread reads for all.
    ///
    /// # Errors
    /// When the socket cannot be used or the credentials do not make a TLS configuration.
    pub fn adopt(
        socket: UdpSocket,
        credentials: &Credentials,
        tuning: Tuning,
        threads: NonZeroUsize,
    ) -> io::Result<Self> {
        let (socket, buffers) = adopt_udp(socket)?;
        Self::on(vec![socket], buffers, credentials, tuning, threads)
    }

    fn on(
        sockets: Vec<UdpSocket>,
        buffers: SocketBuffers,
        credentials: &Credentials,
        tuning: Tuning,
        threads: NonZeroUsize,
    ) -> io::Result<Self> {
        let crypto = tls::server(credentials).map_err(io::Error::other)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        server
            .transport_config(Arc::new(tuning.unadmitted(Ipv4Addr::UNSPECIFIED.into())))
            .max_incoming(INCOMING_MAX)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(INCOMING_BUFFERS);
        let mut near = server.clone();
        near.transport_config(Arc::new(tuning.unadmitted(Ipv4Addr::LOCALHOST.into())));
        let mut far = server.clone();
        // An address for documentation (RFC 5737): on the Internet, and nobody's.
        let elsewhere = Ipv4Addr::new(192, 0, 2, 1).into();
        far.transport_config(Arc::new(tuning.unadmitted(elsewhere)));
        let workers = Workers::start(threads)?;
        let inodes = sockets
            .iter()
            .filter_map(|socket| health::inode(socket).ok());
        let inodes = inodes.collect();
        let count = u8::try_from(sockets.len()).ok().and_then(NonZeroU8::new);
        let places = Place::all(count.expect("1 to 64 sockets"));
        let endpoints = places.zip(sockets).enumerate().map(|(number, at)| {
            let _inside = workers.get(number).enter();
            endpoint(at, credentials, server.clone())
        });
        Ok(Self {
            endpoints: endpoints.collect::<io::Result<_>>()?,
            near: Arc::new(near),
            far: Arc::new(far),
            buffers,
            tunnels: None,
            tuning,
            workers,
            sockets: inodes,
        })
    }

    /// Takes clients over TCP as well, at `address`; port 0 picks one. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound or the credentials do not make a TLS configuration.
    pub fn bind_tcp(&mut self, address: SocketAddr, credentials: &Credentials) -> io::Result<()> {
        self.take_tcp(tcp_listener(address)?, credentials)
    }

    /// The same, on a socket that listens already.
    ///
    /// # Errors
    /// When the socket cannot be used or the credentials do not make a TLS configuration.
    pub fn take_tcp(&mut self, socket: TcpListener, credentials: &Credentials) -> io::Result<()> {
        let (tuning, workers) = (self.tuning, self.workers.clone());
        self.tunnels = Some(TunnelListener::on(socket, credentials, tuning, workers)?);
        Ok(())
    }

    /// The TCP address that is bound, where one is.
    #[must_use]
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.tunnels.as_ref().map(TunnelListener::local_addr)
    }

    /// The address that is bound.
    ///
    /// # Errors
    /// When the socket cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoints[0].local_addr()
    }

    /// What the kernel granted.
    #[must_use]
    pub fn buffers(&self) -> SocketBuffers {
        self.buffers
    }

    /// For whoever watches over it.
    #[must_use]
    pub fn health(&self) -> RelayHealth {
        RelayHealth::new(self.workers.ticks(), self.sockets.clone())
    }

    /// Waits for the next client; `None` once the endpoint is closed.
    ///
    /// Cancel-safe. The handshake has not begun: give the [`Incoming`] to a task of its own.
    pub async fn accept(&self) -> Option<Incoming> {
        let tunnelled = async {
            match &self.tunnels {
                Some(tunnels) => tunnels.accept().await,
                None => std::future::pending().await,
            }
        };
        let accepting = self.endpoints.iter().map(|one| Box::pin(one.accept()));
        tokio::select! {
            (incoming, number, _) = select_all(accepting) => {
                let incoming = incoming?;
                let config = self.config_for(incoming.remote_address().ip());
                let worker = match self.endpoints.len() {
                    1 => self.workers.next(),
                    _ => self.workers.get(number),
                };
                let worker = worker.clone();
                Some(Incoming { incoming, config, worker, tunnel: None })
            }
            arrival = tunnelled => arrival.map(|arrival| Incoming {
                incoming: arrival.incoming,
                config: None,
                worker: arrival.worker,
                tunnel: Some((arrival.remote, arrival.ended, arrival.decided)),
            }),
        }
    }

    fn config_for(&self, remote: IpAddr) -> Option<Arc<quinn::ServerConfig>> {
        match remote.to_canonical() {
            near if near.is_loopback() => Some(self.near.clone()),
            far if is_internet(far) => Some(self.far.clone()),
            _ => None,
        }
    }

    /// Closes every connection with `code`, and takes no more.
    pub fn close(&self, code: Code, reason: &str) {
        for endpoint in &self.endpoints {
            endpoint.close(code.number().into(), reason.as_bytes());
        }
        if let Some(tunnels) = &self.tunnels {
            tunnels.close();
        }
    }

    /// Waits until every close has been sent, at most for `limit`.
    pub async fn drained(&self, limit: Duration) {
        let idle = async {
            for endpoint in &self.endpoints {
                endpoint.wait_idle().await;
            }
            if let Some(tunnels) = &self.tunnels {
                tunnels.drained().await;
            }
        };
        let _ = tokio::time::timeout(limit, idle).await;
    }
}

/// A client that wants in, before its handshake: it costs its first packets and nothing else.
#[derive(Debug)]
pub struct Incoming {
    incoming: quinn::Incoming,
    /// In place of its endpoint's.
    config: Option<Arc<quinn::ServerConfig>>,
    worker: Handle,
    tunnel: Option<(SocketAddr, CancellationToken, oneshot::Sender<()>)>,
}

impl Incoming {
    /// Where it says that it comes from.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        match &self.tunnel {
            Some((remote, ..)) => *remote,
            None => canonical(self.incoming.remote_address()),
        }
    }

    /// The runtime on whose thread its packets arrive. Complete the handshake there and serve it there: its
    /// connection is driven where [`accept`](Self::accept) is called.
    #[must_use]
    pub fn worker(&self) -> &Handle {
        &self.worker
    }

    /// The road on which it comes.
    #[must_use]
    pub fn road(&self) -> Road {
        match self.tunnel {
            Some(_) => Road::Tcp,
            None => Road::Relay,
        }
    }

    /// Whether it has shown that it receives at that address.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        // Whoever has completed TCP's handshake can receive.
        self.tunnel.is_some() || self.incoming.remote_address_validated()
    }

    /// Asks it to show that, with a Retry packet (RFC 9000, section 8.1.2); it comes again then.
    pub fn validate(self) {
        let _ = self.incoming.retry();
    }

    /// Answers nothing: it takes its packet for lost, and sends it again after a second or so.
    pub fn ignore(self) {
        self.incoming.ignore();
    }

    /// Completes the handshake.
    ///
    /// # Errors
    /// When the handshake fails, or is not over within `limit`.
    pub async fn accept(self, limit: Duration) -> Result<Link, LinkError> {
        let connecting = match self.config {
            Some(config) => self.incoming.accept_with(config)?,
            None => self.incoming.accept()?,
        };
        let connection = tokio::time::timeout(limit, connecting)
            .await
            .map_err(|_| LinkError::TimedOut)??;
        let ended = self.tunnel.as_ref().map(|(_, ended, _)| ended.clone());
        Link::new(connection, ended)
    }
}

/// Call it inside the runtime that is to receive.
fn endpoint(
    (place, socket): (Place, UdpSocket),
    credentials: &Credentials,
    server: quinn::ServerConfig,
) -> io::Result<quinn::Endpoint> {
    let runtime = Arc::new(FrugalRuntime::default());
    let socket = batching(&*runtime, socket)?;
    // Most of the throughput comes from passing several packets with one call.
    let (sent, received) = (
        socket.max_transmit_segments(),
        socket.max_receive_segments(),
    );
    debug!(sent, received, "segmentation offload: packets in one call");
    if sent == 1 {
        warn!("this system sends one UDP packet at a time: expect a fraction of the speed");
    }
    let config = placed_endpoint_config(credentials, Tuning::max_udp_payload(), place)?;
    quinn::Endpoint::new_with_abstract_socket(config, Some(server), socket, runtime)
}
