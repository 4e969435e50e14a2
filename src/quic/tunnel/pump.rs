//! Moves messages between a tunnel's socket and its WebSocket.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};

use super::{
    packets::{Packets, decode},
    queue::Queue,
    socket::TunnelSocket,
};

/// Messages that have arrived and not been read; then the far end has to wait.
const ARRIVED_MAX: usize = 16;

/// What the kernel takes before it has sent it, in bytes; the rest waits where priorities still count.
const UNSENT_MAX: u32 = 128 << 10;

/// From the far end's last message to the end of the socket: the close of a connection may be in it,
/// and quinn forgets what it was told when its socket fails.
const GRACE: Duration = Duration::from_millis(100);

/// How long the WebSocket's own farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A socket for quinn, and what has to run for as long as it is used.
pub(super) fn connect<S>(
    websocket: WebSocketStream<S>,
    addresses: (SocketAddr, SocketAddr),
) -> (Arc<TunnelSocket>, impl Future<Output = ()> + Send + use<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let outgoing = Arc::new(Queue::default());
    let (arrived, messages) = mpsc::channel(ARRIVED_MAX);
    let socket = TunnelSocket::new(addresses, outgoing.clone(), messages);
    let pumping = pump(websocket, outgoing, arrived);
    (Arc::new(socket), pumping)
}

/// Runs until the socket is dropped or the other end of the tunnel is gone.
async fn pump<S>(
    websocket: WebSocketStream<S>,
    outgoing: Arc<Queue>,
    arrived: mpsc::Sender<Packets>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sink, mut stream) = websocket.split();
    let writing = async {
        while let Some(message) = outgoing.pop().await {
            sink.feed(Message::Binary(message)).await?;
            if outgoing.is_empty() {
                sink.flush().await?;
            }
        }
        let _ = timeout(FAREWELL, sink.close()).await;
        Ok::<_, tungstenite::Error>(())
    };
    let reading = async {
        while let Some(message) = stream.next().await {
            let packets = match message? {
                Message::Binary(message) => decode(message),
                Message::Close(_) => break,
                _ => None,
            };
            if let Some(packets) = packets
                && arrived.send(packets).await.is_err()
            {
                break;
            }
        }
        Ok::<_, tungstenite::Error>(())
    };
    let ended = tokio::select! {
        ended = writing => ended,
        ended = reading => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a tunnel ended");
    }
    outgoing.close();
    sleep(GRACE).await;
}

/// Sends packets at once, and lets few of them wait in the kernel.
pub(super) fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = UNSENT_MAX;
}
