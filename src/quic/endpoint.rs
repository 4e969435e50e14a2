//! Endpoints: the relay's, which accepts, and a client's, which connects.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig, Runtime, TokioRuntime};
use tracing::{debug, warn};

use super::{
    ConnectError, Credentials, Link, LinkError, Role, SocketBuffers, Tuning, batches::batching,
    socket, tls, workers::Workers,
};
use crate::protocol::{Code, PeerId};

/// Clients whose handshake has not begun.
const INCOMING_MAX: usize = 1024;
/// What each of them may send ahead, in bytes, and all of them: a first flight is two or three packets.
const INCOMING_BUFFER: u64 = 16 << 10;
const INCOMING_BUFFERS: u64 = 2 << 20;

/// The relay's endpoint.
#[derive(Debug)]
pub struct RelayEndpoint {
    endpoint: quinn::Endpoint,
    buffers: SocketBuffers,
}

impl RelayEndpoint {
    /// Binds `address`; port 0 picks one. Call it inside a tokio runtime, on whose thread all connections
    /// are driven, or with more `threads` those that fall to it.
    ///
    /// # Errors
    /// When the address cannot be bound or the credentials do not make a TLS configuration.
    pub fn bind(
        address: SocketAddr,
        credentials: &Credentials,
        tuning: Tuning,
        threads: NonZeroUsize,
    ) -> io::Result<Self> {
        let crypto = tls::server(credentials).map_err(io::Error::other)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        server
            .transport_config(tuning.unadmitted())
            .max_incoming(INCOMING_MAX)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(INCOMING_BUFFERS);
        let (endpoint, buffers) =
            endpoint(address, credentials, Some(server), Workers::start(threads)?)?;
        Ok(Self { endpoint, buffers })
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

    /// Waits for the next client; `None` once the endpoint is closed.
    ///
    /// Cancel-safe. The handshake has not begun: give the [`Incoming`] to a task of its own.
    pub async fn accept(&self) -> Option<Incoming> {
        self.endpoint.accept().await.map(Incoming)
    }

    /// Closes every connection with `code`, and takes no more.
    pub fn close(&self, code: Code, reason: &str) {
        self.endpoint.close(code.number().into(), reason.as_bytes());
    }

    /// Waits until every close has been sent, at most for `limit`.
    pub async fn drained(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.endpoint.wait_idle()).await;
    }
}

/// A client that wants in, before its handshake: it costs its first packets and nothing else.
#[derive(Debug)]
pub struct Incoming(quinn::Incoming);

impl Incoming {
    /// Where it says that it comes from.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.0.remote_address()
    }

    /// Whether it has shown that it receives at that address.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.0.remote_address_validated()
    }

    /// Asks it to show that, with a Retry packet (RFC 9000, section 8.1.2); it comes again then.
    pub fn validate(self) {
        let _ = self.0.retry();
    }

    /// Answers nothing: it takes its packet for lost, and sends it again after a second or so.
    pub fn ignore(self) {
        self.0.ignore();
    }

    /// Completes the handshake.
    ///
    /// # Errors
    /// When the handshake fails, or is not over within `limit`.
    pub async fn accept(self, limit: Duration) -> Result<Link, LinkError> {
        let connecting = self.0.accept()?;
        let connection = tokio::time::timeout(limit, connecting)
            .await
            .map_err(|_| LinkError::TimedOut)??;
        Link::new(connection)
    }
}

/// A client's endpoint.
#[derive(Debug)]
pub struct ClientEndpoint {
    endpoint: quinn::Endpoint,
    buffers: SocketBuffers,
}

