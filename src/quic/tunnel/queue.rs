//! Packets on their way out of a tunnel: a short queue that says when it is full.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes that wait before the queue is full.
///
/// Short, because what waits here can no longer be overtaken: quinn orders streams by priority when it
/// makes a packet, and control must not stand behind a second's worth of a file.
const FULL: usize = 128 << 10;

/// Messages that one tunnel has still to send.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// Who waits for room.
    blocked: Vec<Waker>,
    closed: bool,
}

impl State {
    fn unblock(&mut self) {
        for waker in self.blocked.drain(..) {
            waker.wake();
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= FULL && !self.closed
    }
}

impl Queue {
    /// Whether a message would be taken; if not, wakes the task when that has changed.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.is_full() {
            return Poll::Ready(());
        }
        if !state.blocked.iter().any(|w| w.will_wake(cx.waker())) {
            state.blocked.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Adds a message; false when there is no room. What is said after the end is lost, as on a network.
    pub(super) fn push(&self, message: Bytes) -> bool {
        let mut state = self.lock();
        if state.is_full() {
            return false;
        }
        if !state.closed {
            state.bytes += message.len();
            state.messages.push_back(message);
            self.filled.notify_one();
        }
        true
    }

    /// Waits for the next message; `None` once the queue is closed and empty.
    ///
    /// Cancel-safe. One task at a time may wait.
    pub(super) async fn pop(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.lock();
                if let Some(message) = state.messages.pop_front() {
                    state.bytes -= message.len();
                    state.unblock();
                    return Some(message);
                }
                if state.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Whether nothing waits at this moment.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().messages.is_empty()
    }

    /// Takes no more; what waits can still be popped.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.unblock();
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;

    fn message(len: usize) -> Bytes {
        vec![0; len].into()
    }

    #[tokio::test]
    async fn a_full_queue_takes_nothing_until_it_is_read_from() {
        let queue = Queue::default();
        assert!(queue.push(message(FULL)));
        assert!(!queue.push(message(1)), "the queue is bounded");
        let room = poll_fn(|cx| queue.poll_room(cx));
        tokio::pin!(room);
        assert!(room.as_mut().now_or_never().is_none());
        assert_eq!(queue.pop().await.map(|m| m.len()), Some(FULL));
        assert!(room.now_or_never().is_some());
        assert!(queue.push(message(1)));
    }

    #[tokio::test]
    async fn whoever_waits_for_room_is_woken() {
        let queue = std::sync::Arc::new(Queue::default());
        queue.push(message(FULL));
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { poll_fn(|cx| queue.poll_room(cx)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        queue.pop().await;
        tokio::time::timeout(std::time::Duration::from_secs(5), waiting)
            .await
            .expect("woken")
            .unwrap();
    }

    #[tokio::test]
    async fn what_waits_at_the_end_is_still_sent() {
        let queue = Queue::default();
        queue.push(message(3));
        queue.close();
        assert!(queue.push(message(4)), "lost, without blocking anyone");
        assert_eq!(queue.pop().await.map(|m| m.len()), Some(3));
        assert_eq!(queue.pop().await, None);
    }
}
