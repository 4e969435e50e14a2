//! One attempt: offers out, answers in, files out, receipts in. A state machine.
//!
//! An attempt is one transfer with fresh keys, to one recipient or several. It owns no socket, task
//! or clock: [`driver`](super::driver) tells it what happens and when (time since the send began, on
//! a clock that runs only while this process does), and carries out the [`Effect`]s. A recipient that
//! could not be served for a passing reason has another attempt, from where it stopped.

mod effect;
mod messages;
mod part;
mod starts;
#[cfg(test)]
mod tests;
mod under_way;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

pub(super) use self::{
    effect::{Effect, FileNote, FileStarts, Launched},
    part::{Next, PartEnd},
    starts::SealedStart,
    under_way::Places,
};
use self::{
    part::{Part, PartState},
    starts::Starts,
    under_way::UnderWay,
};
use super::{holdups::Holdups, ledger::Ledger};
use crate::{
    protocol::{Code, FileClass, FileIndex, PeerId, PeerMessage},
    sealing::{Head, ReceiptOpener},
    transfer::{Error, ErrorKind},
};

/// Once someone has accepted, how long the others may take before the files start without them: so
/// many times what the first took, within these bounds.
///
/// Who answers later gets the files in an attempt of its own, beside this one.
const STRAGGLERS: (u32, Duration, Duration) =
    (4, Duration::from_millis(400), Duration::from_secs(2));
/// The same for saying where a file begins, once its head has left. Who takes longer, because it has
/// much to hash or means harm, is served beside the others, whom it no longer holds up.
const START_PATIENCE: (u32, Duration, Duration) =
    (4, Duration::from_millis(300), Duration::from_secs(2));
/// The share of an attempt's time for which one recipient may hold up the others in all.
const HELD_SHARE: u32 = 10;
/// Files that even the fastest recipient has not settled before no further one is sent.
///
/// What is on its way is remembered here and held at the relay: without a bound, for as many small
/// files as the relay has memory for.
const AHEAD_MAX: usize = 2048;
/// For how long a recipient is not looked at after it has moved.
const QUIET_MIN: Duration = Duration::from_millis(250);

/// One attempt's state.
pub(super) struct Attempt {
    parts: HashMap<PeerId, Part>,
    /// Parts that are not over.
    open: usize,
    ledger: Ledger,
    starts: HashMap<FileIndex, Starts>,
    timeout: Duration,
    phase: Phase,
    asked: Duration,
    /// How long the first recipient took to say yes.
    first_yes: Option<Duration>,
    files: Option<u64>,
    under_way: UnderWay,
    holdups: Arc<Holdups>,
    effects: Vec<Effect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Asking { until: Option<Duration> },
    Delivering { since: Duration },
}

impl Attempt {
    /// An attempt whose offers leave now.
    pub(super) fn new(
        recipients: impl IntoIterator<Item = (PeerId, ReceiptOpener)>,
        (timeout, places): (Duration, Places),
        now: Duration,
    ) -> Self {
        let part = |(peer, receipts)| (peer, Part::new(receipts, now));
        let parts: HashMap<_, _> = recipients.into_iter().map(part).collect();
        Self {
            open: parts.len(),
            parts,
            ledger: Ledger::default(),
            starts: HashMap::new(),
            timeout,
            phase: Phase::Asking { until: None },
            asked: now,
            first_yes: None,
            files: None,
            under_way: UnderWay::new(places),
            holdups: Arc::new(Holdups::new()),
            effects: Vec::new(),
        }
    }

    /// What is to be done since the last call.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Whether every part is over.
    pub(super) fn is_over(&self) -> bool {
        self.open == 0
    }

    /// When [`Attempt::on_tick`] has something to do at the latest.
    pub(super) fn deadline(&self) -> Option<Duration> {
        if let Phase::Asking { until } = self.phase {
            return until;
        }
        let held = self.starts.values().filter(|starts| starts.holds_up());
        let since = held.filter_map(|starts| starts.since).min()?;
        Some(since + self.start_patience())
    }

    /// Whether a file of this class may begin.
    pub(super) fn has_room_for(&self, class: FileClass) -> bool {
        let taking = self.parts.values().filter(|part| part.takes_part());
        let least = taking.map(|part| part.outstanding).min();
        self.under_way.has_room_for(class) && least.is_none_or(|least| least < AHEAD_MAX)
    }

