//! Beside others that fill the queue.

use std::time::{Duration, Instant};

/// What is left of the window after a loss, as CUBIC has it (RFC 9438, section 4.6).
const BETA: f64 = 0.7;
/// How fast the window grows, in packets per second cubed (RFC 9438, section 5).
const C: f64 = 0.4;
/// Between two cuts, at least so many round trips.
///
/// A flow that answers to every loss has a fraction of what one that ignores loss, such as TCP's BBR, takes.
const ROUNDS_BETWEEN: u32 = 8;
/// How long until it is tested whether the others are gone.
const TEST_AFTER: Duration = Duration::from_secs(8);

/// The window as CUBIC sets it, with fewer cuts.
#[derive(Debug, Clone)]
pub(super) struct Competition {
    since: Instant,
    cut: Instant,
    epoch: Instant,
    most: f64,
    /// Seconds from the epoch until the window is `most` again.
    again: f64,
    /// What Reno would have (RFC 9438, section 4.3), in bytes.
    reno: f64,
}

impl Competition {
    /// Begins with a window that was found.
    pub(super) fn new(now: Instant, window: u64) -> Self {
        Self {
            since: now,
            cut: now,
            epoch: now,
            most: window as f64,
            again: 0.0,
            reno: window as f64,
        }
    }

    /// The window after an acknowledgement of so many bytes.
    pub(super) fn grown(
        &mut self,
        now: Instant,
        window: u64,
        bytes: u64,
        mtu: u64,
        rtt: Duration,
    ) -> u64 {
        let (current, mtu) = (window as f64, mtu as f64);
        let time = (now.saturating_duration_since(self.epoch) + rtt).as_secs_f64();
        let target = C * (time - self.again).powi(3) * mtu + self.most;
        let alpha = match self.reno < self.most {
            true => 3.0 * (1.0 - BETA) / (1.0 + BETA),
            false => 1.0,
        };
        self.reno += alpha * mtu * bytes as f64 / current.max(mtu);
        let step = (target.min(1.5 * current) - current).max(0.0) * bytes as f64 / current.max(mtu);
        (current + step).max(self.reno).min(u64::MAX as f64 / 2.0) as u64
    }

    /// The window after a loss of a packet sent at `sent`.
    pub(super) fn cut(&mut self, now: Instant, sent: Instant, window: u64, rtt: Duration) -> u64 {
        if sent <= self.cut || now.saturating_duration_since(self.cut) < rtt * ROUNDS_BETWEEN {
            return window;
        }
        let before = window as f64;
        // Fast convergence (RFC 9438, section 4.7).
        self.most = match before < self.most {
            true => before * (1.0 + BETA) / 2.0,
            false => before,
        };
        self.cut = now;
        self.epoch = now;
        let after = before * BETA;
        self.reno = after;
        self.again = ((self.most - after).max(0.0) / 1_400.0 / C).cbrt();
        after as u64
    }

    /// Whether it is time to test whether the others are gone.
    pub(super) fn is_to_test(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > TEST_AFTER
    }
}
