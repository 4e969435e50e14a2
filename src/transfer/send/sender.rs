//! One send over all its attempts: who is served, when, and with whom. A state machine.
//!
//! It owns no socket, task or clock: [`driver`](super::driver) tells it what happens and when, starts
//! the attempts that it asks for, and shows its events.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

use super::{
    Recipient, Status, Summary,
    attempt::{Effect, Next, PartEnd},
    recipient::Patience,
};
use crate::{
    protocol::{PeerId, Road, TransferId},
    transfer::{Error, Event, Peer, PeerRef, Presence, WayId},
};

/// Attempts that run side by side on one way: below the relay's limit, each with a share of the streams.
const ATTEMPTS_OF_WAY: usize = 6;
/// Attempts that run side by side in all: each reads and seals for itself.
const ATTEMPTS_MAX: usize = 24;
/// How long the first recipient that is back waits for others, so that they share an attempt.
const GATHER: Duration = Duration::from_millis(700);

/// One send's state.
pub(super) struct Sender {
    recipients: Vec<Recipient>,
    places: HashMap<PeerId, usize>,
    /// Who listens now, and by which ways.
    present: Presence,
    patience: Patience,
    /// The roads on which the files of running attempts travel.
    roads: HashMap<TransferId, (WayId, Road)>,
    /// Whether the payload can be sent again; a pipe cannot.
    can_repeat: bool,
    /// The first attempt's transfer, by which people and programs know the send.
    transfer: Option<TransferId>,
    pending: usize,
    /// Since when somebody who can be served waits for others.
    gathering_since: Option<Duration>,
    events: Vec<Event>,
    unread: Vec<(String, Error)>,
}

