//! What the way to a relay carried, so that the next transfer does not have to find out.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::note_file::{keep_newest, read, replace, unix};

/// For how long a note holds: who else is on a link changes.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// A note that says nearly the same is renewed only after so long.
const RENEW_AFTER: Duration = Duration::from_secs(10 * 60);

/// What a path carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathNote {
    /// Bytes per second.
    pub rate: u64,
    /// The shortest round trip.
    pub round_trip: Duration,
}

/// Notes on what the ways to relays carried, by the network that this machine was on.
///
/// A note that is lost, old or wrong costs some round trips and nothing else, so nothing here is an
/// error.
#[derive(Debug, Clone)]
pub struct RateNotes {
    path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    relay: String,
    network: String,
    bytes_per_second: u64,
    round_trip_us: u64,
    since_unix: u64,
}

impl RateNotes {
    /// Notes in this file, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What the way to this relay from this network carried within the last hour.
    #[must_use]
    pub fn recall(&self, relay: &str, network: &str) -> Option<PathNote> {
        let now = unix(SystemTime::now());
        let notes: Vec<Note> = read(&self.path);
        let note = notes.iter().find(|note| note.holds(relay, network, now))?;
        Some(PathNote {
            rate: note.bytes_per_second,
            round_trip: Duration::from_micros(note.round_trip_us),
        })
    }

    /// Notes what it carries now; writes only what is news.
    pub fn note(&self, relay: &str, network: &str, found: PathNote) {
        let now = unix(SystemTime::now());
        let mut notes: Vec<Note> = read(&self.path);
        let nearly = |note: &Note| {
            let old = note.bytes_per_second;
            note.holds(relay, network, now)
                && found.rate.abs_diff(old) <= old / 5
                && now - note.since_unix < RENEW_AFTER.as_secs()
        };
        if notes.iter().any(nearly) {
            return;
        }
        notes.retain(|note| !note.is_of(relay, network) && note.is_fresh(now));
        notes.push(Note {
            relay: relay.to_owned(),
            network: network.to_owned(),
            bytes_per_second: found.rate,
            round_trip_us: u64::try_from(found.round_trip.as_micros()).unwrap_or(u64::MAX),
            since_unix: now,
        });
        keep_newest(&mut notes);
        if let Err(error) = replace(&self.path, &notes) {
            tracing::debug!(%error, "what the path carries is not noted");
        }
    }
}

impl Note {
    fn is_of(&self, relay: &str, network: &str) -> bool {
        self.relay == relay && self.network == network
    }

    /// Not from the future either: a clock that was set back must not keep a note for ever.
    fn is_fresh(&self, now: u64) -> bool {
        self.since_unix <= now && now - self.since_unix < LIFETIME.as_secs()
    }

    fn holds(&self, relay: &str, network: &str, now: u64) -> bool {
        self.is_of(relay, network) && self.is_fresh(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::{note_file::NOTES_MAX, private_file};

    fn notes() -> (tempfile::TempDir, RateNotes) {
        let dir = tempfile::tempdir().unwrap();
        let notes = RateNotes::new(dir.path().join("rates.json"));
        (dir, notes)
    }

    fn found(rate: u64) -> PathNote {
        let round_trip = Duration::from_millis(80);
        PathNote { rate, round_trip }
    }

    #[test]
    fn a_rate_is_that_of_one_relay_from_one_network() {
        let (_dir, notes) = notes();
        assert_eq!(notes.recall("r", "home"), None);
        notes.note("r", "home", found(1_000));
        assert_eq!(notes.recall("r", "home"), Some(found(1_000)));
        assert_eq!(notes.recall("r", "office"), None);
        assert_eq!(notes.recall("s", "home"), None);
        notes.note("r", "home", found(1_100));
        assert_eq!(notes.recall("r", "home"), Some(found(1_000)), "no news");
        notes.note("r", "home", found(500));
        assert_eq!(notes.recall("r", "home"), Some(found(500)));
    }

    #[test]
    fn an_old_note_a_future_one_and_rubbish_count_for_nothing() {
        let (_dir, notes) = notes();
        let now = unix(SystemTime::now());
        for since_unix in [now - LIFETIME.as_secs() - 1, now + 3_600] {
            let note = Note {
                relay: "r".into(),
                network: "n".into(),
                bytes_per_second: 5,
                round_trip_us: 5,
                since_unix,
            };
            let text = serde_json::to_string(&[note]).unwrap();
            private_file::replace(&notes.path, text.as_bytes()).unwrap();
            assert_eq!(notes.recall("r", "n"), None, "{since_unix}");
        }
        private_file::replace(&notes.path, b"[{]").unwrap();
        assert_eq!(notes.recall("r", "n"), None);
        notes.note("r", "n", found(7));
        assert_eq!(notes.recall("r", "n"), Some(found(7)));
    }

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let (_dir, notes) = notes();
        for network in 0..2 * NOTES_MAX {
            notes.note("r", &network.to_string(), found(1));
        }
        assert_eq!(read::<Note>(&notes.path).len(), NOTES_MAX);
    }
}
