//! Messages of a send for which the channel has had no room yet.

use std::{collections::VecDeque, time::Duration};

use tokio::time::timeout;

use crate::{
    protocol::{PeerId, PeerMessage, TransferId},
    transfer::MessageSender,
};

/// How long the last messages may wait for room when a send ends.
const LAST_MESSAGES: Duration = Duration::from_secs(2);

/// A message that waits for room.
pub(super) enum Outgoing {
    Message(TransferId, Option<PeerId>, PeerMessage),
    Begin(TransferId),
    Close(TransferId),
}

/// The messages that wait, in order: whoever drives a send must not wait for the channel.
#[derive(Default)]
pub(super) struct Outbox(VecDeque<Outgoing>);

impl Outbox {
    pub(super) fn push(&mut self, outgoing: Outgoing) {
        self.0.push_back(outgoing);
    }

    pub(super) fn message(
        &mut self,
        transfer: TransferId,
        to: Option<PeerId>,
        message: PeerMessage,
    ) {
        self.push(Outgoing::Message(transfer, to, message));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self, messages: &MessageSender) {
        while let Some(outgoing) = self.0.pop_front() {
            let refused = match outgoing {
                Outgoing::Message(transfer, to, message) => messages
                    .try_send(to, transfer, message)
                    .map(|message| Outgoing::Message(transfer, to, message)),
                Outgoing::Begin(transfer) => {
                    (!messages.try_begin(transfer)).then_some(Outgoing::Begin(transfer))
                }
                Outgoing::Close(transfer) => {
                    (!messages.try_close(transfer)).then_some(Outgoing::Close(transfer))
                }
            };
            if let Some(outgoing) = refused {
                self.0.push_front(outgoing);
                return;
            }
        }
    }

    /// Sends everything that waits, as far as two seconds suffice: the send is over.
    pub(super) async fn drain(&mut self, messages: &MessageSender) {
        let last = async {
            self.flush(messages);
            while !self.is_empty() {
                messages.has_room().await;
                self.flush(messages);
            }
        };
        let _ = timeout(LAST_MESSAGES, last).await;
    }
}
