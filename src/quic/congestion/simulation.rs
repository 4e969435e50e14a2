//! Senders on a link in virtual time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::{Duration, Instant},
};

use super::{
    PathRate,
    model::Model,
    path::{PACKET, Path},
    rivals::{Bbr, Cubic},
};

/// What decides how much a sender has under way.
#[derive(Debug)]
pub(crate) enum Control {
    /// Ours.
    Model(Box<Model>),
    /// TCP's, which fills queues until something is lost.
    Cubic(Cubic),
    /// TCP's, which keeps twice what the path holds under way and ignores losses.
    Bbr(Box<Bbr>),
}

#[derive(Debug)]
struct Sender {
    control: Control,
    next: u64,
    /// Packets under way, and when they were sent.
    flying: BTreeMap<u64, Instant>,
    in_flight: u64,
    smoothed: Duration,
    tokens: f64,
    filled: Instant,
    wakes: Option<Instant>,
    checks: Option<Instant>,
    delivered: u64,
    lost: u64,
    largest: u64,
    /// Received and not acknowledged yet.
    owed: Vec<u64>,
    /// At most so many bytes per second are there to be sent.
    supply: f64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wake(usize),
    Arrives(usize, u64),
    Delayed(usize, u64),
    Acked(usize, Vec<u64>),
    Check(usize),
}

/// A path and its senders.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) path: Path,
    start: Instant,
    now: Instant,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    number: u64,
    free_at: Instant,
    senders: Vec<Sender>,
    random: u64,
    /// The longest and the summed wait of packets, and how many there were.
    pub(crate) waits: (Duration, Duration, u32),
}

