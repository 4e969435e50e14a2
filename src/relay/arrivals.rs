//! Connections that are not admitted yet.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    net::SocketAddr,
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
/// Of them, from one address and port: p2p's own clients have one connection there.
const WAITING_OF_ONE: usize = 8;
/// While there is no free seat, the oldest is given to a newcomer this often.
const PACE: Duration = Duration::from_millis(4);
/// For so long it is remembered who was let in, of so many addresses and ports.
const REMEMBERED: Duration = Duration::from_secs(30);
const REMEMBERED_MAX: usize = 4096;

/// Who has come, and who is being let in.
///
/// A handshake that stops half-way, or a client that says no hello, holds a seat until somebody else
/// needs it: then the oldest of the network with most of them goes first. While there are none free,
/// who comes from a network without its share of seats comes first, then who was let in least often from
/// its address and port, and of these the newest. So a
/// flood of handshakes that lead nowhere soon stands behind everyone who is new. Who keeps to the
/// protocol needs its seat for two round trips, and is out of all this then.
#[derive(Debug)]
pub(super) struct Arrivals<I> {
    waiting: VecDeque<I>,
    /// No seat is taken from anybody before.
    next: Instant,
    /// How often each address and port was let in, and when last.
    let_in: HashMap<SocketAddr, (u32, Instant)>,
    seats: Arc<Seats>,
}

/// A client before its handshake.
pub(super) trait Newcomer {
    /// Where it comes from.
    fn address(&self) -> SocketAddr;
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
            let_in: HashMap::new(),
            seats: Arc::default(),
        }
    }

    /// Somebody has come.
    pub(super) fn push(&mut self, newcomer: I) {
        if !newcomer.is_validated() && self.seats.taken() >= SEATS_OF_UNVALIDATED {
            return newcomer.validate();
        }
        let address = newcomer.address();
        let same = |other: &I| other.address() == address;
        if self.waiting.iter().filter(|other| same(other)).count() >= WAITING_OF_ONE {
            return newcomer.ignore();
        }
        if self.waiting.len() >= WAITING
            && let Some(oldest) = self.oldest_of_most()
            && let Some(oldest) = self.waiting.remove(oldest)
        {
            oldest.ignore();
        }
        self.waiting.push_back(newcomer);
    }

    /// The oldest of those who wait from the network of which most do.
    fn oldest_of_most(&self) -> Option<usize> {
        let prefix = |newcomer: &I| Prefix::of(newcomer.address().ip());
        let mut count = HashMap::new();
        for newcomer in &self.waiting {
            *count.entry(prefix(newcomer)).or_insert(0) += 1;
        }
        let (most, _) = count.into_iter().max_by_key(|(_, count)| *count)?;
        self.waiting.iter().position(|other| prefix(other) == most)
    }

    /// Which of those who wait comes first: whose network has a seat to spare, before the others.
    fn first(&self) -> Option<usize> {
        let crowded = self.seats.crowded();
        let rank = |(index, newcomer): &(usize, &I)| {
            let address = newcomer.address();
            let known = self.let_in.get(&address);
            let often = known.map_or(0, |known| known.0);
            let is_crowded = crowded.contains(&Prefix::of(address.ip()));
            (is_crowded, often, std::cmp::Reverse(*index))
        };
        let waiting = self.waiting.iter().enumerate();
        waiting.min_by_key(rank).map(|(index, _)| index)
    }

    fn remember(&mut self, address: SocketAddr) {
        let now = Instant::now();
        if self.let_in.len() >= REMEMBERED_MAX {
            let is_recent = |at: Instant| now.duration_since(at) < REMEMBERED;
            self.let_in.retain(|_, (_, at)| is_recent(*at));
            if self.let_in.len() >= REMEMBERED_MAX {
                self.let_in.clear();
            }
        }
        let (often, at) = self.let_in.entry(address).or_insert((0, now));
        *often += 1;
        *at = now;
    }

    /// The next to be let in, with its seat.
    pub(super) fn next(&mut self) -> Option<(I, Seat)> {
        let first = self.first()?;
        let address = self.waiting[first].address();
        let prefix = Prefix::of(address.ip());
        if !self.seats.has_room(prefix) {
            let now = Instant::now();
            if now < self.next {
                return None;
            }
            self.next = now + PACE;
            self.seats.evict(prefix);
        }
        self.remember(address);
        let first = self.waiting.remove(first)?;
        Some((first, self.seats.clone().take(prefix)))
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

    /// The networks that have their share.
    fn crowded(&self) -> HashSet<Prefix> {
        let inner = self.lock();
        let all = inner.by_prefix.iter();
        all.filter(|(_, seats)| seats.len() >= SEATS_OF_ONE)
            .map(|(prefix, _)| *prefix)
            .collect()
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
        fn address(&self) -> SocketAddr {
            (self.0.parse::<std::net::IpAddr>().unwrap(), 7).into()
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
    async fn who_was_let_in_before_and_came_to_nothing_stands_behind_who_is_new() {
        let mut arrivals = Arrivals::new();
        let _held = fill(&mut arrivals, "192.0.2.1", SEATS_OF_ONE);
        arrivals.push(Client("192.0.2.9"));
        for _ in 0..WAITING_OF_ONE {
            arrivals.push(Client("192.0.2.1"));
        }
        tokio::time::advance(PACE).await;
        assert_eq!(arrivals.next().unwrap().0, Client("192.0.2.9"));
        for _ in 0..WAITING {
            arrivals.push(Client("192.0.2.1"));
        }
        assert_eq!(arrivals.waiting.len(), WAITING_OF_ONE, "of one, so many");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_one_network_does_not_stand_before_another_network() {
        let mut arrivals = Arrivals::new();
        let _held = fill(&mut arrivals, "192.0.2.1", SEATS_OF_ONE);
        arrivals.push(Client("198.51.100.1"));
        let flood: Vec<&'static str> = (0..250).map(|n| &*format!("192.0.2.{n}").leak()).collect();
        for from in flood.iter().chain(&flood) {
            arrivals.push(Client(from));
        }
        assert_eq!(arrivals.waiting.len(), WAITING);
        // At once: there is a seat for it, and nobody's is taken.
        assert_eq!(arrivals.next().unwrap().0, Client("198.51.100.1"));
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
