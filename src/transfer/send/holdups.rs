//! What holds a transfer up.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{quic::Pressure, transfer::Bottleneck};

/// How long is measured before something is said.
const INTERVAL: Duration = Duration::from_millis(250);
/// How much of a round trip's worth of credit must be used for the window, not the far end, to be what is
/// waited for.
const WINDOW_SHARE: f64 = 0.6;

/// What the files of one attempt wait for.
#[derive(Debug)]
pub(super) struct Holdups {
    /// Nanoseconds spent waiting for the source, the rate limit and the network.
    waits: [AtomicU64; 3],
    /// Bytes given to the network.
    written: AtomicU64,
    judged: Mutex<Judged>,
}

/// Something that is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    Source,
    Limit,
    Network,
}

#[derive(Debug)]
struct Judged {
    at: Instant,
    waits: [u64; 3],
    written: u64,
    blocked: u64,
    verdict: Option<Bottleneck>,
}

impl Holdups {
    pub(super) fn new() -> Self {
        Self {
            waits: Default::default(),
            written: AtomicU64::new(0),
            judged: Mutex::new(Judged {
                at: Instant::now(),
                waits: [0; 3],
                written: 0,
                blocked: 0,
                verdict: None,
            }),
        }
    }

    /// Counts how long something is waited for.
    ///
    /// Cancel-safe where `future` is; a wait that is dropped does not count.
    pub(super) async fn during<T>(&self, wait: Wait, future: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let output = future.await;
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.waits[wait as usize].fetch_add(took, Relaxed);
        output
    }

    /// So many bytes were given to the network; judges now and then, by what its `pressure` is.
    pub(super) fn written(
        &self,
        bytes: usize,
        is_direct: bool,
        pressure: impl FnOnce() -> Pressure,
    ) {
        self.written.fetch_add(bytes as u64, Relaxed);
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = judged.at.elapsed();
        if elapsed >= INTERVAL {
            let waits = [0, 1, 2].map(|at| self.waits[at].load(Relaxed));
            let written = self.written.load(Relaxed);
            let verdict = judged.judge((elapsed, waits, written), is_direct, pressure());
            if judged.verdict != Some(verdict) {
                judged.verdict = Some(verdict);
                tracing::info!("limited by {verdict}");
            }
        }
    }

    /// What was waited for most lately; nothing while that is not known.
    pub(super) fn verdict(&self) -> Option<Bottleneck> {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.verdict
    }
}

impl Judged {
    fn judge(
        &mut self,
        (elapsed, waits, written): (Duration, [u64; 3], u64),
        is_direct: bool,
        pressure: Pressure,
    ) -> Bottleneck {
        let [source, limit, network] = [0, 1, 2].map(|at| waits[at] - self.waits[at]);
        let rate = (written - self.written) as f64 / elapsed.as_secs_f64();
        let is_blocked = pressure.blocked > self.blocked;
        self.at += elapsed;
        (self.waits, self.written, self.blocked) = (waits, written, pressure.blocked);
        if source > limit.max(network) {
            return Bottleneck::Disk;
        }
        if limit > network {
            return Bottleneck::Limit;
        }
        let in_round_trip = rate * pressure.round_trip.as_secs_f64();
        match pressure.is_link_full {
            true => Bottleneck::Link,
            // All that may be under way is under way, or all credit of a round trip is used in one.
            false if !is_blocked || in_round_trip > WINDOW_SHARE * pressure.window as f64 => {
                Bottleneck::Window
            }
            false if is_direct => Bottleneck::Recipient,
            false => Bottleneck::Relay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// After a second with these waits in milliseconds, and so many megabytes written.
    fn judge(waits: [u64; 3], megabytes: u64, pressure: Pressure) -> Bottleneck {
        let judged = Holdups::new().judged;
        let mut judged = judged.into_inner().unwrap();
        let seen = (
            Duration::from_secs(1),
            waits.map(|ms| ms * MS),
            megabytes << 20,
        );
        judged.judge(seen, false, pressure)
    }

    fn pressure(is_link_full: bool, blocked: u64, round_trip_ms: u64) -> Pressure {
        Pressure {
            is_link_full,
            blocked,
            round_trip: Duration::from_millis(round_trip_ms),
            window: 8_000_000,
        }
    }

    #[test]
    fn what_took_longest_is_what_limits() {
        let full = pressure(true, 0, 80);
        assert_eq!(judge([600, 10, 300], 5, full), Bottleneck::Disk);
        assert_eq!(judge([10, 600, 300], 5, full), Bottleneck::Limit);
        assert_eq!(judge([10, 300, 600], 5, full), Bottleneck::Link);
    }

    #[test]
    fn a_link_that_is_not_full_is_held_up_by_its_far_end_or_its_window() {
        let network = [0, 0, 900];
        // Blocked by credit: of a far end that reads slowly, or of a window as large as the path.
        assert_eq!(judge(network, 5, pressure(false, 1, 80)), Bottleneck::Relay);
        assert_eq!(
            judge(network, 90, pressure(false, 1, 80)),
            Bottleneck::Window
        );
        // Not blocked by credit: by what is kept until it is acknowledged.
        assert_eq!(
            judge(network, 90, pressure(false, 0, 200)),
            Bottleneck::Window
        );
    }

    #[test]
    fn only_what_happened_since_the_last_time_counts() {
        let mut judged = Holdups::new().judged.into_inner().unwrap();
        let second = Duration::from_secs(1);
        let relay = pressure(false, 1, 1);
        let first = (second, [900 * MS, 0, 0], 1);
        assert_eq!(judged.judge(first, false, relay), Bottleneck::Disk);
        let then = (second, [900 * MS, 0, 800 * MS], 2);
        assert_eq!(
            judged.judge(then, true, pressure(false, 2, 1)),
            Bottleneck::Recipient
        );
    }
}
