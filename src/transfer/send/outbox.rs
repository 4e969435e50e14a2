//! Messages of a send for which the channel has had no room yet.

use std::{collections::VecDeque, time::Duration};

use futures_util::future::select_all;
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

/// The messages that wait for one way, in order: whoever drives a send must not wait for the channel.
pub(super) struct Outbox {
    waiting: VecDeque<Outgoing>,
    messages: MessageSender,
}

impl Outbox {
    pub(super) fn new(messages: MessageSender) -> Self {
        Self {
            waiting: VecDeque::new(),
            messages,
        }
    }

    pub(super) fn push(&mut self, outgoing: Outgoing) {
        self.waiting.push_back(outgoing);
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
        self.waiting.is_empty()
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        let messages = &self.messages;
        while let Some(outgoing) = self.waiting.pop_front() {
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
                self.waiting.push_front(outgoing);
                return;
            }
        }
    }

    /// Sends everything that waits, as far as two seconds suffice: the send is over.
    pub(super) async fn drain(&mut self) {
        let last = async {
            self.flush();
            while !self.is_empty() {
                self.messages.has_room().await;
                self.flush();
            }
        };
        let _ = timeout(LAST_MESSAGES, last).await;
    }
}

/// Waits until there is room for some message that waits; for ever, where none waits.
///
/// Cancel-safe.
pub(super) async fn any_has_room(outboxes: impl Iterator<Item = &Outbox>) {
    let waiting = outboxes.filter(|outbox| !outbox.is_empty());
    let rooms = waiting.map(|outbox| Box::pin(outbox.messages.has_room()));
    let rooms: Vec<_> = rooms.collect();
    match rooms.is_empty() {
        true => std::future::pending().await,
        false => drop(select_all(rooms).await),
    }
}
