//! Where tests kill a listener.

/// In a build for tests, kills this process if `P2P_TEST_CRASH` names this point: `noted`, or
/// `noted:3` for the third time that it is passed.
#[cfg(all(debug_assertions, unix))]
pub fn crash_point(name: &str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };
    static POINT: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let point = std::env::var("P2P_TEST_CRASH").ok()?;
        let (name, count) = point.split_once(':').unwrap_or((&point, "1"));
        Some((name.to_owned(), count.parse().ok()?))
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if let Some((at, count)) = &*POINT
        && at == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing.
#[cfg(not(all(debug_assertions, unix)))]
pub fn crash_point(_name: &str) {}
