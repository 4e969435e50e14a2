//! Endpoints: the relay's, which accepts, and what a client's is made of.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use quinn::Runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    Credentials, Link, LinkError, RelayHealth, SocketBuffers, Tuning,
    batches::batching,
    endpoint_config::endpoint_config,
    health,
    stagger::canonical,
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

/// The relay's endpoint.
#[derive(Debug)]
pub struct RelayEndpoint {
    endpoint: quinn::Endpoint,
    /// For clients on this machine, and on the Internet. Those between have the endpoint's own.
    near: Arc<quinn::ServerConfig>,
    far: Arc<quinn::ServerConfig>,
    buffers: SocketBuffers,
    tunnels: Option<TunnelListener>,
    tuning: Tuning,
    workers: Arc<Workers>,
    /// What `/proc` calls the UDP socket, where the system can say.
    socket: Option<u64>,
}

impl RelayEndpoint {
    /// Serves on a bound socket. Call it inside a tokio runtime, on whose thread all connections are
    /// driven, or with more `threads` those that fall to it.
    ///
    /// # Errors
    /// When the socket cannot be used or the credentials do not make a TLS configuration.
    pub fn on(
        (socket, buffers): (UdpSocket, SocketBuffers),
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
        let inode = health::inode(&socket).ok();
        let endpoint = endpoint(socket, credentials, Some(server), workers.clone())?;
        Ok(Self {
            endpoint,
            near: Arc::new(near),
            far: Arc::new(far),
            buffers,
            tunnels: None,
            tuning,
            workers,
            socket: inode,
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
        self.endpoint.local_addr()
    }

    /// What the kernel granted.
    #[must_use]
    pub fn buffers(&self) -> SocketBuffers {
        self.buffers
    }

    /// For whoever watches over it.
    #[must_use]
    pub fn health(&self) -> RelayHealth {
        RelayHealth::new(self.workers.ticks(), self.socket.into_iter().collect())
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
        tokio::select! {
            incoming = self.endpoint.accept() => {
                let incoming = incoming?;
                let config = self.config_for(incoming.remote_address().ip());
                Some(Incoming { incoming, config, tunnel: None })
            }
            arrival = tunnelled => arrival.map(|arrival| Incoming {
                incoming: arrival.incoming,
                config: None,
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
        self.endpoint.close(code.number().into(), reason.as_bytes());
        if let Some(tunnels) = &self.tunnels {
            tunnels.close();
        }
    }

    /// Waits until every close has been sent, at most for `limit`.
    pub async fn drained(&self, limit: Duration) {
        let idle = async {
            self.endpoint.wait_idle().await;
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

fn endpoint(
    socket: UdpSocket,
    credentials: &Credentials,
    server: Option<quinn::ServerConfig>,
    runtime: Arc<dyn Runtime>,
) -> io::Result<quinn::Endpoint> {
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
    let config = endpoint_config(credentials, Tuning::max_udp_payload())?;
    quinn::Endpoint::new_with_abstract_socket(config, server, socket, runtime)
}
