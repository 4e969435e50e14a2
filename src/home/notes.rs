//! Notes on what was found out about relays, by the network that this machine was on.

use std::{
    marker::PhantomData,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::private_file;

/// For how long a note holds: networks change, and so do their firewalls and who else is on a link.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Notes that are kept; the oldest go first.
const NOTES_MAX: usize = 32;
/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 64 << 10;

/// A file of notes, which need not exist.
///
/// A note that is lost, old or wrong costs an attempt a moment and nothing else, so nothing here is an
/// error.
#[derive(Debug, Clone)]
pub(super) struct Notes<T> {
    path: PathBuf,
    of: PhantomData<T>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note<T> {
    relay: String,
    network: String,
    since_unix: u64,
    found: T,
}

impl<T: Serialize + DeserializeOwned> Notes<T> {
    pub(super) fn new(path: PathBuf) -> Self {
        let of = PhantomData;
        Self { path, of }
    }

    /// What was found of a relay from a network within the last hour, and how long ago.
    pub(super) fn recall(&self, relay: &str, network: &str) -> Option<(T, Duration)> {
        let now = unix_now();
        let mut notes = self.read().into_iter();
        let note = notes.find(|note| note.is_of(relay, network) && note.is_fresh(now))?;
        Some((note.found, Duration::from_secs(now - note.since_unix)))
    }

    /// Puts this in the place of what was noted, if it is news.
    pub(super) fn put(&self, relay: &str, network: &str, found: Option<T>) {
        let now = unix_now();
        let mut notes = self.read();
        let before = notes.len();
        notes.retain(|note| !note.is_of(relay, network) && note.is_fresh(now));
        if found.is_none() && notes.len() == before {
            return;
        }
        notes.extend(found.map(|found| Note {
            relay: relay.to_owned(),
            network: network.to_owned(),
            since_unix: now,
            found,
        }));
        notes.drain(..notes.len().saturating_sub(NOTES_MAX));
        let text = serde_json::to_string(&notes).expect("strings and numbers");
        if let Err(error) = private_file::replace(&self.path, text.as_bytes()) {
            tracing::debug!(%error, "what was found of a relay is not noted");
        }
    }

    fn read(&self) -> Vec<Note<T>> {
        let text = private_file::read(&self.path, FILE_MAX).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }
}

impl<T> Note<T> {
    fn is_of(&self, relay: &str, network: &str) -> bool {
        self.relay == relay && self.network == network
    }

    /// Not from the future either: a clock that was set back must not keep a note for ever.
    fn is_fresh(&self, now: u64) -> bool {
        self.since_unix <= now && now - self.since_unix < LIFETIME.as_secs()
    }
}

fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> (tempfile::TempDir, Notes<u64>) {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes::new(dir.path().join("notes.json"));
        (dir, notes)
    }

    #[test]
    fn a_note_is_of_one_relay_from_one_network_and_the_last_one_counts() {
        let (_dir, notes) = notes();
        let found = |relay, network| notes.recall(relay, network).map(|(found, _)| found);
        assert_eq!(found("r", "home"), None);
        notes.put("r", "home", Some(1));
        notes.put("r", "home", Some(2));
        assert_eq!(found("r", "home"), Some(2));
        assert_eq!((found("r", "office"), found("s", "home")), (None, None));
        notes.put("r", "home", None);
        assert_eq!(found("r", "home"), None);
    }

    #[test]
    fn an_old_note_a_future_one_and_rubbish_count_for_nothing() {
        let (_dir, notes) = notes();
        let now = unix_now();
        for since_unix in [now - LIFETIME.as_secs() - 1, now + 3_600] {
            let note = Note {
                relay: "r".into(),
                network: "n".into(),
                since_unix,
                found: 5_u64,
            };
            let text = serde_json::to_string(&[note]).unwrap();
            private_file::replace(&notes.path, text.as_bytes()).unwrap();
            assert!(notes.recall("r", "n").is_none(), "{since_unix}");
        }
        private_file::replace(&notes.path, b"[{]").unwrap();
        assert!(notes.recall("r", "n").is_none());
        notes.put("r", "n", Some(7));
        assert_eq!(notes.recall("r", "n").unwrap().0, 7);
    }

    #[test]
    fn the_file_does_not_grow_for_ever_and_nothing_is_written_that_is_no_news() {
        let (_dir, notes) = notes();
        notes.put("r", "n", None);
        assert!(!notes.path.exists());
        for network in 0..3 * NOTES_MAX {
            notes.put("r", &network.to_string(), Some(1));
        }
        assert_eq!(notes.read().len(), NOTES_MAX);
        let last = (3 * NOTES_MAX - 1).to_string();
        assert!(notes.recall("r", &last).is_some());
    }
}
