//! What packets that were sent in one go show of the path.

use std::time::{Duration, Instant};

/// Trains that are remembered.
const KEPT: usize = 8;
/// With fewer, nothing is said.
const ENOUGH: usize = 4;
/// Packets after the first acknowledgement, at least: fewer show more of the clocks than of the path.
const LEAST_PACKETS: u64 = 4;
/// What acknowledgements are delayed by anyhow: a shorter span counts as this long.
const RESOLUTION: Duration = Duration::from_micros(200);

/// Estimates the path's rate by how far packets that were sent together are apart when they have come through.
///
/// A queue that others fill, or a receiver that was busy, makes it too low; a link that lets short bursts
/// through faster than the rest, too high. So it says where a start may hurry, and no more. Acknowledgements
/// that come all at once, as over Wi-Fi, say nothing.
#[derive(Debug, Clone)]
pub(super) struct Trains {
    sent: Instant,
    first: Instant,
    last: Instant,
    /// Acknowledged after the first acknowledgement.
    bytes: u64,
    rates: [f64; KEPT],
    count: usize,
}

impl Trains {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            sent: now,
            first: now,
            last: now,
            bytes: 0,
            rates: [0.0; KEPT],
            count: 0,
        }
    }

    /// A packet is acknowledged.
    pub(super) fn acked(&mut self, now: Instant, sent: Instant, bytes: u64, mtu: u64) {
        if sent > self.sent {
            self.end(mtu);
            (self.sent, self.first, self.last, self.bytes) = (sent, now, now, 0);
        } else if sent == self.sent && now > self.first {
            self.bytes += bytes;
            self.last = now;
        }
    }

    fn end(&mut self, mtu: u64) {
        if self.bytes < LEAST_PACKETS * mtu {
            return;
        }
        let span = self.last.saturating_duration_since(self.first);
        let rate = self.bytes as f64 / span.max(RESOLUTION).as_secs_f64();
        self.rates[self.count % KEPT] = rate;
        self.count += 1;
    }

    /// The middle one of the last trains, in bytes per second; 0 while there are too few.
    pub(super) fn rate(&self) -> f64 {
        if self.count < ENOUGH {
            return 0.0;
        }
        let mut rates = self.rates;
        let known = &mut rates[..self.count.min(KEPT)];
        known.sort_by(f64::total_cmp);
        known[(known.len() - 1) / 2]
    }
}
