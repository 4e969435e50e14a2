//! What is still to be said to one peer on its control stream.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Notify;

use super::budget::{Charge, Purpose, Share};
use crate::{
    protocol::{Code, PeerId},
    quic::{ControlSender, StreamError},
};

/// Messages of the relay itself that may wait for one peer, in bytes as they go on the wire.
///
/// A peer that reads none of them is cut off rather than waited for: they are few, and what they tell
/// cannot be left out.
const OWN_MAX: usize = 4 << 20;
/// The same of them while the relay's memory is used up.
const OWN_MAX_WHEN_SHORT: usize = 64 << 10;
/// Messages of one other peer that may wait, in bytes.
const OF_ONE_MAX: usize = 512 << 10;
/// Messages of all other peers that may wait, in bytes.
const OF_OTHERS_MAX: usize = 2 << 20;

/// The same where the other end is another relay, for all of a room's members there.
const OF_OTHERS_MAX_TO_RELAY: usize = 16 << 20;

/// The queue of one peer's messages, in the order in which they are sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    of_many: bool,
    queue: Mutex<Queue>,
    /// To the writer: there is something, or it is over.
    ready: Notify,
    /// To those who wait for room.
    drained: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    own: usize,
    of_others: usize,
    by_peer: HashMap<PeerId, usize>,
    state: State,
    /// Whether what is queued is the last.
    is_ending: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The peer does not read what the relay tells it.
    Overflowed,
    Closed,
}

#[derive(Debug)]
struct Message {
    bytes: Bytes,
    from: Option<PeerId>,
}

/// Others' messages fill what they may: this one is not queued.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Outbox {
    /// For another relay, which passes on what it gets.
    pub(super) fn of_many() -> Self {
        Self {
            of_many: true,
            ..Self::default()
        }
    }

    /// Queues a message of the relay's own, which counts for `share`, the peer's own.
    ///
    /// Where there is no room the peer is cut off.
    pub(super) fn push(&self, message: Bytes, share: &Share) {
        let len = message.len();
        let charge = share.charge(Purpose::Messages, len);
        let mut queue = self.lock();
        let max = match charge {
            Some(_) => OWN_MAX,
            None => OWN_MAX_WHEN_SHORT,
        };
        if queue.own + len > max {
            queue.state = State::Overflowed;
        } else {
            let charge = charge.unwrap_or_else(|| share.forced(Purpose::Messages, len));
            queue.push(&message, None, &charge);
        }
        drop(queue);
        self.ready.notify_one();
    }

    /// Queues what the peer `from` says, which counts for that one's share.
    ///
    /// # Errors
    /// When that peer, or all others together, have as much here as they may.
    pub(super) fn push_from(
        &self,
        from: PeerId,
        message: &Bytes,
        share: &Share,
    ) -> Result<(), Full> {
        let len = message.len();
        let mut queue = self.lock();
        let of_one = queue.by_peer.get(&from).copied().unwrap_or_default();
        let of_others_max = match self.of_many {
            true => OF_OTHERS_MAX_TO_RELAY,
            false => OF_OTHERS_MAX,
        };
        if of_one + len > OF_ONE_MAX || queue.of_others + len > of_others_max {
            return Err(Full);
        }
        let charge = share.charge(Purpose::Messages, len).ok_or(Full)?;
        queue.push(message, Some(from), &charge);
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    /// Bytes that wait.
    pub(super) fn queued(&self) -> u64 {
        let queue = self.lock();
        (queue.own + queue.of_others) as u64
    }

    /// Waits until at most half of what the relay may say is waiting: for long answers to one question.
    pub(super) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            {
                let queue = self.lock();
                if queue.state != State::Open || queue.own < OWN_MAX_WHEN_SHORT / 2 {
                    return;
                }
            }
            drained.await;
        }
    }

    /// Waits until `peer` has at most half of what it may have waiting.
    ///
    /// Cancel-safe.
    pub(super) async fn room_of(&self, peer: PeerId) {
        loop {
            let drained = self.drained.notified();
            {
                let queue = self.lock();
                let of_one = queue.by_peer.get(&peer).copied().unwrap_or_default();
                if queue.state != State::Open || of_one <= OF_ONE_MAX / 2 {
                    return;
                }
            }
            drained.await;
        }
    }

    /// Once everything that is queued has been written, nothing further is.
    pub(super) fn end(&self) {
        self.lock().is_ending = true;
        self.ready.notify_one();
    }

    /// Writes until the peer is gone or reads too little, or there is an end.
    ///
    /// # Errors
    /// [`Code::Behind`] where the peer does not read; otherwise the stream is over.
    pub(super) async fn write_to<M: Serialize>(
        &self,
        stream: &mut ControlSender<M>,
    ) -> Result<(), StreamError> {
        let _closed = CloseOnDrop(self);
        loop {
            let ready = self.ready.notified();
            let next = {
                let mut queue = self.lock();
                match queue.state {
                    State::Open if queue.is_ending && queue.messages.is_empty() => return Ok(()),
                    State::Open => queue.pop(),
                    State::Overflowed => return Err(StreamError::Ended(Code::Behind)),
                    State::Closed => return Ok(()),
                }
            };
            match next {
                Some(message) => {
                    let sending = stream.send_encoded(message);
                    tokio::select! {
                        sent = sending => sent?,
                        () = self.overflowed() => return Err(StreamError::Ended(Code::Behind)),
                    }
                    self.drained.notify_waiters();
                }
                None => ready.await,
            }
        }
    }

    async fn overflowed(&self) {
        loop {
            let ready = self.ready.notified();
            if self.lock().state == State::Overflowed {
                return;
            }
            ready.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody writes any more: nothing is kept.
struct CloseOnDrop<'a>(&'a Outbox);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        if queue.state == State::Open {
            queue.state = State::Closed;
        }
        queue.messages.clear();
        drop(queue);
        self.0.drained.notify_waiters();
    }
}

