//! How long a file may be held up in all.

use std::time::Duration;

use tokio::time::Instant;

/// An allowance of waiting: some to begin with, and a share of the time that passes.
///
/// It bounds the sum. A limit on each single wait would let a recipient, or a disk, that is always
/// a little too slow set the pace for everyone.
#[derive(Debug)]
pub(super) struct Patience {
    began: Instant,
    first: Duration,
    share: u32,
    spent: Duration,
}

impl Patience {
    /// `first` at once, and one part in `share` of the time from `now` on.
    pub(super) fn new(first: Duration, share: u32, now: Instant) -> Self {
        Self {
            began: now,
            first,
            share,
            spent: Duration::ZERO,
        }
    }

    /// What is left of it.
    pub(super) fn left(&self, now: Instant) -> Duration {
        let earned = self.first + now.duration_since(self.began) / self.share;
        earned.saturating_sub(self.spent)
    }

    /// Records a wait.
    pub(super) fn spend(&mut self, waited: Duration) {
        self.spent += waited;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_short_waits_use_it_up_as_one_long_one_does() {
        let now = Instant::now();
        let mut patience = Patience::new(Duration::from_millis(50), 10, now);
        for _ in 0..50 {
            assert!(patience.left(now) > Duration::ZERO);
            patience.spend(Duration::from_millis(1));
        }
        assert_eq!(patience.left(now), Duration::ZERO);
        let later = now + Duration::from_millis(100);
        assert_eq!(patience.left(later), Duration::from_millis(10));
    }
}
