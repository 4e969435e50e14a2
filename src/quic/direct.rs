//! Direct connections between peers, on the socket that leads to the relay.
//!
//! It has to be that socket: what a NAT has shown to the relay as this machine's address is that
//! socket's. A direct connection has an ALPN of its own, so that no peer can pose as a relay or a relay
//! as a peer.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use quinn::{AsyncUdpSocket, TokioRuntime, udp::Transmit};
use tokio::{sync::mpsc, time::timeout};

use super::{
    ConnectError, Credentials, Link, LinkError, Role, SocketBuffers, Tuning,
    batches::{Datagram, sharing},
    endpoint_config::endpoint_config,
    pinned::{connect_pinned, unreachable},
    socket,
    stagger::canonical,
    tls,
};
use crate::protocol::{PeerId, Road};

/// Datagrams that wait to be read; more are lost, as on a network.
const WAITING_MAX: usize = 64;
/// Handshakes that peers may have begun at once; there are no more conversations with them.
const INCOMING_MAX: usize = 64;

/// A client's socket, for what is not a connection to its relay.
#[derive(Debug, Clone)]
pub struct DirectSocket {
    endpoint: quinn::Endpoint,
    socket: Arc<dyn AsyncUdpSocket>,
    heard: Arc<AtomicBool>,
    credentials: Arc<Credentials>,
    tuning: Tuning,
    /// For peers on this machine, once peers may connect.
    near: Arc<OnceLock<Arc<quinn::ServerConfig>>>,
}

/// What arrives at such a socket and is no QUIC.
#[derive(Debug)]
pub struct Datagrams(mpsc::Receiver<Datagram>);

impl Datagrams {
    /// The next datagram, and whence it came; `None` once the socket is gone.
    ///
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let (from, datagram) = self.0.recv().await?;
        Some((canonical(from), datagram.to_vec()))
    }
}

/// Makes an endpoint whose socket can be shared.
pub(super) fn shared_endpoint(
    address: SocketAddr,
    credentials: &Arc<Credentials>,
    tuning: Tuning,
) -> io::Result<(quinn::Endpoint, SocketBuffers, DirectSocket, Datagrams)> {
    let (socket, buffers) = socket::bind_udp(address)?;
    let (direct, datagrams) = DirectSocket::on(socket, credentials, tuning)?;
    Ok((direct.endpoint.clone(), buffers, direct, datagrams))
}

impl DirectSocket {
    fn on(
        socket: UdpSocket,
        credentials: &Arc<Credentials>,
        tuning: Tuning,
    ) -> io::Result<(Self, Datagrams)> {
        let (sender, datagrams) = mpsc::channel(WAITING_MAX);
        let heard = Arc::new(AtomicBool::new(false));
        let socket = sharing(&TokioRuntime, socket, sender, heard.clone())?;
        let mut config = endpoint_config(credentials, Tuning::max_udp_payload())?;
        // Whose packets have the fixed bit can be told from other datagrams (RFC 9287, section 3).
        config.grease_quic_bit(false);
        let runtime = Arc::new(TokioRuntime);
        let endpoint =
            quinn::Endpoint::new_with_abstract_socket(config, None, socket.clone(), runtime)?;
        let direct = Self {
            endpoint,
            socket,
            heard,
            credentials: credentials.clone(),
            tuning,
            near: Arc::default(),
        };
        Ok((direct, Datagrams(datagrams)))
    }

    /// Another one for the same member, on which no peer may connect yet.
    pub(super) fn another(&self, socket: UdpSocket) -> io::Result<(Self, Datagrams)> {
        Self::on(socket, &self.credentials, self.tuning)
    }

    /// The address that is bound: a wildcard, and a port.
    ///
    /// # Errors
    /// When the socket cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Whether anything has arrived since this was asked last.
    pub(super) fn has_heard(&self) -> bool {
        self.heard.swap(false, Relaxed)
    }

