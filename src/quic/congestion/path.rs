//! A link in virtual time.

use std::time::Duration;

/// Bytes of a packet.
pub(crate) const PACKET: u64 = 1_452;

/// A link; both ways it takes the same time, and acknowledgements are never lost.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    /// Bytes per second.
    pub(crate) rate: f64,
    pub(crate) round_trip: Duration,
    /// What waits at most, in time.
    pub(crate) queue: Duration,
    /// The share of packets that is lost by chance.
    pub(crate) loss: f64,
    /// The share of packets that is late, and by how much.
    pub(crate) late: (f64, Duration),
}

impl Path {
    pub(crate) fn new(mbit: f64, round_trip_ms: u64, queue_ms: u64, loss_percent: f64) -> Self {
        Self {
            rate: mbit * 125_000.0,
            round_trip: Duration::from_millis(round_trip_ms),
            queue: Duration::from_millis(queue_ms),
            loss: loss_percent / 100.0,
            late: (0.0, Duration::ZERO),
        }
    }
}
