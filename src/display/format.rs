//! Numbers as people read them.

use std::time::Duration;

use indicatif::{DecimalBytes, HumanDuration};

/// Bytes with a decimal unit: `1.23 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    DecimalBytes(count).to_string()
}

/// Bytes a second.
#[must_use]
pub fn rate(count: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let per_second = (count as f64 / seconds) as u64;
    format!("{}/s", bytes(per_second))
}

/// A duration: tenths of a second below ten, words above a minute.
#[must_use]
pub fn duration(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0..10 => format!("{:.1} s", elapsed.as_secs_f64()),
        10..120 => format!("{} s", elapsed.as_secs()),
        _ => format!("{:#}", HumanDuration(elapsed)),
    }
}
