//! The relay's end of tunnels: every TCP connection is an endpoint of its own, with one connection.
//!
//! One endpoint for all would have one socket for all, and quinn asks a socket, not a destination,
//! whether there is room: a tunnel that is full would hold up every other.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use quinn::{EndpointConfig, TokioRuntime};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        handshake::server::{ErrorResponse, Request, Response},
        http::StatusCode,
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{
    PATH, limits,
    places::{Place, Places},
    pump::{connect, tune},
    tunnelled,
};
use crate::{
    protocol::Code,
    quic::{
        Credentials, Role, Tuning, endpoint_config::endpoint_config, stagger::canonical, tls,
        workers::Workers,
    },
};

/// From a TCP connection to the first packet in it.
const OPENING_LIMIT: Duration = Duration::from_secs(10);
/// A pause after the system had no descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// From the end of a connection to the end of its tunnel.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// The first byte of TLS: a handshake record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Accepts tunnels on a TCP port; dropping it ends them.
#[derive(Debug)]
pub(in crate::quic) struct TunnelListener {
    address: SocketAddr,
    arrivals: tokio::sync::Mutex<mpsc::Receiver<Arrival>>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// A client in a tunnel, before its handshake.
#[derive(Debug)]
pub(in crate::quic) struct Arrival {
    pub(in crate::quic) incoming: quinn::Incoming,
    /// The runtime that drives its tunnel.
    pub(in crate::quic) worker: Handle,
    /// The client's address, or that of a reverse proxy.
    pub(in crate::quic) remote: SocketAddr,
    pub(in crate::quic) ended: CancellationToken,
    /// Dropped once it has been decided what becomes of the client.
    pub(in crate::quic) decided: oneshot::Sender<()>,
}

/// What every tunnel of one listener needs.
struct Shared {
    acceptor: TlsAcceptor,
    endpoint: EndpointConfig,
    server: quinn::ServerConfig,
    workers: Arc<Workers>,
    arrivals: mpsc::Sender<Arrival>,
    closing: CancellationToken,
}

impl TunnelListener {
    /// Begins to accept. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub(in crate::quic) fn on(
        listener: std::net::TcpListener,
        credentials: &Credentials,
        tuning: Tuning,
        workers: Arc<Workers>,
    ) -> io::Result<Self> {
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let crypto = tls::server(credentials).map_err(io::Error::other)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        server
            .transport_config(tunnelled(tuning, Role::Relay))
            .max_incoming(1);
        let acceptor = tls::outer_server(credentials).map_err(io::Error::other)?;
        let (sender, arrivals) = mpsc::channel(1);
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let shared = Arc::new(Shared {
            acceptor: acceptor.into(),
            endpoint: endpoint_config(credentials, super::PACKET_MAX)?,
            server,
            workers,
            arrivals: sender,
            closing: closing.clone(),
        });
        tasks.spawn(accept(listener, shared, tasks.clone()));
        Ok(Self {
            address,
            arrivals: tokio::sync::Mutex::new(arrivals),
            tasks,
            closing,
        })
    }

    /// The address that is bound.
    pub(in crate::quic) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next client; `None` once this is closed.
    ///
    /// Cancel-safe.
    pub(in crate::quic) async fn accept(&self) -> Option<Arrival> {
        self.arrivals.lock().await.recv().await
    }

    /// Closes every connection as the relay shuts down, and takes no more.
    pub(in crate::quic) fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
    }

    /// Waits until every close has been sent.
    pub(in crate::quic) async fn drained(&self) {
        self.tasks.wait().await;
    }
}

impl Drop for TunnelListener {
    fn drop(&mut self) {
        self.close();
    }
}

