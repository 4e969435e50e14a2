//! A client's endpoint, which connects to a relay on the first road that leads there.

use std::{
    fmt::Display,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use quinn::TokioRuntime;
use tokio::time::{interval, timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    ConnectError, Credentials, Datagrams, DirectSocket, Link, Roads, Role, SocketBuffers, Tuning,
    direct::shared_endpoint,
    endpoint_config::endpoint_config,
    network,
    pinned::{connect_pinned, unreachable},
    stagger::{BETWEEN_ADDRESSES, first, interleave},
    tls, tunnel,
};
use crate::protocol::{Code, PeerId, Road};

/// After so long without any packet from an address, another handshake is begun beside those that wait.
const ANEW: Duration = Duration::from_millis(1500);
/// So many at the most.
const HANDSHAKES_MAX: usize = 4;
/// How long a client waits for its close to be sent and its connection to drain.
const CLOSE_LIMIT: Duration = Duration::from_millis(300);
/// How long a refusal may take to be sent.
const REFUSAL_LIMIT: Duration = Duration::from_millis(200);

/// A client's endpoint.
#[derive(Debug)]
pub struct ClientEndpoint {
    endpoint: quinn::Endpoint,
    buffers: Option<SocketBuffers>,
    direct: Option<(DirectSocket, Datagrams)>,
    /// Follows this machine from network to network, where packets travel over UDP.
    _following: Option<AbortOnDropHandle<()>>,
}

impl ClientEndpoint {
    /// Connects to the relay at `host` and `port`, whose key is pinned.
    ///
    /// Roads and addresses are raced, with `limit` for each of them; the first complete handshake
    /// wins. Call it inside a tokio runtime. Keep the endpoint for as long as the link is used, and
    /// close it with [`Self::close`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(
        to: (&str, u16),
        relay: PeerId,
        credentials: &Arc<Credentials>,
        (role, tuning): (Role, Tuning),
        roads: &Roads,
        limit: Duration,
    ) -> Result<(Self, Link), ConnectError> {
        let attempt = Attempt {
            relay,
            credentials,
            role,
            tuning,
            limit,
        };
        if !roads.lan.is_empty() {
            let (endpoint, link) = attempt.over_lan(to, &roads.lan).await?;
            return Ok((endpoint, link.on_lan()));
        }
        let open: Vec<_> = [(Road::Relay, roads.udp), (Road::Tcp, roads.tcp)]
            .into_iter()
            .filter_map(|(road, open)| open.then_some(road))
            .collect();
        let one = open.len() == 1;
        let connected = first(
            open,
            roads.tcp_after,
            async |road| match road {
                Road::Tcp => attempt.over_tcp(to, roads).await.map_err(|e| (road, e)),
                _ => attempt.over_udp(to).await.map_err(|e| (road, e)),
            },
            |(_, error)| is_final(error),
        );
        connected.await.map_err(|failures| match one {
            true => last(to, failures.into_iter().map(|(_, error)| error)),
            false => both(to, failures),
        })
    }

    /// What the kernel granted; nothing where the packets travel over TCP.
    #[must_use]
    pub fn buffers(&self) -> Option<SocketBuffers> {
        self.buffers
    }

    /// Its socket, for direct connections to peers; nothing where the packets travel over TCP, and the
    /// second time.
    pub fn take_direct(&mut self) -> Option<(DirectSocket, Datagrams)> {
        self.direct.take()
    }

    /// Closes the connection with `code` and waits, briefly, until the relay has heard it.
    pub async fn close(self, code: Code) {
        self.endpoint.close(code.number().into(), b"");
        let _ = timeout(CLOSE_LIMIT, self.endpoint.wait_idle()).await;
    }
}

/// Whenever this machine has another address, says so to the other ends at once: who only receives would
/// be looked for at the old one until its next ping.
async fn follow(socket: DirectSocket, remote: IpAddr) {
    loop {
        network::changed(remote).await;
        tracing::debug!("this machine's address has changed");
        socket.announce();
    }
}

/// Whether no other road or address can mend it: this is another relay than the pinned one.
fn is_final(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::WrongKey { .. } | ConnectError::Config(_)
    )
}

/// One failure for all addresses of a road.
fn last((host, _): (&str, u16), failures: impl IntoIterator<Item = ConnectError>) -> ConnectError {
    failures
        .into_iter()
        .last()
        .unwrap_or(ConnectError::Resolve {
            host: host.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })
}

/// One failure for both roads: UDP's is the one to mend, where there is a choice.
fn both(to: (&str, u16), mut failures: Vec<(Road, ConnectError)>) -> ConnectError {
    if failures.last().is_some_and(|(_, error)| is_final(error)) {
        return last(to, failures.pop().map(|(_, error)| error));
    }
    failures.sort_by_key(|(road, _)| *road != Road::Relay);
    let mut failures = failures.into_iter().map(|(_, error)| error);
    match (failures.next(), failures.next()) {
        (
            Some(ConnectError::Unreachable { address, reason }),
            Some(ConnectError::Unreachable { reason: tcp, .. }),
        ) => ConnectError::Unreachable {
            address,
            reason: format!("{reason}; over TCP: {tcp}"),
        },
        // A name that cannot be resolved, on both roads.
        (udp, tcp) => last(to, tcp.into_iter().chain(udp)),
    }
}

/// What all attempts to reach one relay have in common.
struct Attempt<'a> {
    relay: PeerId,
    credentials: &'a Arc<Credentials>,
    role: Role,
    tuning: Tuning,
    limit: Duration,
}

