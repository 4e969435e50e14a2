//! One transfer as the relay knows it: who sends, who takes part. Never what.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use tokio::sync::watch;

use super::{mailbox::Mailbox, tally::Tally};
use crate::protocol::{Answer, Code, PeerId, PeerMessage, ServerToClient, TransferId};

/// Recipients of one transfer.
const RECIPIENTS_MAX: usize = 10_000;

/// The relay's record of one transfer.
#[derive(Debug)]
pub(super) struct Transfer {
    sender: Arc<Mailbox>,
    recipients: HashMap<PeerId, Recipient>,
    begun: watch::Sender<bool>,
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct Recipient {
    mailbox: Arc<Mailbox>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offered,
    Accepted,
}

impl Transfer {
    pub(super) fn new(sender: Arc<Mailbox>, tally: Tally) -> Self {
        Self {
            sender,
            recipients: HashMap::new(),
            begun: watch::Sender::new(false),
            tally: Arc::new(tally),
        }
    }

    /// What it has carried.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    pub(super) fn is_sent_by(&self, session: &Mailbox) -> bool {
        self.sender.id == session.id
    }

    /// Whether this session sends it, or may take part.
    pub(super) fn concerns(&self, session: &Mailbox) -> bool {
        let recipient = self.recipients.get(&session.peer);
        self.is_sent_by(session) || recipient.is_some_and(|r| r.mailbox.id == session.id)
    }

    /// The sessions that it concerns.
    pub(super) fn everyone(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        let recipients = self.recipients.values().map(|r| &r.mailbox);
        recipients.chain([&self.sender])
    }

    /// Whether the recipients are settled; to be awaited by files that arrive early.
    pub(super) fn begun(&self) -> watch::Receiver<bool> {
        self.begun.subscribe()
    }

    /// Those who take part, once the transfer has begun.
    pub(super) fn participants(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        let accepted = |r: &&Recipient| r.state == State::Accepted;
        self.recipients
            .values()
            .filter(accepted)
            .map(|r| &r.mailbox)
    }

    /// Passes on what the sender says, and from where, if that matters; the recipients that are out after it.
    ///
    /// One that reads so little that the sender's messages fill their room is taken out: nobody waits
    /// for it, and its messages from others are not touched.
    pub(super) fn on_sender_message(
        &mut self,
        id: TransferId,
        to: Option<PeerId>,
        (message, at): (PeerMessage, Option<SocketAddr>),
    ) -> Vec<Arc<Mailbox>> {
        let is_cancel = matches!(message, PeerMessage::Cancel { .. });
        let told = ServerToClient::Told {
            transfer: id,
            from: self.sender.peer,
            message,
            at,
        };
        let (mut out, mut failed) = (Vec::new(), Vec::new());
        let hears = |(peer, recipient): &(&PeerId, &Recipient)| match to {
            Some(to) => **peer == to,
            None => is_cancel || recipient.state == State::Accepted,
        };
        for (peer, recipient) in self.recipients.iter().filter(hears) {
            if let Err(code) = recipient.mailbox.pass(&self.sender, told.clone()) {
                failed.push((*peer, code));
                out.push(recipient.mailbox.clone());
            }
        }
        for (peer, code) in failed {
            self.drop_recipient(id, peer, code);
        }
        if is_cancel && let Some(cancelled) = to.and_then(|to| self.recipients.remove(&to)) {
            out.push(cancelled.mailbox);
        }
        out
    }

    /// Passes an offer on to one more recipient, whose listening connection this is.
    ///
    /// # Errors
    /// Why it is not offered to this one.
    pub(super) fn offer(
        &mut self,
        id: TransferId,
        to: &Arc<Mailbox>,
        message: PeerMessage,
    ) -> Result<(), Code> {
        if *self.begun.borrow() {
            return Err(Code::TooLate);
        }
        if self.recipients.len() >= RECIPIENTS_MAX {
            return Err(Code::TooLarge);
        }
        if self.recipients.contains_key(&to.peer) {
            return Err(Code::Protocol);
        }
        let told = ServerToClient::Told {
            transfer: id,
            from: self.sender.peer,
            message,
            at: None,
        };
        to.pass(&self.sender, told)?;
        let recipient = Recipient {
            mailbox: to.clone(),
            state: State::Offered,
        };
        self.recipients.insert(to.peer, recipient);
        Ok(())
    }

    /// Passes on what a recipient says, and from where, if that matters; its answer decides whether it takes part.
    ///
    /// # Errors
    /// [`Code::UnknownTransfer`] from anyone to whom this transfer was not offered.
    pub(super) fn on_recipient_message(
        &mut self,
        id: TransferId,
        from: &Mailbox,
        (message, at): (PeerMessage, Option<SocketAddr>),
    ) -> Result<(), Code> {
        let begun = *self.begun.borrow();
        let recipient = self
            .recipients
            .get_mut(&from.peer)
            .filter(|r| r.mailbox.id == from.id);
        let Some(recipient) = recipient else {
            return Err(Code::UnknownTransfer);
        };
        let mut is_out = false;
        match &message {
            PeerMessage::Answer {
                answer: Answer::Accept { .. },
            } if recipient.state == State::Offered => {
                if begun {
                    self.drop_recipient(id, from.peer, Code::TooLate);
                    return Ok(());
                }
                recipient.state = State::Accepted;
            }
            PeerMessage::Answer {
                answer: Answer::Decline { .. },
            }
            | PeerMessage::Cancel { .. }
            | PeerMessage::Failed { file: None, .. } => is_out = true,
            _ => {}
        }
        let told = ServerToClient::Told {
            transfer: id,
            from: from.peer,
            message,
            at,
        };
        if let Err(code) = self.sender.pass(from, told) {
            self.drop_recipient(id, from.peer, code);
        } else if is_out {
            self.recipients.remove(&from.peer);
        }
        Ok(())
    }

    /// Settles who takes part.
    pub(super) fn begin(&mut self, id: TransferId) {
        self.begun.send_replace(true);
        let recipients = self.participants().count();
        let recipients = u32::try_from(recipients).expect("at most RECIPIENTS_MAX");
        self.sender.send(ServerToClient::Begun {
            transfer: id,
            recipients,
        });
    }

    /// Takes one recipient out, and tells both ends why.
    pub(super) fn drop_recipient(&mut self, id: TransferId, peer: PeerId, code: Code) {
        if let Some(recipient) = self.recipients.remove(&peer) {
            recipient
                .mailbox
                .send(self.gone(id, self.sender.peer, code));
            self.sender.send(self.gone(id, peer, code));
        }
    }

    /// Tells the recipients that the sender's connection has ended.
    pub(super) fn sender_is_gone(&self, id: TransferId, code: Code) {
        for recipient in self.recipients.values() {
            recipient
                .mailbox
                .send(self.gone(id, self.sender.peer, code));
        }
    }

    /// Takes a recipient out whose connection has ended.
    pub(super) fn recipient_is_gone(&mut self, id: TransferId, session: &Mailbox, code: Code) {
        if self.concerns(session) {
            self.recipients.remove(&session.peer);
            self.sender.send(self.gone(id, session.peer, code));
        }
    }

    fn gone(&self, transfer: TransferId, peer: PeerId, code: Code) -> ServerToClient {
        ServerToClient::Gone {
            transfer,
            peer,
            code,
        }
    }
}