    /// Sends a datagram that is no QUIC, if there is room; it may be lost, as on a network.
    pub fn send(&self, contents: &[u8], to: SocketAddr) {
        let destination = match (self.local_addr(), to) {
            (Ok(SocketAddr::V6(_)), SocketAddr::V4(v4)) => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            _ => to,
        };
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: None,
        };
        if let Err(error) = self.socket.try_send(&transmit) {
            tracing::trace!(%to, %error, "a datagram was not sent");
        }
    }

    /// Sends a packet on every connection, so that the other ends learn of a new address of this machine.
    ///
    /// The socket stays: it is bound to no address, and NATs know its port.
    pub(super) fn announce(&self) {
        if let Err(error) = self.endpoint.rebind_abstract(self.socket.clone()) {
            tracing::debug!(%error, "a new address is not announced");
        }
    }

    /// Lets peers connect from now on.
    ///
    /// # Errors
    /// When the credentials do not make a TLS configuration.
    pub fn open(&self) -> io::Result<()> {
        let crypto = tls::direct_server(&self.credentials).map_err(io::Error::other)?;
        let crypto = Arc::new(crypto);
        let config_for = |remote: IpAddr| {
            let mut config = quinn::ServerConfig::with_crypto(crypto.clone());
            config
                .transport_config(self.tuning.transport(Role::DirectAccepted, remote))
                .migration(false)
                .max_incoming(INCOMING_MAX);
            config
        };
        let _ = self
            .near
            .set(Arc::new(config_for(Ipv4Addr::LOCALHOST.into())));
        let far = config_for(Ipv4Addr::UNSPECIFIED.into());
        self.endpoint.set_server_config(Some(far));
        Ok(())
    }

    /// Waits for the next peer; `None` once the endpoint is closed.
    ///
    /// Cancel-safe. The handshake has not begun.
    pub async fn accept(&self) -> Option<Caller> {
        Some(Caller {
            incoming: self.endpoint.accept().await?,
            near: self.near.get().cloned(),
        })
    }

    /// Connects to a peer whose key is pinned, at an address that has answered within `rtt`.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(
        &self,
        to: SocketAddr,
        peer: PeerId,
        (road, rtt): (Road, Duration),
        limit: Duration,
    ) -> Result<Link, ConnectError> {
        let (crypto, verifier) = tls::direct_client(&self.credentials, peer)
            .map_err(|e| ConnectError::Config(e.to_string()))?;
        let mut transport = self.tuning.configure_for(Role::Direct, to.ip());
        transport.initial_rtt(rtt.max(Duration::from_millis(1)));
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        let crypto = (config, verifier);
        let connecting = connect_pinned(&self.endpoint, (to, &to), crypto, peer);
        let connection = timeout(limit, connecting)
            .await
            .map_err(|_| unreachable(&to, &"no answer in time"))??;
        Link::direct(connection, road).map_err(|e| unreachable(&to, &e))
    }
}

/// A peer that wants to connect, before its handshake.
#[derive(Debug)]
pub struct Caller {
    incoming: quinn::Incoming,
    near: Option<Arc<quinn::ServerConfig>>,
}

