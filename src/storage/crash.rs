//! Where tests kill a listener, or slow a disk down.

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

/// In a build for tests, waits as many milliseconds as `P2P_TEST_SLOW_DISK` says: after each piece that is
/// read to be hashed.
#[cfg(debug_assertions)]
pub fn slow_disk() {
    use std::{sync::LazyLock, time::Duration};
    static PAUSE: LazyLock<Option<Duration>> = LazyLock::new(|| {
        let pause = std::env::var("P2P_TEST_SLOW_DISK").ok()?;
        Some(Duration::from_millis(pause.parse().ok()?))
    });
    if let Some(pause) = *PAUSE {
        std::thread::sleep(pause);
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub fn slow_disk() {}
