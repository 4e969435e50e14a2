//! QUIC where UDP is blocked: packets in WebSocket messages, over TLS, on a TCP port.
//!
//! A tunnel is a socket to quinn ([`AsyncUdpSocket`](quinn::AsyncUdpSocket)), so that everything above
//! this room is the same on both roads. The TLS around the tunnel is there for what stands between,
//! which expects to see some: it protects nothing. What travels inside is pinned and mutual as
//! always, so whoever ends the outer TLS (a reverse proxy, a proxy that inspects) learns no more than
//! who reads the packets of the other road.
//!
//! - `queue`: packets on their way out, bounded
//! - `socket`: the socket that quinn sees
//! - `packets`: how packets lie in a message
//! - `pump`: moves messages between the socket and the WebSocket
//! - [`dial`]: the client's end
//! - [`proxy`](Proxies): HTTP proxies on the way
//! - [`listen`](TunnelListener): the relay's end
//! - `places`: how many clients may be on their way in
//! - `transport`: parameters of a connection inside a tunnel

mod dial;
mod listen;
mod packets;
mod places;
mod proxy;
mod pump;
mod queue;
mod socket;
mod transport;

pub(super) use dial::dial;
pub(super) use listen::{TunnelListener, tcp_listener};
pub use proxy::{Proxies, ProxyError};
pub(super) use transport::tunnelled;

use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Where on the relay's host tunnels begin, so that a reverse proxy can tell them from other requests.
const PATH: &str = "/p2p";

/// The largest QUIC packet inside a tunnel, in bytes.
///
/// There is no path MTU to respect, and each packet costs an encryption and bookkeeping at both ends. TLS
/// cuts what it carries into records of the same size (RFC 8446, section 5.1).
pub(super) const PACKET_MAX: u16 = 16 << 10;

/// Packets that quinn may hand over at once, and so in one message.
const PACKETS_MAX: usize = 4;

/// The largest message, in bytes.
const MESSAGE_MAX: usize = packets::HEADER + PACKETS_MAX * PACKET_MAX as usize;

/// How much a WebSocket may hold: the far end decides what it sends.
fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX))
        // Each tunnel holds this much, and of a thousand listeners most are idle.
        .read_buffer_size(32 << 10)
        .write_buffer_size(64 << 10)
        .max_write_buffer_size(64 * MESSAGE_MAX)
}