type Connected = (ClientEndpoint, Link);
type Shared = (quinn::Endpoint, SocketBuffers, DirectSocket, Datagrams);

impl Attempt<'_> {
    async fn over_udp(&self, (host, port): (&str, u16)) -> Result<Connected, ConnectError> {
        let addresses = tokio::net::lookup_host((host, port)).await;
        let addresses = addresses.map_err(|source| ConnectError::Resolve {
            host: host.to_owned(),
            source,
        })?;
        let to = async |address| self.to_address(address).await;
        first(interleave(addresses), BETWEEN_ADDRESSES, to, is_final)
            .await
            .map_err(|failures| last((host, port), failures))
    }

    /// Nobody vouches for addresses on a LAN: one that leads to somebody else is as good as silent.
    async fn over_lan(
        &self,
        named: (&str, u16),
        addresses: &[SocketAddr],
    ) -> Result<Connected, ConnectError> {
        let addresses = interleave(addresses.iter().copied());
        let to = async |address| self.to_address(address).await;
        first(addresses, BETWEEN_ADDRESSES, to, |_| false)
            .await
            .map_err(|failures| last(named, failures))
    }

    /// Connects to one address; begins anew besides, as long as nothing comes back.
    ///
    /// A relay that has just started has not seen what was sent before, and QUIC repeats that at intervals
    /// that double. Whoever is far away is not given up for it: the first that is through wins.
    async fn to_address(&self, address: SocketAddr) -> Result<Connected, ConnectError> {
        let connecting = async {
            let mut running = FuturesUnordered::new();
            let mut sockets = Vec::new();
            let mut anew = interval(ANEW);
            loop {
                tokio::select! {
                    Some(outcome) = running.next() => return outcome,
                    _ = anew.tick(), if sockets.len() < HANDSHAKES_MAX => {
                        if !sockets.iter().any(DirectSocket::has_heard) {
                            let made = self.socket_towards(address)?;
                            sockets.push(made.2.clone());
                            running.push(self.over_socket(address, made));
                        }
                    }
                }
            }
        };
        timeout(self.limit, connecting)
            .await
            .unwrap_or_else(|_| Err(self.silent(&address)))
    }

    fn socket_towards(&self, address: SocketAddr) -> io::Result<Shared> {
        // One for both families, so that peers can be reached on either, whatever the relay's is.
        let any = |local: IpAddr| shared_endpoint((local, 0).into(), self.credentials, self.tuning);
        match (any(Ipv6Addr::UNSPECIFIED.into()), address) {
            // A system without IPv6.
            (Err(_), SocketAddr::V4(_)) => any(Ipv4Addr::UNSPECIFIED.into()),
            (made, _) => made,
        }
    }

    async fn over_socket(
        &self,
        address: SocketAddr,
        (endpoint, buffers, direct, datagrams): Shared,
    ) -> Result<Connected, ConnectError> {
        let named = address.to_string();
        let link = self.handshake(&endpoint, address, &named, None).await?;
        let following = tokio::spawn(follow(direct.clone(), address.ip()));
        let endpoint = ClientEndpoint {
            endpoint,
            _following: Some(AbortOnDropHandle::new(following)),
            buffers: Some(buffers),
            direct: Some((direct, datagrams)),
        };
        Ok((endpoint, link))
    }

    async fn over_tcp(
        &self,
        (host, port): (&str, u16),
        roads: &Roads,
    ) -> Result<Connected, ConnectError> {
        let named = format!("{host}:{port}");
        let connecting = async {
            let dialled = tunnel::dial((host, port), &roads.proxies).await;
            let dialled = dialled.map_err(|error| unreachable(&named, &error))?;
            let config = endpoint_config(self.credentials, tunnel::PACKET_MAX)?;
            let runtime = Arc::new(TokioRuntime);
            let endpoint =
                quinn::Endpoint::new_with_abstract_socket(config, None, dialled.socket, runtime)?;
            let ended = Some(dialled.ended);
            let link = self.handshake(&endpoint, dialled.remote, &named, ended);
            let link = link.await?;
            let endpoint = ClientEndpoint {
                endpoint,
                _following: None,
                buffers: None,
                direct: None,
            };
            Ok((endpoint, link))
        };
        timeout(self.limit, connecting)
            .await
            .unwrap_or_else(|_| Err(self.silent(&named)))
    }

    /// Connects and authenticates the relay; `tunnel` is its end where there is one.
    async fn handshake(
        &self,
        endpoint: &quinn::Endpoint,
        address: SocketAddr,
        named: &str,
        tunnel: Option<CancellationToken>,
    ) -> Result<Link, ConnectError> {
        let (crypto, verifier) = tls::client(self.credentials, self.relay)
            .map_err(|e| ConnectError::Config(e.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(match tunnel {
            Some(_) => tunnel::tunnelled(self.tuning, self.role),
            None => self.tuning.transport(self.role, address.ip()),
        });
        let crypto = (config, verifier);
        let connected = connect_pinned(endpoint, (address, &named), crypto, self.relay).await;
        if let Err(ConnectError::WrongKey { .. }) = &connected {
            // The refusal must reach the relay before this process may be gone.
            let _ = timeout(REFUSAL_LIMIT, endpoint.wait_idle()).await;
        }
        Link::new(connected?, tunnel).map_err(|e| unreachable(&named, &e))
    }

    fn silent(&self, named: &dyn Display) -> ConnectError {
        let reason = format!("no answer within {} s", self.limit.as_secs());
        unreachable(named, &reason)
    }
}
