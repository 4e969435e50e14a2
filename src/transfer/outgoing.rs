//! Messages on their way to peers.

use tokio::sync::mpsc;

use crate::protocol::{PeerId, PeerMessage, Road, SignedBundle, TransferId};

/// What a channel takes.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A message to one peer about a transfer, or to all of its recipients.
    Message {
        to: Option<PeerId>,
        transfer: TransferId,
        message: PeerMessage,
    },
    /// Who has accepted by now takes part.
    Begin(TransferId),
    /// The sender needs nothing further of this transfer.
    Close(TransferId),
    /// A newer bundle of mine.
    Publish(SignedBundle),
    /// Asks who is there, and with `watch` for every later change.
    List { watch: bool },
}

/// Sends messages to peers; cheap to clone.
#[derive(Debug, Clone)]
pub struct MessageSender {
    outgoing: mpsc::Sender<Outgoing>,
    road: Road,
}

impl MessageSender {
    pub(super) fn new(outgoing: mpsc::Sender<Outgoing>, road: Road) -> Self {
        Self { outgoing, road }
    }

    /// Sends a message about a transfer to one peer, or to all of its recipients.
    ///
    /// Waits while too many messages wait; does nothing when the channel is over.
    pub async fn send(&self, to: Option<PeerId>, transfer: TransferId, message: PeerMessage) {
        let message = Outgoing::Message {
            to,
            transfer,
            message,
        };
        self.put(message).await;
    }

    /// The road to the relay.
    #[must_use]
    pub fn road(&self) -> Road {
        self.road
    }

    /// Says that this side needs nothing further of a transfer that it sends.
    pub async fn close(&self, transfer: TransferId) {
        self.put(Outgoing::Close(transfer)).await;
    }

    /// The same without waiting: gives the message back where too many wait.
    pub(super) fn try_send(
        &self,
        to: Option<PeerId>,
        transfer: TransferId,
        message: PeerMessage,
    ) -> Option<PeerMessage> {
        let message = Outgoing::Message {
            to,
            transfer,
            message,
        };
        match self.outgoing.try_send(message) {
            Err(mpsc::error::TrySendError::Full(Outgoing::Message { message, .. })) => {
                Some(message)
            }
            _ => None,
        }
    }

    /// [`Channel::begin`](super::Channel::begin) without waiting; whether there was room.
    pub(super) fn try_begin(&self, transfer: TransferId) -> bool {
        self.try_put(Outgoing::Begin(transfer))
    }

    /// [`MessageSender::close`] without waiting; whether there was room.
    pub(super) fn try_close(&self, transfer: TransferId) -> bool {
        self.try_put(Outgoing::Close(transfer))
    }

    /// Waits until a message can be sent without waiting, or the channel is over.
    ///
    /// Cancel-safe.
    pub(super) async fn has_room(&self) {
        let _ = self.outgoing.reserve().await;
    }

    pub(super) fn try_put(&self, outgoing: Outgoing) -> bool {
        !matches!(
            self.outgoing.try_send(outgoing),
            Err(mpsc::error::TrySendError::Full(_))
        )
    }

    pub(super) async fn put(&self, outgoing: Outgoing) {
        // A channel that is over says so where it is received from.
        let _ = self.outgoing.send(outgoing).await;
    }
}
