//! How fast something moves, as a person would put it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Bytes a second over the last few seconds.
///
/// A mean over a window answers within its length to any change, and is exactly zero when nothing
/// has moved for that long, which no exponential mean ever is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pace<T>(VecDeque<(T, u64)>);

/// A point in time, on the clock of whoever notes and asks.
pub(super) trait Time: Copy {
    /// How long after an earlier one this is.
    fn since(self, earlier: Self) -> Duration;
}

impl Time for Instant {
    fn since(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

/// Time since something else began.
impl Time for Duration {
    fn since(self, earlier: Self) -> Duration {
        self.saturating_sub(earlier)
    }
}

impl<T> Default for Pace<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

/// Long enough to smooth bursts, short enough to show a stall while it lasts.
const WINDOW: Duration = Duration::from_secs(4);
/// No rate is told before so much time has been seen: it would be mostly chance.
const LEAST: Duration = Duration::from_millis(600);
/// Samples closer together than this are one.
const STEP: Duration = Duration::from_millis(50);

impl<T: Time> Pace<T> {
    /// Notes how many bytes there are now. The first note is where counting begins: what was
    /// there before has no rate.
    pub(super) fn note(&mut self, now: T, bytes: u64) {
        if self.0.back().is_some_and(|(_, before)| *before > bytes) {
            // It begins again.
            self.0.clear();
        }
        let is_first = self.0.len() < 2;
        match self.0.back_mut() {
            Some((at, before)) if !is_first && now.since(*at) < STEP => {
                *before = bytes;
            }
            _ => self.0.push_back((now, bytes)),
        }
        // The oldest kept is the last one before the window.
        while self.0.len() > 2 && now.since(self.0[1].0) > WINDOW {
            self.0.pop_front();
        }
    }

    /// Bytes a second; nothing before there is enough to tell.
    pub(super) fn rate(&self, now: T) -> Option<f64> {
        let ((since, before), (at, last)) = (self.0.front()?, self.0.back()?);
        if now.since(*at) > WINDOW {
            return Some(0.0);
        }
        let time = now.since(*since);
        if time < LEAST {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate is told in three digits")]
        Some((last - before) as f64 / time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace that was told of these bytes, each so many milliseconds after the first.
    fn pace(samples: &[(u64, u64)]) -> (Pace<Instant>, Instant) {
        let start = Instant::now();
        let mut pace = Pace::default();
        for (ms, bytes) in samples {
            pace.note(start + Duration::from_millis(*ms), *bytes);
        }
        (pace, start)
    }

    #[test]
    fn what_was_there_before_has_no_rate() {
        let (pace, start) = pace(&[(0, 1_000_000_000), (1000, 1_001_000_000)]);
        let rate = pace.rate(start + Duration::from_secs(1)).unwrap();
        assert!((rate - 1e6).abs() < 1.0, "{rate}");
    }

    #[test]
    fn a_moment_is_too_short_to_tell() {
        let (pace, start) = pace(&[(0, 0), (100, 50_000_000)]);
        assert_eq!(pace.rate(start + Duration::from_millis(100)), None);
        assert_eq!(Pace::default().rate(start), None);
    }

    #[test]
    fn a_stall_shows_within_the_window() {
        let samples: Vec<_> = (0..50).map(|i| (i * 200, i * 1_000_000)).collect();
        let (pace, start) = pace(&samples);
        let rate = pace.rate(start + Duration::from_millis(9800)).unwrap();
        assert!((rate - 5e6).abs() < 3e5, "{rate}");
        let half = pace.rate(start + Duration::from_millis(11_800)).unwrap();
        assert!(half < 4e6, "{half}");
        assert_eq!(pace.rate(start + Duration::from_secs(20)), Some(0.0));
    }

    #[test]
    fn a_change_of_speed_is_followed_within_the_window() {
        let slow = (0..100).map(|i| (i * 100, i * 100_000));
        let fast = (1..60).map(|i| (9900 + i * 100, 9_900_000 + i * 1_000_000));
        let (pace, start) = pace(&slow.chain(fast).collect::<Vec<_>>());
        let rate = pace.rate(start + Duration::from_millis(15_800)).unwrap();
        assert!((rate - 1e7).abs() < 3e5, "{rate}");
    }

    #[test]
    fn what_begins_again_is_not_negative() {
        let (pace, start) = pace(&[(0, 900), (500, 1000), (1000, 0), (2000, 500)]);
        assert_eq!(pace.rate(start + Duration::from_secs(2)), Some(500.0));
    }
}
