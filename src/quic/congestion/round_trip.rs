//! The path's round trip.

use std::time::{Duration, Instant};

/// Round trips in a row that must have grown to show a queue.
const RECENT: usize = 16;

/// What was measured of the round trip: the smallest lately, which is the path without a queue, and a mean.
#[derive(Debug, Clone)]
pub(super) struct RoundTrip {
    /// The smallest lately, and when it was seen.
    base: Option<(Duration, Instant)>,
    smoothed: Duration,
    recent: [Duration; RECENT],
    measured: usize,
}

impl RoundTrip {
    pub(super) fn new() -> Self {
        Self {
            base: None,
            smoothed: Duration::ZERO,
            recent: [Duration::ZERO; RECENT],
            measured: 0,
        }
    }

    /// Forgets all but the mean, which the pace of sending stands on.
    pub(super) fn restart(&mut self) {
        *self = Self {
            smoothed: self.smoothed,
            ..Self::new()
        };
    }

    pub(super) fn take(&mut self, now: Instant, rtt: Duration) {
        self.smoothed = match self.smoothed.is_zero() {
            true => rtt,
            false => (self.smoothed * 7 + rtt) / 8,
        };
        self.recent[self.measured % RECENT] = rtt;
        self.measured += 1;
        match self.base {
            Some((base, _)) if rtt > base => {}
            _ => self.base = Some((rtt, now)),
        }
    }

    /// Without a queue; zero while nothing is known.
    pub(super) fn base(&self) -> Duration {
        self.base.map_or(Duration::ZERO, |(base, _)| base)
    }

    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// Replaces a base that is older than its `lifetime` by the smallest of the last round.
    pub(super) fn expire(&mut self, now: Instant, lifetime: Duration, least: Option<Duration>) {
        if let Some((_, at)) = self.base
            && now.saturating_duration_since(at) > lifetime
            && let Some(least) = least
        {
            self.base = Some((least, now));
        }
    }

    /// Whether enough was measured to say that the path takes at least so long.
    pub(super) fn is_at_least(&self, round_trip: Duration) -> bool {
        self.measured >= RECENT && self.base() >= round_trip
    }

    /// Whether all of the last ones are longer than without a queue, by what a start that has filled the
    /// path adds.
    pub(super) fn has_grown(&self) -> bool {
        let base = self.base();
        let longer = (base / 8).clamp(Duration::from_millis(4), Duration::from_millis(16));
        self.measured >= RECENT && self.recent.iter().min() > Some(&(base + longer))
    }

    /// Whether the smallest of a time shows a queue that is not ours, or a path that has become slower.
    pub(super) fn shows_queue(&self, least: Duration) -> bool {
        let base = self.base();
        let queue = (base / 8).clamp(Duration::from_millis(4), Duration::from_millis(20));
        least > base + queue
    }
}
