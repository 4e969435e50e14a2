//! Threads that drive connections.

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::health::Tick;

/// The runtimes on which a relay's connections are driven and served, each with a thread of its own.
///
/// Encrypting and sending are most of a relay's work, and each connection's share of it is one
/// task's. A connection stays on the thread that it was given. With one thread, the default, everything
/// runs on the caller's runtime.
#[derive(Debug)]
pub(super) struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    ticks: Vec<Tick>,
    _stop: DropGuard,
}

impl Workers {
    /// Starts all threads but the caller's own, which counts as the first. Call it inside a runtime.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be had.
    pub(super) fn start(threads: NonZeroUsize) -> io::Result<Arc<Self>> {
        let stop = CancellationToken::new();
        let mut handles = vec![Handle::current()];
        for number in 1..threads.get() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            handles.push(runtime.handle().clone());
            let stopped = stop.clone();
            std::thread::Builder::new()
                .name(format!("connections-{number}"))
                .spawn(move || runtime.block_on(stopped.cancelled()))?;
        }
        let ticks = handles.iter().map(|handle| Tick::on(handle, stop.clone()));
        Ok(Arc::new(Self {
            ticks: ticks.collect(),
            handles,
            next: AtomicUsize::new(0),
            _stop: stop.drop_guard(),
        }))
    }

    /// When each thread last gave a sign.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        self.ticks.clone()
    }

    /// One of them by its number, the caller's own being the first.
    pub(super) fn get(&self, number: usize) -> &Handle {
        &self.handles[number % self.handles.len()]
    }

    /// One after the other.
    pub(super) fn next(&self) -> &Handle {
        self.get(self.next.fetch_add(1, Ordering::Relaxed))
    }
}
