//! Who is received at once, and who waits for a place.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::protocol::{PeerId, SignedOffer, TransferId};

/// Transfers that are received at once.
const TRANSFERS_MAX: usize = 64;
/// The same of one sender.
const PER_SENDER: usize = 16;
/// Offers that wait.
const WAITING_MAX: usize = 256;
/// The same of one sender.
const WAITING_PER_SENDER: usize = 64;
/// How long an offer waits before its sender is told to come again.
const WAIT: Duration = Duration::from_secs(8);

/// An offer that waits for a place, unopened.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) transfer: TransferId,
    pub(super) from: PeerId,
    pub(super) offer: SignedOffer,
    pub(super) since: Instant,
}

/// Whether an offer has a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    Free,
    Taken,
}

/// Whose transfers have a place, over all channels of a listener.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<TransferId, PeerId>>>);

impl Places {
    fn lock(&self) -> MutexGuard<'_, HashMap<TransferId, PeerId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no other sender has more places than this one.
    pub(super) fn has_most(&self, sender: PeerId) -> bool {
        let of_each = count(self.lock().values().copied());
        of_each.values().max() == of_each.get(&sender)
    }
}

/// How often each occurs.
fn count(peers: impl Iterator<Item = PeerId>) -> HashMap<PeerId, usize> {
    let mut of_each = HashMap::new();
    for peer in peers {
        *of_each.entry(peer).or_default() += 1;
    }
    of_each
}

/// The places of a listener, and those who wait for one on one channel, the first first.
#[derive(Debug)]
pub(super) struct Queue {
    /// Whether one transfer is enough: then there is one place.
    once: bool,
    places: Places,
    /// Those of this channel, which are free again when it is over.
    taken: Vec<TransferId>,
    waiting: VecDeque<Waiting>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut places = self.places.lock();
        for transfer in &self.taken {
            places.remove(transfer);
        }
    }
}

impl Queue {
    pub(super) fn new(once: bool, places: Places) -> Self {
        Self {
            once,
            places,
            taken: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Whether a transfer of this sender would get a place.
    pub(super) fn has_room(&self, from: PeerId) -> bool {
        let places = self.places.lock();
        let of_sender = places.values().filter(|peer| **peer == from).count();
        places.len() < self.most() && of_sender < PER_SENDER
    }

    fn most(&self) -> usize {
        if self.once { 1 } else { TRANSFERS_MAX }
    }

    /// Whether somebody waits since every place is taken, and not since it has its share of them.
    pub(super) fn is_crowded(&self) -> bool {
        !self.waiting.is_empty() && self.places.lock().len() >= self.most()
    }

    /// Takes a place; also beyond the bounds for one that `goes_on` with what is still open.
    pub(super) fn enter(&mut self, transfer: TransferId, from: PeerId, goes_on: bool) -> Place {
        if !goes_on && !self.has_room(from) {
            return Place::Taken;
        }
        self.places.lock().insert(transfer, from);
        self.taken.push(transfer);
        Place::Free
    }

    /// Gives a place back; whether it was that of the only transfer that is wanted.
    pub(super) fn leave(&mut self, transfer: TransferId) -> bool {
        self.taken.retain(|taken| *taken != transfer);
        let mut places = self.places.lock();
        places.remove(&transfer).is_some() && self.once && places.is_empty()
    }

    /// Lets an offer wait; if too many wait, gives one back: the last of whose sender has most of them.
    #[expect(
        clippy::result_large_err,
        reason = "it is the offer itself, given back"
    )]
    pub(super) fn push(&mut self, waiting: Waiting) -> Result<(), Waiting> {
        let of_each = count(self.waiting.iter().map(|waiting| waiting.from));
        let of_sender = of_each.get(&waiting.from).copied().unwrap_or(0);
        if of_sender >= WAITING_PER_SENDER {
            return Err(waiting);
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(waiting);
            return Ok(());
        }
        let last_of_most = self.waiting.iter().enumerate().max_by_key(|(at, waiting)| {
            let of_sender = of_each.get(&waiting.from);
            (of_sender.copied(), *at)
        });
        match last_of_most {
            Some((at, other)) if of_each.get(&other.from) > Some(&(of_sender + 1)) => {
                let other = self.waiting.remove(at);
                self.waiting.push_back(waiting);
                other.map_or(Ok(()), Err)
            }
            _ => Err(waiting),
        }
    }

    /// Forgets an offer that its sender takes back.
    pub(super) fn withdraw(&mut self, transfer: TransferId, from: PeerId) {
        self.waiting
            .retain(|w| w.transfer != transfer || w.from != from);
    }

    /// The next that can have a place now: the first of those whose senders have the fewest.
    pub(super) fn pop_ready(&mut self) -> Option<Waiting> {
        let of_each = count(self.places.lock().values().copied());
        let places = |waiting: &Waiting| of_each.get(&waiting.from).copied().unwrap_or(0);
        let able = self.waiting.iter().enumerate();
        let able = able.filter(|(_, waiting)| self.has_room(waiting.from));
        let (ready, _) = able.min_by_key(|(at, waiting)| (places(waiting), *at))?;
        self.waiting.remove(ready)
    }

