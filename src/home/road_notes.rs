//! Where UDP did not reach a relay, so that the next attempt does not wait for it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    notes::{NETWORK_LIFETIME, Notes},
    rate_notes::RateNotes,
};

/// Notes on which relay could be reached by TCP only, and from which network, within the last hour.
#[derive(Debug, Clone)]
pub struct RoadNotes {
    /// By relay and network.
    blocked: Notes<(String, String), UdpBlocked>,
    rates: RateNotes,
}

/// UDP did not get through.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct UdpBlocked {}

impl RoadNotes {
    /// Notes in this file, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let rates = RateNotes::new(path.with_file_name("rates.json"));
        let blocked = Notes::new(path, NETWORK_LIFETIME);
        Self { blocked, rates }
    }

    /// What the ways to relays carried, beside this file.
    #[must_use]
    pub fn rates(&self) -> &RateNotes {
        &self.rates
    }

    /// Whether UDP did not reach this relay from this network within the last hour.
    #[must_use]
    pub fn is_udp_blocked(&self, relay: &str, network: &str) -> bool {
        let from = (relay.to_owned(), network.to_owned());
        self.blocked.recall(&from).is_some()
    }

    /// Notes whether UDP reached a relay.
    ///
    /// A note that still holds is not made to hold longer: every hour UDP has its full chance.
    pub fn note(&self, relay: &str, network: &str, udp_blocked: bool) {
        if !(udp_blocked && self.is_udp_blocked(relay, network)) {
            let blocked = udp_blocked.then_some(UdpBlocked {});
            let from = (relay.to_owned(), network.to_owned());
            self.blocked.put(from, blocked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_holds_for_that_relay_and_network_until_udp_works() {
        let dir = tempfile::tempdir().unwrap();
        let notes = RoadNotes::new(dir.path().join("roads.json"));
        assert!(!notes.is_udp_blocked("relay:1", "home"));
        notes.note("relay:1", "office", true);
        assert!(notes.is_udp_blocked("relay:1", "office"));
        assert!(!notes.is_udp_blocked("relay:1", "home"));
        assert!(!notes.is_udp_blocked("relay:2", "office"));
        notes.note("relay:1", "office", false);
        assert!(!notes.is_udp_blocked("relay:1", "office"));
    }
}
