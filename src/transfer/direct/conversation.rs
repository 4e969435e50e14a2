//! What both ends of a conversation about a direct path know.

use std::sync::Arc;

use crate::{
    protocol::{PeerMessage, Road, TransferId},
    sealing::PathKey,
    transfer::{Event, Observer, PeerRef, outgoing::MessageSender},
};

/// One sender and one recipient of one transfer, who look for a direct path.
#[derive(Clone)]
pub(in crate::transfer) struct Conversation {
    pub(in crate::transfer) transfer: TransferId,
    /// The other end.
    pub(in crate::transfer) peer: PeerRef,
    pub(in crate::transfer) key: Arc<PathKey>,
    pub(in crate::transfer) messages: MessageSender,
    pub(in crate::transfer) observer: Arc<dyn Observer>,
}

impl Conversation {
    /// Tells the other end something, through the relay.
    pub(super) async fn say(&self, message: PeerMessage) {
        let to = Some(self.peer.id);
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
