//! What a path carried before.

use std::time::Duration;

/// What a start may begin with, at most, where the path is known: 8 ms of a gigabit each 20 ms, or 80 Mbit/s
/// over a second.
const MOST: u64 = 4 << 20;
/// The share of what a path carried that a start begins with: others may have come meanwhile.
const SHARE: f64 = 0.5;
/// By how much the round trip may differ from what is known, or it is another path.
const SAME_PATH: u32 = 2;

/// What a path was measured to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRate {
    /// Bytes per second.
    pub rate: u64,
    /// Without a queue.
    pub round_trip: Duration,
}

impl PathRate {
    /// The window to start with, in bytes, where the first round trip shows that it is this path.
    ///
    /// A share of what it carried, as careful resume has it (RFC 9959). The start ends at the first sign that it is
    /// too much, as ever.
    pub(super) fn first_window(&self, base: Duration) -> Option<u64> {
        if base < self.round_trip / SAME_PATH || base > self.round_trip * SAME_PATH {
            return None;
        }
        let share = self.rate as f64 * base.as_secs_f64() * SHARE;
        Some((share as u64).min(MOST))
    }
}
