//! Carries out what the state machines of a send ask for: offers, streams, messages, reconnecting.
//!
//! One task owns all of it, so that nothing is locked. Files are tasks of their own, and what
//! computes or reads is on threads; both report through one bounded queue.

mod incoming;
mod start;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Summary,
    attempt::{Effect, FileNote, PartEnd},
    clock::Clock,
    interrupted,
    outbox::{Outbox, Outgoing, any_has_room},
    payload::Payload,
    producer::Produced,
    replaced::ReplacedNames,
    running::{Running, next_produced},
    sender::Sender,
};
use crate::{
    protocol::{Code, PeerMessage, TransferId},
    quic::RateLimit,
    sealing::Compression,
    transfer::{Error, Event, Member, Observer, WayId, Ways, direct::ControlEvent, vigil::LOOK},
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
    pub(super) replaced: ReplacedNames,
}

type OfDirect = (TransferId, ControlEvent);

/// One send on its way.
struct Run<'d, 'a> {
    driver: &'d mut Driver<'a>,
    sender: &'d mut Sender,
    running: HashMap<TransferId, Running>,
    notes: mpsc::Sender<(TransferId, FileNote)>,
    noted: mpsc::Receiver<(TransferId, FileNote)>,
    /// Messages for which there has been no room yet, by way.
    outboxes: HashMap<WayId, Outbox>,
    /// Since when there has been no way at all, and why.
    cut_off: Option<(Duration, Error)>,
    /// What comes by direct connections once the relay is lost.
    direct: (mpsc::Sender<OfDirect>, mpsc::Receiver<OfDirect>),
    /// Attempts that are over and say their last by a direct connection.
    parting: JoinSet<()>,
    /// Whether something happened that may let an attempt begin.
    look: bool,
}

impl Driver<'_> {
    /// Serves everyone, over as many connections as that takes.
    pub(super) async fn run(
        &mut self,
        sender: &mut Sender,
        mut ways: Ways<'_>,
        cancel: &CancellationToken,
    ) -> Summary {
        let started = Instant::now();
        Run::new(self, sender, &ways)
            .until_over(&mut ways, cancel)
            .await;
        ways.close(Code::Done).await;
        let summary = sender.finish(started.elapsed());
        self.show(sender);
        summary
    }

    fn notice(&self, text: Option<String>) {
        if let Some(text) = text {
            self.observer.event(Event::Notice { text });
        }
    }

    fn show(&self, sender: &mut Sender) {
        for event in sender.take_events() {
            self.observer.event(event);
        }
    }
}

impl<'d, 'a> Run<'d, 'a> {
    fn new(driver: &'d mut Driver<'a>, sender: &'d mut Sender, ways: &Ways<'_>) -> Self {
        let (notes, noted) = mpsc::channel(NOTES);
        Self {
            driver,
            sender,
            running: HashMap::new(),
            notes,
            noted,
            outboxes: ways
                .channels()
                .map(|(way, channel)| (way, Outbox::new(channel.messages())))
                .collect(),
            cut_off: None,
            direct: mpsc::channel(NOTES),
            parting: JoinSet::new(),
            look: true,
        }
    }

