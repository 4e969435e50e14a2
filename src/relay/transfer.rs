//! One transfer as the relay knows it: who sends, who takes part. Never what.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

use super::rooms::Session;
use crate::protocol::{Answer, Code, PeerId, PeerMessage, ServerToClient, TransferId};

/// Recipients of one transfer.
const RECIPIENTS_MAX: usize = 10_000;

/// The relay's record of one transfer.
#[derive(Debug)]
pub(super) struct Transfer {
    sender: Arc<Session>,
    recipients: HashMap<PeerId, Recipient>,
    begun: watch::Sender<bool>,
}

#[derive(Debug)]
struct Recipient {
    session: Arc<Session>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offered,
    Accepted,
}

impl Transfer {
    pub(super) fn new(sender: Arc<Session>) -> Self {
        Self {
            sender,
            recipients: HashMap::new(),
            begun: watch::Sender::new(false),
        }
    }

    pub(super) fn is_sent_by(&self, session: &Arc<Session>) -> bool {
        Arc::ptr_eq(&self.sender, session)
    }

    /// Whether the recipients are settled; to be awaited by files that arrive early.
    pub(super) fn begun(&self) -> watch::Receiver<bool> {
        self.begun.subscribe()
    }

    /// Those who take part, once the transfer has begun.
    pub(super) fn participants(&self) -> Vec<Arc<Session>> {
        let accepted = |r: &&Recipient| r.state == State::Accepted;
        self.recipients
            .values()
            .filter(accepted)
            .map(|r| r.session.clone())
            .collect()
    }

    /// Passes on what the sender says.
    pub(super) fn hear_sender(&mut self, id: TransferId, to: Option<PeerId>, message: PeerMessage) {
        let told = |message| ServerToClient::Told {
            transfer: id,
            from: self.sender.peer,
            message,
        };
        match to {
            Some(peer) => {
                if let Some(recipient) = self.recipients.get(&peer) {
                    recipient.session.say(told(message.clone()));
                    if let PeerMessage::Cancel { .. } = message {
                        self.recipients.remove(&peer);
                    }
                }
            }
            None => {
                let everyone = matches!(message, PeerMessage::Cancel { .. });
                for recipient in self.recipients.values() {
                    if everyone || recipient.state == State::Accepted {
                        recipient.session.say(told(message.clone()));
                    }
                }
            }
        }
    }

    /// Passes an offer on to one more recipient, whose listening connection this is.
    pub(super) fn offer(
        &mut self,
        id: TransferId,
        to: &Arc<Session>,
        message: PeerMessage,
    ) -> Result<(), Code> {
        if *self.begun.borrow() {
            return Err(Code::TooLate);
        }
        if self.recipients.len() >= RECIPIENTS_MAX {
            return Err(Code::TooLarge);
        }
        let recipient = Recipient {
            session: to.clone(),
            state: State::Offered,
        };
        if self.recipients.insert(to.peer, recipient).is_some() {
            return Err(Code::Protocol);
        }
        to.say(ServerToClient::Told {
            transfer: id,
            from: self.sender.peer,
            message,
        });
        Ok(())
    }

    /// Passes on what a recipient says; its answer decides whether it takes part.
    ///
    /// # Errors
    /// [`Code::UnknownTransfer`] from anyone to whom this transfer was not offered.
    pub(super) fn hear_recipient(
        &mut self,
        id: TransferId,
        session: &Arc<Session>,
        message: PeerMessage,
    ) -> Result<(), Code> {
        let begun = *self.begun.borrow();
        let recipient = self
            .recipients
            .get_mut(&session.peer)
            .filter(|r| Arc::ptr_eq(&r.session, session));
        let Some(recipient) = recipient else {
            return Err(Code::UnknownTransfer);
        };
        match &message {
            PeerMessage::Answer {
                answer: Answer::Accept { .. },
            } if recipient.state == State::Offered => {
                if begun {
                    self.recipients.remove(&session.peer);
                    session.say(ServerToClient::Gone {
                        transfer: id,
                        peer: self.sender.peer,
                        code: Code::TooLate,
                    });
                    self.sender.say(ServerToClient::Gone {
                        transfer: id,
                        peer: session.peer,
                        code: Code::TooLate,
                    });
                    return Ok(());
                }
                recipient.state = State::Accepted;
            }
            PeerMessage::Answer {
                answer: Answer::Decline { .. },
            }
            | PeerMessage::Cancel { .. }
            | PeerMessage::Failed { file: None, .. } => {
                self.recipients.remove(&session.peer);
            }
            _ => {}
        }
        self.sender.say(ServerToClient::Told {
            transfer: id,
            from: session.peer,
            message,
        });
        Ok(())
    }

    /// Settles who takes part.
    pub(super) fn begin(&mut self, id: TransferId) {
        self.begun.send_replace(true);
        let recipients = self
            .recipients
            .values()
            .filter(|r| r.state == State::Accepted)
            .count();
        let recipients = u32::try_from(recipients).expect("at most RECIPIENTS_MAX");
        self.sender.say(ServerToClient::Begun {
            transfer: id,
            recipients,
        });
    }

    /// Takes one recipient out, and tells both ends why.
    pub(super) fn drop_recipient(&mut self, id: TransferId, peer: PeerId, code: Code) {
        if let Some(recipient) = self.recipients.remove(&peer) {
            recipient.session.say(ServerToClient::Gone {
                transfer: id,
                peer: self.sender.peer,
                code,
            });
            self.sender.say(ServerToClient::Gone {
                transfer: id,
                peer,
                code,
            });
        }
    }

    /// Takes a session's part out of the transfer; whether the transfer goes on.
    pub(super) fn leave(&mut self, id: TransferId, session: &Arc<Session>, code: Code) -> bool {
        if self.is_sent_by(session) {
            for recipient in self.recipients.values() {
                recipient.session.say(ServerToClient::Gone {
                    transfer: id,
                    peer: session.peer,
                    code,
                });
            }
            return false;
        }
        let theirs = self
            .recipients
            .get(&session.peer)
            .is_some_and(|r| Arc::ptr_eq(&r.session, session));
        if theirs {
            self.recipients.remove(&session.peer);
            self.sender.say(ServerToClient::Gone {
                transfer: id,
                peer: session.peer,
                code,
            });
        }
        true
    }
}