/// Binds a TCP port; a wildcard IPv6 address takes IPv4 as well.
pub(in crate::quic) fn tcp_listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Connections of an earlier run may linger on the port (TIME_WAIT) and are in nobody's way.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Accepts, and nothing else: what a client has to say is waited for in a task of its own.
async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    let places = Arc::new(Places::default());
    loop {
        let accepted = tokio::select! {
            () = shared.closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                let remote = canonical(remote);
                let Some(place) = places.take(remote.ip()) else {
                    debug!(%remote, "too many are on their way in");
                    continue;
                };
                let shared = shared.clone();
                let worker = shared.workers.next().clone();
                let serving = async move {
                    let closing = shared.closing.clone();
                    let opening = Box::pin(timeout(OPENING_LIMIT, open(&shared, stream, remote)));
                    let opened = tokio::select! {
                        () = closing.cancelled() => return,
                        opened = opening => opened,
                    };
                    match opened {
                        Ok(Ok(tunnel)) => Box::pin(tunnel.run(shared, place)).await,
                        Ok(Err(error)) => debug!(%remote, %error, "no tunnel"),
                        Err(_) => debug!(%remote, "no tunnel in time"),
                    }
                };
                tasks.spawn_on(serving, &worker);
            }
            Err(error) => {
                debug!(%error, "a TCP connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A tunnel whose client has sent its first packet.
struct Tunnel {
    endpoint: quinn::Endpoint,
    incoming: quinn::Incoming,
    remote: SocketAddr,
    ended: CancellationToken,
}

/// Takes a connection through TLS, WebSocket, and to the first packet in it.
async fn open(shared: &Shared, stream: TcpStream, remote: SocketAddr) -> io::Result<Tunnel> {
    tune(&stream);
    let addresses = (canonical(stream.local_addr()?), remote);
    let mut first = [0];
    stream.peek(&mut first).await?;
    // Behind a reverse proxy that ends TLS there is none left, and nothing is lost by that.
    if first[0] == TLS_HANDSHAKE {
        let stream = shared.acceptor.accept(stream).await?;
        serve(shared, websocket(stream).await?, addresses).await
    } else {
        serve(shared, websocket(stream).await?, addresses).await
    }
}

async fn websocket<S>(stream: S) -> io::Result<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    accept_hdr_async_with_config(stream, only_our_path, Some(limits()))
        .await
        .map_err(io::Error::other)
}

#[expect(clippy::result_large_err, reason = "the type is the library's")]
fn only_our_path(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() == PATH {
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(None);
    *refusal.status_mut() = StatusCode::NOT_FOUND;
    Err(refusal)
}

async fn serve<S>(
    shared: &Shared,
    websocket: WebSocketStream<S>,
    (local, remote): (SocketAddr, SocketAddr),
) -> io::Result<Tunnel>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (socket, pumping) = connect(websocket, (local, remote));
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    tokio::spawn(async move {
        pumping.await;
        drop(guard);
    });
    let endpoint = quinn::Endpoint::new_with_abstract_socket(
        shared.endpoint.clone(),
        Some(shared.server.clone()),
        socket,
        Arc::new(TokioRuntime),
    )?;
    let incoming = tokio::select! {
        incoming = endpoint.accept() => incoming,
        () = ended.cancelled() => None,
    };
    let incoming = incoming.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok(Tunnel {
        endpoint,
        incoming,
        remote,
        ended,
    })
}

impl Tunnel {
    /// Hands the client over and keeps the tunnel for as long as its connection lives.
    async fn run(self, shared: Arc<Shared>, place: Place) {
        let Self {
            endpoint,
            incoming,
            remote,
            ended,
        } = self;
        let (decided, decision) = oneshot::channel();
        let arrival = Arrival {
            incoming,
            worker: Handle::current(),
            remote,
            ended: ended.clone(),
            decided,
        };
        let living = async {
            if shared.arrivals.send(arrival).await.is_err() {
                return;
            }
            let _ = decision.await;
            drop(place);
            endpoint.wait_idle().await;
        };
        // A tunnel is for one connection.
        let refusing = async {
            while let Some(incoming) = endpoint.accept().await {
                incoming.refuse();
            }
        };
        let code = tokio::select! {
            () = living => return,
            () = refusing => Code::PeerGone,
            () = ended.cancelled() => Code::PeerGone,
            () = shared.closing.cancelled() => Code::Shutdown,
        };
        endpoint.close(code.number().into(), code.reason().as_bytes());
        let _ = timeout(DRAIN_LIMIT, endpoint.wait_idle()).await;
    }
}
