//! What is still to be said to one peer on its control stream.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, mpsc};

use crate::{
    protocol::{CONTROL_MESSAGE_MAX, Code, ServerToClient},
    quic::{ControlSender, StreamError},
};

/// Messages, by their rough size in bytes, that may wait for one peer.
///
/// A peer that reads slower than others speak to it is cut off rather than waited for: control
/// messages are few, and holding them would let one peer take the relay's memory.
const WAITING_MAX: usize = 4 << 20;

/// A message and its weight. Boxed, since an idle peer's queue keeps room for 32 of them.
type Queued = (usize, Box<ServerToClient>);

/// The sending side: cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    queue: mpsc::UnboundedSender<Queued>,
    waiting: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    drained: Notify,
}

/// The side that writes to the stream.
#[derive(Debug)]
pub(super) struct OutboxWriter {
    queue: mpsc::UnboundedReceiver<Queued>,
    waiting: Arc<Waiting>,
}

/// The peer does not read what it is told.
#[derive(Debug)]
pub(super) struct Overflow;

impl Outbox {
    pub(super) fn new() -> (Self, OutboxWriter) {
        let (sender, queue) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        (
            Self {
                queue: sender,
                waiting: waiting.clone(),
            },
            OutboxWriter { queue, waiting },
        )
    }

    /// Queues a message; a peer that is gone is no error.
    pub(super) fn send(&self, message: ServerToClient) -> Result<(), Overflow> {
        let size = weight(&message);
        if self.waiting.bytes.fetch_add(size, Ordering::Relaxed) + size > WAITING_MAX {
            return Err(Overflow);
        }
        let _ = self.queue.send((size, Box::new(message)));
        Ok(())
    }

    /// Queues a message once at most half of the room is taken: for long answers to one question.
    pub(super) async fn send_when_room(&self, message: ServerToClient) {
        loop {
            let drained = self.waiting.drained.notified();
            if self.queue.is_closed() {
                return;
            }
            if self.waiting.bytes.load(Ordering::Relaxed) < WAITING_MAX / 2 {
                break;
            }
            drained.await;
        }
        let _ = self.send(message);
    }
}

impl OutboxWriter {
    /// Writes until the peer is gone or says that it wants no more.
    pub(super) async fn run(
        mut self,
        mut stream: ControlSender<ServerToClient>,
    ) -> Result<(), StreamError> {
        while let Some((size, message)) = self.queue.recv().await {
            let sent = stream.send(&*message).await;
            self.waiting.bytes.fetch_sub(size, Ordering::Relaxed);
            self.waiting.drained.notify_waiters();
            match sent {
                // What does not fit came from another peer; only that one message is lost.
                Err(StreamError::Malformed(why)) => tracing::warn!(%why, "message not passed on"),
                other => other?,
            }
        }
        stream.finish().await;
        Ok(())
    }
}

impl Drop for OutboxWriter {
    fn drop(&mut self) {
        self.queue.close();
        self.waiting.drained.notify_waiters();
    }
}

/// A message's share of [`WAITING_MAX`]: its variable parts and a fixed rest.
fn weight(message: &ServerToClient) -> usize {
    use crate::protocol::PeerMessage as Say;
    let variable = match message {
        ServerToClient::Peer { bundle, .. } => bundle.body.0.len(),
        ServerToClient::Told {
            message: Say::Offer { offer },
            ..
        } => offer.body.0.len() + offer.manifest.0.len(),
        ServerToClient::Told {
            message: Say::Receipts { batch },
            ..
        } => batch.0.len(),
        ServerToClient::Told {
            message: Say::Start { have, .. },
            ..
        } => have.0.len(),
        _ => 0,
    };
    (256 + variable).min(CONTROL_MESSAGE_MAX)
}

impl Overflow {
    pub(super) const CODE: Code = Code::Behind;
}