impl Sender {
    pub(super) fn new(recipients: Vec<Recipient>, present: Presence, patience: Patience) -> Self {
        let place = |(place, recipient): (usize, &Recipient)| (recipient.id, place);
        let mut sender = Self {
            places: recipients.iter().enumerate().map(place).collect(),
            pending: recipients
                .iter()
                .filter(|recipient| recipient.is_pending())
                .count(),
            recipients,
            present,
            patience,
            roads: HashMap::new(),
            can_repeat: true,
            transfer: None,
            gathering_since: None,
            events: Vec::new(),
            unread: Vec::new(),
        };
        // Some have failed before anything was sent: people know it at once.
        for place in 0..sender.recipients.len() {
            if let Status::Failed(error) = &sender.recipients[place].status {
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
        self.recipients
            .iter()
            .all(|recipient| recipient.failure().is_none())
    }

    pub(super) fn recipient(&self, place: usize) -> &Recipient {
        &self.recipients[place]
    }

    /// A peer that listens, as this way says.
    pub(super) fn present(&self, way: WayId, peer: PeerId) -> Option<&Peer> {
        self.present.by(way, peer)
    }

    /// What people and programs are to be shown since the last call.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// A peer came, changed, or went, as one way says.
    pub(super) fn on_presence(&mut self, way: WayId, peer: Peer) {
        self.present.on_peer(way, peer);
    }

    /// A way is lost: nobody is there by it.
    pub(super) fn on_way_lost(&mut self, way: WayId) {
        self.present.on_lost(way);
    }

    /// There is a way again: while there was none, nobody could make progress.
    pub(super) fn on_connected(&mut self, now: Duration) {
        for recipient in self.recipients.iter_mut().filter(|t| t.is_pending()) {
            recipient.quiet_since = now;
        }
    }

    /// The payload cannot be sent a second time.
    pub(super) fn on_payload_taken_for_good(&mut self) {
        self.can_repeat = false;
    }

    /// The recipients of an attempt that is to begin now, if one is, and the way to all of them.
    pub(super) fn next_attempt(&mut self, now: Duration) -> Option<(WayId, Vec<usize>)> {
        let spent = !self.can_repeat && self.transfer.is_some();
        if self.roads.len() >= ATTEMPTS_MAX || self.pending == 0 || spent {
            return None;
        }
        let is_open = |recipient: &Recipient| recipient.is_pending() && !recipient.is_served;
        let mut together: Option<(WayId, Vec<usize>)> = None;
        let mut waiting = 0;
        let all = self.recipients.iter().enumerate();
        for (place, recipient) in all.filter(|(_, it)| is_open(it)) {
            let ready = self
                .present
                .of(recipient.id)
                .filter(|_| recipient.next <= now);
            let Some((way, _)) = ready else {
                waiting += 1;
                continue;
            };
            if !self.has_room_on(*way) {
                continue;
            }
            match &mut together {
                _ if recipient.alone => return Some((*way, vec![place])),
                None => together = Some((*way, vec![place])),
                Some((same, places)) if same == way => places.push(place),
                // Its turn comes with the next attempt, at once.
                Some(_) => {}
            }
        }
        let Some(together) = together else {
            self.gathering_since = None;
            return None;
        };
        let since = *self.gathering_since.get_or_insert(now);
        if self.transfer.is_some() && waiting > 0 && now < since + GATHER {
            return None;
        }
        self.gathering_since = None;
        Some(together)
    }

    fn has_room_on(&self, way: WayId) -> bool {
        let on_way = self.roads.values().filter(|(id, _)| *id == way);
        on_way.count() < ATTEMPTS_OF_WAY
    }

    /// An attempt with these recipients has begun.
    pub(super) fn on_attempt(
        &mut self,
        (transfer, recipients): (TransferId, &[usize]),
        (way, road): (WayId, Road),
        (files, bytes, text): (Option<u64>, Option<u64>, bool),
    ) {
        self.roads.insert(transfer, (way, road));
        self.transfer.get_or_insert(transfer);
        let mut to = Vec::with_capacity(recipients.len());
        for place in recipients {
            let recipient = &mut self.recipients[*place];
            (recipient.is_served, recipient.was_offered) = (true, true);
            to.push(recipient.peer());
        }
        self.events.push(Event::Offered {
            transfer,
            to,
            files,
            bytes,
            text,
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
    pub(super) fn on_attempt_over(&mut self, transfer: TransferId) {
        self.roads.remove(&transfer);
    }

    /// Takes what an attempt found out about its recipients; what is to be carried out comes back.
    pub(super) fn on_effect(
        &mut self,
        now: Duration,
        transfer: TransferId,
        effect: Effect,
    ) -> Option<Effect> {
        let (way, road) = self.roads.get(&transfer).copied()?;
        match effect {
            Effect::Progress {
                peer,
                file,
                bytes,
                total,
                resumed_from,
                road: taken,
                limited_by,
            } => {
                let recipient = self.of(peer)?;
                recipient.moved(now);
                let peer = recipient.peer();
                self.events.push(Event::Progress {
                    transfer,
                    peer,
                    file,
                    bytes,
                    total,
                    resumed_from,
                    road: taken.unwrap_or(road),
                    limited_by,
                });
            }
            Effect::Delivered { peer, file } => {
                let recipient = self.of(peer)?;
                recipient.moved(now);
                if recipient.file_delivered(&file.path, file.content.len) {
                    let peer = recipient.peer();
                    self.events.push(Event::Delivered {
                        transfer,
                        peer,
                        file: file.path,
                        bytes: file.content.len,
                        blake3: file.content.blake3.into(),
                        resumed_from: file.resumed_from,
                        already_there: file.already_there,
                        renamed: file.renamed,
                        road: file.road.unwrap_or(road),
                    });
                }
            }
            Effect::FileFailed { peer, path, error } => {
                let recipient = self.of(peer)?;
                recipient.moved(now);
                if recipient.file_failed(&path, error.clone()) {
                    let peer = Some(recipient.peer());
                    self.failed(transfer, (peer, Some(path)), error);
                }
            }
            Effect::PartOver { peer, end } => {
                let place = *self.places.get(&peer)?;
                if end.is_fruitless() {
                    self.present.on_failed(way, peer);
                }
                self.on_part_over(now, Some(transfer), place, end);
            }
            effect => return Some(effect),
        }
        None
    }

    /// A file cannot be read, and so goes to nobody.
    pub(super) fn on_unreadable(&mut self, transfer: TransferId, path: String, failure: Error) {
        // Every attempt walks the tree again; people need to know it once.
        if !self.unread.iter().any(|(known, _)| *known == path) {
            self.failed(transfer, (None, Some(path.clone())), failure.clone());
            self.unread.push((path, failure));
        }
    }

    /// Gives up on those who cannot be served any more.
    pub(super) fn on_tick(&mut self, now: Duration) {
        let spent = !self.can_repeat && self.transfer.is_some();
        for place in 0..self.recipients.len() {
            let recipient = &self.recipients[place];
            let is_present = self.present.has(recipient.id);
            if let Some(error) = recipient.given_up(now, self.patience, is_present, spent) {
                self.fail(place, error);
            }
        }
    }

    /// Fails everyone who is pending.
    pub(super) fn on_end(&mut self, error: &Error) {
        for place in 0..self.recipients.len() {
            if self.recipients[place].is_pending() {
                self.fail(place, error.clone());
            }
        }
    }

    /// What became of everyone, and the last event.
    pub(super) fn finish(&mut self, elapsed: Duration) -> Summary {
        let recipients = std::mem::take(&mut self.recipients);
        let failed = recipients.iter().filter(|t| t.failure().is_some()).count() as u64;
        self.events.push(Event::Done {
            transfer: self.known_as(),
            files: recipients.iter().map(|t| t.files).max().unwrap_or(0),
            bytes: recipients.iter().map(|t| t.bytes).max().unwrap_or(0),
            elapsed,
            delivered: recipients.len() as u64 - failed,
            failed,
        });
        let unread = std::mem::take(&mut self.unread);
        Summary { recipients, unread }
    }

    fn of(&mut self, peer: PeerId) -> Option<&mut Recipient> {
        let place = *self.places.get(&peer)?;
        self.recipients.get_mut(place)
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
        let recipient = &mut self.recipients[place];
        recipient.is_served = false;
        if !recipient.is_pending() {
            return;
        }
        match end {
            PartEnd::Done => {
                recipient.status = Status::Done;
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
                if recipient.again(now, next, error, (answered, progressed)) {
                    let peer = Some(recipient.peer());
                    self.events.push(Event::Retrying { peer, reason });
                }
            }
        }
    }

    fn fail(&mut self, place: usize, failure: Error) {
        let recipient = &mut self.recipients[place];
        self.pending -= 1;
        recipient.status = Status::Failed(failure.clone());
        let peer = Some(recipient.peer());
        self.failed(self.known_as(), (peer, None), failure);
    }

    fn failed(
        &mut self,
        transfer: TransferId,
        (peer, file): (Option<PeerRef>, Option<String>),
        failure: Error,
    ) {
        self.events.push(Event::Failed {
            transfer,
            peer,
            file,
            failure,
        });
    }
}
