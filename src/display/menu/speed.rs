//! How fast something moves, without the jumps of single measurements.

use std::time::Duration;

/// Measurements closer together than this are taken as one.
const SAMPLE: Duration = Duration::from_millis(250);
/// How long a measurement weighs: a change of rate shows within a few seconds.
const MEMORY: f64 = 2.0;
/// What has not moved for so long has no rate.
const STALLED: Duration = Duration::from_secs(5);

/// An exponentially weighted mean of bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Speed {
    last: Option<(Duration, u64)>,
    mean: Option<f64>,
}

impl Speed {
    /// Notes that so many bytes are there at this time.
    #[expect(clippy::cast_precision_loss)]
    pub(super) fn note(&mut self, now: Duration, bytes: u64) {
        let Some((then, before)) = self.last else {
            // Where it begins: what an earlier attempt had stored is no speed.
            self.last = Some((now, bytes));
            return;
        };
        let passed = now.saturating_sub(then);
        if passed < SAMPLE {
            return;
        }
        let seconds = passed.as_secs_f64();
        let rate = bytes.saturating_sub(before) as f64 / seconds;
        let weight = 1.0 - (-seconds / MEMORY).exp();
        self.mean = Some(self.mean.map_or(rate, |mean| mean + weight * (rate - mean)));
        self.last = Some((now, bytes));
    }

    /// Bytes per second; `None` while nothing is known, or nothing moves.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn rate(&self, now: Duration) -> Option<u64> {
        let (then, _) = self.last?;
        let rate = self.mean.filter(|_| now.saturating_sub(then) < STALLED)?;
        Some(rate as u64).filter(|rate| *rate > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_has_its_rate_and_a_stopped_one_has_none() {
        let mut speed = Speed::default();
        // The first megabyte was there before.
        for tenth in 0..50u32 {
            let bytes = 1_000_000 + u64::from(tenth) * 10_000;
            speed.note(Duration::from_millis(100) * tenth, bytes);
        }
        let rate = speed.rate(Duration::from_secs(5)).unwrap();
        assert!((95_000..105_000).contains(&rate), "{rate}");
        assert_eq!(speed.rate(Duration::from_secs(11)), None);
    }

    #[test]
    fn one_burst_moves_the_rate_only_a_little() {
        let mut speed = Speed::default();
        for second in 0..20 {
            speed.note(Duration::from_secs(second), second * 1000);
        }
        speed.note(Duration::from_millis(19_250), 19_000 + 2500);
        let rate = speed.rate(Duration::from_secs(20)).unwrap();
        assert!((1500..2500).contains(&rate), "{rate}");
    }
}