impl Caller {
    /// Where it comes from; not validated yet.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        canonical(self.incoming.remote_address())
    }

    /// Says nothing to it at all.
    pub fn ignore(self) {
        self.incoming.ignore();
    }

    /// Completes the handshake; who it is, the link then says.
    ///
    /// # Errors
    /// When the handshake fails, or is not over within `limit`.
    pub async fn admit(self, road: Road, limit: Duration) -> Result<Link, LinkError> {
        let near = self
            .near
            .clone()
            .filter(|_| self.remote().ip().is_loopback());
        let connecting = match near {
            Some(near) => self.incoming.accept_with(near)?,
            None => self.incoming.accept()?,
        };
        let connection = timeout(limit, connecting)
            .await
            .map_err(|_| LinkError::TimedOut)??;
        Link::direct(connection, road)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{identity::Identity, protocol::Code, quic::Certificate};

    const LIMIT: Duration = Duration::from_secs(10);

    struct End {
        id: PeerId,
        socket: DirectSocket,
        datagrams: Datagrams,
        address: SocketAddr,
    }

    fn end() -> End {
        let identity = Identity::generate();
        let certificate = Certificate::of(&identity);
        let credentials = Credentials::new(certificate.certificate, certificate.private_key);
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let (_, _, socket, datagrams) =
            shared_endpoint(any, &Arc::new(credentials), Tuning::default()).unwrap();
        let address = socket.local_addr().unwrap();
        End {
            id: identity.id(),
            socket,
            datagrams,
            address,
        }
    }

    const ROAD: (Road, Duration) = (Road::Lan, Duration::from_millis(1));

    #[tokio::test]
    async fn peers_connect_directly_and_know_each_other_while_datagrams_pass_beside() {
        let (caller, mut called) = (end(), end());
        called.socket.open().unwrap();
        let accepting = tokio::spawn({
            let socket = called.socket.clone();
            async move {
                let arrived = socket.accept().await.unwrap();
                arrived.admit(Road::Lan, LIMIT).await.unwrap()
            }
        });
        let link = caller
            .socket
            .connect(called.address, called.id, ROAD, LIMIT);
        let link = link.await.unwrap();
        let other = accepting.await.unwrap();
        assert_eq!((link.peer(), other.peer()), (called.id, caller.id));
        assert_eq!((link.road(), other.remote()), (Road::Lan, caller.address));
        // Between a connection's packets, in both orders.
        for number in 0..20_u8 {
            let mut datagram = [number; 64];
            datagram[0] = 0x21;
            caller.socket.send(&datagram, called.address);
            let received = timeout(LIMIT, called.datagrams.recv()).await.unwrap();
            assert_eq!(received, Some((caller.address, datagram.to_vec())));
            let stream = link
                .open_file(crate::protocol::FileClass::Small)
                .await
                .unwrap();
            stream.reset(Code::Cancelled);
        }
    }

    #[tokio::test]
    async fn another_key_than_the_pinned_one_is_refused() {
        let (caller, called, other) = (end(), end(), end());
        called.socket.open().unwrap();
        let socket = called.socket.clone();
        tokio::spawn(async move { socket.accept().await.unwrap().admit(Road::Lan, LIMIT).await });
        let refused = caller.socket.connect(called.address, other.id, ROAD, LIMIT);
        assert!(matches!(
            refused.await,
            Err(ConnectError::WrongKey { got, .. }) if got == called.id
        ));
    }

    #[tokio::test]
    async fn a_peer_cannot_pose_as_a_relay() {
        let called = end();
        called.socket.open().unwrap();
        let socket = called.socket.clone();
        let calls = tokio::spawn(async move {
            let caller = socket.accept().await.unwrap();
            caller.admit(Road::Lan, LIMIT).await.map(|_| ())
        });
        let certificate = Certificate::of(&Identity::generate());
        let credentials = Credentials::new(certificate.certificate, certificate.private_key);
        let credentials = Arc::new(credentials);
        let roads = crate::quic::Roads::default().only(Road::Relay);
        // With its own key for the relay's, even.
        let refused = crate::quic::ClientEndpoint::connect(
            ("127.0.0.1", called.address.port()),
            called.id,
            &credentials,
            (Role::Sender, Tuning::default()),
            &roads,
            LIMIT,
        );
        assert!(refused.await.is_err(), "no protocol that both speak");
        assert!(calls.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_socket_that_is_not_open_or_ignores_a_caller_is_silent() {
        let (caller, called) = (end(), end());
        let short = Duration::from_millis(400);
        let connect = || {
            caller
                .socket
                .connect(called.address, called.id, ROAD, short)
        };
        assert!(connect().await.is_err());
        called.socket.open().unwrap();
        let socket = called.socket.clone();
        tokio::spawn(async move { socket.accept().await.unwrap().ignore() });
        let silent = connect().await;
        let Err(ConnectError::Unreachable { reason, .. }) = silent else {
            panic!("{silent:?}");
        };
        assert_eq!(reason, "no answer in time");
    }
}
