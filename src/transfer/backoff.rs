//! Pauses between tries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Pauses that double, up to a longest one.
///
/// With jitter, so that all whom one loss has met do not come back at one moment: a hundred senders that
/// wait for one listener, or every peer of a relay that was restarted.
#[derive(Debug)]
pub(super) struct Backoff {
    pauses: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new((first, longest): (Duration, Duration)) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(longest)
            .with_jitter()
            .without_max_times();
        let pauses = builder.build();
        Self { pauses, longest }
    }

    /// How long to wait this time.
    pub(super) fn next(&mut self) -> Duration {
        self.pauses
            .next()
            .map_or(self.longest, |pause| pause.min(self.longest))
    }
}