impl Queue {
    fn push(&mut self, message: &Bytes, from: Option<PeerId>, charge: &Charge) {
        if self.state != State::Open {
            return;
        }
        match from {
            Some(peer) => {
                self.of_others += message.len();
                *self.by_peer.entry(peer).or_default() += message.len();
            }
            None => self.own += message.len(),
        }
        // Tied to its charge: the transport holds it until it is acknowledged.
        self.messages.push_back(Message {
            bytes: charge.attach(message.clone()),
            from,
        });
    }

    fn pop(&mut self) -> Option<Bytes> {
        let message = self.messages.pop_front()?;
        let len = message.bytes.len();
        match message.from {
            Some(peer) => {
                self.of_others -= len;
                if let Some(held) = self.by_peer.get_mut(&peer) {
                    *held -= len;
                    if *held == 0 {
                        self.by_peer.remove(&peer);
                    }
                }
            }
            None => self.own -= len,
        }
        if self.messages.is_empty() {
            // An idle peer's queue takes no room.
            self.messages = VecDeque::new();
        }
        Some(message.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Budget;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    #[test]
    fn one_peer_cannot_take_the_room_of_another() {
        let (outbox, budget) = (Outbox::default(), Budget::default());
        let (share, message) = (budget.share(), Bytes::from(vec![7; 50_000]));
        let mut taken = 0;
        while outbox.push_from(peer(1), &message, &share).is_ok() {
            taken += message.len();
        }
        assert!(taken > OF_ONE_MAX - message.len() && taken <= OF_ONE_MAX);
        assert_eq!(budget.memory_in_use(), taken as u64);
        assert_eq!(outbox.push_from(peer(2), &message, &share), Ok(()));
        outbox.push(message, &share);
        assert_eq!(outbox.lock().state, State::Open, "the victim stays");
    }

    #[test]
    fn a_flooder_pays_from_its_own_share_and_all_flooders_stop_at_the_limit() {
        let budget = Budget::new(100_000, 0);
        let (outbox, share) = (Outbox::default(), budget.share());
        let message = Bytes::from(vec![7; 1_000]);
        for n in 0..200 {
            let _ = outbox.push_from(peer(n), &message, &share);
        }
        let most = 100_000 + Purpose::Messages.guaranteed();
        assert!(budget.memory_in_use() <= most);
        assert!(outbox.push_from(peer(201), &message, &share).is_err());
    }

    #[test]
    fn who_reads_nothing_of_the_relay_is_cut_off_earlier_while_memory_is_short() {
        let outboxes = [Budget::default(), Budget::new(0, 0)].map(|budget| {
            let (outbox, share) = (Outbox::default(), budget.share());
            let message = Bytes::from(vec![7; 1_000]);
            let mut pushed = 0;
            while outbox.lock().state == State::Open {
                outbox.push(message.clone(), &share);
                pushed += message.len();
            }
            pushed
        });
        assert!(outboxes[0] > OWN_MAX && outboxes[0] < OWN_MAX + 2_000);
        assert!(outboxes[1] > OWN_MAX_WHEN_SHORT && outboxes[1] < OWN_MAX_WHEN_SHORT + 2_000);
    }
}
