//! Whose clock is wrong, where a bundle does not hold: this machine's, or its maker's.

use std::time::Duration;

use super::unix_now;
use crate::identity::BundleError;

/// How far the relay's clock is from this machine's. The relay may lie: it is a hint for a sentence.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockSkew {
    /// Positive where the relay is ahead.
    ahead_secs: i64,
}

impl ClockSkew {
    /// From what the relay says that it is now, in seconds since 1970.
    pub(super) fn against(relay_now: u64) -> Self {
        Self {
            ahead_secs: relay_now
                .cast_signed()
                .saturating_sub(unix_now().cast_signed()),
        }
    }
}

/// Says whose clock is off by how much; nothing, where the bundle fails for another reason.
pub(super) fn whose(error: &BundleError, clock: Option<ClockSkew>) -> Option<String> {
    let (off, peer_is) = match error {
        // A fresh bundle holds for a day, so this much is certain.
        BundleError::Expired { late_secs } => (*late_secs, "behind"),
        BundleError::Early { ahead_secs } => (*ahead_secs, "ahead of"),
        _ => return None,
    };
    let mine = clock.map_or(0, |clock| clock.ahead_secs);
    if mine.unsigned_abs() < NOTABLE.as_secs() {
        let off = about(off);
        return Some(format!(
            "its clock is at least {off} {peer_is} this machine's"
        ));
    }
    let i_am = if mine > 0 { "behind" } else { "ahead of" };
    let off = about(mine.unsigned_abs());
    Some(format!("this machine's clock is {off} {i_am} the relay's"))
}

fn about(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        172_800..63_072_000 => (seconds / 86_400, "day"),
        _ => (seconds / 31_536_000, "year"),
    };
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{s}")
}

/// From here on this machine's own clock is the one to look at.
const NOTABLE: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_is_off_is_the_one_that_is_named() {
        let late = BundleError::Expired { late_secs: 86_400 };
        let early = BundleError::Early {
            ahead_secs: 20 * 31_536_000,
        };
        let here = |secs| Some(ClockSkew { ahead_secs: secs });
        for (error, clock, said) in [
            (
                &late,
                None,
                "its clock is at least 24 hours behind this machine's",
            ),
            (
                &early,
                here(3),
                "its clock is at least 20 years ahead of this machine's",
            ),
            (
                &late,
                here(-172_800),
                "this machine's clock is 2 days ahead of the relay's",
            ),
            (
                &early,
                here(172_801),
                "this machine's clock is 2 days behind the relay's",
            ),
        ] {
            assert_eq!(whose(error, clock).as_deref(), Some(said));
        }
        assert_eq!(whose(&BundleError::Mac, here(172_801)), None);
    }
}
