//! How many clients may be on their way through TCP, TLS and HTTP at once, and from where.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Connections that have not come to a QUIC handshake: each holds a descriptor and the buffers of TLS.
const ALL_MAX: usize = 1024;
/// The same from one address, so that one machine cannot keep all others out; a reverse proxy is one
/// address as well, and its clients are through within a few round trips.
const EACH_MAX: usize = 256;

/// The places that there are.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    from: HashMap<IpAddr, usize>,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    source: IpAddr,
}

impl Places {
    /// A place for a client from this address, if there is one.
    pub(super) fn take(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let source = source(from);
        let mut taken = self.lock();
        if taken.all >= ALL_MAX || taken.from.get(&source).is_some_and(|n| *n >= EACH_MAX) {
            return None;
        }
        taken.all += 1;
        *taken.from.entry(source).or_default() += 1;
        let places = self.clone();
        Some(Place { places, source })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(n) = taken.from.get_mut(&self.source) {
            *n -= 1;
            if *n == 0 {
                taken.from.remove(&self.source);
            }
        }
    }
}

/// Whoever has one IPv6 address has a network of them (RFC 6177).
fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_leaves_places_for_others() {
        let places = Arc::new(Places::default());
        let mut held: Vec<_> = (0..EACH_MAX)
            .map(|n| places.take(ip(&format!("2001:db8::{n:x}"))).unwrap())
            .collect();
        assert!(places.take(ip("2001:db8::ffff:1")).is_none());
        assert!(places.take(ip("2001:db8:0:1::1")).is_some());
        held.pop();
        assert!(places.take(ip("2001:db8::ffff:1")).is_some());
        drop(held);
        assert!(
            places.lock().from.is_empty(),
            "nothing is kept of who has gone"
        );
        assert_eq!(places.lock().all, 0);
    }

    #[test]
    fn all_sources_together_are_bounded() {
        let places = Arc::new(Places::default());
        let from = |n: usize| ip(&format!("192.0.{}.{}", n / 256, n % 256));
        let held: Vec<_> = (0..ALL_MAX)
            .map(|n| places.take(from(n)).unwrap())
            .collect();
        assert!(places.take(ip("::ffff:198.51.100.1")).is_none());
        drop(held);
    }
}
