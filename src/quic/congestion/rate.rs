//! How fast the path delivers.

use std::{collections::VecDeque, time::Instant};

/// Rounds that the highest rate is remembered for.
///
/// One cycle of probing (see `model.rs`) and some more, so that the rate which a probe has shown lasts until
/// the next.
const ROUNDS: usize = 10;

/// Moments of sending that are remembered; beyond, the oldest is forgotten.
///
/// One for each batch in flight: ten packets and more. 8,192 are more than 100 MB.
const LOG_MAX: usize = 8_192;

/// Moments that are all that is in flight where little is sent, and how many more there is room for meanwhile.
const LOG_IDLE: usize = 4;
const LOG_KEPT: usize = 32;

/// Estimates the delivery rate, as draft-cheng-iccrg-delivery-rate-estimation does.
///
/// A sample is what was delivered between the sending of a packet and its acknowledgement, over the time
/// that this took, or over the time that sending it took, if that is longer: acknowledgements that
/// arrive in a bunch show no rate that the path does not have.
#[derive(Debug, Clone)]
pub(super) struct DeliveryRate {
    /// Bytes acknowledged so far.
    delivered: u64,
    delivered_at: Instant,
    /// When the newest packet that is acknowledged was sent.
    acked_sent: Instant,
    log: VecDeque<Sent>,
    /// The highest rate of each of the last rounds, in bytes per second.
    rounds: [f64; ROUNDS],
    round: usize,
}

/// What was known when packets were sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    delivered: u64,
    delivered_at: Instant,
    acked_sent: Instant,
}

impl DeliveryRate {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            delivered: 0,
            delivered_at: now,
            acked_sent: now,
            log: VecDeque::new(),
            rounds: [0.0; ROUNDS],
            round: 0,
        }
    }

    /// Bytes acknowledged so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Packets are sent, when `in_flight` says whether others are under way.
    pub(super) fn sent(&mut self, now: Instant, in_flight: bool) {
        if self.log.back().is_some_and(|last| last.at >= now) {
            return;
        }
        if !in_flight {
            // Nothing was to be delivered meanwhile.
            self.delivered_at = now;
            self.acked_sent = now;
        }
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(Sent {
            at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            acked_sent: self.acked_sent,
        });
    }

    /// Bytes are acknowledged.
    pub(super) fn acked(&mut self, now: Instant, bytes: u64) {
        self.delivered += bytes;
        self.delivered_at = now;
    }

    /// A batch of acknowledgements is complete, the newest for a packet sent at `sent`; takes a sample.
    ///
    /// When the sender has `idled`, the sample only counts if it is higher than all others.
    pub(super) fn sample(&mut self, now: Instant, sent: Instant, idled: bool) {
        while self.log.get(1).is_some_and(|next| next.at <= sent) {
            self.log.pop_front();
        }
        if self.log.len() <= LOG_IDLE && self.log.capacity() > LOG_KEPT {
            // A relay has thousands of connections that are idle after a file.
            self.log.shrink_to(LOG_IDLE);
        }
        self.acked_sent = self.acked_sent.max(sent);
        let Some(then) = self.log.front().filter(|then| then.at <= sent) else {
            return;
        };
        let acking = now.saturating_duration_since(then.delivered_at);
        let sending = sent.saturating_duration_since(then.acked_sent);
        let span = acking.max(sending);
        // What is shorter than a round trip is no sample of the path.
        if span.is_zero() || span < now.saturating_duration_since(sent).mul_f64(0.9) {
            return;
        }
        let rate = (self.delivered - then.delivered) as f64 / span.as_secs_f64();
        if !idled || rate > self.highest() {
            let best = &mut self.rounds[self.round];
            *best = best.max(rate);
        }
    }

    /// A round trip is over.
    pub(super) fn end_round(&mut self) {
        self.round = (self.round + 1) % ROUNDS;
        self.rounds[self.round] = 0.0;
    }

    /// The highest rate of the last rounds, in bytes per second; 0 while there is none.
    pub(super) fn highest(&self) -> f64 {
        self.rounds.iter().copied().fold(0.0, f64::max)
    }

    /// The rate of the last complete round and this one.
    pub(super) fn latest(&self) -> f64 {
        let last = (self.round + ROUNDS - 1) % ROUNDS;
        self.rounds[self.round].max(self.rounds[last])
    }

    /// Forgets all but the latest rate: the path carries less than it did.
    pub(super) fn forget(&mut self) {
        let latest = self.latest();
        self.rounds = [0.0; ROUNDS];
        self.rounds[self.round] = latest;
    }
}
