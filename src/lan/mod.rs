//! Finding the members of a room on the same LAN, by multicast DNS (RFC 6762, RFC 6763). No relay.
//!
//! | file | noun |
//! |---|---|
//! | `found` | [`Found`]: a listener that has shown that it is of the room |
//! | `mdns` | [`Mdns`], and [`Announcer`]: what a listener says of itself |
//! | `search` | [`Search`]: what is asked and heard |
//!
//! Whoever is on the LAN may send anything: what is not sealed by a member of the room is forgotten at
//! once, and what is kept of the rest is bounded.

mod found;
mod mdns;
mod search;

pub use found::Found;
pub use mdns::{Announcer, LanError, Mdns};
pub use search::Search;
