//! What a person has said yes to, for as long as it may be offered again.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    protocol::PeerId,
    sealing::{JobId, Manifest},
};

/// How long a yes holds after it was given or last used.
///
/// It bridges a lost connection and an answer that came after the files had begun to move. A sender
/// that is away for longer, or killed and started again much later, asks again.
const HOLDS: Duration = Duration::from_secs(15 * 60);
/// Yeses that are remembered: more than a person gives in that time.
const MAX: usize = 256;

/// The offers that a person has accepted and that are not complete.
///
/// A yes is for one sender, one job, and the very list that was shown: the same job with other
/// files is asked about again.
#[derive(Debug, Default)]
pub(super) struct Approvals(Mutex<Vec<Approval>>);

#[derive(Debug, PartialEq, Eq)]
struct Approval {
    what: [u8; 32],
    at: Instant,
}

impl Approvals {
    /// Remembers a yes.
    pub(super) fn given(&self, from: PeerId, manifest: &Manifest) {
        let what = key(from, manifest);
        self.with(|all| {
            all.retain(|approval| approval.what != what);
            if all.len() >= MAX {
                all.remove(0);
            }
            let at = Instant::now();
            all.push(Approval { what, at });
        });
    }

    /// Whether this was said yes to.
    pub(super) fn holds(&self, from: PeerId, manifest: &Manifest) -> bool {
        let what = key(from, manifest);
        self.with(|all| all.iter().any(|approval| approval.what == what))
    }

    /// Forgets a yes: what it was for is complete.
    pub(super) fn used(&self, from: PeerId, manifest: &Manifest) {
        let what = key(from, manifest);
        self.with(|all| all.retain(|approval| approval.what != what));
    }

    fn with<T>(&self, f: impl FnOnce(&mut Vec<Approval>) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|approval| approval.at.elapsed() < HOLDS);
        f(&mut all)
    }
}

fn key(from: PeerId, manifest: &Manifest) -> [u8; 32] {
    let Manifest {
        job: JobId(job),
        files,
        bytes,
        room: _,
        names,
        text,
    } = manifest;
    let mut hasher = blake3::Hasher::new_derive_key("p2p 2026-11 approval");
    hasher.update(from.as_bytes()).update(job);
    let number = |n: &Option<u64>| match n {
        Some(n) => [&[1][..], &n.to_be_bytes()].concat(),
        None => vec![0],
    };
    hasher.update(&number(files)).update(&number(bytes));
    hasher.update(&[u8::from(*text)]);
    for entry in names {
        let path = entry.path.as_str().as_bytes();
        hasher.update(&number(&entry.size));
        hasher
            .update(&(path.len() as u64).to_be_bytes())
            .update(path);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::SafeText, sealing::ManifestEntry};

    #[test]
    fn a_yes_is_for_one_sender_and_exactly_what_was_shown() {
        let alice = PeerId::from_bytes([1; 32]);
        let shown = Manifest {
            job: JobId([7; 16]),
            files: Some(1),
            bytes: Some(5),
            room: None,
            names: vec![ManifestEntry {
                path: SafeText::new("a.txt"),
                size: Some(5),
            }],
            text: false,
        };
        let approvals = Approvals::default();
        approvals.given(alice, &shown);
        assert!(approvals.holds(alice, &shown));
        assert!(!approvals.holds(PeerId::from_bytes([2; 32]), &shown));
        let others: [fn(&mut Manifest); 5] = [
            |m| m.job = JobId([8; 16]),
            |m| m.files = None,
            |m| m.bytes = Some(6),
            |m| m.names[0].path = SafeText::new("b.txt"),
            |m| m.names.clear(),
        ];
        for other in others {
            let mut changed = shown.clone();
            other(&mut changed);
            assert!(!approvals.holds(alice, &changed), "{changed:?}");
        }
        approvals.used(alice, &shown);
        assert!(!approvals.holds(alice, &shown));
    }

    #[test]
    fn no_more_is_remembered_than_a_person_says() {
        let manifest = Manifest {
            job: JobId([7; 16]),
            files: None,
            bytes: None,
            room: None,
            names: vec![],
            text: false,
        };
        let approvals = Approvals::default();
        for i in 0..=MAX {
            let peer = PeerId::from_bytes(blake3::hash(&i.to_be_bytes()).into());
            approvals.given(peer, &manifest);
        }
        approvals.with(|all| assert_eq!(all.len(), MAX));
    }
}
