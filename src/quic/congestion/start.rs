//! How a connection finds out what its path carries.

use std::time::{Duration, Instant};

use super::train::Trains;

/// What is added to the window for each byte that is acknowledged.
///
/// quinn's pace is 1.25 windows in a round trip, and the window grows meanwhile: with 1, what is under way
/// grows by three fourths in a round trip instead of doubling.
const GROWTH: f64 = 1.5;
/// The same where trains of packets have shown that there is room: what is under way grows to four times as much in
/// a round trip (as SUSS does, SIGCOMM 2024).
const FAST_GROWTH: f64 = 4.0;
/// How much of what trains have shown may be in use for there to be room.
const ROOM: f64 = 0.5;
/// What is added where trains have shown that the path is full already: they may have shown too little.
const CAREFUL_GROWTH: f64 = 0.5;
/// How much of it is the path and a little of its queue.
const FULL: f64 = 1.0;
/// Rounds without a fourth more that show that the path is full.
const FLAT_ROUNDS: u32 = 3;

/// Doubles what is under way each round trip.
#[derive(Debug, Clone)]
pub(super) struct Start {
    best: f64,
    flat: u32,
    trains: Trains,
}

impl Start {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            best: 0.0,
            flat: 0,
            trains: Trains::new(now),
        }
    }

    /// A packet is acknowledged; the window after it, of which at most so much was in use.
    pub(super) fn grown(
        &mut self,
        (now, sent): (Instant, Instant),
        (window, bytes, peak, mtu): (u64, u64, u64, u64),
        base: Duration,
        initial: u64,
    ) -> u64 {
        self.trains.acked(now, sent, bytes, mtu);
        let shown = self.trains.rate() * base.as_secs_f64();
        let (growth, times) = match window as f64 {
            window if window < ROOM * shown => (FAST_GROWTH, 6),
            window if shown > 0.0 && window > FULL * shown => (CAREFUL_GROWTH, 3),
            _ => (GROWTH, 3),
        };
        // Also where the sender had less to send, or a relay's second link would begin when
        // its first is done; but not beyond what a few times as much would need.
        let most = times * peak + initial;
        let grown = window + (bytes as f64 * growth) as u64;
        grown.min(most.max(window))
    }

    /// Takes in the highest rate of a round; whether the path is full.
    pub(super) fn is_full(&mut self, rate: f64, idle: bool) -> bool {
        if idle || rate > self.best * 1.25 {
            self.best = rate.max(self.best);
            self.flat = 0;
            return false;
        }
        self.flat += 1;
        self.flat >= FLAT_ROUNDS
    }
}
