//! How many packets a connection hands over in one call: more than one only where it has them to send.
//!
//! quinn keeps a buffer for each connection, of the largest batch that it might have made when it first had two
//! packets to send: 13 KiB from the handshake on, and up to 90 KiB where packets are large. A relay has
//! thousands of connections that send a few packets in their handshake, and then answer pings.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    io,
    net::UdpSocket,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};

/// So many full batches that follow each other are a file, not a handshake, which is three packets.
const FULL_IN_ROW: usize = 6;

/// Connections from which on batches are smaller.
const CROWD: usize = 256;

/// What a connection of a crowd hands over at once, in bytes: five packets of 1,452 or one of 8,188.
///
/// A broadcast to all of them leaves each with a buffer of one packet more than that.
const BATCH_IN_CROWD: usize = 8 << 10;

tokio::task_local! {
    /// That of the connection whose driver is polled.
    static BATCH: BatchSize;
}

/// A runtime whose connections start with batches of one packet. It counts for one endpoint.
#[derive(Debug, Default)]
pub(super) struct FrugalRuntime {
    connections: Arc<AtomicUsize>,
}

impl Runtime for FrugalRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    /// Spawns the driver of a connection, or of the endpoint, which sends no batches.
    fn spawn(&self, driver: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let size = BatchSize::new(self.connections.clone());
        TokioRuntime.spawn(Box::pin(BATCH.scope(size, driver)));
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// How many packets the connection whose driver is polled may hand over at once, of the `max` that its socket
/// takes. Ask once before each run of batches.
pub(super) fn allowed(max: usize) -> usize {
    BATCH.try_with(|size| size.begin(max)).unwrap_or(max)
}

/// Notes that it has handed over a batch of so many bytes, in packets of `segment` bytes.
pub(super) fn note_sent(bytes: usize, segment: usize) {
    // Without a size of its own it has what it wants.
    let _ = BATCH.try_with(|size| size.sent(bytes, segment));
}

/// What one connection has sent lately.
struct BatchSize {
    connections: Arc<AtomicUsize>,
    has_much: Cell<bool>,
    /// What it may now, and how many batches of that followed each other.
    allowed: Cell<usize>,
    full: Cell<usize>,
    /// The size of its largest packet, in bytes.
    segment: Cell<usize>,
}

impl BatchSize {
    fn new(connections: Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Relaxed);
        Self {
            connections,
            has_much: Cell::new(false),
            allowed: Cell::new(1),
            full: Cell::new(0),
            segment: Cell::new(1),
        }
    }

    fn begin(&self, max: usize) -> usize {
        let allowed = match (self.has_much.get(), self.connections.load(Relaxed)) {
            (false, _) => 1,
            (true, ..=CROWD) => max,
            (true, _) => (BATCH_IN_CROWD / self.segment.get()).clamp(1, max),
        };
        self.full.set(0);
        self.allowed.set(allowed);
        allowed
    }

    fn sent(&self, bytes: usize, segment: usize) {
        // Small ones are acknowledgements, or a message.
        self.segment.set(segment.max(self.segment.get()));
        let is_full = bytes.div_ceil(segment.max(1)) >= self.allowed.get();
        let full = if is_full { self.full.get() + 1 } else { 0 };
        self.full.set(full);
        if full >= FULL_IN_ROW {
            self.has_much.set(true);
        }
    }
}

impl Drop for BatchSize {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Relaxed);
    }
}

impl fmt::Debug for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchSize")
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_goes_packet_by_packet_and_a_file_in_batches() {
        let size = BatchSize::new(Arc::default());
        assert_eq!(size.begin(10), 1);
        (0..3).for_each(|_| size.sent(1_200, 1_200));
        assert_eq!(size.begin(10), 1);
        (0..FULL_IN_ROW).for_each(|_| size.sent(1_452, 1_452));
        assert_eq!(size.begin(10), 10);
    }

    #[test]
    fn answers_to_pings_never_add_up_to_a_file() {
        let size = BatchSize::new(Arc::default());
        for _ in 0..100 {
            assert_eq!(size.begin(10), 1);
            size.sent(40, 40);
        }
    }

    #[test]
    fn in_a_crowd_a_batch_is_limited_in_bytes_until_the_crowd_has_gone() {
        let connections = Arc::new(AtomicUsize::new(0));
        let size = BatchSize::new(connections.clone());
        let others: Vec<_> = (0..CROWD)
            .map(|_| BatchSize::new(connections.clone()))
            .collect();
        (0..FULL_IN_ROW).for_each(|_| size.sent(1_452, 1_452));
        assert_eq!(size.begin(10), 5);
        size.sent(8_188, 8_188);
        size.sent(40, 40);
        assert_eq!(size.begin(10), 1);
        drop(others);
        assert_eq!(size.begin(10), 10);
    }
}
