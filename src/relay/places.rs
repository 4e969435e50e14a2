//! How many admitted peers there may be.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use super::prefix::Prefix;

/// Peers up to which each may ping every [`PING_EVERY`]: 500 pings a second, some 3 % of a core.
const PEERS_THAT_PING: usize = 1_500;
/// With the pause of half a second at most before it connects, a listener is back within five seconds.
const PING_EVERY: Duration = Duration::from_secs(3);

/// The relay's places: taken after admission only, and by no one network all.
#[derive(Debug)]
pub(super) struct Places {
    max: AtomicUsize,
    /// Of one network; 0 is three quarters.
    max_of_one: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_prefix: HashMap<Prefix, usize>,
}

/// One place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    prefix: Prefix,
}

impl Places {
    pub(super) fn new(max: usize, of_one: Option<NonZeroUsize>) -> Arc<Self> {
        let places = Self {
            max: AtomicUsize::new(0),
            max_of_one: AtomicUsize::new(0),
            taken: Mutex::default(),
        };
        places.set(max, of_one);
        Arc::new(places)
    }

    /// Sets how many there are, and how many for one network. Who has one keeps it.
    pub(super) fn set(&self, max: usize, of_one: Option<NonZeroUsize>) {
        self.max.store(max, Relaxed);
        let of_one = of_one.map_or(0, NonZeroUsize::get);
        self.max_of_one.store(of_one, Relaxed);
    }

    /// How many there are.
    pub(super) fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    /// Whether there is none left.
    pub(super) fn is_full(&self) -> bool {
        self.taken().all >= self.max()
    }

    /// How many are taken.
    pub(super) fn in_use(&self) -> usize {
        self.taken().all
    }

    /// How often each peer may ping while it is idle, so that it soon notices when this relay was restarted;
    /// nothing where that would come to too much.
    pub(super) fn ping_every(&self) -> Option<Duration> {
        (self.taken().all <= PEERS_THAT_PING).then_some(PING_EVERY)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a peer at this address, if there is one for it.
    ///
    /// One network gets three quarters at most, and this machine itself may have them all, unless the
    /// operator has set how many.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let prefix = Prefix::of(address);
        let max = self.max();
        let max_of_one = match self.max_of_one.load(Relaxed) {
            0 if prefix.is_loopback() => max,
            0 => (max / 4 * 3).max(1),
            set => set,
        };
        let mut taken = self.taken();
        let of_one = taken.by_prefix.get(&prefix).copied().unwrap_or_default();
        if taken.all >= max || of_one >= max_of_one {
            return None;
        }
        taken.all += 1;
        taken.by_prefix.insert(prefix, of_one + 1);
        drop(taken);
        Some(Place {
            places: self.clone(),
            prefix,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let left = taken.by_prefix.remove(&self.prefix).unwrap_or(1) - 1;
        if left > 0 {
            taken.by_prefix.insert(self.prefix, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_leaves_a_quarter_to_the_others() {
        let places = Places::new(8, None);
        let take = |text: &str| places.take(text.parse().unwrap());
        let greedy: Vec<_> = (0..8).map_while(|_| take("192.0.2.1")).collect();
        assert_eq!(greedy.len(), 6);
        let (other, another) = (take("198.51.100.1"), take("198.51.100.1"));
        assert!(other.is_some() && another.is_some() && take("203.0.113.1").is_none());
        drop(greedy);
        assert!(take("192.0.2.1").is_some());
    }

    #[test]
    fn this_machine_may_take_them_all() {
        let places = Places::new(8, None);
        let all: Vec<_> = (0..9)
            .map_while(|_| places.take("127.0.0.1".parse().unwrap()))
            .collect();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn an_operator_may_set_both_while_places_are_taken() {
        let places = Places::new(8, NonZeroUsize::new(2));
        let take = |text: &str| places.take(text.parse().unwrap());
        let two = [take("127.0.0.1"), take("127.0.0.1")];
        assert!(two.iter().all(Option::is_some) && take("127.0.0.1").is_none());
        places.set(3, NonZeroUsize::new(3));
        let third = take("127.0.0.1");
        assert!(third.is_some() && take("192.0.2.1").is_none());
        places.set(1, None);
        assert!(take("192.0.2.1").is_none() && places.is_full());
    }
}