    /// Notes a file that is about to be sent.
    pub(super) fn on_launch(
        &mut self,
        index: FileIndex,
        head: &Head,
        class: FileClass,
    ) -> Launched {
        self.under_way.begin(index, class, head.size.unwrap_or(0));
        let mut missing = HashSet::new();
        let mut taking = HashSet::new();
        for (peer, part) in self.parts.iter_mut().filter(|(_, part)| part.takes_part()) {
            part.outstanding += 1;
            taking.insert(*peer);
            if part.says_where_to_begin() {
                missing.insert(*peer);
            }
        }
        let (recipients, waits) = (taking.len(), !missing.is_empty());
        if waits {
            self.starts.insert(index, Starts::new(missing, recipients));
        }
        Launched {
            sent: self.ledger.sent(index, head, taking),
            holdups: self.holdups.clone(),
            waits,
        }
    }

    /// Takes what a file's task has found out.
    pub(super) fn on_note(&mut self, now: Duration, note: FileNote) {
        match note {
            FileNote::HeadSent(index) => {
                if let Some(starts) = self.starts.get_mut(&index) {
                    starts.on_head_sent(now);
                }
            }
            FileNote::Hashing(index) => {
                for peer in self.ledger.waiting(index) {
                    self.moved(now, peer);
                }
            }
            FileNote::Resumed(index, peer, bytes) => self.ledger.resumed(index, peer, bytes),
            FileNote::Took(index, road) => self.ledger.took(index, road),
            FileNote::Sealed(index, digest) => self.ledger.sealed(index, digest),
            FileNote::Failed(index, error, code) => {
                self.tell_of_source(index, code);
                for peer in self.ledger.waiting(index) {
                    self.file_failed(now, peer, index, error.clone());
                }
            }
            FileNote::Ended(index, class) => {
                self.starts.remove(&index);
                self.under_way.end(index, class);
            }
        }
    }

    /// This side hashes files before it offers their heads: nobody can move meanwhile.
    pub(super) fn on_hashing(&mut self, now: Duration) {
        for part in self.parts.values_mut().filter(|part| part.takes_part()) {
            part.moved = now;
        }
    }

    /// All files are found: there are so many.
    pub(super) fn on_all_found(&mut self, now: Duration, files: u64) {
        self.files = Some(files);
        let (to, message) = (None, PeerMessage::End { files });
        self.effects.push(Effect::Send { to, message });
        self.settle_parts(now);
    }

    /// The way to everyone is lost.
    pub(super) fn on_lost(&mut self, now: Duration, error: &Error) {
        for peer in self.peers() {
            self.again(now, peer, error.clone(), Next::Later);
        }
    }

    /// Looks at everything that time decides.
    pub(super) fn on_tick(&mut self, now: Duration) {
        self.try_begin(now);
        self.check_starts(now);
        self.check_quiet(now);
    }

    fn peers(&self) -> Vec<PeerId> {
        self.parts.keys().copied().collect()
    }

    fn moved(&mut self, now: Duration, peer: PeerId) {
        if let Some(part) = self.parts.get_mut(&peer) {
            part.moved = now;
        }
    }

    /// Begins once all have answered, or the stragglers have had their time.
    fn try_begin(&mut self, now: Duration) {
        let Phase::Asking { until } = self.phase else {
            return;
        };
        let anyone = |state: fn(&Part) -> bool| self.parts.values().any(state);
        let complete = !anyone(|part| part.state == PartState::Asked);
        if !anyone(Part::takes_part) || !(complete || until.is_some_and(|until| now >= until)) {
            return;
        }
        self.phase = Phase::Delivering { since: now };
        let compare = |part: &Part| matches!(part.state, PartState::Accepted { compare: true, .. });
        let (each, compare) = (anyone(Part::says_where_to_begin), anyone(compare));
        let mut taking = self.parts.iter().filter(|(_, part)| part.takes_part());
        let first = taking.next().map(|(peer, _)| *peer);
        let sole = first.filter(|_| taking.next().is_none());
        self.effects.push(Effect::Begin {
            each,
            compare,
            sole,
        });
    }

    fn start_patience(&self) -> Duration {
        let (times, least, most) = START_PATIENCE;
        (self.first_yes.unwrap_or_default() * times).clamp(least, most)
    }