    /// The first that has waited too long.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Waiting> {
        let first = self.waiting.front()?;
        let expired = now.duration_since(first.since) > WAIT;
        expired.then(|| self.waiting.pop_front()).flatten()
    }

    /// The first that waits.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Base64;

    fn peer(n: usize) -> PeerId {
        PeerId::from_bytes(blake3::hash(&n.to_be_bytes()).into())
    }

    fn transfer(n: usize) -> TransferId {
        TransferId::from_bytes((n as u128).to_be_bytes())
    }

    fn waiting(n: usize, from: PeerId) -> Waiting {
        let nothing = || Base64(Vec::new());
        Waiting {
            transfer: transfer(n),
            from,
            offer: SignedOffer {
                body: nothing(),
                signature: nothing(),
                mac: nothing(),
                manifest: nothing(),
            },
            since: Instant::now(),
        }
    }

    #[test]
    fn one_sender_cannot_take_every_place() {
        let mut queue = Queue::new(false, Places::default());
        for n in 0..PER_SENDER {
            assert_eq!(queue.enter(transfer(n), peer(0), false), Place::Free);
        }
        let more = transfer(PER_SENDER);
        assert_eq!(queue.enter(more, peer(0), false), Place::Taken);
        assert_eq!(queue.enter(more, peer(0), true), Place::Free, "it goes on");
        assert!(queue.has_room(peer(1)));
        for n in 0..WAITING_PER_SENDER {
            queue.push(waiting(100 + n, peer(0))).unwrap();
        }
        assert!(queue.push(waiting(99, peer(0))).is_err());
        // Who comes later and can be served does not wait behind who cannot.
        queue.push(waiting(1000, peer(1))).unwrap();
        assert_eq!(queue.pop_ready().unwrap().from, peer(1));
        assert!(queue.pop_ready().is_none());
    }

    /// A few senders hold every place and every place in the queue; another one comes.
    #[test]
    fn who_has_nothing_comes_before_those_who_have_much() {
        let mut queue = Queue::new(false, Places::default());
        let few = TRANSFERS_MAX / PER_SENDER;
        for n in 0..TRANSFERS_MAX {
            let from = peer(n % few);
            assert_eq!(queue.enter(transfer(n), from, false), Place::Free);
        }
        for n in 0..WAITING_MAX {
            queue.push(waiting(1000 + n, peer(n % few))).unwrap();
        }
        let (poor, late) = (peer(few), waiting(2000, peer(few)));
        let given_back = queue.push(late).unwrap_err();
        assert_eq!(given_back.transfer, transfer(1000 + WAITING_MAX - 1));
        assert!(queue.is_crowded());
        assert!(queue.places.has_most(peer(0)) && !queue.places.has_most(poor));
        queue.leave(transfer(0));
        assert!(!queue.is_crowded());
        assert_eq!(queue.pop_ready().unwrap().from, poor);
    }

    #[test]
    fn who_waits_for_its_own_places_makes_no_crowd() {
        let mut queue = Queue::new(false, Places::default());
        for n in 0..PER_SENDER {
            queue.enter(transfer(n), peer(0), false);
        }
        queue.push(waiting(100, peer(0))).unwrap();
        assert!(!queue.is_crowded());
    }

    #[test]
    fn a_hundred_wait_their_turn_in_order() {
        let mut queue = Queue::new(false, Places::default());
        for n in 0..100 {
            if queue.enter(transfer(n), peer(n), false) == Place::Taken {
                queue.push(waiting(n, peer(n))).unwrap();
            }
        }
        assert_eq!(queue.places.lock().len(), TRANSFERS_MAX);
        for n in TRANSFERS_MAX..100 {
            assert!(queue.pop_ready().is_none());
            queue.leave(transfer(n - TRANSFERS_MAX));
            let next = queue.pop_ready().unwrap();
            assert_eq!(next.transfer, transfer(n));
            queue.enter(next.transfer, next.from, false);
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn who_wants_one_transfer_takes_the_next_when_the_first_is_lost() {
        let mut queue = Queue::new(true, Places::default());
        assert_eq!(queue.enter(transfer(1), peer(1), false), Place::Free);
        assert_eq!(queue.enter(transfer(2), peer(2), false), Place::Taken);
        queue.push(waiting(2, peer(2))).unwrap();
        // The same job again takes over, and the older one's end is not the end.
        assert_eq!(queue.enter(transfer(3), peer(1), true), Place::Free);
        assert!(!queue.leave(transfer(1)));
        assert!(queue.pop_ready().is_none());
        assert!(queue.leave(transfer(3)));
        assert_eq!(queue.pop_ready().unwrap().transfer, transfer(2));
    }

    #[test]
    fn two_channels_of_a_listener_share_its_places_until_one_is_over() {
        let places = Places::default();
        let [mut one, mut two] = [0, 1].map(|_| Queue::new(true, places.clone()));
        assert_eq!(one.enter(transfer(1), peer(1), false), Place::Free);
        assert_eq!(two.enter(transfer(2), peer(2), false), Place::Taken);
        // The same job goes on there.
        assert_eq!(two.enter(transfer(3), peer(1), true), Place::Free);
        assert!(!one.leave(transfer(1)));
        drop(two);
        assert_eq!(one.enter(transfer(4), peer(2), false), Place::Free);
        assert!(one.leave(transfer(4)));
    }

    #[test]
    fn nobody_waits_for_ever_or_after_going() {
        let mut queue = Queue::new(false, Places::default());
        let now = Instant::now();
        queue.push(waiting(1, peer(1))).unwrap();
        queue.push(waiting(2, peer(2))).unwrap();
        queue.withdraw(transfer(1), peer(2));
        queue.withdraw(transfer(1), peer(1));
        assert!(queue.pop_expired(now + WAIT).is_none());
        let late = now + WAIT + Duration::from_secs(1);
        assert_eq!(queue.pop_expired(late).unwrap().transfer, transfer(2));
        assert!(queue.is_empty());
    }
}
