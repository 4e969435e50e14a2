//! One transfer from the recipient's side, as a state machine: what is received and settled goes in,
//! what is to be done comes out. No socket, no disk, no clock.

use std::{collections::HashMap, time::Duration};

use super::outcome::{FileError, FileProgress, Scope, Settlement, Stored};
use crate::{
    protocol::{Code, FileIndex, PeerMessage, TransferId},
    sealing::{Outcome, Receipt},
    transfer::{Error, ErrorKind, Event, PeerRef},
};

/// From the yes to the first file.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);
/// The same where the sender hashes every file first.
const COMPARE_LIMIT: Duration = Duration::from_secs(300);
/// The same while other transfers wait for a place, and from then on for as much as has to come in that time.
const CROWDED_LIMIT: Duration = Duration::from_secs(10);
/// What arrives in that time with a transfer that keeps its place while others wait for one.
const CROWDED_LEAST: u64 = 64 << 10;
/// What a file counts there beside its bytes.
const FILE_COUNTS: u64 = 1 << 10;

/// What a receiver wants done.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// Send this to the sender.
    Send(PeerMessage),
    /// Sign for these files, and send that.
    Sign(Vec<Receipt>),
    /// Tell whoever watches.
    Emit(Box<Event>),
}

/// How a transfer ended.
#[derive(Debug, PartialEq)]
pub(super) enum Ended {
    /// Nothing was received.
    Declined,
    /// The rest may follow in another transfer.
    Interrupted,
    /// Every file is settled; with the first error, if there was one.
    Complete(Option<Error>),
}

/// What a receiver is told of its transfer at the start.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) transfer: TransferId,
    pub(super) from: PeerRef,
    /// Files that were announced.
    pub(super) files: Option<u64>,
    /// Whether bytes go to a writer, which takes none of them back.
    pub(super) to_writer: bool,
    /// Whether the sender was asked to hash its files first.
    pub(super) compare: bool,
    /// Whether the sender understands that a file got another name.
    pub(super) renames: bool,
}

/// One transfer, from the yes to its end.
#[derive(Debug)]
pub(super) struct Receiver {
    terms: Terms,
    /// Files that are not settled, and how many of their bytes were last reported.
    files: HashMap<FileIndex, (FileProgress, u64)>,
    begun: bool,
    /// When it was last seen to get on, counted from the yes, and how far it was then.
    moved: (Duration, u64),
    /// How many files there are, once the sender has said so.
    total: Option<u64>,
    settled: u64,
    /// Files and messages: what the sender has counted.
    visible: u64,
    bytes: u64,
    error: Option<Error>,
    /// Whether a file was cut off that a later transfer goes on with.
    is_cut: bool,
    /// Whether a part is left that another run of the same job can go on with.
    has_parts: bool,
    /// Why nothing more is taken, where this side has ended the transfer.
    refused: Option<Error>,
    /// Whether this listener was told to stop.
    is_stopped: bool,
    over: Option<Code>,
}