    async fn until_over(&mut self, ways: &mut Ways<'_>, cancel: &CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = self.driver.clock.now();
            while std::mem::take(&mut self.look)
                && let Some((way, recipients)) = self.sender.next_attempt(now)
            {
                self.start(now, (way, ways), &recipients);
                self.look = true;
            }
            self.advance(now, ways);
            self.driver.show(self.sender);
            self.outboxes.values_mut().for_each(Outbox::flush);
            if self.sender.is_over() && self.running.is_empty() {
                return self.say_last_words().await;
            }
            let deadline = self.running.values().filter_map(|r| r.attempt.deadline());
            let deadline = deadline.min().map(|at| at.saturating_sub(now));
            let (running, outboxes) = (&mut self.running, self.outboxes.values());
            tokio::select! {
                biased;
                () = cancel.cancelled() => return self.cancel().await,
                Some((transfer, note)) = self.noted.recv() => self.on_note(transfer, note),
                Some((transfer, event)) = self.direct.1.recv() => self.on_control(transfer, event, ways),
                event = ways.next() => self.on_way_event(event, ways),
                (transfer, produced) = next_produced(running) => self.on_produced(transfer, produced),
                () = any_has_room(outboxes) => {}
                Some(_) = self.parting.join_next(), if !self.parting.is_empty() => {}
                _ = look.tick() => {
                    for running in self.running.values_mut() {
                        if let Some(channel) = ways.channel(running.way) {
                            running.watch_relay(channel);
                        }
                    }
                }
                () = sleep(deadline), if deadline.is_some() => self.on_tick(ways),
                _ = tick.tick() => {
                    self.look = true;
                    self.on_tick(ways);
                }
            }
        }
    }

    /// Carries out everything that has become due, and ends attempts that are over.
    fn advance(&mut self, now: Duration, ways: &Ways<'_>) {
        let mut over = Vec::new();
        for (transfer, running) in &mut self.running {
            // A task that has ended keeps its memory until it is joined.
            while running.tasks.try_join_next().is_some() {}
            let channel = ways.channel(running.way);
            let mut outbox = self.outboxes.get_mut(&running.way);
            // A way that is lost says so soon.
            if (channel.is_none() || outbox.is_none()) && !running.has_taken_over() {
                continue;
            }
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
                    if let Effect::Begin {
                        sole: Some(peer), ..
                    } = effect
                        && let Some(channel) = channel
                    {
                        let told = (self.driver.observer, &self.direct.0);
                        running.open_direct(peer, channel, told);
                    }
                    running.carry_out(effect, outbox.as_deref_mut());
                }
            }
            if running.attempt.is_over() {
                over.push(*transfer);
            } else if let Some(job) = running.held.take() {
                running.launch(job);
            }
        }
        let all_done = self.sender.is_over() && self.sender.is_success();
        // Recipients keep their notes for resuming until nobody is to come back for them. While others
        // are not served, the same command may be run again: theirs stay.
        let code = match all_done {
            true => Code::Done,
            false => Code::Cancelled,
        };
        for running in self.running.values_mut() {
            for peer in running.take_dismissed(now, all_done) {
                let message = PeerMessage::Cancel { code };
                let outbox = self.outboxes.get_mut(&running.way);
                running.say(Some(peer), message, outbox);
            }
        }
        for transfer in over {
            self.sender.on_attempt_over(transfer);
            if let Some(ended) = self.running.remove(&transfer) {
                if let Some(outbox) = self.outboxes.get_mut(&ended.way) {
                    outbox.push(Outgoing::Close(transfer));
                }
                if ended.has_taken_over() {
                    self.parting.spawn(ended.part());
                }
            }
            self.look = true;
        }
    }

    fn on_note(&mut self, transfer: TransferId, note: FileNote) {
        let now = self.driver.clock.now();
        if let Some(running) = self.running.get_mut(&transfer) {
            running.attempt.on_note(now, note);
        }
    }

    fn on_produced(&mut self, transfer: TransferId, produced: Option<Produced>) {
        let now = self.driver.clock.now();
        let Some(running) = self.running.get_mut(&transfer) else {
            return;
        };
        match produced {
            Some(Produced::File(job)) => running.launch(job),
            Some(Produced::Hashing) => running.attempt.on_hashing(now),
            Some(Produced::Replaced(from, to)) => {
                let text = self.driver.replaced.add(&from, &to);
                self.driver.notice(text);
            }
            Some(Produced::Unreadable(path, error)) => {
                self.sender.on_unreadable(transfer, path, error);
            }
            Some(Produced::End(files)) => {
                running.produced = None;
                running.attempt.on_all_found(now, files);
                if running.announce {
                    let text = self.driver.replaced.finish();
                    self.driver.notice(text);
                }
            }
            None => running.produced = None,
        }
    }

    fn on_tick(&mut self, ways: &Ways<'_>) {
        let now = self.driver.clock.now();
        for running in self.running.values_mut() {
            running.attempt.on_tick(now);
        }
        match &self.cut_off {
            Some((since, error)) if now.saturating_sub(*since) >= self.driver.timeout => {
                let error = error.clone();
                self.sender.on_end(&error);
            }
            // Nobody can make progress.
            Some(_) => {}
            // Who is not there may be on a way that is not open yet.
            None if !ways.has_settled() => {}
            None => self.sender.on_tick(now),
        }
    }

    /// Stops everything, and says so to everyone.
    async fn cancel(&mut self) {
        for (transfer, running) in &self.running {
            let code = Code::Cancelled;
            let message = PeerMessage::Cancel { code };
            let mut outbox = self.outboxes.get_mut(&running.way);
            running.say(None, message, outbox.as_deref_mut());
            if let Some(outbox) = outbox {
                outbox.push(Outgoing::Close(*transfer));
            }
        }
        for (_, running) in self.running.drain() {
            if running.has_taken_over() {
                self.parting.spawn(running.part());
            }
        }
        self.sender.on_end(&interrupted());
        self.say_last_words().await;
    }

    /// Sends everything that waits, as far as a moment suffices.
    async fn say_last_words(&mut self) {
        let waiting = self.outboxes.values_mut().filter(|it| !it.is_empty());
        join_all(waiting.map(Outbox::drain)).await;
        while self.parting.join_next().await.is_some() {}
    }
}

async fn sleep(time: Option<Duration>) {
    tokio::time::sleep(time.unwrap_or_default()).await;
}
