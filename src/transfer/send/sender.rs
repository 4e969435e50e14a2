//! One send over all its attempts: who is served, when, and with whom. A state machine.
//!
//! It owns no socket, task or clock: [`driver`](super::driver) tells it what happens and when, starts
//! the attempts that it asks for, and shows its events.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

use super::{
    Status, Summary, Target,
    attempt::{Effect, Next, PartEnd},
    target::Patience,
};
use crate::{
    protocol::{PeerId, Road, TransferId},
    transfer::{Error, Event, Peer},
};

/// Attempts that run side by side: below the relay's limit, and each with a fair share of streams.
const ATTEMPTS_MAX: usize = 6;
/// How long the first recipient that is back waits for others that are missing too, so that they
/// share an attempt: after a relay's restart, all of them come within moments.
const GATHER: Duration = Duration::from_millis(700);

/// One send's state.
pub(super) struct Sender {
    targets: Vec<Target>,
    places: HashMap<PeerId, usize>,
    /// Who listens now.
    present: HashMap<PeerId, Peer>,
    patience: Patience,
    /// The road on which files travel.
    road: Road,
    /// Whether the payload can be sent again; a pipe cannot.
    can_repeat: bool,
    attempts: usize,
    /// The first attempt's transfer, by which people and programs know the send.
    transfer: Option<TransferId>,
    pending: usize,
    /// Since when somebody who can be served waits for others.
    gathering_since: Option<Duration>,
    events: Vec<Event>,
    unread: Vec<(String, Error)>,
}

impl Sender {
    pub(super) fn new(
        targets: Vec<Target>,
        present: HashMap<PeerId, Peer>,
        (patience, road): (Patience, Road),
    ) -> Self {
        let place = |(place, target): (usize, &Target)| (target.id, place);
        let mut sender = Self {
            places: targets.iter().enumerate().map(place).collect(),
            pending: targets.iter().filter(|target| target.is_pending()).count(),
            targets,
            present,
            patience,
            road,
            can_repeat: true,
            attempts: 0,
            transfer: None,
            gathering_since: None,
            events: Vec::new(),
            unread: Vec::new(),
        };
        // Some have failed before anything was sent: people know it at once.
        for place in 0..sender.targets.len() {
            if let Status::Failed(error) = &sender.targets[place].status {
                let error = error.clone();
                sender.pending += 1;
                sender.fail(place, error);
            }
        }
        sender
    }

    /// Whether nobody is pending any more.
    pub(super) fn is_over(&self) -> bool {
        self.pending == 0
    }

    /// Whether everybody has everything.
    pub(super) fn is_success(&self) -> bool {
        self.targets.iter().all(|target| target.failure().is_none())
    }

    pub(super) fn target(&self, place: usize) -> &Target {
        &self.targets[place]
    }

    pub(super) fn present(&self, peer: PeerId) -> Option<&Peer> {
        self.present.get(&peer)
    }

    /// What people and programs are to be shown since the last call.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// A peer came, changed, or went.
    pub(super) fn on_presence(&mut self, peer: Peer) {
        if peer.is_listening() {
            self.present.insert(peer.id, peer);
        } else {
            self.present.remove(&peer.id);
        }
    }

    /// Everyone who listens is told anew, as on a fresh channel: nobody else is there.
    ///
    /// While there was none, nobody could make progress.
    pub(super) fn on_connected(&mut self, now: Duration, road: Road) {
        self.road = road;
        self.present.clear();
        for target in self.targets.iter_mut().filter(|t| t.is_pending()) {
            target.quiet_since = now;
        }
    }

    /// The payload cannot be sent a second time.
    pub(super) fn on_payload_taken_for_good(&mut self) {
        self.can_repeat = false;
    }

    /// The recipients of an attempt that is to begin now, if one is.
    pub(super) fn next_attempt(&mut self, now: Duration) -> Option<Vec<usize>> {
        let spent = !self.can_repeat && self.transfer.is_some();
        if self.attempts >= ATTEMPTS_MAX || self.pending == 0 || spent {
            return None;
        }
        let open = |target: &Target| target.is_pending() && !target.is_served;
        let ready = |target: &Target| {
            open(target) && target.next <= now && self.present.contains_key(&target.id)
        };
        let mut together = Vec::new();
        let mut waiting = 0;
        for (place, target) in self.targets.iter().enumerate() {
            if ready(target) {
                if target.alone {
                    return Some(vec![place]);
                }
                together.push(place);
            } else if open(target) {
                waiting += 1;
            }
        }
        if together.is_empty() {
            self.gathering_since = None;
            return None;
        }
        let first = self.transfer.is_none();
        let since = *self.gathering_since.get_or_insert(now);
        if !first && waiting > 0 && now < since + GATHER {
            return None;
        }
        self.gathering_since = None;
        Some(together)
    }

    /// An attempt with these recipients has begun.
    pub(super) fn on_attempt(
        &mut self,
        (transfer, recipients): (TransferId, &[usize]),
        (files, bytes): (Option<u64>, Option<u64>),
    ) {
        self.attempts += 1;
        self.transfer.get_or_insert(transfer);
        let mut to = Vec::with_capacity(recipients.len());
        for place in recipients {
            let target = &mut self.targets[*place];
            target.is_served = true;
            target.was_offered = true;
            to.push(target.peer());
        }
        self.events.push(Event::Offered {
            transfer,
            to,
            files,
            bytes,
        });
    }

