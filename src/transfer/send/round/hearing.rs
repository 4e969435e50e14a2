//! What a round hears, and what follows from it.

use std::time::Duration;

use super::{ASKING_LIMIT, OUTSTANDING_MAX, Part, PartState, Round, TICK};
use crate::{
    protocol::{Answer, Code, FileIndex, PeerId, PeerMessage, SafeText},
    sealing::Outcome,
    transfer::{
        Error, ErrorKind, Event, PeerEvent,
        send::{
            file::{FileEnd, SealedStart},
            ledger::Settled,
            target::Status,
        },
    },
};

impl Round<'_> {
    /// Hears what a file's task found out.
    pub(super) fn file_ended(&mut self, end: FileEnd) {
        match end {
            FileEnd::Sealed(index, digest) => self.ledger.sealed(index, digest),
            FileEnd::Resumed(index, peer, bytes) => self.ledger.resumed(index, peer, bytes),
            FileEnd::Failed(index, failure) => {
                for peer in self.ledger.waiting(index) {
                    self.file_failed(peer, index, failure.clone());
                }
            }
        }
    }

    pub(super) fn hear(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Message {
                transfer,
                from,
                message,
            } if transfer == self.keys.transfer() => {
                self.told(from, message);
            }
            PeerEvent::Gone {
                transfer,
                peer,
                code,
            } if transfer == self.keys.transfer() => {
                let failure = match code {
                    Code::PeerGone => Error::new(ErrorKind::NoSuchPeer, "is not listening"),
                    _ => Error::from_code(code),
                };
                let again = matches!(
                    code,
                    Code::PeerGone | Code::Replaced | Code::TooLate | Code::Behind | Code::Busy
                );
                self.part_over(
                    peer,
                    if again {
                        Status::Pending(failure)
                    } else {
                        Status::Failed(failure)
                    },
                );
            }
            _ => {}
        }
    }

    fn told(&mut self, from: PeerId, message: PeerMessage) {
        let Some(part) = self
            .parts
            .get_mut(&from)
            .filter(|part| part.state != PartState::Over)
        else {
            return;
        };
        let target = &mut self.targets[part.target];
        match message {
            PeerMessage::Answer {
                answer: Answer::Accept { each, .. },
            } if part.state == PartState::Asked => {
                part.state = PartState::Accepted { each };
                target.answered = true;
                target.moved();
            }
            PeerMessage::Answer {
                answer: Answer::Decline { reason, text },
            } => {
                target.answered = true;
                let failure = Error::from_decline(reason, &text);
                self.part_over(from, Status::Failed(failure));
            }
            PeerMessage::Asking {} => {
                part.asking = true;
                target.moved();
            }
            PeerMessage::Start { file, have } => {
                target.moved();
                if let Some(start) = self.starts.get(&file) {
                    let _ = start.send(SealedStart { peer: from, have });
                }
            }
            PeerMessage::Stored { file, bytes } if self.ledger.stored(from, file, bytes) => {
                target.moved();
                if let Some((path, total, resumed_from)) = self.ledger.describe(file, from) {
                    self.observer.event(Event::Progress {
                        transfer: self.keys.transfer(),
                        peer: target.peer(),
                        file: path.to_owned(),
                        bytes,
                        total,
                        resumed_from,
                        road: self.road,
                    });
                }
            }
            PeerMessage::Receipts { batch } => self.receipts(from, &batch.0),
            // Not the file's fault: the rest of its part goes to the next round, from where it is.
            PeerMessage::Failed {
                file: Some(_),
                code: code @ (Code::Behind | Code::PeerGone),
                ..
            } => {
                self.leaving.push((from, code));
                self.part_over(from, Status::Pending(Error::from_code(code)));
            }
            PeerMessage::Failed {
                file: Some(file),
                code,
                reason,
            } => {
                let kind = Error::kind_of(code);
                let text = if reason.as_str().is_empty() {
                    SafeText::new(code.reason())
                } else {
                    reason
                };
                let failure = Error::new(kind, text);
                if self.ledger.has_sent(file) {
                    self.file_failed(from, file, failure);
                } else {
                    // Somebody on the way gave it another file under this number: there is no
                    // hope for its own, of which it has heard the last.
                    self.part_over(from, Status::Failed(failure));
                }
            }
            PeerMessage::Failed {
                file: None,
                code,
                reason,
            } => {
                let kind = Error::kind_of(code);
                self.part_over(from, Status::Failed(Error::new(kind, reason)));
            }
            PeerMessage::Cancel {
                code: Code::Shutdown,
            } => {
                let failure = Error::new(ErrorKind::NoSuchPeer, "stopped listening");
                self.part_over(from, Status::Pending(failure));
            }
            PeerMessage::Cancel { code } => {
                let failure = Error::new(ErrorKind::Declined, code.reason());
                self.part_over(from, Status::Failed(failure));
            }
            _ => {}
        }
    }

    /// Checks a batch of receipts: signature, and that each is for what was sent.
    fn receipts(&mut self, from: PeerId, batch: &[u8]) {
        let part = self.parts.get_mut(&from).expect("told() found it");
        let receipts = match part.receipts.open(batch) {
            Ok(receipts) => receipts,
            Err(error) => {
                let failure = Error::new(
                    ErrorKind::Verification,
                    format!("a receipt is not genuine: {error}"),
                );
                return self.part_over(from, Status::Failed(failure));
            }
        };
        for receipt in receipts {
            match self.ledger.receipt(from, &receipt) {
                Settled::Delivered {
                    path,
                    notable,
                    resumed_from,
                } => {
                    let part = self.parts.get_mut(&from).expect("told() found it");
                    let target = &mut self.targets[part.target];
                    part.outstanding -= 1;
                    part.settled += 1;
                    target.moved();
                    if !notable {
                        continue;
                    }
                    target.files += 1;
                    target.bytes += receipt.len;
                    self.observer.event(Event::Delivered {
                        transfer: self.keys.transfer(),
                        peer: target.peer(),
                        file: path,
                        bytes: receipt.len,
                        blake3: receipt.blake3.into(),
                        resumed_from,
                        already_there: receipt.outcome == Outcome::AlreadyThere,
                        road: self.road,
                    });
                }
                Settled::Mismatch => {
                    let failure = Error::new(
                        ErrorKind::Verification,
                        "the receipt is for other content than was sent",
                    );
                    self.file_failed(from, receipt.file, failure);
                }
                Settled::Unknown => {}
            }
        }
        self.settle_parts();
    }

    pub(super) fn file_failed(&mut self, peer: PeerId, index: FileIndex, failure: Error) {
        let Some(path) = self.ledger.failed(peer, index) else {
            return;
        };
        let Some(part) = self
            .parts
            .get_mut(&peer)
            .filter(|part| part.state != PartState::Over)
        else {
            return;
        };
        part.outstanding -= 1;
        part.settled += 1;
        let target = &mut self.targets[part.target];
        target.moved();
        target.file_failed(&path, failure.clone());
        self.observer.event(Event::Failed {
            transfer: self.keys.transfer(),
            peer: Some(target.peer()),
            file: Some(path),
            failure,
        });
        self.settle_parts();
    }

    /// Ends the part of everyone who has settled every file.
    pub(super) fn settle_parts(&mut self) {
        let Some(files) = self.files else { return };
        let settled = |(id, part): (&PeerId, &Part)| {
            (part.takes_part() && part.settled >= files).then_some(*id)
        };
        let done: Vec<_> = self.parts.iter().filter_map(settled).collect();
        for peer in done {
            self.part_over(peer, Status::Done);
        }
    }

    pub(super) fn part_over(&mut self, peer: PeerId, status: Status) {
        let Some(part) = self
            .parts
            .get_mut(&peer)
            .filter(|part| part.state != PartState::Over)
        else {
            return;
        };
        part.state = PartState::Over;
        let target = &mut self.targets[part.target];
        match status {
            Status::Pending(failure) => {
                // At once: the round may go on for hours with the others.
                self.observer.event(Event::Retrying {
                    peer: Some(target.peer()),
                    reason: format!("{failure:#}"),
                });
                target.is_told = true;
                target.leave(failure);
            }
            status => target.status = status,
        }
        self.ledger.forget(peer);
    }

    /// Gives up on those who have not moved for too long.
    pub(super) fn check_time(&mut self) {
        let mut over = Vec::new();
        for (peer, part) in &self.parts {
            let target = &mut self.targets[part.target];
            let mut quiet = target.last_progress.elapsed();
            if part.takes_part() && quiet > TICK && !self.ledger.is_waiting(*peer) {
                // It has all that there is, as of a pipe that is quiet: it waits for this side.
                target.moved();
                quiet = Duration::ZERO;
            }
            match part.state {
                PartState::Asked => {
                    let limit = if part.asking {
                        ASKING_LIMIT
                    } else {
                        self.timeout
                    };
                    if quiet > limit {
                        let failure = Error::new(ErrorKind::TimedOut, "no answer to the offer");
                        over.push((*peer, Status::Failed(failure)));
                    }
                }
                PartState::Accepted { .. } if part.outstanding > OUTSTANDING_MAX => {
                    over.push((*peer, Status::Pending(Error::from_code(Code::Behind))));
                }
                PartState::Accepted { .. } => {
                    if quiet > self.timeout {
                        let seconds = self.timeout.as_secs();
                        let failure =
                            Error::new(ErrorKind::TimedOut, format!("no progress for {seconds} s"));
                        over.push((*peer, Status::Failed(failure)));
                    }
                }
                PartState::Over => {}
            }
        }
        for (peer, status) in over {
            self.leaving.push((peer, Code::Timeout));
            self.part_over(peer, status);
        }
    }
}
