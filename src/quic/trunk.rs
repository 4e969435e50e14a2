//! Connections between the relays of a cluster, on a socket of their own.
//!
//! Their ALPN is their own as well, so that no client can pose as a relay or a relay as a client. Which key
//! belongs to a relay of the cluster, only a token says: until it has shown one, an end that connects may
//! open one stream and send a few packets.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{Runtime, TokioRuntime};
use tokio::time::timeout;

use super::{
    ConnectError, Credentials, Link, LinkError, SocketBuffers, Tuning,
    batches::batching,
    endpoint_config::endpoint_config,
    pinned::{connect_pinned, unreachable},
    stagger::canonical,
    tls,
    tuning::{TRUNK_FILES, TRUNK_ROOMS},
};
use crate::protocol::{Code, PeerId};

/// Connections whose handshake has not begun: there are few relays.
const INCOMING_MAX: usize = 64;

/// A relay's socket towards the others of its cluster. Clones are of one socket.
#[derive(Debug, Clone)]
pub struct TrunkEndpoint {
    endpoint: quinn::Endpoint,
    credentials: Arc<Credentials>,
    /// For relays on this machine.
    near: Arc<quinn::ServerConfig>,
    tuning: Tuning,
}

impl TrunkEndpoint {
    /// Serves on a bound socket. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be used or the credentials do not make a TLS configuration.
    pub fn on(
        (socket, _): (UdpSocket, SocketBuffers),
        credentials: Credentials,
        tuning: Tuning,
    ) -> io::Result<Self> {
        let crypto = Arc::new(tls::trunk_server(&credentials).map_err(io::Error::other)?);
        let config_for = |remote: IpAddr| {
            let mut transport = tuning.trunk(remote);
            Tuning::restrict(&mut transport);
            transport.max_concurrent_bidi_streams(1u32.into());
            let mut config = quinn::ServerConfig::with_crypto(crypto.clone());
            config
                .transport_config(Arc::new(transport))
                .migration(false)
                .max_incoming(INCOMING_MAX);
            config
        };
        let runtime = Arc::new(TokioRuntime);
        let socket = batching(&*runtime as &dyn Runtime, socket)?;
        let endpoint = quinn::Endpoint::new_with_abstract_socket(
            endpoint_config(&credentials, Tuning::max_udp_payload())?,
            Some(config_for(Ipv4Addr::UNSPECIFIED.into())),
            socket,
            runtime,
        )?;
        Ok(Self {
            endpoint,
            credentials: Arc::new(credentials),
            near: Arc::new(config_for(Ipv4Addr::LOCALHOST.into())),
            tuning,
        })
    }

    /// The address that is bound.
    ///
    /// # Errors
    /// When the socket cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Connects to a relay whose key is pinned.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(
        &self,
        to: SocketAddr,
        relay: PeerId,
        limit: Duration,
    ) -> Result<Link, ConnectError> {
        let (crypto, verifier) = tls::trunk_client(&self.credentials, relay)
            .map_err(|e| ConnectError::Config(e.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        let mut transport = self.tuning.trunk(to.ip());
        // Which of the two opens streams of rooms, see `relay::trunk`.
        transport.max_concurrent_bidi_streams(0u32.into());
        config.transport_config(Arc::new(transport));
        let mapped = match (self.local_addr(), to) {
            (Ok(SocketAddr::V6(_)), SocketAddr::V4(v4)) => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            _ => to,
        };
        let crypto = (config, verifier);
        let connecting = connect_pinned(&self.endpoint, (mapped, &to), crypto, relay);
        let connection = timeout(limit, connecting)
            .await
            .map_err(|_| unreachable(&to, &"no answer in time"))??;
        Link::new(connection, None).map_err(|e| unreachable(&to, &e))
    }

    /// Waits for the next connection; `None` once the endpoint is closed.
    ///
    /// Cancel-safe. The handshake has not begun.
    pub async fn accept(&self) -> Option<TrunkIncoming> {
        let incoming = self.endpoint.accept().await?;
        let near = incoming.remote_address().ip().to_canonical().is_loopback();
        Some(TrunkIncoming {
            incoming,
            near: near.then(|| self.near.clone()),
        })
    }

    /// Closes every connection with `code`, and takes no more.
    pub fn close(&self, code: Code) {
        self.endpoint.close(code.number().into(), b"");
    }

    /// Waits until every close has been sent, at most for `limit`.
    pub async fn drained(&self, limit: Duration) {
        let _ = timeout(limit, self.endpoint.wait_idle()).await;
    }
}

/// Another end that connects, before its handshake.
#[derive(Debug)]
pub struct TrunkIncoming {
    incoming: quinn::Incoming,
    near: Option<Arc<quinn::ServerConfig>>,
}

impl TrunkIncoming {
    /// Where it says that it comes from.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        canonical(self.incoming.remote_address())
    }

    /// Whether it has shown that it receives there.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.incoming.remote_address_validated()
    }

    /// Asks it to show that (RFC 9000, section 8.1.2); it comes again then.
    pub fn validate(self) {
        let _ = self.incoming.retry();
    }

    /// Answers nothing.
    pub fn ignore(self) {
        self.incoming.ignore();
    }

    /// Completes the handshake; who it is, the link then says, and not yet whether it may be here.
    ///
    /// # Errors
    /// When the handshake fails, or is not over within `limit`.
    pub async fn accept(self, limit: Duration) -> Result<Link, LinkError> {
        let connecting = match self.near {
            Some(near) => self.incoming.accept_with(near)?,
            None => self.incoming.accept()?,
        };
        let connection = timeout(limit, connecting)
            .await
            .map_err(|_| LinkError::TimedOut)??;
        Link::new(connection, None)
    }
}

impl Link {
    /// Grants a relay that has shown its token what a trunk takes, but for a receive window.
    pub fn admit_trunk(&self) {
        self.set_send_window(Tuning::trunk_send_window(self.remote().ip()));
        self.set_file_streams(TRUNK_FILES);
        self.set_control_streams(TRUNK_ROOMS);
    }
}
