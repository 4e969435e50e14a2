//! The client's side of every transfer: offer, seal, send; receive, open, store; receipts.
//!
//! - [`member`](Member): who I am, and how I enter my room
//! - [`channel`](Channel): the way to the others in it: messages, events, file streams; `outgoing`: messages on their way into it
//! - [`relays`](Relays): the relays of a cluster, and which is tried first; `connecting`: how one is reached
//! - `via_relay`: that way through a relay; `road`: what keeps it open; `vigil`: when another relay is
//!   better than to wait
//! - [`direct`](DirectFile): direct connections to them, beside the relay
//! - [`ways`](Ways): every channel that leads to them
//! - [`presence`](Peer): who else is there
//! - [`send`]: from files to recipients
//! - [`receive`]: from senders to files
//! - [`event`](Event): what whoever shows it hears of all that
//! - [`bottleneck`](Bottleneck): what limits a transfer
//! - [`error`](Error): why something did not arrive
//!
//! Only `via_relay` knows that there is a relay: peers speak to each other in
//! [`PeerMessage`](crate::protocol::PeerMessage)s and file streams.

mod backoff;
mod bottleneck;
mod buffers;
mod channel;
mod clock_skew;
mod connecting;
mod direct;
mod error;
mod event;
mod member;
mod outgoing;
mod presence;
pub mod receive;
mod relays;
mod road;
pub mod send;
mod via_relay;
mod vigil;
mod ways;

pub use bottleneck::Bottleneck;
pub use channel::{Channel, FileStreams, Incoming, IncomingStreams, PeerEvent};
pub use direct::{DirectFile, PathMessage};
pub use error::{Error, ErrorKind};
pub use event::{Event, Observer, PeerRef};
pub use member::{EnterError, Member};
pub use outgoing::MessageSender;
pub use presence::Peer;
pub use relays::Relays;
pub use ways::{Presence, WayEvent, WayId, Ways};

/// Seconds since 1970, by this machine's clock.
#[must_use]
pub fn unix_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map(|since| since.as_secs()).unwrap_or_default()
}