impl ClientEndpoint {
    /// Connects to the relay at `host` and `port`, whose key is pinned.
    ///
    /// Every address of the host is tried in turn, `limit` for each. Call it inside a tokio runtime.
    /// Keep the endpoint for as long as the link is used, and close it with [`Self::close`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(
        (host, port): (&str, u16),
        relay: PeerId,
        credentials: &Credentials,
        (role, tuning): (Role, Tuning),
        limit: Duration,
    ) -> Result<(Self, Link), ConnectError> {
        let named = |source| ConnectError::Resolve {
            host: host.to_owned(),
            source,
        };
        let addresses: Vec<_> = tokio::net::lookup_host((host, port))
            .await
            .map_err(named)?
            .collect();
        let mut failure = named(io::Error::from(io::ErrorKind::NotFound));
        for address in addresses {
            match Self::connect_to(address, relay, credentials, (role, tuning), limit).await {
                Ok(connected) => return Ok(connected),
                Err(error @ ConnectError::WrongKey { .. }) => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn connect_to(
        address: SocketAddr,
        relay: PeerId,
        credentials: &Credentials,
        (role, tuning): (Role, Tuning),
        limit: Duration,
    ) -> Result<(Self, Link), ConnectError> {
        let local: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let (endpoint, buffers) = endpoint(local, credentials, None, Arc::new(TokioRuntime))?;
        let (crypto, verifier) =
            tls::client(credentials, relay).map_err(|e| ConnectError::Config(e.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(tuning.transport(role));
        let unreachable = |reason: String| ConnectError::Unreachable {
            address: address.to_string(),
            reason,
        };
        let connecting = endpoint
            .connect_with(config, address, tls::SERVER_NAME)
            .map_err(|e| unreachable(e.to_string()))?;
        let seconds = limit.as_secs();
        let outcome = tokio::time::timeout(limit, connecting).await;
        if let Some(got) = verifier.refused() {
            // The refusal must reach the relay before this process may be gone.
            let _ = tokio::time::timeout(Duration::from_millis(200), endpoint.wait_idle()).await;
            return Err(ConnectError::WrongKey {
                address: address.to_string(),
                expected: relay,
                got,
            });
        }
        let connection = outcome
            .map_err(|_| unreachable(format!("no answer within {seconds} s")))?
            .map_err(|e| unreachable(LinkError::from(e).to_string()))?;
        let link = Link::new(connection).map_err(|e| unreachable(e.to_string()))?;
        Ok((Self { endpoint, buffers }, link))
    }

    /// What the kernel granted.
    #[must_use]
    pub fn buffers(&self) -> SocketBuffers {
        self.buffers
    }

    /// Closes the connection with `code` and waits, briefly, until the relay has heard it.
    pub async fn close(self, code: Code) {
        self.endpoint.close(code.number().into(), b"");
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.endpoint.wait_idle()).await;
    }
}

/// How long a client waits for its close to be sent and its connection to drain.
const CLOSE_LIMIT: Duration = Duration::from_millis(300);

fn endpoint(
    address: SocketAddr,
    credentials: &Credentials,
    server: Option<quinn::ServerConfig>,
    runtime: Arc<dyn Runtime>,
) -> io::Result<(quinn::Endpoint, SocketBuffers)> {
    let (socket, buffers) = socket::bind_udp(address)?;
    let socket = batching(&*runtime, socket)?;
    // Most of the throughput comes from passing several packets with one call.
    let (sent, received) = (
        socket.max_transmit_segments(),
        socket.max_receive_segments(),
    );
    debug!(
        sent,
        received,
        ?buffers,
        "segmentation offload: packets in one call"
    );
    if sent == 1 {
        warn!("this system sends one UDP packet at a time: expect a fraction of the speed");
    }
    let mut config = EndpointConfig::new(credentials.reset_key());
    config.cid_generator(|| Box::new(RandomIds));
    config
        .max_udp_payload_size(Tuning::max_udp_payload())
        .map_err(io::Error::other)?;
    let endpoint = quinn::Endpoint::new_with_abstract_socket(config, server, socket, runtime)?;
    Ok((endpoint, buffers))
}

/// Connection IDs that say nothing.
///
/// quinn's default gives IDs by which one run of an endpoint knows its own, and ignores packets with
/// any other: then nobody whose connection a restart has ended would ever be sent a stateless reset.
#[derive(Debug)]
struct RandomIds;

impl RandomIds {
    /// Long enough that no two of a relay's connections share one (RFC 9000, section 5.1).
    const LEN: usize = 8;
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; Self::LEN];
        p2p_core::crypto::random(&mut bytes);
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        Self::LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
