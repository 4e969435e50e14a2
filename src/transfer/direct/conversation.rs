//! What both ends of a conversation about a direct path know.

use std::{net::SocketAddr, sync::Arc};

use super::Control;
use crate::{
    direct::Candidates,
    protocol::{PeerMessage, Road, TransferId},
    sealing::{PathEnd, PathKey},
    transfer::{Event, Observer, PeerRef, outgoing::MessageSender},
};

/// Where a peer says that it can be reached directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathMessage {
    /// Its candidates, sealed ([`crate::direct::Candidates`]).
    pub sealed: Vec<u8>,
    /// From where the relay sees it; nothing, where the relay does not say.
    pub seen_at: Option<SocketAddr>,
}

/// One sender and one recipient of one transfer, who look for a direct path.
#[derive(Clone)]
pub(in crate::transfer) struct Conversation {
    pub(in crate::transfer) transfer: TransferId,
    /// The other end.
    pub(in crate::transfer) peer: PeerRef,
    pub(in crate::transfer) key: Arc<PathKey>,
    pub(in crate::transfer) messages: MessageSender,
    pub(in crate::transfer) observer: Arc<dyn Observer>,
    /// Which way the transfer's messages go.
    pub(in crate::transfer) control: Control,
}

impl Conversation {
    /// Tells the other end where this one, `me`, can be reached.
    pub(super) async fn say_path(&self, own: &Candidates, me: PathEnd) {
        let sealed = own.seal(&self.key, me).into();
        let to = Some(self.peer.id);
        let message = PeerMessage::Path { sealed };
        self.messages.send(to, self.transfer, message).await;
    }

    /// Tells whoever watches that files take another road now.
    pub(super) fn changed(&self, road: Road, reason: &str) {
        self.observer.event(Event::Road {
            transfer: self.transfer,
            peer: self.peer.clone(),
            road,
            reason: reason.to_owned(),
        });
    }

    /// The road that files take without a direct path.
    pub(super) fn relay(&self) -> Road {
        self.messages.road()
    }
}
