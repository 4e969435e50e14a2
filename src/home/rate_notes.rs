//! What the way to a relay carried, so that the next transfer does not have to find out.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::notes::{NETWORK_LIFETIME, Notes};

/// A note that says nearly the same is renewed only after so long.
const RENEW_AFTER: Duration = Duration::from_secs(10 * 60);

/// What a path carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathNote {
    /// Bytes per second.
    pub rate: u64,
    /// The shortest round trip.
    pub round_trip: Duration,
}

/// Notes on what the ways to relays carried, by the network that this machine was on.
#[derive(Debug, Clone)]
pub struct RateNotes(Notes<(String, String), PathNote>);

impl RateNotes {
    /// Notes in this file, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(Notes::new(path, NETWORK_LIFETIME))
    }

    /// What the way to this relay from this network carried within the last hour.
    #[must_use]
    pub fn recall(&self, relay: &str, network: &str) -> Option<PathNote> {
        let from = (relay.to_owned(), network.to_owned());
        Some(self.0.recall(&from)?.0)
    }

    /// Notes what it carries now; writes only what is news.
    pub fn note(&self, relay: &str, network: &str, found: PathNote) {
        let is_news = |(old, age): (PathNote, Duration)| {
            found.rate.abs_diff(old.rate) > old.rate / 5 || age >= RENEW_AFTER
        };
        let from = (relay.to_owned(), network.to_owned());
        if self.0.recall(&from).is_none_or(is_news) {
            self.0.put(from, Some(found));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_noted_anew_only_where_it_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let notes = RateNotes::new(dir.path().join("rates.json"));
        let found = |rate| PathNote {
            rate,
            round_trip: Duration::from_millis(80),
        };
        assert_eq!(notes.recall("r", "home"), None);
        notes.note("r", "home", found(1_000));
        notes.note("r", "home", found(1_100));
        assert_eq!(notes.recall("r", "home"), Some(found(1_000)), "no news");
        notes.note("r", "home", found(500));
        assert_eq!(notes.recall("r", "home"), Some(found(500)));
        assert_eq!(notes.recall("r", "office"), None);
    }
}
