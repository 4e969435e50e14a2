//! What rooms and networks may have of a relay. May change while it runs.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::Notify;

use super::{budget::RoomSpool, prefix::Prefix};
use crate::{
    protocol::{PeerId, RoomId},
    quic::RateLimit,
};

/// Networks whose newcomers are counted; beyond that, those that have been quiet are forgotten.
const NETWORKS_MAX: usize = 16_384;

/// What the members of one room may have together. Nothing is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomQuota {
    /// Identities at once.
    pub members: Option<NonZeroUsize>,
    /// Bytes a second that all of them may send.
    pub rate: Option<u64>,
    /// Files that are passed on at once; others wait at their senders.
    pub files: Option<NonZeroUsize>,
    /// Bytes on disk for recipients that are behind.
    pub spool: Option<u64>,
}

impl RoomQuota {
    /// This one, and where it has no limit, that of `under`.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            members: self.members.or(under.members),
            rate: self.rate.or(under.rate),
            files: self.files.or(under.files),
            spool: self.spool.or(under.spool),
        }
    }
}

/// What an operator may set while a relay runs, beside which rooms are admitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections of admitted peers at once.
    pub max_peers: usize,
    /// Bytes a second that each peer may send, over all of its connections.
    pub rate_per_peer: Option<u64>,
    /// What each room may have.
    pub room: RoomQuota,
    /// What some rooms may have in place of that.
    pub rooms: HashMap<RoomId, RoomQuota>,
    /// Of them, those of one network (a /24 of IPv4, a /56 of IPv6); three quarters, if this is not set.
    pub network_connections: Option<NonZeroUsize>,
    /// New connections a second of one network.
    pub network_handshakes: Option<NonZeroU32>,
}

impl Limits {
    fn of(&self, room: RoomId) -> RoomQuota {
        let own = self.rooms.get(&room).copied().unwrap_or_default();
        own.over(self.room)
    }
}

/// Who uses how much of what the limits allow.
#[derive(Debug)]
pub(super) struct Quotas {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    rooms: HashMap<RoomId, Weak<RoomUse>>,
    peers: HashMap<PeerId, Weak<RateLimit>>,
    newcomers: Option<DefaultKeyedRateLimiter<Prefix>>,
}

/// What one room uses.
#[derive(Debug)]
pub(super) struct RoomUse {
    members_max: AtomicUsize,
    /// For what all of its members send.
    pub(super) rate: RateLimit,
    files: Files,
    /// What it has on disk.
    pub(super) spool: Arc<RoomSpool>,
}

#[derive(Debug, Default)]
struct Files {
    max: AtomicUsize,
    active: AtomicUsize,
    freed: Notify,
}

/// The right to pass a file on.
#[derive(Debug)]
pub(super) struct FilePlace(Arc<RoomUse>);

