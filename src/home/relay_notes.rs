//! Which relays a cluster has, as one of them said last.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::note_file::{keep_newest, read, replace};
use crate::{identity::HostPort, protocol::PeerId};

/// Notes on the relays of clusters, by the key that all relays of one show.
///
/// A note that is lost or wrong leaves the relays that the invite names, so nothing here is an error.
#[derive(Debug, Clone)]
pub struct RelayNotes {
    path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    fingerprint: PeerId,
    relays: Vec<String>,
}

impl RelayNotes {
    /// Notes in this file, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where the relays with this key are; nothing where no relay said so.
    #[must_use]
    pub fn recall(&self, fingerprint: PeerId) -> Vec<HostPort> {
        let notes: Vec<Note> = read(&self.path);
        let note = notes.iter().find(|note| note.fingerprint == fingerprint);
        let relays = note.into_iter().flat_map(|note| &note.relays);
        relays.filter_map(|relay| relay.parse().ok()).collect()
    }

    /// Notes where they are now; writes only what is news.
    pub fn note(&self, fingerprint: PeerId, relays: &[HostPort]) {
        let note = Note {
            fingerprint,
            relays: relays.iter().map(HostPort::to_string).collect(),
        };
        let mut notes: Vec<Note> = read(&self.path);
        if notes.contains(&note) || (relays.is_empty() && self.recall(fingerprint).is_empty()) {
            return;
        }
        notes.retain(|note| note.fingerprint != fingerprint);
        if !relays.is_empty() {
            notes.push(note);
        }
        keep_newest(&mut notes);
        if let Err(error) = replace(&self.path, &notes) {
            tracing::debug!(%error, "relays are not noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_noted_by_their_key_until_one_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let notes = RelayNotes::new(folder.path().join("relays.json"));
        let (one, other) = (PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32]));
        let relays: Vec<HostPort> = vec!["a:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
        notes.note(one, &[]);
        assert!(!folder.path().join("relays.json").exists());
        notes.note(one, &relays);
        assert_eq!(notes.recall(one), relays);
        assert!(notes.recall(other).is_empty());
        notes.note(one, &relays[..1]);
        assert_eq!(notes.recall(one), relays[..1]);
        notes.note(one, &[]);
        assert!(notes.recall(one).is_empty());
        std::fs::write(folder.path().join("relays.json"), "x").unwrap();
        assert!(notes.recall(one).is_empty());
    }
}
