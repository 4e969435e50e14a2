//! Direct connections beside the relay: the tasks around [`crate::direct`].
//!
//! The relay keeps control; file streams alone may take a direct connection. Sender and recipient of one
//! transfer make it with a key that only they have. All of it shares the socket that leads to the relay.
//!
//! - [`hub`](Hub): that socket; hands probes and callers to the conversations that they are of
//! - [`opening`](open): the sender's end of one conversation: finds a path, connects, and tries again
//! - [`answering`](answer): the recipient's end
//! - [`control`](Control): what is said on it once the relay is lost, and `handover`: from which message on
//! - `search`: how both look for a path; `conversation`: what both know of each other

mod answering;
mod control;
mod conversation;
mod handover;
mod hub;
mod opening;
mod search;

pub(super) use answering::{Answering, answer};
pub(super) use control::{Control, ControlEvent};
pub(super) use conversation::Conversation;
pub use conversation::PathMessage;
pub use hub::DirectFile;
pub(super) use hub::Hub;
pub(super) use opening::{Opening, open};
