//! Carries out what the state machines of a send ask for: offers, streams, messages, reconnecting.
//!
//! One task owns all of it, so that nothing is locked. Files are tasks of their own, and what
//! computes or reads is on threads; both report through one bounded queue.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Summary,
    attempt::{Attempt, Effect, FileNote, PartEnd, Places},
    clock::Clock,
    file::Notes,
    interrupted,
    keys::AttemptKeys,
    outbox::{Outbox, Outgoing},
    payload::Payload,
    producer::Produced,
    running::{Running, next_produced},
    sender::Sender,
};
use crate::{
    protocol::{Code, PeerMessage, TransferId},
    quic::RateLimit,
    sealing::{Compression, NewTransfer, Suite, TransferSealer},
    transfer::{Channel, Error, ErrorKind, Member, MessageSender, Observer, PeerEvent},
};

/// What files' tasks have found out and nobody has taken yet.
const NOTES: usize = 512;
/// How often time limits are looked at.
const TICK: Duration = Duration::from_millis(250);

/// What every attempt of one send has in common.
pub(super) struct Driver<'a> {
    pub(super) member: &'a Member,
    pub(super) observer: &'a Arc<dyn Observer>,
    pub(super) payload: Payload,
    pub(super) timeout: Duration,
    pub(super) limit: Option<Arc<RateLimit>>,
    pub(super) compression: Compression,
    pub(super) clock: Clock,
}

/// Why the loop ended.
enum End {
    Over,
    Cancelled,
    Lost,
}

/// One send on its way.
struct Run<'d, 'a> {
    driver: &'d mut Driver<'a>,
    sender: &'d mut Sender,
    running: HashMap<TransferId, Running>,
    notes: mpsc::Sender<(TransferId, FileNote)>,
    noted: mpsc::Receiver<(TransferId, FileNote)>,
    /// Messages for which the channel has had no room yet.
    outbox: Outbox,
    /// Whether something happened that may let an attempt begin.
    look: bool,
}

impl Driver<'_> {
    /// Serves everyone, over as many connections as that takes.
    pub(super) async fn run(
        &mut self,
        sender: &mut Sender,
        mut channel: Channel,
        cancel: &CancellationToken,
    ) -> Summary {
        let started = Instant::now();
        loop {
            let mut run = Run::new(self, sender);
            let end = run.until_lost(&mut channel, cancel).await;
            match end {
                End::Over | End::Cancelled => {
                    self.member.note_rate(&channel);
                    channel.close(Code::Done).await;
                    break;
                }
                End::Lost => {}
            }
            let reason = channel.ended().await;
            let error =
                Error::from_source(ErrorKind::Unreachable, reason).context("the relay was lost");
            run.on_lost(&error);
            drop(run);
            self.show(sender);
            if sender.is_over() {
                break;
            }
            let again = tokio::select! {
                () = cancel.cancelled() => Err(interrupted()),
                again = self.reconnect(error, self.timeout) => again,
            };
            match again {
                Ok(fresh) => {
                    channel = fresh;
                    sender.on_connected(self.clock.now(), channel.road());
                    channel.ask_who_is_there(true).await;
                }
                Err(error) => {
                    sender.on_end(&error);
                    break;
                }
            }
        }
        let summary = sender.finish(started.elapsed());
        self.show(sender);
        summary
    }

    fn show(&self, sender: &mut Sender) {
        for event in sender.take_events() {
            self.observer.event(event);
        }
    }
}

impl<'d, 'a> Run<'d, 'a> {
    fn new(driver: &'d mut Driver<'a>, sender: &'d mut Sender) -> Self {
        let (notes, noted) = mpsc::channel(NOTES);
        Self {
            driver,
            sender,
            running: HashMap::new(),
            notes,
            noted,
            outbox: Outbox::default(),
            look: true,
        }
    }

