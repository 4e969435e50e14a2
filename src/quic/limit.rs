//! A cap on bytes per second.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use tokio::sync::Mutex;

/// Units that the limiter counts in, in bytes: it holds at most 2^32 of them a second.
const UNIT: u64 = 1024;
/// What may pass at once after a pause, as a share of a second: a machine that is busy with other
/// things catches up on pauses of so long.
const BURST_SHARE: u64 = 8;
/// How often a burst's worth is waited for. Were it waited for at once, all that is saved up would be what is
/// waited for, and each time that the task is woken late would be lost.
const STEPS_OF_A_BURST: u32 = 8;

/// Lets a given number of bytes pass each second, or all; several tasks may share it.
#[derive(Debug)]
pub struct RateLimit {
    limiter: RwLock<Option<Arc<Limiter>>>,
    /// Bytes that passed and are not a whole unit yet.
    rest: AtomicU64,
}

#[derive(Debug)]
struct Limiter {
    limiter: DefaultDirectRateLimiter,
    step: u32,
    /// Held by the one task that waits for the next step; the others queue for it, and take turns.
    turn: Mutex<()>,
}

impl RateLimit {
    /// A limit of `bytes_per_second`; below 1 KiB/s it counts as 1 KiB/s.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Self {
        Self::of(Some(bytes_per_second))
    }

    /// The same, or without a limit for now.
    #[must_use]
    pub fn of(bytes_per_second: Option<u64>) -> Self {
        Self {
            limiter: RwLock::new(bytes_per_second.map(Limiter::new)),
            rest: AtomicU64::new(0),
        }
    }

    /// Sets another limit; who waits already waits for as long as the old one had it.
    pub fn set(&self, bytes_per_second: Option<u64>) {
        let limiter = bytes_per_second.map(Limiter::new);
        *self.limiter.write().unwrap_or_else(PoisonError::into_inner) = limiter;
    }

    /// Waits until `bytes` may pass.
    ///
    /// Cancel-safe, except that what was waited for counts as passed.
    pub async fn pass(&self, bytes: usize) {
        let limiter = self
            .limiter
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(limiter) = limiter else {
            return;
        };
        let total = self.rest.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let units = total / UNIT;
        self.rest.fetch_sub(units * UNIT, Ordering::Relaxed);
        limiter.pass(units).await;
    }
}

impl Limiter {
    fn new(bytes_per_second: u64) -> Arc<Self> {
        let units = u32::try_from((bytes_per_second / UNIT).max(1)).unwrap_or(u32::MAX);
        let per_second = NonZeroU32::new(units).expect("at least 1");
        let burst = u32::try_from(u64::from(units) / BURST_SHARE)
            .unwrap_or(u32::MAX)
            .max(1);
        let quota =
            Quota::per_second(per_second).allow_burst(NonZeroU32::new(burst).expect("at least 1"));
        Arc::new(Self {
            limiter: RateLimiter::direct(quota),
            step: burst.div_ceil(STEPS_OF_A_BURST),
            turn: Mutex::new(()),
        })
    }

    async fn pass(&self, units: u64) {
        let mut units = u32::try_from(units).unwrap_or(u32::MAX);
        while units > 0 {
            let step = NonZeroU32::new(units.min(self.step)).expect("above 0");
            let _turn = self.turn.lock().await;
            while let Err(until) = self.limiter.check_n(step).expect("at most the burst") {
                tokio::time::sleep(until.wait_time_from(DefaultClock::default().now())).await;
            }
            units -= step.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn the_rate_is_kept_within_a_tenth() {
        let limit = RateLimit::new(2_000_000);
        let start = Instant::now();
        for _ in 0..100 {
            limit.pass(10_000).await;
        }
        let elapsed = start.elapsed();
        assert!(
            elapsed > Duration::from_millis(360),
            "1 MB at 2 MB/s took {elapsed:?}"
        );
        assert!(
            elapsed < Duration::from_millis(600),
            "1 MB at 2 MB/s took {elapsed:?}"
        );
    }

    /// A busy machine wakes tasks late. The best of a few tries counts, since it may be busy beside this.
    #[tokio::test]
    async fn what_is_lost_by_waking_late_is_caught_up() {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let limit = RateLimit::new(200 * UNIT);
            let start = Instant::now();
            let held_up = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    // Not as long as a burst lasts.
                    std::thread::sleep(Duration::from_millis(100));
                }
            };
            tokio::select! {
                () = limit.pass(200 << 10) => {}
                () = held_up => unreachable!("it goes on for ever"),
            }
            best = best.min(start.elapsed());
        }
        let most = Duration::from_millis(1_150);
        assert!(best < most, "200 KiB at 200 KiB/s took {best:?}");
    }

    #[tokio::test]
    async fn tasks_that_share_a_limit_take_turns() {
        let limit = RateLimit::new(1_000 * UNIT);
        let one = async {
            loop {
                limit.pass(256 << 10).await;
            }
        };
        let other = async {
            limit.pass(100 << 10).await;
            limit.pass(100 << 10).await;
        };
        tokio::select! {
            biased;
            () = one => unreachable!("it goes on for ever"),
            () = other => {}
            () = tokio::time::sleep(Duration::from_secs(10)) => panic!("the other gets nothing"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_taken_away_lets_everything_pass() {
        let limit = RateLimit::new(1024);
        limit.set(None);
        let start = tokio::time::Instant::now();
        limit.pass(1 << 30).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
