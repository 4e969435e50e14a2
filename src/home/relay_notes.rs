//! Which relays a cluster has, as one of them said last.

use std::{path::PathBuf, time::Duration};

use super::notes::Notes;
use crate::{identity::HostPort, protocol::PeerId};

/// Notes on the relays of clusters, by the key that all relays of one show.
///
/// They hold until a relay says otherwise. One that is lost or wrong leaves the relays that the invite
/// names, so nothing here is an error.
#[derive(Debug, Clone)]
pub struct RelayNotes(Notes<PeerId, Vec<String>>);

impl RelayNotes {
    /// Notes in this file, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(Notes::new(path, Duration::MAX))
    }

    /// Where the relays with this key are; nothing where no relay said so.
    #[must_use]
    pub fn recall(&self, fingerprint: PeerId) -> Vec<HostPort> {
        let noted = self.0.recall(&fingerprint);
        let relays = noted.into_iter().flat_map(|(relays, _)| relays);
        relays.filter_map(|relay| relay.parse().ok()).collect()
    }

    /// Notes where they are now; writes only what is news.
    pub fn note(&self, fingerprint: PeerId, relays: &[HostPort]) {
        if self.recall(fingerprint) != relays {
            let relays: Vec<_> = relays.iter().map(HostPort::to_string).collect();
            let found = Some(relays).filter(|relays| !relays.is_empty());
            self.0.put(fingerprint, found);
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