    /// A recipient that cannot be offered anything: its key is unusable.
    pub(super) fn on_not_offered(&mut self, now: Duration, place: usize, error: Error) {
        let end = PartEnd::Again {
            error,
            next: Next::Later,
            answered: false,
            progressed: false,
        };
        self.on_part_over(now, None, place, end);
    }

    /// An attempt has ended.
    pub(super) fn on_attempt_over(&mut self) {
        self.attempts -= 1;
    }

    /// Takes what an attempt found out about its recipients; what is to be carried out comes back.
    pub(super) fn on_effect(
        &mut self,
        now: Duration,
        transfer: TransferId,
        effect: Effect,
    ) -> Option<Effect> {
        match effect {
            Effect::Progress {
                peer,
                file,
                bytes,
                total,
                resumed_from,
            } => {
                let target = self.of(peer)?;
                target.moved(now);
                let peer = target.peer();
                self.events.push(Event::Progress {
                    transfer,
                    peer,
                    file,
                    bytes,
                    total,
                    resumed_from,
                    road: self.road,
                });
            }
            Effect::Delivered { peer, file } => {
                let target = self.of(peer)?;
                target.moved(now);
                if target.file_delivered(&file.path, file.content.len) {
                    let peer = target.peer();
                    self.events.push(Event::Delivered {
                        transfer,
                        peer,
                        file: file.path,
                        bytes: file.content.len,
                        blake3: file.content.blake3.into(),
                        resumed_from: file.resumed_from,
                        already_there: file.already_there,
                        road: self.road,
                    });
                }
            }
            Effect::FileFailed { peer, path, error } => {
                let target = self.of(peer)?;
                target.moved(now);
                if target.file_failed(&path, error.clone()) {
                    let peer = Some(target.peer());
                    self.events.push(Event::Failed {
                        transfer,
                        peer,
                        file: Some(path),
                        failure: error,
                    });
                }
            }
            Effect::PartOver { peer, end } => {
                if let Some(place) = self.places.get(&peer).copied() {
                    self.on_part_over(now, Some(transfer), place, end);
                }
            }
            effect => return Some(effect),
        }
        None
    }

    /// A file cannot be read, and so goes to nobody.
    pub(super) fn on_unreadable(&mut self, transfer: TransferId, path: String, failure: Error) {
        // Every attempt walks the tree again; people need to know it once.
        if !self.unread.iter().any(|(known, _)| *known == path) {
            self.events.push(Event::Failed {
                transfer,
                peer: None,
                file: Some(path.clone()),
                failure: failure.clone(),
            });
            self.unread.push((path, failure));
        }
    }

    /// Gives up on those who cannot be served any more.
    pub(super) fn on_tick(&mut self, now: Duration) {
        let spent = !self.can_repeat && self.transfer.is_some();
        for place in 0..self.targets.len() {
            let target = &self.targets[place];
            let is_present = self.present.contains_key(&target.id);
            if let Some(error) = target.given_up(now, self.patience, is_present, spent) {
                self.fail(place, error);
            }
        }
    }

    /// Fails everyone who is pending.
    pub(super) fn on_end(&mut self, error: &Error) {
        for place in 0..self.targets.len() {
            if self.targets[place].is_pending() {
                self.fail(place, error.clone());
            }
        }
    }

    /// What became of everyone, and the last event.
    pub(super) fn finish(&mut self, elapsed: Duration) -> Summary {
        let targets = std::mem::take(&mut self.targets);
        let failed = targets.iter().filter(|t| t.failure().is_some()).count() as u64;
        self.events.push(Event::Done {
            transfer: self.known_as(),
            files: targets.iter().map(|t| t.files).max().unwrap_or(0),
            bytes: targets.iter().map(|t| t.bytes).max().unwrap_or(0),
            elapsed,
            delivered: targets.len() as u64 - failed,
            failed,
        });
        Summary {
            targets,
            unread: std::mem::take(&mut self.unread),
        }
    }

    fn of(&mut self, peer: PeerId) -> Option<&mut Target> {
        let place = *self.places.get(&peer)?;
        self.targets.get_mut(place)
    }

    fn known_as(&self) -> TransferId {
        self.transfer.unwrap_or(TransferId::from_bytes([0; 16]))
    }

    fn on_part_over(
        &mut self,
        now: Duration,
        transfer: Option<TransferId>,
        place: usize,
        end: PartEnd,
    ) {
        let target = &mut self.targets[place];
        target.is_served = false;
        if !target.is_pending() {
            return;
        }
        match end {
            PartEnd::Done => {
                target.status = Status::Done;
                self.pending -= 1;
            }
            PartEnd::Failed(error) => {
                self.transfer = self.transfer.or(transfer);
                self.fail(place, error);
            }
            PartEnd::Again { error, .. } if !self.can_repeat => {
                let reason = "standard input cannot be sent again";
                let error = Error::new(error.kind(), format!("{error:#}; {reason}"));
                self.fail(place, error);
            }
            PartEnd::Again {
                error,
                next,
                answered,
                progressed,
            } => {
                let reason = format!("{error:#}");
                if target.again(now, next, error, (answered, progressed)) {
                    let peer = Some(target.peer());
                    self.events.push(Event::Retrying { peer, reason });
                }
            }
        }
    }

    fn fail(&mut self, place: usize, failure: Error) {
        let transfer = self.known_as();
        let target = &mut self.targets[place];
        self.pending -= 1;
        target.status = Status::Failed(failure.clone());
        self.events.push(Event::Failed {
            transfer,
            peer: Some(target.peer()),
            file: None,
            failure,
        });
    }
}
