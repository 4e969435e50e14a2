//! What a person has said yes to: what was shown is what may come, once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    protocol::{PeerId, SafeText},
    sealing::{Head, HeadKind, JobId, Manifest},
};

/// How long a yes holds after it was given or last used.
///
/// It bridges a lost connection and an answer that came after the files had begun to move. A sender
/// that is away for longer, or killed and started again much later, asks again.
const HOLDS: Duration = Duration::from_secs(15 * 60);
/// Yeses that are remembered: more than a person gives in that time.
const MAX: usize = 256;
/// Directories and links that a yes covers beyond the files that were counted.
const FIXTURES_MAX: usize = 10_000;

/// The offers that a person has accepted and that are not complete.
///
/// A yes is for one sender, one job, and the very list that was shown: the same job with other
/// files is asked about again.
#[derive(Debug, Default)]
pub(super) struct Approvals(Mutex<Current>);

/// What was said yes to, by the hash of sender, job and list, and when.
type Current = HashMap<[u8; 32], (Arc<Approval>, Instant)>;

impl Approvals {
    /// Remembers a yes.
    pub(super) fn given(&self, from: PeerId, manifest: &Manifest) -> Arc<Approval> {
        let approval = Arc::new(Approval::new(manifest));
        let mut all = self.current();
        if all.len() >= MAX {
            let oldest = all.iter().min_by_key(|(_, (_, at))| *at).map(|(k, _)| *k);
            oldest.map(|oldest| all.remove(&oldest));
        }
        all.insert(key(from, manifest), (approval.clone(), Instant::now()));
        approval
    }

    /// What is left of the yes that this was given, and prolongs it; `None` if it was given none.
    pub(super) fn renew(&self, from: PeerId, manifest: &Manifest) -> Option<Arc<Approval>> {
        let mut all = self.current();
        let (approval, at) = all.get_mut(&key(from, manifest))?;
        *at = Instant::now();
        approval.begin_attempt();
        Some(approval.clone())
    }

    /// Forgets a yes: what it was for is complete.
    pub(super) fn used(&self, from: PeerId, manifest: &Manifest) {
        self.current().remove(&key(from, manifest));
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, at)| at.elapsed() < HOLDS);
        all
    }
}

/// One yes, over all attempts at the job: what was shown, and what has come of it.
#[derive(Debug)]
pub(super) struct Approval {
    files: Option<u64>,
    bytes: Option<u64>,
    /// The names and sizes, where all of them were shown.
    names: Option<HashMap<String, Option<u64>>>,
    came: Mutex<Came>,
}

#[derive(Debug, Default)]
struct Came {
    /// Files by a hash of their path, with their sizes; whether they are stored.
    files: HashMap<[u8; 16], (u64, bool)>,
    bytes: u64,
    fixtures: usize,
}

/// Something that a person was not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotShown {
    #[error("more files than were accepted")]
    Files,
    #[error("more bytes than were accepted")]
    Bytes,
    #[error("another file than those that were accepted")]
    Name,
    #[error("it has come already; one yes is for one copy")]
    Twice,
}

impl Approval {
    fn new(manifest: &Manifest) -> Self {
        let all_shown = manifest.files == Some(manifest.names.len() as u64) && !manifest.text;
        let names = all_shown.then(|| {
            let names = manifest.names.iter();
            names
                .map(|name| (name.path.as_str().to_owned(), name.size))
                .collect()
        });
        Self {
            files: manifest.files,
            bytes: manifest.bytes,
            names,
            came: Mutex::default(),
        }
    }

    /// Whether this was shown; a file is counted, until [`Approval::failed`].
    ///
    /// A file that is stored already may be compared again, as after a lost connection: whether the
    /// content may come again, [`Approval::may_come`] says.
    pub(super) fn admit(&self, head: &Head) -> Result<(), NotShown> {
        let mut came = self.came();
        if !matches!(head.kind, HeadKind::File | HeadKind::Text) {
            let above = format!("{}/", head.path);
            let top = head.path.split('/').next().unwrap_or_default();
            let shown = self.names.as_ref().is_none_or(|names| {
                let inside = |name: &str| match head.kind {
                    HeadKind::Dir => name.starts_with(&above),
                    HeadKind::HardLink => head.target.as_deref() == Some(name),
                    _ => name.split_once('/').is_some_and(|(first, _)| first == top),
                };
                names.keys().any(|name| inside(name))
            });
            came.fixtures += 1;
            return match shown {
                false => Err(NotShown::Name),
                true if came.fixtures > FIXTURES_MAX => Err(NotShown::Files),
                true => Ok(()),
            };
        }
        let path = path_key(&head.path);
        if came.files.get(&path).is_some_and(|(_, stored)| *stored) {
            return Ok(());
        }
        if came.files.contains_key(&path) {
            return Err(NotShown::Twice);
        }
        if let Some(names) = &self.names {
            match names.get(SafeText::new(&head.path).as_str()) {
                None => return Err(NotShown::Name),
                Some(Some(shown)) if head.size.is_none_or(|size| size > *shown) => {
                    return Err(NotShown::Bytes);
                }
                Some(_) => {}
            }
        }
        if self.files.is_some_and(|max| came.files.len() as u64 >= max) {
            return Err(NotShown::Files);
        }
        let size = head.size.unwrap_or(0);
        let bytes = came.bytes.saturating_add(size);
        if self.bytes.is_some_and(|max| bytes > max) {
            return Err(NotShown::Bytes);
        }
        came.bytes = bytes;
        came.files.insert(path, (size, false));
        Ok(())
    }

