//! From which message on a transfer is controlled over its direct connection, as a state machine.
//!
//! Messages that [count](PeerMessage::counts) are numbered by both ends, in each direction, as long as they go through
//! the relay. Whoever loses the relay first says how many have come; the other end repeats the rest, and says
//! the same of its own. So none is lost and none comes twice, whatever was on its way when the relay went.

use std::collections::VecDeque;

use crate::protocol::{DirectMessage, PeerMessage};

/// Messages that are kept for the case that the relay loses them, and their bytes: what 10,000 small files a second
/// make in the 5 s that it takes to find that out.
const KEPT_MAX: (usize, usize) = (2_048, 4 << 20);
/// Messages that wait for a direct connection, beside those that are repeated.
const QUEUE_MAX: usize = 2 * KEPT_MAX.0;

/// Which way messages of one transfer go, between two peers.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Whether the control stream of a direct connection is open.
    open: bool,
    /// Whether messages go there.
    moved: bool,
    /// Whether the other end has said what has come to it.
    answered: bool,
    /// How many messages that count have come through the relay.
    received: u64,
    /// Those that this end has sent, as far as they are kept, and the number of the first.
    kept: VecDeque<PeerMessage>,
    kept_bytes: usize,
    first: u64,
    /// What waits for the control stream.
    queue: VecDeque<DirectMessage>,
}

/// That messages are missing which nobody has any more, or the other end makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl Handover {
    /// The control stream of a direct connection is open, or is not any more.
    pub(super) fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    /// Whether a direct connection's control stream is open.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether messages go over a direct connection, which is open.
    pub(super) fn goes_on(&self) -> bool {
        self.moved && self.open
    }

    /// A message of this end: given back where it is to go through the relay.
    pub(super) fn send(&mut self, message: PeerMessage) -> Option<PeerMessage> {
        if self.answered {
            // What counts waits; how far a file has come is said again soon.
            if message.counts() || self.queue.is_empty() {
                self.queue.push_back(DirectMessage::Tell { message });
            }
            return None;
        }
        if message.counts() {
            self.keep(message.clone());
        }
        (!self.moved).then_some(message)
    }

    /// A message has come through the relay: whether it is to be taken.
    pub(super) fn on_relayed(&mut self, message: &PeerMessage) -> bool {
        // What comes later than this end has said is repeated.
        if !self.moved && message.counts() {
            self.received += 1;
        }
        !self.moved
    }

    /// The relay is lost to one of the two ends: whether the transfer goes on without it.
    pub(super) fn take_over(&mut self) -> bool {
        if self.open && !self.moved {
            self.moved = true;
            let received = self.received;
            self.queue.push_back(DirectMessage::Takeover { received });
        }
        self.goes_on()
    }

    /// The other end says something on the control stream; what of it is for the transfer.
    pub(super) fn on_direct(
        &mut self,
        message: DirectMessage,
    ) -> Result<Option<PeerMessage>, Broken> {
        match message {
            DirectMessage::Takeover { received } => {
                if self.answered || !self.take_over() {
                    return Err(Broken);
                }
                let known = received.checked_sub(self.first).ok_or(Broken)?;
                let known = usize::try_from(known).map_err(|_| Broken)?;
                if known > self.kept.len() {
                    return Err(Broken);
                }
                self.answered = true;
                let repeated = self.kept.drain(..).skip(known);
                self.queue
                    .extend(repeated.map(|message| DirectMessage::Tell { message }));
                Ok(None)
            }
            // Its own takeover comes before everything else that it says.
            DirectMessage::Tell { .. } if !self.answered => Err(Broken),
            DirectMessage::Tell { message } => Ok(Some(message)),
            DirectMessage::Ready {} | DirectMessage::Unknown => Ok(None),
        }
    }

    /// What is to be written next.
    pub(super) fn next(&mut self) -> Option<DirectMessage> {
        self.queue.pop_front()
    }

    /// Whether more waits than an end that reads leaves waiting.
    pub(super) fn is_stuck(&self) -> bool {
        self.queue.len() > QUEUE_MAX
    }

    fn keep(&mut self, message: PeerMessage) {
        self.kept_bytes += size(&message);
        self.kept.push_back(message);
        while (self.kept.len() > KEPT_MAX.0 || self.kept_bytes > KEPT_MAX.1)
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_bytes -= size(&oldest);
            self.first += 1;
        }
    }
}