    async fn until_lost(&mut self, channel: &mut Channel, cancel: &CancellationToken) -> End {
        let messages = channel.messages();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = self.driver.clock.now();
            while std::mem::take(&mut self.look)
                && let Some(recipients) = self.sender.next_attempt(now)
            {
                self.start(now, &recipients);
                self.look = true;
            }
            self.advance(now, channel);
            self.driver.show(self.sender);
            self.outbox.flush(&messages);
            if self.sender.is_over() && self.running.is_empty() {
                self.outbox.drain(&messages).await;
                return End::Over;
            }
            let deadline = self.running.values().filter_map(|r| r.attempt.deadline());
            let deadline = deadline.min().map(|at| at.saturating_sub(now));
            let running = &mut self.running;
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    self.cancel(&messages).await;
                    return End::Cancelled;
                }
                Some((transfer, note)) = self.noted.recv() => self.on_note(transfer, note),
                event = channel.recv() => match event {
                    Some(event) => self.on_event(event),
                    None => return End::Lost,
                },
                (transfer, produced) = next_produced(running) => self.on_produced(transfer, produced, channel),
                () = messages.has_room(), if !self.outbox.is_empty() => {}
                () = sleep(deadline), if deadline.is_some() => self.on_tick(),
                _ = tick.tick() => {
                    self.look = true;
                    self.on_tick();
                }
            }
        }
    }

    /// Offers the payload to these, in an attempt with fresh keys.
    fn start(&mut self, now: Duration, recipients: &[usize]) {
        let Some(walk) = self.driver.payload.take() else {
            return;
        };
        if !self.driver.payload.can_be_sent_again() {
            self.sender.on_payload_taken_for_good();
        }
        let member = self.driver.member;
        let link = recipients.iter().all(|place| {
            let peer = self.sender.present(self.sender.target(*place).id);
            peer.is_none_or(|peer| peer.bundle.hard_links)
        });
        let count = u32::try_from(recipients.len())
            .ok()
            .and_then(NonZeroU32::new);
        let sealer = TransferSealer::new(&NewTransfer {
            identity: &member.identity,
            name: &member.name,
            room: member.room(),
            member_key: &member.member_key(),
            suite: Suite::preferred(),
            recipients: count.expect("an attempt has recipients, and not four billion"),
            manifest: &self.driver.payload.manifest(link),
        });
        let transfer = sealer.transfer();
        let extent = self.driver.payload.extent(link);
        let known = (extent.files, extent.bytes);
        self.sender.on_attempt((transfer, recipients), known);
        let mut parts = Vec::with_capacity(recipients.len());
        for place in recipients {
            let peer = self.sender.target(*place).id;
            let Some(bundle) = self.sender.present(peer).map(|peer| &peer.bundle) else {
                continue;
            };
            match sealer.offer_to(bundle) {
                Ok(offer) => {
                    parts.push((peer, sealer.receipts(bundle.key)));
                    let message = PeerMessage::Offer { offer };
                    self.outbox.message(transfer, Some(peer), message);
                }
                Err(error) => {
                    let error = Error::from_source(ErrorKind::NoSuchPeer, error);
                    self.sender.on_not_offered(now, *place, error);
                }
            }
        }
        let places = match self.running.is_empty() {
            true => Places::FIRST,
            false => Places::BESIDE,
        };
        let running = Running {
            attempt: Attempt::new(parts, (self.driver.timeout, places), now),
            keys: Arc::new(AttemptKeys {
                sealer,
                compression: self.driver.compression,
            }),
            walk: Some(walk),
            link,
            produced: None,
            held: None,
            starts: HashMap::new(),
            tasks: JoinSet::new(),
            done: Vec::new(),
        };
        self.running.insert(transfer, running);
    }

    /// Carries out everything that has become due, and ends attempts that are over.
    fn advance(&mut self, now: Duration, channel: &Channel) {
        let mut over = Vec::new();
        for (transfer, running) in &mut self.running {
            // A task that has ended keeps its memory until it is joined.
            while running.tasks.try_join_next().is_some() {}
            loop {
                let effects = running.attempt.take_effects();
                if effects.is_empty() {
                    break;
                }
                for effect in effects {
                    self.look |= matches!(effect, Effect::PartOver { .. });
                    if let Effect::PartOver {
                        peer,
                        end: PartEnd::Done,
                    } = effect
                    {
                        running.done.push((peer, now));
                    }
                    let Some(effect) = self.sender.on_effect(now, *transfer, effect) else {
                        continue;
                    };
                    running.carry_out(*transfer, effect, &mut self.outbox);
                }
            }
            if running.attempt.is_over() {
                over.push(*transfer);
            } else if let Some(job) = running.held.take() {
                let notes = Notes {
                    transfer: *transfer,
                    sender: self.notes.clone(),
                };
                running.launch(job, channel, (notes, self.driver.limit.clone()));
            }
        }
        let all_done = self.sender.is_over() && self.sender.is_success();
        // Recipients keep their notes for resuming until nobody is to come back for them. While others
        // are not served, the same command may be run again: theirs stay.
        let code = match all_done {
            true => Code::Done,
            false => Code::Cancelled,
        };
        for (transfer, running) in &mut self.running {
            for peer in running.take_dismissed(now, all_done) {
                let message = PeerMessage::Cancel { code };
                self.outbox.message(*transfer, Some(peer), message);
            }
        }
        for transfer in over {
            self.running.remove(&transfer);
            self.sender.on_attempt_over();
            self.outbox.push(Outgoing::Close(transfer));
            self.look = true;
        }
    }

    fn on_event(&mut self, event: PeerEvent) {
        let now = self.driver.clock.now();
        match event {
            PeerEvent::Message {
                transfer,
                from,
                message,
            } => {
                if let Some(running) = self.running.get_mut(&transfer) {
                    running.attempt.on_message(now, from, message);
                }
            }
            PeerEvent::Gone {
                transfer,
                peer,
                code,
            } => {
                if let Some(running) = self.running.get_mut(&transfer) {
                    running.attempt.on_gone(now, peer, code);
                }
            }
            PeerEvent::Presence(peer) => {
                self.sender.on_presence(*peer);
                self.look = true;
            }
            PeerEvent::Listed => self.look = true,
            PeerEvent::Ignored { .. } => {}
        }
    }

    fn on_note(&mut self, transfer: TransferId, note: FileNote) {
        let now = self.driver.clock.now();
        if let Some(running) = self.running.get_mut(&transfer) {
            running.attempt.on_note(now, note);
        }
    }

    fn on_produced(&mut self, transfer: TransferId, produced: Option<Produced>, channel: &Channel) {
        let now = self.driver.clock.now();
        let Some(running) = self.running.get_mut(&transfer) else {
            return;
        };
        match produced {
            Some(Produced::Job(job)) => {
                let sender = self.notes.clone();
                let notes = Notes { transfer, sender };
                running.launch(job, channel, (notes, self.driver.limit.clone()));
            }
            Some(Produced::Hashing) => running.attempt.on_hashing(now),
            Some(Produced::Unreadable(path, error)) => {
                self.sender.on_unreadable(transfer, path, error);
            }
            Some(Produced::End(files)) => {
                running.produced = None;
                running.attempt.on_all_found(now, files);
            }
            None => running.produced = None,
        }
    }

    fn on_tick(&mut self) {
        let now = self.driver.clock.now();
        for running in self.running.values_mut() {
            running.attempt.on_tick(now);
        }
        self.sender.on_tick(now);
    }

    /// The channel is lost, and every attempt with it.
    fn on_lost(&mut self, error: &Error) {
        let now = self.driver.clock.now();
        for (transfer, mut running) in std::mem::take(&mut self.running) {
            running.attempt.on_lost(now, error);
            for effect in running.attempt.take_effects() {
                self.sender.on_effect(now, transfer, effect);
            }
            self.sender.on_attempt_over();
        }
    }

    /// Stops everything, and says so to everyone.
    async fn cancel(&mut self, messages: &MessageSender) {
        for transfer in self.running.keys() {
            let code = Code::Cancelled;
            let message = PeerMessage::Cancel { code };
            self.outbox.message(*transfer, None, message);
            self.outbox.push(Outgoing::Close(*transfer));
        }
        self.running.clear();
        self.sender.on_end(&interrupted());
        self.outbox.drain(messages).await;
    }
}

async fn sleep(time: Option<Duration>) {
    tokio::time::sleep(time.unwrap_or_default()).await;
}
