//! Notes on what was found out about relays.

use std::{
    marker::PhantomData,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::private_file;

/// For how long notes on a network hold: firewalls change, and so does who else is on a link.
pub(super) const NETWORK_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Notes that are kept; the oldest go first.
const NOTES_MAX: usize = 32;
/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 64 << 10;

/// A file of notes, each on something else (`K`); it need not exist.
///
/// A note that is lost, old or wrong costs an attempt a moment and nothing else, so nothing here is an
/// error.
#[derive(Debug, Clone)]
pub(super) struct Notes<K, T> {
    path: PathBuf,
    lifetime: Duration,
    of: PhantomData<(K, T)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note<K, T> {
    about: K,
    since_unix: u64,
    found: T,
}

impl<K, T> Notes<K, T>
where
    K: Serialize + DeserializeOwned + PartialEq,
    T: Serialize + DeserializeOwned,
{
    /// Notes that hold for so long.
    pub(super) fn new(path: PathBuf, lifetime: Duration) -> Self {
        let of = PhantomData;
        Self { path, lifetime, of }
    }

    /// What was found, if that still holds, and how long ago.
    pub(super) fn recall(&self, about: &K) -> Option<(T, Duration)> {
        let now = unix_now();
        let mut notes = self.read().into_iter();
        let note = notes.find(|note| note.about == *about && self.holds(note, now))?;
        Some((note.found, Duration::from_secs(now - note.since_unix)))
    }

    /// Puts this in the place of what was noted, if it is news.
    pub(super) fn put(&self, about: K, found: Option<T>) {
        let now = unix_now();
        let mut notes = self.read();
        let before = notes.len();
        notes.retain(|note| note.about != about && self.holds(note, now));
        if found.is_none() && notes.len() == before {
            return;
        }
        notes.extend(found.map(|found| Note {
            about,
            since_unix: now,
            found,
        }));
        notes.drain(..notes.len().saturating_sub(NOTES_MAX));
        let text = serde_json::to_string(&notes).expect("strings and numbers");
        if let Err(error) = private_file::replace(&self.path, text.as_bytes()) {
            tracing::debug!(%error, "what was found of a relay is not noted");
        }
    }

    fn read(&self) -> Vec<Note<K, T>> {
        let text = private_file::read(&self.path, FILE_MAX).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// Not from the future either: a clock that was set back must not keep a note for ever.
    fn holds(&self, note: &Note<K, T>, now: u64) -> bool {
        note.since_unix <= now && now - note.since_unix < self.lifetime.as_secs()
    }
}

fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> (tempfile::TempDir, Notes<String, u64>) {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes::new(dir.path().join("notes.json"), NETWORK_LIFETIME);
        (dir, notes)
    }

    #[test]
    fn a_note_is_about_one_thing_and_the_last_one_counts() {
        let (_dir, notes) = notes();
        let found = |about: &str| notes.recall(&about.into()).map(|(found, _)| found);
        assert_eq!(found("a"), None);
        notes.put("a".into(), Some(1));
        notes.put("a".into(), Some(2));
        assert_eq!((found("a"), found("b")), (Some(2), None));
        notes.put("a".into(), None);
        assert_eq!(found("a"), None);
    }

    #[test]
    fn an_old_note_a_future_one_and_rubbish_count_for_nothing() {
        let (_dir, notes) = notes();
        let now = unix_now();
        for since_unix in [now - NETWORK_LIFETIME.as_secs() - 1, now + 3_600] {
            let note = Note {
                about: "a",
                since_unix,
                found: 5_u64,
            };
            let text = serde_json::to_string(&[note]).unwrap();
            private_file::replace(&notes.path, text.as_bytes()).unwrap();
            assert!(notes.recall(&"a".into()).is_none(), "{since_unix}");
        }
        private_file::replace(&notes.path, b"[{]").unwrap();
        assert!(notes.recall(&"a".into()).is_none());
        notes.put("a".into(), Some(7));
        assert_eq!(notes.recall(&"a".into()).unwrap().0, 7);
    }

    #[test]
    fn the_file_does_not_grow_for_ever_and_nothing_is_written_that_is_no_news() {
        let (_dir, notes) = notes();
        notes.put("a".into(), None);
        assert!(!notes.path.exists());
        for number in 0..3 * NOTES_MAX {
            notes.put(number.to_string(), Some(1));
        }
        assert_eq!(notes.read().len(), NOTES_MAX);
        let last = (3 * NOTES_MAX - 1).to_string();
        assert!(notes.recall(&last).is_some());
    }
}
