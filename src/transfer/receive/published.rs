//! When a listener's bundle was published, and whether it is time for another.

use std::time::{Duration, Instant};

use crate::transfer::unix_now;

/// A clock that differs so much from what has passed was set.
const CLOCK_JUMP: Duration = Duration::from_secs(30);

/// When the current bundle was published, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    unix: u64,
    pub(super) at: Instant,
}

impl Published {
    pub(super) fn now() -> Self {
        Self {
            unix: unix_now(),
            at: Instant::now(),
        }
    }

    /// Whether half of the bundle's life has passed by either clock: one stops while a machine
    /// sleeps, the other can be set.
    pub(super) fn is_due(&self, lifetime: Duration, unix: u64, now: Instant) -> bool {
        let by_wall = Duration::from_secs(unix.saturating_sub(self.unix));
        now.duration_since(self.at).max(by_wall) >= lifetime / 2
    }

    /// Whether the clock was set since.
    pub(super) fn has_jumped(&self, unix: u64, now: Instant) -> bool {
        let passed = self
            .unix
            .saturating_add(now.duration_since(self.at).as_secs());
        passed.abs_diff(unix) > CLOCK_JUMP.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_bundle_is_renewed_at_half_its_life_by_either_clock() {
        let published = Published::now();
        let (unix, at) = (published.unix, published.at);
        let half = DAY.as_secs() / 2;
        assert!(!published.is_due(DAY, unix + half - 1, at + DAY / 2 - TICK));
        assert!(published.is_due(DAY, unix, at + DAY / 2));
        // The machine slept: its monotonic clock stood still.
        assert!(published.is_due(DAY, unix + half, at + TICK));
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_either_way() {
        let published = Published::now();
        let (unix, at) = (published.unix, published.at);
        assert!(!published.has_jumped(unix + 60, at + Duration::from_secs(60)));
        assert!(published.has_jumped(unix + 3600, at + Duration::from_secs(60)));
        assert!(published.has_jumped(unix - 3600, at));
    }
}