impl World {
    pub(crate) fn new(path: Path, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            path,
            start,
            now: start,
            events: BinaryHeap::new(),
            number: 0,
            free_at: start,
            senders: Vec::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            waits: (Duration::ZERO, Duration::ZERO, 0),
        }
    }

    pub(crate) fn model(&mut self, after: Duration) -> usize {
        let begins = self.start + after;
        let model = Model::new(begins, PACKET as u16, None);
        self.add(Control::Model(Box::new(model)), begins)
    }

    /// One of ours that begins at once, on a path of which so much is known.
    pub(crate) fn known(&mut self, known: Option<PathRate>) -> usize {
        let model = Model::new(self.start, PACKET as u16, known);
        self.add(Control::Model(Box::new(model)), self.start)
    }

    pub(crate) fn cubic(&mut self, after: Duration) -> usize {
        let begins = self.start + after;
        self.add(Control::Cubic(Cubic::new(begins)), begins)
    }

    pub(crate) fn bbr(&mut self, after: Duration) -> usize {
        let begins = self.start + after;
        self.add(Control::Bbr(Box::new(Bbr::new(begins))), begins)
    }

    fn add(&mut self, control: Control, begins: Instant) -> usize {
        self.senders.push(Sender {
            control,
            next: 0,
            flying: BTreeMap::new(),
            in_flight: 0,
            smoothed: self.path.round_trip,
            tokens: 0.0,
            filled: begins,
            wakes: None,
            checks: None,
            delivered: 0,
            lost: 0,
            largest: 0,
            owed: Vec::new(),
            supply: f64::MAX,
        });
        let sender = self.senders.len() - 1;
        self.at(begins, Event::Wake(sender));
        sender
    }

    /// Gives a sender no more than so many bytes per second.
    pub(crate) fn limit(&mut self, sender: usize, rate: f64) {
        self.senders[sender].supply = rate;
    }

    /// Bytes that a sender has delivered.
    pub(crate) fn delivered(&self, sender: usize) -> u64 {
        self.senders[sender].delivered
    }

    pub(crate) fn lost(&self, sender: usize) -> u64 {
        self.senders[sender].lost
    }

    /// Time that has passed.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Runs until so much time has passed in all.
    pub(crate) fn run(&mut self, until: Duration) {
        self.run_while(until, |_| true);
    }

    /// Runs until a sender has delivered so many bytes; whether it did in time.
    pub(crate) fn deliver(&mut self, sender: usize, bytes: u64, limit: Duration) -> bool {
        self.run_while(limit, |world| world.delivered(sender) < bytes);
        self.delivered(sender) >= bytes
    }

    fn run_while(&mut self, until: Duration, go_on: impl Fn(&Self) -> bool) {
        let until = self.start + until;
        while go_on(self) {
            match self.events.peek() {
                Some(Reverse((at, ..))) if *at <= until => {}
                _ => break,
            }
            let Reverse((at, _, event)) = self.events.pop().expect("there is one");
            self.now = at;
            match event {
                Event::Wake(sender) => {
                    self.senders[sender].wakes = None;
                    self.send(sender);
                }
                Event::Arrives(sender, packet) => self.arrives(sender, packet),
                Event::Delayed(sender, packet) => {
                    if self.senders[sender].owed.contains(&packet) {
                        let packets = std::mem::take(&mut self.senders[sender].owed);
                        let due = self.now + self.path.round_trip / 2;
                        self.at(due, Event::Acked(sender, packets));
                    }
                }
                Event::Acked(sender, packets) => self.acked(sender, &packets),
                Event::Check(sender) => {
                    self.senders[sender].checks = None;
                    self.detect_losses(sender);
                    self.send(sender);
                }
            }
        }
        self.now = self.now.max(until.min(self.now));
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.number += 1;
        self.events.push(Reverse((at, self.number, event)));
    }

    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn window(&self, sender: usize) -> u64 {
        match &self.senders[sender].control {
            Control::Model(model) => model.window(),
            Control::Cubic(cubic) => cubic.window(),
            Control::Bbr(bbr) => bbr.window(),
        }
    }

    /// Sends what window and pace allow, as quinn's pacer does.
    fn send(&mut self, index: usize) {
        let window = self.window(index);
        let now = self.now;
        let sender = &mut self.senders[index];
        let elapsed = (now - sender.filled).as_secs_f64();
        let pace = match &sender.control {
            Control::Bbr(bbr) => bbr.pace(sender.smoothed),
            _ => 1.25 * window as f64 / sender.smoothed.as_secs_f64(),
        };
        let pace = pace.min(sender.supply);
        let burst = (pace * 0.002).clamp(10.0 * PACKET as f64, 256.0 * PACKET as f64);
        sender.tokens = (sender.tokens + pace * elapsed).min(burst);
        sender.filled = now;
        let mut batch = Vec::new();
        while batch.len() < 10
            && sender.in_flight + PACKET <= window
            && sender.tokens >= PACKET as f64
        {
            sender.tokens -= PACKET as f64;
            sender.in_flight += PACKET;
            sender.flying.insert(sender.next, now);
            batch.push(sender.next);
            sender.next += 1;
        }
        if !batch.is_empty() {
            let bytes = batch.len() as u64 * PACKET;
            match &mut sender.control {
                Control::Model(model) => model.on_sent(now, bytes),
                Control::Bbr(bbr) => bbr.on_sent(now, sender.in_flight > bytes),
                Control::Cubic(_) => {}
            }
        }
        for packet in batch {
            self.enters(index, packet);
        }
        let sender = &mut self.senders[index];
        if !sender.flying.is_empty() && sender.checks.is_none() {
            // All of them may be lost.
            let next = now + sender.smoothed * 4;
            sender.checks = Some(next);
            self.at(next, Event::Check(index));
        }
        let sender = &mut self.senders[index];
        if sender.in_flight + PACKET <= window && sender.wakes.is_none() {
            // The pacer waits for a burst.
            let missing = (burst - sender.tokens).max(PACKET as f64).min(burst);
            let wait = match sender.tokens >= PACKET as f64 {
                true => Duration::from_micros(1),
                false => Duration::from_secs_f64(missing / pace),
            };
            sender.wakes = Some(now + wait);
            self.at(now + wait, Event::Wake(index));
        }
    }

    fn enters(&mut self, sender: usize, packet: u64) {
        let now = self.now;
        if self.chance() < self.path.loss {
            return;
        }
        let wait = self.free_at.saturating_duration_since(now);
        if wait > self.path.queue {
            return;
        }
        self.waits.0 = self.waits.0.max(wait);
        self.waits.1 += wait;
        self.waits.2 += 1;
        self.free_at =
            self.free_at.max(now) + Duration::from_secs_f64((PACKET + 48) as f64 / self.path.rate);
        let mut due = self.free_at + self.path.round_trip / 2;
        if self.path.late.0 > 0.0 && self.chance() < self.path.late.0 {
            due += self.path.late.1;
        }
        self.at(due, Event::Arrives(sender, packet));
    }

    fn arrives(&mut self, index: usize, packet: u64) {
        let sender = &mut self.senders[index];
        sender.owed.push(packet);
        // Every other packet, and at once where one is missing.
        let gap = packet > 0 && sender.flying.contains_key(&(packet - 1));
        if sender.owed.len() >= 2 || gap {
            let packets = std::mem::take(&mut sender.owed);
            let due = self.now + self.path.round_trip / 2;
            self.at(due, Event::Acked(index, packets));
        } else {
            // As long as QUIC holds an acknowledgement back at most.
            let due = self.now + Duration::from_millis(25);
            self.at(due, Event::Delayed(index, packet));
        }
    }

    fn acked(&mut self, index: usize, packets: &[u64]) {
        let now = self.now;
        let window = self.window(index);
        let sender = &mut self.senders[index];
        let idled = sender.supply < f64::MAX && sender.in_flight + 10 * PACKET < window;
        for packet in packets {
            let Some(sent) = sender.flying.remove(packet) else {
                continue;
            };
            sender.in_flight -= PACKET;
            sender.delivered += PACKET;
            sender.largest = sender.largest.max(*packet);
            sender.smoothed = (sender.smoothed * 7 + (now - sent)) / 8;
            match &mut sender.control {
                Control::Model(model) => model.on_ack(now, sent, PACKET, idled),
                Control::Cubic(cubic) => cubic.on_ack(now, sender.smoothed),
                Control::Bbr(bbr) => bbr.on_ack(now, sent),
            }
        }
        match &mut sender.control {
            Control::Model(model) => model.on_end_acks(now, sender.in_flight, idled),
            Control::Bbr(bbr) => bbr.on_end_acks(now, sender.in_flight),
            Control::Cubic(_) => {}
        }
        self.detect_losses(index);
        self.send(index);
    }

    fn detect_losses(&mut self, index: usize) {
        let now = self.now;
        let sender = &mut self.senders[index];
        let delay = sender.smoothed.mul_f64(1.25);
        let (largest, mut lost, mut newest) = (sender.largest, 0, None);
        let mut next = None;
        while let Some((&packet, &sent)) = sender.flying.first_key_value() {
            if packet >= largest {
                break;
            }
            if now - sent < delay {
                next = Some(sent + delay);
                break;
            }
            sender.flying.remove(&packet);
            sender.in_flight -= PACKET;
            sender.lost += PACKET;
            lost += PACKET;
            newest = Some(sent);
        }
        // Where nothing at all comes back, as after a probe timeout.
        if lost == 0
            && let Some((&packet, &sent)) = sender.flying.last_key_value()
            && now - sent > sender.smoothed * 3
            && packet >= largest
        {
            lost = sender.in_flight;
            sender.lost += lost;
            sender.in_flight = 0;
            sender.flying.clear();
            newest = Some(sent);
        }
        if let Some(sent) = newest {
            match &mut sender.control {
                Control::Model(model) => model.on_loss(now, sent, lost, false),
                Control::Cubic(cubic) => cubic.on_loss(now, sent),
                Control::Bbr(_) => {}
            }
        }
        let next = match next {
            None if sender.flying.is_empty() => return,
            None => now + sender.smoothed * 4,
            Some(next) => next,
        };
        if sender.checks.is_none_or(|at| at > next) {
            sender.checks = Some(next);
            self.at(next, Event::Check(index));
        }
    }
}
