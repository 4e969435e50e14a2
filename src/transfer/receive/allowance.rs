//! How many bytes a transfer may still bring.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a sender may bring beyond what a person said yes to, in bytes: files grow while they wait.
const GROWTH: u64 = 1024 * 1024;

/// The bytes of one transfer, counted against what is taken here.
///
/// The sum counts, not each file: a tree whose size nobody knew beforehand is held to the same limit
/// as one file.
#[derive(Debug)]
pub(super) struct Allowance {
    max: u64,
    taken: AtomicU64,
}

/// More bytes than are taken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{needed} bytes, where {max} are taken")]
pub(super) struct TooMuch {
    needed: u64,
    max: u64,
}

impl Allowance {
    /// At most `max_size`; and where a person was `shown` how much it is, an eighth more than that.
    pub(super) fn new(max_size: Option<u64>, shown: Option<u64>) -> Self {
        let shown = shown.map(|bytes| bytes.saturating_add(bytes / 8).saturating_add(GROWTH));
        Self {
            max: max_size.unwrap_or(u64::MAX).min(shown.unwrap_or(u64::MAX)),
            taken: AtomicU64::new(0),
        }
    }

    /// Counts bytes that are about to be taken.
    pub(super) fn take(&self, bytes: u64) -> Result<(), TooMuch> {
        let add = |taken: u64| Some(taken.saturating_add(bytes));
        let before = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .expect("it always adds");
        let needed = before.saturating_add(bytes);
        if needed > self.max {
            return Err(TooMuch {
                needed,
                max: self.max,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_counts() {
        let allowance = Allowance::new(Some(100), None);
        assert_eq!(allowance.take(60), Ok(()));
        assert_eq!(allowance.take(40), Ok(()));
        let over = allowance.take(1).unwrap_err();
        assert_eq!(over.to_string(), "101 bytes, where 100 are taken");
        assert!(allowance.take(u64::MAX).is_err());
        assert!(allowance.take(0).is_err(), "once too much, nothing more");
    }

    #[test]
    fn a_person_who_said_yes_to_little_does_not_get_much() {
        let shown = Allowance::new(None, Some(10));
        assert!(shown.take(GROWTH).is_ok());
        assert!(shown.take(GROWTH).is_err());
        assert!(Allowance::new(None, None).take(u64::MAX).is_ok());
        assert!(Allowance::new(None, Some(u64::MAX)).take(u64::MAX).is_ok());
    }
}