    /// Whether the content of an admitted file may come: not a second time.
    pub(super) fn may_come(&self, path: &str) -> Result<(), NotShown> {
        match self.came().files.get(&path_key(path)) {
            Some((_, true)) => Err(NotShown::Twice),
            _ => Ok(()),
        }
    }

    pub(super) fn stored(&self, path: &str) {
        if let Some((_, stored)) = self.came().files.get_mut(&path_key(path)) {
            *stored = true;
        }
    }

    /// Gives back what an earlier attempt has counted and not stored.
    fn begin_attempt(&self) {
        let mut came = self.came();
        came.files.retain(|_, (_, stored)| *stored);
        came.bytes = came.files.values().map(|(size, _)| size).sum();
        came.fixtures = 0;
    }

    /// Gives back what was counted: it may come again.
    pub(super) fn failed(&self, path: &str) {
        let mut came = self.came();
        if let Some((size, false)) = came.files.get(&path_key(path)).copied() {
            came.files.remove(&path_key(path));
            came.bytes -= size;
        }
    }

    fn came(&self) -> MutexGuard<'_, Came> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path_key(path: &str) -> [u8; 16] {
    let mut key = [0; 16];
    let mut hasher = blake3::Hasher::new();
    hasher.update(path.as_bytes());
    hasher.finalize_xof().fill(&mut key);
    key
}

fn key(from: PeerId, manifest: &Manifest) -> [u8; 32] {
    let Manifest {
        job: JobId(job),
        files,
        bytes,
        room: _,
        names,
        text,
        renames: _,
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
    use crate::sealing::ManifestEntry;

    fn manifest(names: &[(&str, u64)]) -> Manifest {
        Manifest {
            job: JobId([7; 16]),
            files: Some(names.len() as u64),
            bytes: Some(names.iter().map(|(_, size)| size).sum()),
            names: names
                .iter()
                .map(|(name, size)| ManifestEntry {
                    path: SafeText::new(name),
                    size: Some(*size),
                })
                .collect(),
            room: None,
            text: false,
            renames: false,
        }
    }

    fn file(path: &str, size: u64) -> Head {
        Head::new(HeadKind::File, path, Some(size))
    }

    #[test]
    fn a_yes_is_for_one_sender_and_exactly_what_was_shown() {
        let alice = PeerId::from_bytes([1; 32]);
        let shown = manifest(&[("a.txt", 5)]);
        let approvals = Approvals::default();
        approvals.given(alice, &shown);
        assert!(approvals.renew(alice, &shown).is_some());
        let mallory = PeerId::from_bytes([2; 32]);
        assert!(approvals.renew(mallory, &shown).is_none());
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
            assert!(approvals.renew(alice, &changed).is_none(), "{changed:?}");
        }
        approvals.used(alice, &shown);
        assert!(approvals.renew(alice, &shown).is_none());
    }

    #[test]
    fn what_was_shown_is_what_may_come() {
        let yes = Approval::new(&manifest(&[("t/holiday.jpg", 5), ("t/x", 3)]));
        assert_eq!(yes.admit(&file("t/evil.sh", 5)), Err(NotShown::Name));
        assert_eq!(yes.admit(&file("t/x", 4)), Err(NotShown::Bytes));
        let unsized_ = Head::new(HeadKind::File, "t/x", None);
        assert_eq!(yes.admit(&unsized_), Err(NotShown::Bytes));
        assert_eq!(yes.admit(&Head::new(HeadKind::Dir, "t", None)), Ok(()));
        let elsewhere = Head::new(HeadKind::Dir, "u", None);
        assert_eq!(yes.admit(&elsewhere), Err(NotShown::Name));
        let link = |path| Head::new(HeadKind::Symlink, path, None);
        assert_eq!(yes.admit(&link("t/l")), Ok(()));
        assert_eq!(yes.admit(&link("l")), Err(NotShown::Name));
        assert_eq!(yes.admit(&file("t/holiday.jpg", 5)), Ok(()));
        assert_eq!(yes.admit(&file("t/holiday.jpg", 5)), Err(NotShown::Twice));
    }

    #[test]
    fn it_comes_once_over_all_attempts() {
        let yes = Approval::new(&manifest(&[("a", 5)]));
        yes.admit(&file("a", 5)).unwrap();
        yes.failed("a");
        yes.admit(&file("a", 5)).unwrap();
        yes.begin_attempt();
        yes.admit(&file("a", 5)).unwrap();
        yes.stored("a");
        yes.begin_attempt();
        // The receipt was lost: it is compared again, and does not come again.
        assert_eq!(yes.admit(&file("a", 5)), Ok(()));
        assert_eq!(yes.may_come("a"), Err(NotShown::Twice));
    }

    #[test]
    fn a_count_and_a_sum_hold_where_not_all_names_were_shown() {
        let mut some = manifest(&[("a", 5)]);
        (some.files, some.bytes) = (Some(2), Some(10));
        let yes = Approval::new(&some);
        assert_eq!(yes.admit(&file("b", 11)), Err(NotShown::Bytes));
        assert_eq!(yes.admit(&file("b", 5)), Ok(()));
        assert_eq!(yes.admit(&file("c", 6)), Err(NotShown::Bytes));
        assert_eq!(yes.admit(&file("c", 4)), Ok(()));
        assert_eq!(yes.admit(&file("d", 0)), Err(NotShown::Files));
    }

    #[test]
    fn no_more_is_remembered_than_a_person_says() {
        let approvals = Approvals::default();
        for i in 0..=MAX {
            let peer = PeerId::from_bytes(blake3::hash(&i.to_be_bytes()).into());
            approvals.given(peer, &manifest(&[]));
        }
        assert_eq!(approvals.current().len(), MAX);
    }
}
