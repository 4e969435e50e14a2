//! The client's side of every transfer: offer, seal, send; receive, open, store; receipts.
//!
//! - [`member`](Member): who I am, and the connection into my room
//! - [`presence`](Presence): who else is there
//! - [`send`]: from files to recipients
//! - [`receive`]: from senders to files
//! - [`event`](Event): what whoever shows it hears of all that
//! - [`failure`](Failure): why something did not arrive
//!
//! Nothing here assumes that the far end is a relay: peers speak to each other in
//! [`PeerMessage`](crate::protocol::PeerMessage)s and file streams.

mod buffers;
mod event;
mod failure;
mod member;
mod presence;
pub mod receive;
pub mod send;

pub use event::{Event, Observer, PeerRef};
pub use failure::{Failure, FailureKind};
pub use member::{Connection, EnterError, Member, Voice};
pub use presence::{Peer, Presence};

/// Seconds since 1970, by this machine's clock.
#[must_use]
pub fn unix_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map(|since| since.as_secs()).unwrap_or_default()
}
