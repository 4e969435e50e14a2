//! One limit, and how much of it is used.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::{Notify, futures::Notified};

/// Relaxed order is enough: the numbers guard no other memory.
#[derive(Debug)]
pub(super) struct Account {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
    freed: Notify,
}

impl Account {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            freed: Notify::new(),
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak.load(Relaxed)
    }

    /// Takes so many, if they are free.
    pub(super) fn try_take(&self, amount: u64) -> bool {
        let within = |used: u64| used.checked_add(amount).filter(|sum| *sum <= self.limit);
        let taken = self.used.fetch_update(Relaxed, Relaxed, within);
        if let Ok(before) = taken {
            self.peak.fetch_max(before + amount, Relaxed);
        }
        taken.is_ok()
    }

    /// Takes so many, also beyond the limit.
    pub(super) fn take(&self, amount: u64) {
        let before = self.used.fetch_add(amount, Relaxed);
        self.peak.fetch_max(before + amount, Relaxed);
    }

    pub(super) fn give_back(&self, amount: u64) {
        if amount > 0 {
            self.used.fetch_sub(amount, Relaxed);
            self.freed.notify_waiters();
        }
    }

    /// Completes at the next [`give_back`](Self::give_back) after this call.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }
}
