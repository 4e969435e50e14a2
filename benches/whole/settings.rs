//! How large, and how often; and how a row is printed.

/// How often each measurement is repeated.
pub fn rounds() -> usize {
    from_env("P2P_BENCH_ROUNDS", 3)
}

/// A size or count at the scale that is asked for, at least 1.
pub fn scaled(full: u64) -> u64 {
    (full * from_env::<u64>("P2P_BENCH_SCALE", 100) / 100).max(1)
}

fn from_env<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Prints a row: what was measured, the ratio and what is aimed at, and what it was made of.
pub fn row(what: &str, value: &str, target: &str, reached: bool, details: &str) {
    let mark = if reached { "ok" } else { "MISSED" };
    println!("{what:<58} {value:>9}  aim {target:<8} {mark:<6}  {details}");
}

/// Prints that a row could not be measured here.
pub fn skipped(what: &str, why: &str) {
    println!("{what:<58} skipped: {why}");
}
