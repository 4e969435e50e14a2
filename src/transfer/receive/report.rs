//! What a transfer's sender, and the people on this side, hear of it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use super::{
    Destination,
    incoming::{Ended, Incoming},
    settlement::{Active, Lost, Scope, Settlement, Stored, Tally},
};
use crate::{
    protocol::{Code, DeclineReason, FileIndex, PeerMessage},
    sealing::{Outcome, Receipt, ReceiptSealer},
    transfer::{Error, ErrorKind, Event, PeerRef},
};

impl Incoming {
    /// Tells the sender what became of files, and signs for those that are stored.
    pub(super) async fn settle(
        &self,
        batch: &mut Vec<Settlement>,
        active: &mut HashMap<FileIndex, Arc<Active>>,
        receipts: &mut ReceiptSealer,
        tally: &mut Tally,
    ) {
        let mut signed = Vec::with_capacity(batch.len());
        for Settlement { index, outcome } in batch.drain(..) {
            let name = active.remove(&index).and_then(|file| file.name());
            match outcome {
                Ok(stored) => {
                    tally.settled += 1;
                    let outcome = if stored.already_there {
                        Outcome::AlreadyThere
                    } else {
                        Outcome::Stored
                    };
                    signed.push(Receipt {
                        file: index,
                        len: stored.len,
                        blake3: *stored.hash.as_bytes(),
                        outcome,
                    });
                    tally.notable += u64::from(stored.notable);
                    tally.bytes += stored.len;
                    self.stored(stored, name.unwrap_or_default());
                }
                Err(lost) => self.lost(index, lost, tally).await,
            }
        }
        if !signed.is_empty() {
            let batch = receipts
                .seal(&signed)
                .expect("1 to RECEIPTS_MAX, as many as a batch takes");
            self.say(PeerMessage::Receipts {
                batch: batch.into(),
            })
            .await;
        }
    }

    /// Tells the sender, and people, that a file will not be stored; or only that it is cut off.
    async fn lost(&self, index: FileIndex, lost: Lost, tally: &mut Tally) {
        let failure = Error::new(Error::kind_of(lost.code), &lost.reason);
        if lost.scope != Scope::Cut {
            tally.settled += 1;
            tally.failure.get_or_insert(failure.clone());
            self.shared.observer.event(Event::Failed {
                transfer: self.transfer,
                peer: Some(self.peer()),
                file: lost.path,
                failure: failure.clone(),
            });
        }
        tally.cut |= lost.scope == Scope::Cut;
        let all = lost.scope == Scope::Transfer;
        // The first word on the transfer as a whole is the last.
        if all && tally.stopped.is_some() {
            return;
        }
        if all {
            tally.stopped = Some((lost.code, failure));
        }
        self.say(PeerMessage::Failed {
            file: Some(index).filter(|_| !all),
            code: lost.code,
            reason: lost.reason,
        })
        .await;
    }

    fn stored(&self, stored: Stored, file: String) {
        let (transfer, from) = (self.transfer, self.peer());
        if let Some(text) = stored.text {
            self.shared.observer.event(Event::Message {
                transfer,
                from,
                text,
            });
        } else if stored.notable {
            self.shared.observer.event(Event::Received {
                transfer,
                path: stored.path,
                file,
                bytes: stored.len,
                blake3: stored.hash,
                from,
                resumed_from: stored.resumed_from,
                already_there: stored.already_there,
                road: self.messages.road(),
            });
        }
    }

    pub(super) async fn progress(&self, active: &HashMap<FileIndex, Arc<Active>>) {
        for (file, progress) in active {
            let bytes = progress.stored.load(Ordering::Relaxed);
            if progress.told.swap(bytes, Ordering::Relaxed) == bytes {
                continue;
            }
            let head = progress
                .head
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if let Some((path, total)) = head {
                self.shared.observer.event(Event::Progress {
                    transfer: self.transfer,
                    peer: self.peer(),
                    file: path,
                    bytes,
                    total,
                    resumed_from: progress.resumed_from.load(Ordering::Relaxed),
                    road: self.messages.road(),
                });
            }
            self.say(PeerMessage::Stored { file: *file, bytes }).await;
        }
    }

    pub(super) fn end(&self, end: Result<(), Code>, stopped: bool, tally: &Tally) -> Ended {
        let over = matches!(end, Ok(()) | Err(Code::Done));
        if over {
            let approvals = &self.shared.approvals;
            approvals.used(self.sender.id, &self.manifest);
        } else if let Err(code @ (Code::Replaced | Code::TooLate)) = end {
            // Not a failure: the same job goes on in a newer transfer.
            let reason = match code {
                Code::Replaced => "began again",
                _ => "began while you decided",
            };
            self.shared.observer.event(Event::Retrying {
                peer: Some(self.peer()),
                reason: reason.to_owned(),
            });
        } else if let Err(code) = end {
            let failure = match &tally.stopped {
                Some((_, failure)) => failure.clone(),
                None if stopped => {
                    Error::new(ErrorKind::Interrupted, "stopped here before all of it came")
                }
                None => Error::from_code(code),
            };
            self.shared.observer.event(Event::Failed {
                transfer: self.transfer,
                peer: Some(self.peer()),
                file: None,
                failure,
            });
        }
        // That nothing follows is the relay's word as well; how many files there are is the sender's.
        let missing = self
            .manifest
            .files
            .unwrap_or(0)
            .saturating_sub(tally.notable);
        let mut failure = tally.failure.clone();
        if over && missing > 0 && failure.is_none() {
            let reason = format!("{missing} of the files that were announced did not come");
            let missed = Error::new(ErrorKind::Other, reason);
            self.shared.observer.event(Event::Failed {
                transfer: self.transfer,
                peer: Some(self.peer()),
                file: None,
                failure: missed.clone(),
            });
            failure = Some(missed);
        }
        let whole = over && failure.is_none();
        self.shared.observer.event(Event::Done {
            transfer: self.transfer,
            files: tally.notable,
            bytes: tally.bytes,
            elapsed: self.started.elapsed(),
            delivered: u64::from(whole),
            failed: u64::from(!whole),
        });
        match end {
            Ok(()) | Err(Code::Done) => Ended::Complete(failure),
            Err(code) if matches!(self.shared.config.destination, Destination::Stdout) => {
                // Bytes on standard output cannot be taken back or resumed.
                let failure = Error::new(
                    ErrorKind::Verification,
                    format!("the file is not whole: {code}"),
                );
                Ended::Complete(Some(failure))
            }
            Err(_) if tally.stopped.is_some() => Ended::Complete(failure),
            Err(_) => Ended::Interrupted,
        }
    }

    pub(super) fn failed(&self, failure: Error, reason: DeclineReason) {
        let kind = if reason == DeclineReason::KeyChanged {
            ErrorKind::NotTrusted
        } else {
            failure.kind()
        };
        self.shared.observer.event(Event::Failed {
            transfer: self.transfer,
            peer: Some(self.peer()),
            file: None,
            failure: Error::new(kind, failure),
        });
    }

    /// The sender, as events name it.
    pub(super) fn peer(&self) -> PeerRef {
        PeerRef::new(self.sender.id, self.sender.name.clone())
    }

    pub(super) async fn say(&self, message: PeerMessage) {
        self.messages
            .send(Some(self.sender.id), self.transfer, message)
            .await;
    }
}