/// About as many bytes as a message takes.
fn size(message: &PeerMessage) -> usize {
    size_of::<PeerMessage>()
        + match message {
            PeerMessage::Receipts { batch } => batch.0.len(),
            PeerMessage::Start { have, .. } => have.0.len(),
            PeerMessage::Failed { reason, .. } => reason.as_str().len(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Code, FileIndex};

    fn receipts(number: u8) -> PeerMessage {
        PeerMessage::Receipts {
            batch: vec![number].into(),
        }
    }

    fn stored(bytes: u64) -> PeerMessage {
        PeerMessage::Stored {
            file: FileIndex(0),
            bytes,
        }
    }

    fn both() -> [Handover; 2] {
        let mut both = [Handover::default(), Handover::default()];
        both.iter_mut().for_each(|end| end.set_open(true));
        both
    }

    /// Brings what waits at both ends to the other until nothing waits: what has come to each.
    fn exchange([a, b]: &mut [Handover; 2]) -> [Vec<PeerMessage>; 2] {
        let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
        loop {
            let before = (to_a.len(), to_b.len());
            let mut moved = false;
            while let Some(message) = a.next() {
                to_b.extend(b.on_direct(message).unwrap());
                moved = true;
            }
            while let Some(message) = b.next() {
                to_a.extend(a.on_direct(message).unwrap());
                moved = true;
            }
            if !moved && before == (to_a.len(), to_b.len()) {
                return [to_a, to_b];
            }
        }
    }

    #[test]
    fn what_a_relay_has_lost_is_repeated_and_nothing_else() {
        // However many of the recipient's messages came before the relay went, and whoever noticed first.
        for (came, first) in (0..=5_u8).flat_map(|came| [(came, 0), (came, 1)]) {
            let mut ends = both();
            for number in 0..5 {
                let sent = ends[1].send(receipts(number)).unwrap();
                assert!(ends[1].send(stored(u64::from(number))).is_some());
                if number < came {
                    assert!(ends[0].on_relayed(&sent));
                    assert!(ends[0].on_relayed(&stored(1)));
                }
            }
            let end = ends[0].send(PeerMessage::End { files: 5 }).unwrap();
            assert!(ends[1].on_relayed(&end));
            assert!(ends[first].take_over());
            // Meanwhile, and after the one that has moved has said so.
            assert_eq!(ends[1].send(receipts(5)).is_none(), first == 1);
            let [to_sender, to_recipient] = exchange(&mut ends);
            let expected: Vec<_> = (came.min(5)..=5).map(receipts).collect();
            assert_eq!(to_sender, expected, "{came} came, {first} noticed first");
            assert_eq!(to_recipient, [], "the end of the files has come");
            // What the relay still brings has been repeated.
            assert!(!ends[0].on_relayed(&receipts(5)));
            assert_eq!(ends[0].send(PeerMessage::Cancel { code: Code::Done }), None);
            assert_eq!(ends[1].send(receipts(6)), None);
            let [to_sender, to_recipient] = exchange(&mut ends);
            assert_eq!(to_sender, [receipts(6)]);
            assert_eq!(to_recipient, [PeerMessage::Cancel { code: Code::Done }]);
            assert!(ends.iter().all(Handover::goes_on));
            ends[1].set_open(false);
            assert!(!ends[1].take_over(), "the direct connection has ended too");
        }
    }

    #[test]
    fn without_a_direct_connection_there_is_nothing_to_take_over() {
        let mut end = Handover::default();
        assert!(!end.take_over());
        assert!(end.send(receipts(0)).is_some());
        assert!(end.on_relayed(&receipts(0)));
    }

    #[test]
    fn what_nobody_keeps_any_more_or_makes_no_sense_breaks_it() {
        let takeover = |received| DirectMessage::Takeover { received };
        let [mut end, _] = both();
        for _ in 0..=KEPT_MAX.0 {
            end.send(receipts(0));
        }
        assert_eq!(end.on_direct(takeover(0)), Err(Broken));
        let [mut end, _] = both();
        end.send(receipts(0));
        assert_eq!(
            end.on_direct(takeover(2)),
            Err(Broken),
            "more than were sent"
        );
        let [mut end, mut other] = both();
        let message = receipts(0);
        let early = DirectMessage::Tell { message };
        assert_eq!(end.on_direct(early.clone()), Err(Broken));
        assert_eq!(other.on_direct(takeover(0)), Ok(None));
        assert_eq!(other.on_direct(early), Ok(Some(receipts(0))));
        assert_eq!(other.on_direct(takeover(0)), Err(Broken), "twice");
        let [mut end, _] = both();
        let large = PeerMessage::Receipts {
            batch: vec![0; KEPT_MAX.1 / 4].into(),
        };
        (0..10).for_each(|_| drop(end.send(large.clone())));
        assert!(end.kept_bytes <= KEPT_MAX.1);
        assert_eq!(end.first + end.kept.len() as u64, 10);
    }
}
