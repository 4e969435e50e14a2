//! Connections that are not admitted yet.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::prefix::Prefix;

/// Connections between their first packet and their admission, over all networks.
const SEATS: usize = 192;
/// The same, of one network.
const SEATS_OF_ONE: usize = 96;
/// From so many on, a newcomer first shows that it can receive at its address.
const SEATS_OF_UNVALIDATED: usize = 32;
/// Newcomers that may wait for a seat. They cost their first packet and nothing else.
const WAITING: usize = 256;
/// While there is no free seat, the oldest is given to the newest this often.
const PACE: Duration = Duration::from_millis(8);

/// Who has come, and who is being let in.
///
/// A handshake that stops half-way, or a client that says no hello, holds a seat until somebody else
/// needs it: then the oldest of the network with most of them goes first. While there are none free,
/// the newest newcomer is served first. One that keeps to the protocol needs its seat for two round
/// trips; a flood that would outrun it has to be faster than `SEATS_OF_ONE` in that time, and from
/// its own network.
#[derive(Debug)]
pub(super) struct Arrivals<I> {
    waiting: VecDeque<I>,
    /// No seat is taken from anybody before.
    next: Instant,
    seats: Arc<Seats>,
}

/// A client before its handshake.
pub(super) trait Newcomer {
    /// Where it comes from.
    fn address(&self) -> IpAddr;
    /// Whether it has shown that it receives there.
    fn is_validated(&self) -> bool;
    /// Asks it to show that.
    fn validate(self);
    /// Says nothing: it will try again in a second, as if its packet had been lost.
    fn ignore(self);
}

impl<I: Newcomer> Arrivals<I> {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            next: Instant::now(),
            seats: Arc::default(),
        }
    }

    /// Somebody has come.
    pub(super) fn push(&mut self, newcomer: I) {
        if !newcomer.is_validated() && self.seats.taken() >= SEATS_OF_UNVALIDATED {
            return newcomer.validate();
        }
        if self.waiting.len() >= WAITING
            && let Some(oldest) = self.waiting.pop_front()
        {
            oldest.ignore();
        }
        self.waiting.push_back(newcomer);
    }

    /// The next to be let in, with its seat.
    pub(super) fn next(&mut self) -> Option<(I, Seat)> {
        let newest = self.waiting.back()?;
        let prefix = Prefix::of(newest.address());
        if !self.seats.has_room(prefix) {
            let now = Instant::now();
            if now < self.next {
                return None;
            }
            self.next = now + PACE;
            self.seats.evict(prefix);
        }
        let newest = self.waiting.pop_back()?;
        Some((newest, self.seats.clone().take(prefix)))
    }

    /// Waits until [`next`](Self::next) may give somebody without anybody coming; for ever if
    /// nobody waits.
    ///
    /// Cancel-safe.
    pub(super) async fn due(&self) {
        if self.waiting.is_empty() {
            std::future::pending::<()>().await;
        }
        tokio::select! {
            () = tokio::time::sleep_until(self.next) => {}
            () = self.seats.freed.notified() => {}
        }
    }
}

#[derive(Debug, Default)]
struct Seats {
    inner: Mutex<Inner>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    taken: HashMap<u64, Arc<Notify>>,
    /// Seats by network, the oldest first.
    by_prefix: HashMap<Prefix, BTreeSet<u64>>,
}

/// The right to be on the way in; given up when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    prefix: Prefix,
    number: u64,
    evicted: Arc<Notify>,
}

impl Seat {
    /// Completes when somebody else needs it.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().remove(self.prefix, self.number);
        self.seats.freed.notify_one();
    }
}

impl Seats {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> usize {
        self.lock().taken.len()
    }

    fn has_room(&self, prefix: Prefix) -> bool {
        let inner = self.lock();
        inner.taken.len() < SEATS && inner.of(prefix) < SEATS_OF_ONE
    }

