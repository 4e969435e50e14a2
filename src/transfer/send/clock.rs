//! A clock that runs only while this process does.

use std::time::{Duration, Instant};

/// Time since a send began, on a clock that runs only while this process does.
///
/// `--timeout` counts time in which something could have happened: a process that was stopped for a
/// minute, or a machine that was asleep, has not waited for anybody.
#[derive(Debug)]
pub(super) struct Clock {
    last: Instant,
    total: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            last: Instant::now(),
            total: Duration::ZERO,
        }
    }

    pub(super) fn now(&mut self) -> Duration {
        let now = Instant::now();
        self.total += (now - self.last).min(STOPPED);
        self.last = now;
        self.total
    }
}

/// A longer time between two looks at the clock was spent stopped or asleep, not waiting.
const STOPPED: Duration = Duration::from_secs(2);
