//! One transfer as the relay knows it: who sends, who takes part. Never what.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use tokio::sync::watch;

use super::{
    line::{Line, LineId},
    mailbox::Mailbox,
    tally::Tally,
    trunk_message::RoomMessage,
};
use crate::protocol::{Answer, Code, PeerId, PeerMessage, ServerToClient, TransferId};

/// Recipients of one transfer.
const RECIPIENTS_MAX: usize = 10_000;

/// The relay's record of one transfer.
#[derive(Debug)]
pub(super) struct Transfer {
    sender: Arc<Mailbox>,
    recipients: HashMap<PeerId, Recipient>,
    /// The lines to all relays at which it was offered to anybody.
    lines: HashMap<LineId, Arc<Line>>,
    begun: watch::Sender<bool>,
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct Recipient {
    mailbox: Arc<Mailbox>,
    state: State,
    /// Whether the sender's relay has said that it takes part, where that is another one.
    is_named: bool,
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
            lines: HashMap::new(),
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
        // What is for all goes to another relay once.
        let mut lines: HashMap<LineId, Result<(), Code>> = HashMap::new();
        let mut pass = |mailbox: &Mailbox| match mailbox.line().filter(|_| to.is_none()) {
            None => mailbox.pass(&self.sender, told.clone()),
            Some(line) => *lines.entry(line.id()).or_insert_with(|| {
                let from = (self.sender.peer, self.sender.share());
                line.pass(None, from, told.clone())
            }),
        };
        let hears = |(peer, recipient): &(&PeerId, &Recipient)| match to {
            Some(to) => **peer == to,
            None => is_cancel || recipient.state == State::Accepted,
        };
        for (peer, recipient) in self.recipients.iter().filter(hears) {
            if let Err(code) = pass(&recipient.mailbox) {
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
        if let Some(line) = to.line() {
            self.lines.insert(line.id(), line.clone());
        }
        let recipient = Recipient {
            mailbox: to.clone(),
            state: State::Offered,
            is_named: false,
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
        for (line, to) in &self.lines {
            let there = |mailbox: &&Arc<Mailbox>| mailbox.line().is_some_and(|l| l.id() == *line);
            let peers = self.participants().filter(there);
            to.begin(id, &peers.map(|mailbox| mailbox.peer).collect::<Vec<_>>());
        }
    }

    /// Settles who takes part as the sender's relay, which is another one, says; the others, who are out.
    ///
    /// One that accepted too late for that relay to know is told so, as that relay will say as well.
    pub(super) fn begin_with(
        &mut self,
        id: TransferId,
        (peers, more): (&[PeerId], bool),
    ) -> Vec<Arc<Mailbox>> {
        for peer in peers {
            if let Some(recipient) = self.recipients.get_mut(peer) {
                recipient.is_named = true;
            }
        }
        if more || self.begun.send_replace(true) {
            return Vec::new();
        }
        let late = |r: &&Recipient| r.state == State::Accepted && !r.is_named;
        let late = self.recipients.values().filter(late);
        let late: Vec<_> = late.map(|recipient| recipient.mailbox.clone()).collect();
        for mailbox in &late {
            self.drop_recipient(id, mailbox.peer, Code::TooLate);
        }
        late
    }

    /// Takes one recipient out, and tells both ends why.
    pub(super) fn drop_recipient(
        &mut self,
        id: TransferId,
        peer: PeerId,
        code: Code,
    ) -> Option<Arc<Mailbox>> {
        let dropped = self.dismiss(id, peer, code)?;
        self.sender.send(self.gone(id, peer, code));
        Some(dropped)
    }

    /// Tells the recipients that the sender's connection has ended.
    pub(super) fn sender_is_gone(&self, id: TransferId, code: Code) {
        let gone = || self.gone(id, self.sender.peer, code);
        for recipient in self.recipients.values() {
            if recipient.mailbox.line().is_none() {
                recipient.mailbox.send(gone());
            }
        }
        self.lines.values().for_each(|line| line.send(None, gone()));
    }

    /// Tells other relays that it is over.
    pub(super) fn close_lines(&self, transfer: TransferId) {
        let close = RoomMessage::Close { transfer };
        self.lines.values().for_each(|line| line.say(&close));
    }

    /// Takes a recipient out, as the sender's relay says, which is another one.
    pub(super) fn dismiss(
        &mut self,
        id: TransferId,
        peer: PeerId,
        code: Code,
    ) -> Option<Arc<Mailbox>> {
        let recipient = self.recipients.remove(&peer)?;
        recipient
            .mailbox
            .send(self.gone(id, self.sender.peer, code));
        Some(recipient.mailbox)
    }

    /// The line to its sender's relay, where that is another one.
    pub(super) fn sender_line(&self) -> Option<LineId> {
        self.sender.line().map(|line| line.id())
    }

    /// Who sends it.
    pub(super) fn sender(&self) -> &Arc<Mailbox> {
        &self.sender
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