    fn take(self: Arc<Self>, prefix: Prefix) -> Seat {
        let mut inner = self.lock();
        inner.last += 1;
        let (number, evicted) = (inner.last, Arc::new(Notify::new()));
        inner.taken.insert(number, evicted.clone());
        inner.by_prefix.entry(prefix).or_default().insert(number);
        drop(inner);
        Seat {
            seats: self,
            prefix,
            number,
            evicted,
        }
    }

    /// Takes the seat of the oldest: of this network if it has its share, else of the one with most.
    fn evict(&self, prefix: Prefix) {
        let mut inner = self.lock();
        let from = match inner.of(prefix) >= SEATS_OF_ONE {
            true => Some(prefix),
            false => {
                let most = inner.by_prefix.iter().max_by_key(|(_, seats)| seats.len());
                most.map(|(prefix, _)| *prefix)
            }
        };
        let oldest = from.and_then(|from| Some((from, *inner.by_prefix.get(&from)?.first()?)));
        if let Some((from, oldest)) = oldest
            && let Some(evicted) = inner.remove(from, oldest)
        {
            evicted.notify_one();
        }
    }
}

impl Inner {
    fn of(&self, prefix: Prefix) -> usize {
        self.by_prefix.get(&prefix).map_or(0, BTreeSet::len)
    }

    fn remove(&mut self, prefix: Prefix, number: u64) -> Option<Arc<Notify>> {
        let evicted = self.taken.remove(&number)?;
        if let Some(seats) = self.by_prefix.get_mut(&prefix) {
            seats.remove(&number);
            if seats.is_empty() {
                self.by_prefix.remove(&prefix);
            }
        }
        Some(evicted)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Client(&'static str);

    impl Newcomer for Client {
        fn address(&self) -> IpAddr {
            self.0.parse().unwrap()
        }
        fn is_validated(&self) -> bool {
            true
        }
        fn validate(self) {}
        fn ignore(self) {}
    }

    fn fill(arrivals: &mut Arrivals<Client>, from: &'static str, count: usize) -> Vec<Seat> {
        let mut seats = Vec::new();
        for _ in 0..count {
            arrivals.push(Client(from));
            seats.extend(arrivals.next().map(|(_, seat)| seat));
        }
        seats
    }

    fn is_evicted(seat: &Seat) -> bool {
        seat.evicted().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_network_loses_its_own_oldest_and_nobody_elses() {
        let mut arrivals = Arrivals::new();
        let other = fill(&mut arrivals, "198.51.100.1", 1);
        let mut flood = fill(&mut arrivals, "192.0.2.1", SEATS_OF_ONE);
        assert_eq!(flood.len(), SEATS_OF_ONE);
        tokio::time::advance(PACE).await;
        flood.extend(fill(&mut arrivals, "192.0.2.1", 1));
        assert!(is_evicted(&flood[0]) && !is_evicted(&flood[1]) && !is_evicted(&other[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_from_elsewhere_takes_the_oldest_seat_of_the_largest_network() {
        let mut arrivals = Arrivals::new();
        let one = fill(&mut arrivals, "192.0.2.1", SEATS_OF_ONE);
        let two = fill(&mut arrivals, "203.0.113.1", SEATS_OF_ONE - 1);
        let three = fill(&mut arrivals, "198.51.100.1", 1);
        tokio::time::advance(PACE).await;
        assert_eq!(fill(&mut arrivals, "198.51.100.9", 1).len(), 1);
        assert!(is_evicted(&one[0]) && !is_evicted(&two[0]) && !is_evicted(&three[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn while_seats_are_taken_from_others_the_newest_comes_first_and_at_a_pace() {
        let mut arrivals = Arrivals::new();
        let _held = fill(&mut arrivals, "192.0.2.1", SEATS_OF_ONE);
        tokio::time::advance(PACE).await;
        for last in ["192.0.2.2", "192.0.2.3", "192.0.2.4"] {
            arrivals.push(Client(last));
        }
        let (first, _seat) = arrivals.next().unwrap();
        assert_eq!(first, Client("192.0.2.4"));
        assert!(arrivals.next().is_none());
        arrivals.due().await;
        assert_eq!(arrivals.next().unwrap().0, Client("192.0.2.3"));
    }
}
