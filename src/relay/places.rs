//! How many admitted peers there may be.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::prefix::Prefix;

/// The relay's places: taken after admission only, and by no one network all.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
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
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            taken: Mutex::default(),
        })
    }

    /// How many there are.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Whether there is none left.
    pub(super) fn is_full(&self) -> bool {
        self.taken().all >= self.max
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a peer at this address, if there is one for it.
    ///
    /// One network gets three quarters at most; this machine itself may have them all.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let prefix = Prefix::of(address);
        let max_of_one = match prefix.is_loopback() {
            true => self.max,
            false => (self.max / 4 * 3).max(1),
        };
        let mut taken = self.taken();
        let of_one = taken.by_prefix.get(&prefix).copied().unwrap_or_default();
        if taken.all >= self.max || of_one >= max_of_one {
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
        let places = Places::new(8);
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
        let places = Places::new(8);
        let all: Vec<_> = (0..9)
            .map_while(|_| places.take("127.0.0.1".parse().unwrap()))
            .collect();
        assert_eq!(all.len(), 8);
    }
}