impl Receiver {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            files: HashMap::new(),
            begun: false,
            moved: (Duration::ZERO, 0),
            total: None,
            settled: 0,
            visible: 0,
            bytes: 0,
            error: None,
            is_cut: false,
            has_parts: false,
            refused: None,
            is_stopped: false,
            over: None,
        }
    }

    /// Why the transfer is over, if it is: [`Code::Done`] once every file is settled.
    pub(super) fn over(&self) -> Option<Code> {
        self.over.or(self.is_complete().then_some(Code::Done))
    }

    /// Whether every file is settled, by the sender's own count.
    pub(super) fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.settled >= total)
    }

    /// Whether nothing that this job left here is of use any more, once its sender knows that.
    pub(super) fn leaves_nothing(&self) -> bool {
        self.over() == Some(Code::Done) && !self.is_cut && !self.has_parts
    }

    /// A file's stream has begun; returns where its progress is to be noted.
    pub(super) fn on_file(&mut self, index: FileIndex) -> FileProgress {
        self.begun = true;
        let progress = FileProgress::default();
        self.files.insert(index, (progress.clone(), 0));
        progress
    }

    /// The sender says something.
    pub(super) fn on_message(&mut self, message: PeerMessage) {
        match message {
            PeerMessage::End { files } => self.total = Some(files),
            PeerMessage::Cancel { code } => self.on_gone(code),
            // Its stream says the same, and may come behind the end of all.
            PeerMessage::Failed {
                file: Some(file),
                code: Code::SourceChanged,
                ..
            } => {
                if let Some((progress, _)) = self.files.get(&file) {
                    progress.is_of_changed_source();
                }
            }
            _ => {}
        }
    }

    /// The sender's part is over; once every file is settled, that says nothing new.
    pub(super) fn on_gone(&mut self, code: Code) {
        if self.over().is_none() {
            self.over = Some(code);
        }
    }

    /// This listener is told to stop.
    pub(super) fn on_stop(&mut self, code: Code) -> Vec<Effect> {
        if self.over().is_some() {
            return Vec::new();
        }
        self.is_stopped = true;
        self.over = Some(code);
        vec![Effect::Send(PeerMessage::Cancel { code })]
    }

    /// Files have been settled, at most as many as one batch of receipts holds.
    pub(super) fn on_settled(&mut self, batch: impl Iterator<Item = Settlement>) -> Vec<Effect> {
        let (mut receipts, mut effects) = (Vec::new(), Vec::new());
        for Settlement { index, result } in batch {
            self.files.remove(&index);
            match result {
                Ok(stored) => receipts.push(self.on_stored(index, stored)),
                Err(error) => self.on_file_error(index, error, &mut effects),
            }
        }
        if !receipts.is_empty() {
            effects.insert(0, Effect::Sign(receipts));
        }
        effects
    }

    fn on_stored(&mut self, file: FileIndex, stored: Stored) -> Receipt {
        self.settled += 1;
        self.visible += u64::from(stored.is_user_visible);
        self.bytes = self.bytes.saturating_add(stored.whole.len);
        Receipt {
            file,
            len: stored.whole.len,
            blake3: *stored.whole.hash.as_bytes(),
            outcome: match stored.already_there {
                true => Outcome::AlreadyThere,
                false if stored.is_renamed && self.terms.renames => Outcome::Renamed,
                false => Outcome::Stored,
            },
        }
    }

    /// A file will not be stored; or it is only cut off.
    fn on_file_error(&mut self, index: FileIndex, error: FileError, effects: &mut Vec<Effect>) {
        let FileError {
            path,
            code,
            reason,
            scope,
        } = error;
        let failure = Error::new(Error::kind_of(code), &reason);
        if scope == Scope::Cut {
            self.is_cut = true;
        } else {
            self.settled += 1;
            self.error.get_or_insert(failure.clone());
            effects.push(self.failed(path, failure.clone()));
        }
        self.has_parts |= code == Code::Storage;
        let all = scope == Scope::Transfer;
        // The first word on the transfer as a whole is the last.
        if all && self.refused.is_some() {
            return;
        }
        if all {
            self.refused = Some(failure);
            self.over.get_or_insert(code);
        }
        effects.push(Effect::Send(PeerMessage::Failed {
            file: Some(index).filter(|_| !all),
            code,
            reason,
        }));
    }

    /// Time has passed: so much since the yes. `crowded` while others wait for this transfer's place.
    pub(super) fn on_tick(&mut self, since_accepted: Duration, crowded: bool) -> Vec<Effect> {
        if self.over().is_none() && self.stands_still(since_accepted, crowded) {
            self.over = Some(Code::Timeout);
            // What an older sender takes for a listener that will be back.
            let code = Code::Shutdown;
            return vec![Effect::Send(PeerMessage::Cancel { code })];
        }
        let mut effects = Vec::new();
        for (file, (progress, reported)) in &mut self.files {
            let Some(now) = progress.snapshot().filter(|now| now.bytes != *reported) else {
                continue;
            };
            *reported = now.bytes;
            let (file, bytes) = (*file, now.bytes);
            effects.push(Effect::Emit(Box::new(Event::Progress {
                transfer: self.terms.transfer,
                peer: self.terms.from.clone(),
                file: now.path,
                bytes,
                total: now.total,
                resumed_from: now.resumed_from,
                road: now.road,
                limited_by: None,
            })));
            effects.push(Effect::Send(PeerMessage::Stored { file, bytes }));
        }
        effects
    }

    /// Whether it has not begun in time, or keeps its place from others without getting on.
    fn stands_still(&mut self, since_accepted: Duration, crowded: bool) -> bool {
        if !self.begun {
            let limit = match (crowded, self.terms.compare) {
                (true, _) => CROWDED_LIMIT,
                (false, true) => COMPARE_LIMIT,
                (false, false) => BEGIN_LIMIT,
            };
            return since_accepted > limit;
        }
        let so_far = self.so_far();
        if so_far >= self.moved.1.saturating_add(CROWDED_LEAST) {
            self.moved = (since_accepted, so_far);
        }
        // What a writer was given is lost for good with its transfer.
        crowded
            && !self.terms.to_writer
            && since_accepted.saturating_sub(self.moved.0) > CROWDED_LIMIT
    }

    /// How far it is: bytes that have come or were compared, and something for each file.
    fn so_far(&self) -> u64 {
        let files = self.files.values();
        let bytes = files.filter_map(|(progress, _)| Some(progress.snapshot()?.bytes));
        let settled = self.settled.saturating_mul(FILE_COUNTS);
        bytes.fold(self.bytes.saturating_add(settled), u64::saturating_add)
    }

    /// It is over, and everything that was under way is settled.
    pub(super) fn finish(self, elapsed: Duration) -> (Vec<Effect>, Ended) {
        let end = self.over().unwrap_or(Code::Cancelled);
        let mut effects = Vec::new();
        let mut error = self.error.clone();
        match end {
            // That nothing follows is the relay's word as well; how many files there are is the
            // sender's.
            Code::Done => {
                let missing = self.terms.files.unwrap_or(0).saturating_sub(self.visible);
                if missing > 0 && error.is_none() {
                    let reason = format!("{missing} of the files that were announced did not come");
                    let missed = Error::new(ErrorKind::Other, reason);
                    effects.push(self.failed(None, missed.clone()));
                    error = Some(missed);
                }
            }
            // Not a failure: the same job goes on in a newer transfer.
            Code::Replaced | Code::TooLate => {
                effects.push(Effect::Emit(Box::new(Event::Retrying {
                    peer: Some(self.terms.from.clone()),
                    reason: match end {
                        Code::Replaced => "began again",
                        _ => "began while you decided",
                    }
                    .to_owned(),
                })))
            }
            code => {
                let why = "stopped here before all of it came";
                let failure = match &self.refused {
                    Some(failure) => failure.clone(),
                    None if self.is_stopped => Error::new(ErrorKind::Interrupted, why),
                    None => Error::from_code(code),
                };
                effects.push(self.failed(None, failure));
            }
        }
        let whole = end == Code::Done && error.is_none();
        effects.push(Effect::Emit(Box::new(Event::Done {
            transfer: self.terms.transfer,
            files: self.visible,
            bytes: self.bytes,
            elapsed,
            delivered: u64::from(whole),
            failed: u64::from(!whole),
        })));
        let ended = match end {
            Code::Done => Ended::Complete(error),
            // Bytes that went to a writer cannot be taken back or resumed.
            code if self.terms.to_writer => {
                let (kind, why) = match &self.refused {
                    Some(failure) if failure.kind() == ErrorKind::LocalFile => {
                        (ErrorKind::LocalFile, failure.to_string())
                    }
                    _ => (ErrorKind::Verification, code.to_string()),
                };
                let reason = format!("the file is not whole: {why}");
                Ended::Complete(Some(Error::new(kind, reason)))
            }
            _ if self.refused.is_some() => Ended::Complete(error),
            _ => Ended::Interrupted,
        };
        (effects, ended)
    }

    fn failed(&self, file: Option<String>, failure: Error) -> Effect {
        Effect::Emit(Box::new(Event::Failed {
            transfer: self.terms.transfer,
            peer: Some(self.terms.from.clone()),
            file,
            failure,
        }))
    }
}

#[cfg(test)]
mod tests;