    /// Lets nobody hold up the others by not saying where files begin.
    fn check_starts(&mut self, now: Duration) {
        let Phase::Delivering { since: began } = self.phase else {
            return;
        };
        let patience = self.start_patience();
        let late = |starts: &&Starts| {
            let since = starts.since.filter(|_| starts.holds_up());
            since.is_some_and(|since| now >= since + patience)
        };
        let mut slow: HashSet<_> = self
            .starts
            .values()
            .filter(late)
            .flat_map(|starts| starts.missing.iter().copied())
            .collect();
        let allowed = patience + now.saturating_sub(began) / HELD_SHARE;
        let greedy = |(peer, part): (&PeerId, &Part)| (part.held > allowed).then_some(*peer);
        slow.extend(self.parts.iter().filter_map(greedy));
        for peer in slow {
            let reason = "takes long to say what it has; it is served beside the others";
            self.leave(peer, Code::Behind);
            self.again(
                now,
                peer,
                Error::new(ErrorKind::TimedOut, reason),
                Next::Alone,
            );
        }
    }

    /// Gives up on those who have not moved for too long.
    fn check_quiet(&mut self, now: Duration) {
        let mut over = Vec::new();
        for (peer, part) in &mut self.parts {
            let mut quiet = now.saturating_sub(part.moved);
            if part.takes_part() && quiet > QUIET_MIN && !self.ledger.is_waiting(*peer) {
                // It has all that there is, as of a pipe that is quiet: it waits for this side.
                part.moved = now;
                quiet = Duration::ZERO;
            }
            let Some(end) = part.end_of_patience(quiet, self.timeout) else {
                continue;
            };
            over.push((*peer, end));
        }
        for (peer, end) in over {
            self.leave(peer, Code::Timeout);
            self.part_over(now, peer, end);
        }
    }

    fn file_failed(&mut self, now: Duration, peer: PeerId, index: FileIndex, error: Error) {
        let Some(path) = self.ledger.failed(peer, index) else {
            return;
        };
        let part = self.parts.get_mut(&peer);
        let Some(part) = part.filter(|part| part.state != PartState::Over) else {
            return;
        };
        part.outstanding -= 1;
        part.settled += 1;
        part.moved = now;
        part.progressed = true;
        self.effects.push(Effect::FileFailed { peer, path, error });
        self.settle_parts(now);
    }

    /// Ends the part of everyone who has settled every file.
    fn settle_parts(&mut self, now: Duration) {
        let Some(files) = self.files else { return };
        let settled = |(peer, part): (&PeerId, &Part)| {
            (part.takes_part() && part.settled >= files).then_some(*peer)
        };
        let done: Vec<_> = self.parts.iter().filter_map(settled).collect();
        for peer in done {
            self.part_over(now, peer, PartEnd::Done);
        }
    }

    /// Says to a recipient that this attempt goes on without it.
    fn leave(&mut self, peer: PeerId, code: Code) {
        self.effects.push(Effect::Send {
            to: Some(peer),
            message: PeerMessage::Cancel { code },
        });
    }

    fn again(&mut self, now: Duration, peer: PeerId, error: Error, next: Next) {
        let part = self.parts.get(&peer);
        let end = PartEnd::Again {
            error,
            next,
            answered: part.is_some_and(|part| part.answered),
            progressed: part.is_some_and(|part| part.progressed),
        };
        self.part_over(now, peer, end);
    }

    fn fail(&mut self, now: Duration, peer: PeerId, error: Error) {
        self.part_over(now, peer, PartEnd::Failed(error));
    }

    fn part_over(&mut self, now: Duration, peer: PeerId, end: PartEnd) {
        let part = self.parts.get_mut(&peer);
        let Some(part) = part.filter(|part| part.state != PartState::Over) else {
            return;
        };
        part.state = PartState::Over;
        self.open -= 1;
        self.ledger.forget(peer);
        self.effects.push(Effect::PartOver { peer, end });
        let waiting: Vec<_> = self.starts.keys().copied().collect();
        for file in waiting {
            if let Some(starts) = self.starts.get_mut(&file) {
                starts.on_leave(now, peer);
            }
            self.try_content(file);
        }
        self.try_begin(now);
    }

    /// Lets a file's content go once everyone has said where it begins.
    fn try_content(&mut self, file: FileIndex) {
        let ready = |starts: &Starts| starts.missing.is_empty();
        if self.starts.get(&file).is_some_and(ready)
            && let Some(starts) = self.starts.remove(&file)
        {
            let starts = FileStarts {
                recipients: starts.recipients,
                starts: starts.known,
            };
            self.effects.push(Effect::Content { file, starts });
        }
    }
}
