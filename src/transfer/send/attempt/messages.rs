//! What an attempt's recipients and the relay say, and what follows from it.

use std::time::Duration;

use super::{Attempt, Effect, Next, PartState, Phase, STRAGGLERS, SealedStart};
use crate::{
    protocol::{Answer, Code, DeclineReason, FileIndex, PeerId, PeerMessage, SafeText},
    transfer::{Error, ErrorKind, send::ledger::Settled},
};

impl Attempt {
    /// The relay says that a recipient's part has ended.
    pub(in crate::transfer::send) fn on_gone(&mut self, now: Duration, peer: PeerId, code: Code) {
        let error = match code {
            Code::PeerGone => Error::new(ErrorKind::NoSuchPeer, "is not listening"),
            _ => Error::from_code(code),
        };
        match code {
            Code::TooLate => self.again(now, peer, error, Next::Now),
            Code::PeerGone | Code::Replaced | Code::Behind | Code::Busy => {
                self.again(now, peer, error, Next::Later);
            }
            _ => self.fail(now, peer, error),
        }
    }

    /// A recipient says something.
    pub(in crate::transfer::send) fn on_message(
        &mut self,
        now: Duration,
        from: PeerId,
        message: PeerMessage,
    ) {
        let part = self.parts.get_mut(&from);
        let Some(part) = part.filter(|part| part.state != PartState::Over) else {
            return;
        };
        part.answered = true;
        match message {
            PeerMessage::Answer {
                answer: Answer::Accept { each, compare },
            } if part.state == PartState::Asked => {
                part.state = PartState::Accepted { each, compare };
                part.moved = now;
                self.on_yes(now);
            }
            PeerMessage::Answer {
                answer: Answer::Decline { reason, text },
            } => {
                let error = Error::from_decline(reason, &text);
                match reason {
                    // It will have room again: its other senders end.
                    DeclineReason::Busy => self.again(now, from, error, Next::Later),
                    _ => self.fail(now, from, error),
                }
            }
            // Only once, and only before it has answered, or it would hold the send for ever.
            PeerMessage::Asking {} if part.state == PartState::Asked && !part.asking => {
                part.asking = true;
                part.moved = now;
            }
            PeerMessage::Start { file, have } => self.on_start(now, from, file, have),
            PeerMessage::Stored { file, bytes } => self.on_stored(now, from, file, bytes),
            PeerMessage::Receipts { batch } => self.on_receipts(now, from, &batch.0),
            // Not the file's fault: the rest of its part goes to the next attempt, from where it is.
            PeerMessage::Failed {
                file: Some(_),
                code: code @ (Code::Behind | Code::PeerGone),
                ..
            } => {
                self.leave(from, code);
                self.again(now, from, Error::from_code(code), Next::Later);
            }
            PeerMessage::Failed {
                file: Some(file),
                code,
                reason,
            } => self.on_file_failed(now, from, file, (code, reason)),
            PeerMessage::Failed {
                file: None,
                code,
                reason,
            } => self.fail(now, from, Error::new(Error::kind_of(code), reason)),
            PeerMessage::Cancel {
                code: Code::Shutdown,
            } => {
                let error = Error::new(ErrorKind::NoSuchPeer, "stopped listening");
                self.again(now, from, error, Next::Later);
            }
            PeerMessage::Cancel { code } => {
                self.fail(now, from, Error::new(ErrorKind::Declined, code.reason()));
            }
            _ => {}
        }
    }

    fn on_yes(&mut self, now: Duration) {
        let took = now.saturating_sub(self.asked);
        self.first_yes.get_or_insert(took);
        if let Phase::Asking { until } = &mut self.phase {
            let (times, least, most) = STRAGGLERS;
            until.get_or_insert(now + (took * times).clamp(least, most));
        }
        self.try_begin(now);
    }

    fn on_start(
        &mut self,
        now: Duration,
        peer: PeerId,
        file: FileIndex,
        have: crate::protocol::Base64,
    ) {
        let Some(starts) = self.starts.get_mut(&file) else {
            return;
        };
        let Some(held) = starts.on_start(now, SealedStart { peer, have }) else {
            return;
        };
        if let Some(part) = self.parts.get_mut(&peer) {
            part.moved = now;
            part.held += held;
        }
        self.try_content(file);
        self.check_starts(now);
    }

    fn on_stored(&mut self, now: Duration, peer: PeerId, index: FileIndex, bytes: u64) {
        if !self.ledger.stored(peer, index, bytes) {
            return;
        }
        if let Some(part) = self.parts.get_mut(&peer) {
            part.moved = now;
            part.progressed = true;
        }
        // While its content waits, a recipient hashes what it has: that is progress, and shows later.
        if self.starts.contains_key(&index) {
            return;
        }
        if let Some((path, total, resumed_from)) = self.ledger.describe(index, peer) {
            self.effects.push(Effect::Progress {
                peer,
                file: path.to_owned(),
                bytes,
                total,
                resumed_from,
                road: self.ledger.road(index),
                limited_by: self.holdups.verdict(),
            });
        }
    }

    /// A source has changed: what recipients have of it is of no use. They would learn it from its stream as
    /// well, but that may end behind the transfer.
    pub(super) fn tell_of_source(&mut self, file: FileIndex, code: Code) {
        if code == Code::SourceChanged {
            let message = PeerMessage::Failed {
                file: Some(file),
                code,
                reason: SafeText::new(code.reason()),
            };
            self.effects.push(Effect::Send { to: None, message });
        }
    }

    fn on_file_failed(
        &mut self,
        now: Duration,
        peer: PeerId,
        file: FileIndex,
        (code, reason): (Code, SafeText),
    ) {
        let kind = Error::kind_of(code);
        let error = match reason.as_str() {
            "" => Error::new(kind, code.reason()),
            _ => Error::new(kind, reason),
        };
        if self.ledger.has_sent(file) {
            if let Some(starts) = self.starts.get_mut(&file) {
                starts.on_leave(now, peer);
                self.try_content(file);
            }
            self.file_failed(now, peer, file, error);
        } else {
            // Somebody on the way gave it another file under this number: there is no hope for its
            // own, which it now refuses.
            self.fail(now, peer, error);
        }
    }

    /// Checks a batch of receipts: signature, and that each is for what was sent.
    fn on_receipts(&mut self, now: Duration, from: PeerId, batch: &[u8]) {
        let Some(part) = self.parts.get_mut(&from) else {
            return;
        };
        let receipts = match part.receipts.open(batch) {
            Ok(receipts) => receipts,
            Err(error) => {
                let error = Error::new(
                    ErrorKind::Verification,
                    format!("a receipt is not genuine: {error}"),
                );
                self.leave(from, Code::Verification);
                return self.fail(now, from, error);
            }
        };
        for receipt in receipts {
            match self.ledger.receipt(from, &receipt) {
                Settled::Delivered(file) => {
                    if let Some(part) = self.parts.get_mut(&from) {
                        part.outstanding -= 1;
                        part.settled += 1;
                        part.moved = now;
                        part.progressed = true;
                    }
                    if file.is_user_visible {
                        self.effects.push(Effect::Delivered { peer: from, file });
                    }
                }
                Settled::Mismatch => {
                    let error = Error::new(
                        ErrorKind::Verification,
                        "the receipt is for other content than was sent",
                    );
                    self.file_failed(now, from, receipt.file, error);
                }
                Settled::Unknown => {}
            }
        }
        self.settle_parts(now);
    }
}