impl Quotas {
    pub(super) fn new(limits: Limits) -> Self {
        let newcomers = limits.network_handshakes.map(newcomers);
        let state = State {
            limits,
            rooms: HashMap::new(),
            peers: HashMap::new(),
            newcomers,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// What a room uses; the same for all of its members.
    pub(super) fn room(&self, room: RoomId) -> Arc<RoomUse> {
        let mut state = self.lock();
        if let Some(there) = state.rooms.get(&room).and_then(Weak::upgrade) {
            return there;
        }
        forget_gone(&mut state.rooms);
        let new = Arc::new(RoomUse::new(state.limits.of(room)));
        state.rooms.insert(room, Arc::downgrade(&new));
        new
    }

    /// What a peer's connections may send together.
    pub(super) fn peer(&self, peer: PeerId) -> Arc<RateLimit> {
        let mut state = self.lock();
        if let Some(there) = state.peers.get(&peer).and_then(Weak::upgrade) {
            return there;
        }
        forget_gone(&mut state.peers);
        let new = Arc::new(RateLimit::of(state.limits.rate_per_peer));
        state.peers.insert(peer, Arc::downgrade(&new));
        new
    }

    /// Whether somebody from there may try to come in now.
    pub(super) fn may_try(&self, address: IpAddr) -> bool {
        let state = self.lock();
        let Some(newcomers) = &state.newcomers else {
            return true;
        };
        if newcomers.len() > NETWORKS_MAX {
            newcomers.retain_recent();
        }
        newcomers.check_key(&Prefix::of(address)).is_ok()
    }

    /// Sets other limits, also for whoever is here. Nobody is dropped.
    pub(super) fn set(&self, limits: Limits) {
        let mut state = self.lock();
        for (id, room) in &state.rooms {
            if let Some(room) = room.upgrade() {
                room.set(limits.of(*id));
            }
        }
        for peer in state.peers.values().filter_map(Weak::upgrade) {
            peer.set(limits.rate_per_peer);
        }
        if limits.network_handshakes != state.limits.network_handshakes {
            state.newcomers = limits.network_handshakes.map(newcomers);
        }
        state.limits = limits;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves valid state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn newcomers(per_second: NonZeroU32) -> DefaultKeyedRateLimiter<Prefix> {
    RateLimiter::keyed(Quota::per_second(per_second))
}

/// Before a map grows, room is made of what nobody holds any more.
fn forget_gone<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, Weak<V>>) {
    if map.len() == map.capacity() {
        map.retain(|_, there| there.strong_count() > 0);
    }
}

impl RoomUse {
    fn new(quota: RoomQuota) -> Self {
        let this = Self {
            members_max: AtomicUsize::new(usize::MAX),
            rate: RateLimit::of(quota.rate),
            files: Files::default(),
            spool: Arc::default(),
        };
        this.set(quota);
        this
    }

    fn set(&self, quota: RoomQuota) {
        let or_max = |limit: Option<NonZeroUsize>| limit.map_or(usize::MAX, NonZeroUsize::get);
        self.members_max.store(or_max(quota.members), Relaxed);
        self.rate.set(quota.rate);
        self.files.max.store(or_max(quota.files), Relaxed);
        self.files.freed.notify_waiters();
        self.spool.set_max(quota.spool.unwrap_or(u64::MAX));
    }

    /// How many identities may be in it.
    pub(super) fn members_max(&self) -> usize {
        self.members_max.load(Relaxed)
    }

    /// Waits until another file may be passed on.
    ///
    /// Cancel-safe.
    pub(super) async fn file(self: &Arc<Self>) -> FilePlace {
        loop {
            let freed = self.files.freed.notified();
            if let Some(place) = self.try_file() {
                return place;
            }
            freed.await;
        }
    }

    /// The same without waiting; `None` while as many are passed on as may be.
    pub(super) fn try_file(self: &Arc<Self>) -> Option<FilePlace> {
        let max = self.files.max.load(Relaxed);
        let within = |active: usize| (active < max).then_some(active + 1);
        let taken = self.files.active.fetch_update(Relaxed, Relaxed, within);
        taken.is_ok().then(|| FilePlace(self.clone()))
    }
}

impl Drop for FilePlace {
    fn drop(&mut self) {
        self.0.files.active.fetch_sub(1, Relaxed);
        // All: whoever is woken and dropped at once would take the word of one with it.
        self.0.files.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn room(n: u8) -> RoomId {
        RoomId::from_bytes([n; 32])
    }

    #[test]
    fn a_room_of_its_own_quota_has_the_general_one_for_the_rest() {
        let general = RoomQuota {
            members: NonZeroUsize::new(10),
            files: NonZeroUsize::new(3),
            ..RoomQuota::default()
        };
        let own = RoomQuota {
            members: NonZeroUsize::new(50),
            ..RoomQuota::default()
        };
        let limits = Limits {
            room: general,
            rooms: [(room(1), own)].into(),
            ..Limits::default()
        };
        let quota = limits.of(room(1));
        assert_eq!((quota.members, quota.files), (own.members, general.files));
        assert_eq!(limits.of(room(2)), general);
    }

    #[tokio::test]
    async fn files_beyond_the_quota_wait_and_a_higher_quota_lets_them_go() {
        let quotas = Quotas::new(Limits {
            room: RoomQuota {
                files: NonZeroUsize::new(1),
                ..RoomQuota::default()
            },
            ..Limits::default()
        });
        let room = quotas.room(room(1));
        let first = room.file().await;
        assert!(room.file().now_or_never().is_none());
        drop(first);
        let first = room.file().await;
        let mut second = Box::pin(room.file());
        assert!((&mut second).now_or_never().is_none());
        quotas.set(Limits::default());
        drop((first, second.await));
    }

    #[test]
    fn a_network_that_tries_too_often_waits_and_another_does_not() {
        let quotas = Quotas::new(Limits {
            network_handshakes: NonZeroU32::new(3),
            ..Limits::default()
        });
        let tries = |text: &str| quotas.may_try(text.parse().unwrap());
        let allowed = (0..10).filter(|_| tries("192.0.2.1")).count();
        assert_eq!(allowed, 3);
        assert!(!tries("192.0.2.200") && tries("198.51.100.1"));
        quotas.set(Limits::default());
        assert!(tries("192.0.2.1"));
    }
}
