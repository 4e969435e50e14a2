//! QUIC: TLS, tuning, endpoints, and the typed streams that everything else speaks through.
//!
//! The only room that names quinn and rustls. A [`Link`] is an authenticated connection: the
//! [`PeerId`](crate::protocol::PeerId) at its other end is known before anything can be said.

mod batches;
mod certificate;
mod congestion;
mod control;
mod endpoint;
mod error;
mod file_stream;
#[cfg(test)]
mod hostile_gaps;
mod limit;
mod link;
mod reassembly;
mod socket;
mod tls;
mod tuning;
mod workers;

pub use batches::batching;
pub use certificate::Certificate;
pub use control::{ControlReceiver, ControlSender};
pub use endpoint::{ClientEndpoint, Knock, RelayEndpoint};
pub use error::{ConnectError, LinkError, StreamError};
pub use file_stream::{FileReceiver, FileSender};
pub use limit::RateLimit;
pub use link::Link;
pub use socket::{SocketBuffers, bind_udp};
pub use tls::Credentials;
pub use tuning::{Role, STREAMS_MAX, Tuning};
