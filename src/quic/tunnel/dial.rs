//! The client's end of a tunnel: TCP, a proxy where there is one, TLS, WebSocket.

use std::{io, net::SocketAddr, sync::Arc};

use quinn::AsyncUdpSocket;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{client_async_with_config, tungstenite};
use tokio_util::sync::CancellationToken;

use super::{
    PATH, Proxies, ProxyError, limits,
    proxy::authority,
    pump::{connect, tune},
};
use crate::quic::{
    stagger::{BETWEEN_ADDRESSES, canonical, first, interleave},
    tls,
};

/// A tunnel that is open and carries nothing yet.
pub(in crate::quic) struct Dialled {
    /// For quinn.
    pub(in crate::quic) socket: Arc<dyn AsyncUdpSocket>,
    /// What quinn may call the other end: the relay, or a proxy.
    pub(in crate::quic) remote: SocketAddr,
    /// Cancelled when the tunnel has ended, whoever ended it.
    pub(in crate::quic) ended: CancellationToken,
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(in crate::quic) enum DialError {
    #[error("{0} cannot be resolved: {1}")]
    Resolve(String, io::Error),
    #[error("{0}")]
    Tcp(io::Error),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("{}", websocket_reason(.0))]
    WebSocket(Box<tungstenite::Error>),
}

/// Opens a tunnel to a relay, which is not authenticated by it: the connection inside does that.
///
/// # Errors
/// When one of its layers cannot be had. It has no deadline of its own.
pub(in crate::quic) async fn dial(
    (host, port): (&str, u16),
    proxies: &Proxies,
) -> Result<Dialled, DialError> {
    let proxy = proxies.on_the_way_to(host, port)?;
    let mut stream = match &proxy {
        Some(proxy) => {
            let (proxy_host, proxy_port) = proxy.address();
            let stream = tcp(&proxy_host, proxy_port).await;
            stream.map_err(|e| ProxyError::Io(io::Error::other(e)))?
        }
        None => tcp(host, port).await?,
    };
    tune(&stream);
    if let Some(proxy) = &proxy {
        proxy.connect(&mut stream, host, port).await?;
    }
    let addresses = (
        canonical(stream.local_addr().map_err(DialError::Tcp)?),
        canonical(stream.peer_addr().map_err(DialError::Tcp)?),
    );
    let connector = TlsConnector::from(tls::outer_client());
    let stream = connector
        .connect(tls::outer_name(host), stream)
        .await
        .map_err(DialError::Tls)?;
    let url = format!("wss://{}{PATH}", authority(host, port));
    let (websocket, _) = client_async_with_config(url, stream, Some(limits()))
        .await
        .map_err(|e| DialError::WebSocket(Box::new(e)))?;
    let (socket, pumping) = connect(websocket, addresses);
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    tokio::spawn(async move {
        pumping.await;
        drop(guard);
    });
    Ok(Dialled {
        socket,
        remote: addresses.1,
        ended,
    })
}

/// Connects to the first address of a host that answers.
async fn tcp(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let resolved = |source| DialError::Resolve(host.to_owned(), source);
    let addresses = lookup_host((host, port)).await.map_err(resolved)?;
    let attempts = interleave(addresses);
    first(attempts, BETWEEN_ADDRESSES, TcpStream::connect, |_| false)
        .await
        .map_err(|mut failures| match failures.pop() {
            Some(failure) => DialError::Tcp(failure),
            None => resolved(io::ErrorKind::NotFound.into()),
        })
}

/// What a WebSocket's error comes to for people.
fn websocket_reason(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => {
            format!(
                "no relay behind the web server: it answers {}",
                response.status()
            )
        }
        other => other.to_string(),
    }
}
