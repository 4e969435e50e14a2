//! Modification times as they travel.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds and nanoseconds since the Unix epoch (the nanoseconds always forward).
pub type Modified = (i64, u32);

/// The time for the operating system; `None` where it cannot hold it.
pub(super) fn to_system((secs, nanos): Modified) -> Option<SystemTime> {
    if nanos >= 1_000_000_000 {
        return None;
    }
    let whole = Duration::from_secs(secs.unsigned_abs());
    let base = if secs < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    base?.checked_add(Duration::from_nanos(nanos.into()))
}

/// The time as it travels; `None` where it does not fit.
pub(super) fn from_system(time: SystemTime) -> Option<Modified> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Some((i64::try_from(after.as_secs()).ok()?, after.subsec_nanos())),
        Err(before) => {
            let before = before.duration();
            let secs = -i64::try_from(before.as_secs()).ok()?;
            match before.subsec_nanos() {
                0 => Some((secs, 0)),
                nanos => Some((secs.checked_sub(1)?, 1_000_000_000 - nanos)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_on_both_sides_of_the_epoch_survive() {
        for time in [(0, 0), (1_700_000_000, 999_999_999), (-1, 0), (-2, 500)] {
            assert_eq!(from_system(to_system(time).unwrap()), Some(time));
        }
    }

    #[test]
    fn a_time_that_no_clock_has_is_dropped_and_not_a_panic() {
        assert_eq!(to_system((0, 1_000_000_000)), None);
        assert_eq!(to_system((0, u32::MAX)), None);
        let _ = to_system((i64::MIN, 0));
        let _ = to_system((i64::MAX, 999_999_999));
    }
}
