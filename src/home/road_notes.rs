//! Where UDP did not reach a relay, so that the next attempt does not wait for it.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    note_file::{keep_newest, read, replace, unix},
    rate_notes::RateNotes,
};

/// For how long a note holds: networks change, and so do their firewalls.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Notes on which relay could be reached by TCP only, and from which network.
///
/// A note that is lost, old or wrong costs an attempt half a second and nothing else, so nothing here
/// is an error.
#[derive(Debug, Clone)]
pub struct RoadNotes {
    path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    relay: String,
    network: String,
    until_unix: u64,
}

impl RoadNotes {
    /// Notes in this file, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What the ways to relays carried, beside this file.
    #[must_use]
    pub fn rates(&self) -> RateNotes {
        RateNotes::new(self.path.with_file_name("rates.json"))
    }

    /// Whether UDP did not reach this relay from this network within the last hour.
    #[must_use]
    pub fn is_udp_blocked(&self, relay: &str, network: &str) -> bool {
        let now = unix(SystemTime::now());
        read::<Note>(&self.path).iter().any(|note| {
            note.is_of(relay, network)
                && note.until_unix > now
                // A clock that was set back must not keep a note for ever.
                && note.until_unix <= now + LIFETIME.as_secs()
        })
    }

    /// Notes whether UDP reached a relay; writes only what is news.
    ///
    /// A note that still holds is not made to hold longer: every hour UDP has its full chance.
    pub fn note(&self, relay: &str, network: &str, udp_blocked: bool) {
        if udp_blocked && self.is_udp_blocked(relay, network) {
            return;
        }
        let mut notes: Vec<Note> = read(&self.path);
        let before = notes.clone();
        let now = unix(SystemTime::now());
        notes.retain(|note| !note.is_of(relay, network) && note.until_unix > now);
        if udp_blocked {
            notes.push(Note {
                relay: relay.to_owned(),
                network: network.to_owned(),
                until_unix: now + LIFETIME.as_secs(),
            });
        }
        keep_newest(&mut notes);
        if notes == before {
            return;
        }
        if let Err(error) = replace(&self.path, &notes) {
            tracing::debug!(%error, "which road was taken is not noted");
        }
    }
}

impl Note {
    fn is_of(&self, relay: &str, network: &str) -> bool {
        self.relay == relay && self.network == network
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::{note_file::NOTES_MAX, private_file};

    fn notes() -> (tempfile::TempDir, RoadNotes) {
        let dir = tempfile::tempdir().unwrap();
        let notes = RoadNotes::new(dir.path().join("roads.json"));
        (dir, notes)
    }

    #[test]
    fn what_was_noted_holds_for_that_relay_and_network_until_udp_works() {
        let (_dir, notes) = notes();
        assert!(!notes.is_udp_blocked("relay:1", "home"));
        notes.note("relay:1", "office", true);
        assert!(notes.is_udp_blocked("relay:1", "office"));
        assert!(!notes.is_udp_blocked("relay:1", "home"));
        assert!(!notes.is_udp_blocked("relay:2", "office"));
        notes.note("relay:1", "office", false);
        assert!(!notes.is_udp_blocked("relay:1", "office"));
    }

    #[test]
    fn an_old_note_a_future_one_and_rubbish_count_for_nothing() {
        let (_dir, notes) = notes();
        let now = unix(SystemTime::now());
        for until_unix in [now - 1, now + 10 * LIFETIME.as_secs()] {
            let note = Note {
                relay: "r".into(),
                network: "n".into(),
                until_unix,
            };
            let text = serde_json::to_string(&[note]).unwrap();
            private_file::replace(&notes.path, text.as_bytes()).unwrap();
            assert!(!notes.is_udp_blocked("r", "n"), "{until_unix}");
        }
        private_file::replace(&notes.path, b"[{]").unwrap();
        assert!(!notes.is_udp_blocked("r", "n"));
        notes.note("r", "n", true);
        assert!(notes.is_udp_blocked("r", "n"));
    }

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let (_dir, notes) = notes();
        for network in 0..3 * NOTES_MAX {
            notes.note("r", &network.to_string(), true);
        }
        assert_eq!(read::<Note>(&notes.path).len(), NOTES_MAX);
        let last = (3 * NOTES_MAX - 1).to_string();
        assert!(notes.is_udp_blocked("r", &last));
    }
}
