//! QUIC: TLS, tuning, endpoints, and the typed streams that everything else speaks through.
//!
//! The only room that names quinn and rustls. A [`Link`] is an authenticated connection: the
//! [`PeerId`](crate::protocol::PeerId) at its other end is known before anything can be said.

mod batch_size;
mod batches;
mod certificate;
mod client;
mod congestion;
mod control;
mod direct;
mod endpoint;
mod endpoint_config;
mod error;
mod file_stream;
mod health;
#[cfg(test)]
mod hostile_gaps;
mod limit;
mod link;
mod many_sockets;
mod network;
mod pinned;
mod reassembly;
mod roads;
mod socket;
mod stagger;
mod steering;
mod tls;
mod trunk;
mod tuning;
mod tunnel;
mod verifier;
mod workers;

pub use batches::batching;
pub use certificate::Certificate;
pub use client::ClientEndpoint;
pub use congestion::PathRate;
pub use control::{ControlReceiver, ControlSender};
pub use direct::{Caller, Datagrams, DirectSocket};
pub use endpoint::{Incoming, RelayEndpoint};
pub use error::{ConnectError, LinkError, StreamError};
pub use file_stream::{FileReceiver, FileSender};
pub use health::RelayHealth;
pub use limit::RateLimit;
pub use link::{Link, Pressure};
pub use many_sockets::ManySockets;
pub use network::network_name;
pub use reassembly::HeldMemory;
pub use roads::Roads;
pub use socket::{SocketBuffers, adopt_udp, bind_udp};
pub(crate) use stagger::first as first_of_several;
pub use tls::Credentials;
pub use trunk::{TrunkEndpoint, TrunkIncoming};
pub use tuning::{Role, STREAMS_MAX, Tuning, is_internet};
pub use tunnel::{Proxies, ProxyError};
