//! Threads that drive connections.

use std::{
    future::Future,
    io,
    net::UdpSocket,
    num::NonZeroUsize,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::health::Tick;

/// The runtimes on which an endpoint's connections are driven, each with a thread of its own.
///
/// Encrypting and sending are most of a relay's work, and each connection's share of it is one
/// task's. A connection stays on the thread that it was given. With one thread, the default, everything
/// runs on the caller's runtime: where sender, relay and listener shared two cores, a second thread
/// gained nothing and cost the relay 6 % more processor time (see `docs/performance.md`).
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
}

impl Runtime for Workers {
    fn new_timer(&self, deadline: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(deadline)
    }

    /// The first is the endpoint itself, which stays with the socket on the caller's thread.
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.handles[turn % self.handles.len()].spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}
