//! What happened in a round trip.

use std::time::Duration;

/// A greater share of loss is congestion, whatever the delay.
const LOSS_MAX: f64 = 0.05;
/// With fewer packets lost, the share says nothing.
const LOSS_LEAST_PACKETS: u64 = 12;

/// What happened in a round trip.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    /// The smallest round trip.
    pub(super) least: Option<Duration>,
    /// Bytes.
    pub(super) acked: u64,
    pub(super) lost: u64,
    /// Bytes acknowledged while the window or the pace was what held the sender up.
    pub(super) held: u64,
    /// The most that was under way, in bytes.
    pub(super) peak: u64,
}

impl Round {
    pub(super) fn take_rtt(&mut self, rtt: Duration) {
        self.least = Some(self.least.map_or(rtt, |least| least.min(rtt)));
    }

    /// The smallest round trip of this round and the `last`; zero if there was none.
    pub(super) fn least_of(&self, last: &Self) -> Duration {
        match (self.least, last.least) {
            (Some(this), Some(last)) => this.min(last),
            (this, last) => this.or(last).unwrap_or_default(),
        }
    }

    /// Whether the sender had less to send than it might.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0
    }

    /// Whether the window or the pace held the sender up most of the time.
    pub(super) fn is_full(&self) -> bool {
        2 * self.held > self.acked
    }

    /// Whether so much is lost in this round and the `last` that it cannot be chance.
    pub(super) fn is_heavy(&self, last: &Self, mtu: u64) -> bool {
        let lost = self.lost + last.lost;
        let all = lost + self.acked + last.acked;
        lost > LOSS_LEAST_PACKETS * mtu && lost as f64 > LOSS_MAX * all as f64
    }
}
