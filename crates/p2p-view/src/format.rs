//! Numbers as people read them.

use std::time::Duration;

/// Bytes with a decimal unit, in three digits: `812 B`, `1.23 MB`, `40.0 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are told")]
    let mut value = count as f64;
    if count < 1000 {
        return format!("{count} B");
    }
    let mut units = ["kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let mut unit = "B";
    // What would be rounded to 1000 is one of the next unit.
    while value >= 999.5 {
        let Some(next) = units.next() else { break };
        value /= 1000.0;
        unit = next;
    }
    let digits = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// Bytes a second, over some time.
#[must_use]
pub fn rate(count: u64, elapsed: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are told")]
    per_second(count as f64 / elapsed.as_secs_f64().max(0.001))
}

/// Bytes a second.
#[must_use]
pub fn per_second(rate: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest integer that there is"
    )]
    let whole = rate.round() as u64;
    format!("{}/s", bytes(whole))
}

/// A duration: tenths of a second below ten, then its two largest units: `8.3 s`, `1 m 05 s`.
#[must_use]
pub fn duration(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0..10 => format!("{:.1} s", elapsed.as_secs_f64()),
        10..60 => format!("{} s", elapsed.as_secs()),
        s @ 60..3600 => format!("{} m {:02} s", s / 60, s % 60),
        s @ 3600..86400 => format!("{} h {:02} m", s / 3600, s % 3600 / 60),
        s => format!("{} d {:02} h", s / 86400, s % 86400 / 3600),
    }
}

/// The time that is left, in six columns at most: `4s`, `1m05s`, `12h30m`.
#[must_use]
pub fn left(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest integer that there is"
    )]
    match seconds.ceil() as u64 {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        s @ 3600..86400 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        s @ 86400..864_000 => format!("{}d{:02}h", s / 86400, s % 86400 / 3600),
        _ => "long".to_owned(),
    }
}

/// A number with thousands separators, as people read it.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`: a count with its noun, which takes an `s` when there are several.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_groups_and_a_noun_that_fits() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(1000, "row"), "1,000 rows");
    }

    #[test]
    fn sizes_have_three_digits() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_996, "10.0 kB"),
            (99_960, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (40_000_000, "40.0 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(rate(50_000_000, Duration::from_secs(2)), "25.0 MB/s");
        assert_eq!(rate(1, Duration::ZERO), "1.00 kB/s");
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (8.34, "8.3 s"),
            (59.9, "59 s"),
            (65.0, "1 m 05 s"),
            (7260.0, "2 h 01 m"),
            (90_000.0, "1 d 01 h"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
        for (seconds, text) in [
            (0.0, "0s"),
            (64.2, "1m05s"),
            (994.0, "16m34s"),
            (9e4, "1d01h"),
            (1e30, "long"),
        ] {
            assert_eq!(left(seconds), text);
            assert!(left(seconds).len() <= 6);
        }
    }
}
