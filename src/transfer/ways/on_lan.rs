//! Listeners on this LAN: who was found, and who of them can be reached.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use crate::{
    lan::{Found, Search},
    protocol::PeerId,
};

/// Listeners that are open, or being opened, at the most.
const MAX: usize = 64;
/// How often one that cannot be reached, or was lost, is tried again.
const TRIES: u32 = 4;
/// The pause before that, which doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the LAN may take to answer: where a relay has answered, and where none has.
///
/// Questions are asked at once, after 250 ms, after one second and after three. The first window has time for the
/// answers to two, the second for those to three: Wi-Fi loses some.
const WINDOW: (Duration, Duration) = (Duration::from_millis(400), Duration::from_millis(1_500));
/// How much longer it may take to connect to who has answered.
const DIALLING: Duration = Duration::from_secs(1);

/// Listeners on this LAN, by the key of the relay that each of them runs.
pub(super) struct LanListeners {
    search: Option<Search>,
    found: HashMap<PeerId, LanListener>,
}

struct LanListener {
    found: Found,
    tries: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Dialling,
    Open,
}

impl LanListeners {
    /// Whoever this search finds.
    pub(super) fn new(search: Option<Search>) -> Self {
        Self {
            search,
            found: HashMap::new(),
        }
    }

    /// Who is found next; never, where nobody is searched for. Cancel-safe.
    pub(super) async fn next(&mut self) -> Found {
        match &mut self.search {
            Some(search) => search.next().await,
            None => std::future::pending().await,
        }
    }

    /// Notes who was found; whether it is to be connected to.
    pub(super) fn on_found(&mut self, found: Found) -> bool {
        let relay = found.announcement.relay;
        if self.found.len() >= MAX && !self.found.contains_key(&relay) {
            // Those who are gone make room.
            self.found.retain(|_, it| it.state != State::Closed);
            if self.found.len() >= MAX {
                return false;
            }
        }
        let it = self.found.entry(relay).or_insert_with(|| LanListener {
            found: found.clone(),
            tries: 0,
            state: State::Closed,
        });
        it.found = found;
        let is_closed = it.state == State::Closed;
        if is_closed {
            it.tries = 0;
        }
        is_closed
    }

    /// It is connected to from now on: after which pause, and where.
    pub(super) fn on_dial(&mut self, relay: PeerId) -> Option<(Duration, Vec<SocketAddr>)> {
        let it = self.found.get_mut(&relay)?;
        it.state = State::Dialling;
        let pause = match it.tries {
            0 => Duration::ZERO,
            tries => PAUSE * 2_u32.pow(tries.min(8)),
        };
        Some((pause, it.found.addresses.clone()))
    }

    /// It was connected to: who listens there.
    pub(super) fn on_open(&mut self, relay: PeerId) -> Option<PeerId> {
        let it = self.found.get_mut(&relay)?;
        it.state = State::Open;
        Some(it.found.announcement.peer)
    }

    /// It has said who is there.
    pub(super) fn on_answer(&mut self, relay: PeerId) {
        if let Some(it) = self.found.get_mut(&relay) {
            it.tries = 0;
        }
    }

    /// It cannot be reached, or was lost; whether it is to be connected to again.
    pub(super) fn on_lost(&mut self, relay: PeerId) -> bool {
        self.found.get_mut(&relay).is_some_and(|it| {
            it.state = State::Closed;
            it.tries += 1;
            it.tries < TRIES
        })
    }

    /// Whether whoever is there has had time to answer, so long after the search began.
    pub(super) fn have_settled(&self, since: Duration, relay_is_open: bool) -> bool {
        if self.search.is_none() {
            return true;
        }
        let window = match relay_is_open {
            true => WINDOW.0,
            false => WINDOW.1,
        };
        let is_first_try = |it: &LanListener| it.state == State::Dialling && it.tries == 0;
        let is_dialling = self.found.values().any(is_first_try);
        since >= window && (!is_dialling || since >= window + DIALLING)
    }
}
