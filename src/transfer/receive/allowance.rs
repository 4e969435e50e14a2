//! How much one transfer may bring.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use p2p_view::format::bytes;

use super::approvals::{Approval, NotShown};
use crate::sealing::Head;

/// Entries that a transfer may bring whatever its size: directories, links and empty files cost
/// something too.
const ENTRIES: u64 = 16 * 1024;
/// Beyond these, where a largest size is set, one for so many bytes of it.
const BYTES_PER_ENTRY: u64 = 64;

/// What one transfer may bring: so much as is taken here, and where a person said yes, what was shown.
///
/// The sum counts, not each file: a tree whose size nobody knew beforehand is held to the same limit
/// as one file.
#[derive(Debug)]
pub(super) struct Allowance {
    max_bytes: u64,
    max_entries: u64,
    bytes: AtomicU64,
    entries: AtomicU64,
    approval: Option<Arc<Approval>>,
}

/// More than may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMuch {
    #[error("takes at most {} (--max-size); this is {}", bytes(*max), bytes(*needed))]
    Bytes { needed: u64, max: u64 },
    #[error("takes at most {max} entries for its --max-size")]
    Entries { max: u64 },
    #[error(transparent)]
    NotShown(#[from] NotShown),
}

impl Allowance {
    pub(super) fn new(max_size: Option<u64>, approval: Option<Arc<Approval>>) -> Self {
        let max_entries = max_size.map(|max| ENTRIES.saturating_add(max / BYTES_PER_ENTRY));
        Self {
            max_bytes: max_size.unwrap_or(u64::MAX),
            max_entries: max_entries.unwrap_or(u64::MAX),
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            approval,
        }
    }

    /// Counts an entry that is about to come, and its content if its size is known.
    pub(super) fn admit(&self, head: &Head) -> Result<(), TooMuch> {
        let max = self.max_entries;
        if add(&self.entries, 1) > max {
            return Err(TooMuch::Entries { max });
        }
        if let Some(approval) = &self.approval {
            approval.admit(head)?;
        }
        self.take(head.size.unwrap_or(0))
            .inspect_err(|_| self.failed(&head.path))
    }

    /// Counts bytes that are about to be taken.
    pub(super) fn take(&self, bytes: u64) -> Result<(), TooMuch> {
        let (needed, max) = (add(&self.bytes, bytes), self.max_bytes);
        match needed > max {
            true => Err(TooMuch::Bytes { needed, max }),
            false => Ok(()),
        }
    }

    /// Whether the content of an admitted file may come, or only be compared.
    pub(super) fn may_come(&self, path: &str) -> Result<(), TooMuch> {
        Ok(self
            .approval
            .as_ref()
            .map_or(Ok(()), |a| a.may_come(path))?)
    }

    pub(super) fn stored(&self, path: &str) {
        if let Some(approval) = &self.approval {
            approval.stored(path);
        }
    }

    pub(super) fn failed(&self, path: &str) {
        if let Some(approval) = &self.approval {
            approval.failed(path);
        }
    }
}

/// Adds without wrapping; the sum.
fn add(counter: &AtomicU64, n: u64) -> u64 {
    let sum = |before: u64| Some(before.saturating_add(n));
    let before = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    before.expect("it always adds").saturating_add(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{PeerId, SafeText},
        sealing::{HeadKind, JobId, Manifest, ManifestEntry},
        transfer::receive::approvals::Approvals,
    };

    #[test]
    fn the_sum_counts() {
        let allowance = Allowance::new(Some(100), None);
        assert_eq!(allowance.take(60), Ok(()));
        assert_eq!(allowance.take(40), Ok(()));
        let over = allowance.take(1).unwrap_err();
        assert_eq!(
            over.to_string(),
            "takes at most 100 B (--max-size); this is 101 B"
        );
        assert!(allowance.take(u64::MAX).is_err());
        assert!(allowance.take(0).is_err(), "once too much, nothing more");
        assert!(Allowance::new(None, None).take(u64::MAX).is_ok());
    }

    #[test]
    fn a_yes_allows_nothing_that_was_not_shown() {
        let manifest = Manifest {
            job: JobId([7; 16]),
            files: Some(1),
            bytes: Some(5),
            names: vec![ManifestEntry {
                path: SafeText::new("shown"),
                size: Some(5),
            }],
            room: None,
            text: false,
            renames: false,
        };
        let yes = Approvals::default().given(PeerId::from_bytes([1; 32]), &manifest);
        let allowance = Allowance::new(None, Some(yes));
        let file = |path| Head::new(HeadKind::File, path, Some(5));
        let other = allowance.admit(&file("other"));
        assert_eq!(other, Err(TooMuch::NotShown(NotShown::Name)));
        assert_eq!(allowance.admit(&file("shown")), Ok(()));
    }

    #[test]
    fn what_has_no_content_is_counted_too() {
        let head = Head::new(HeadKind::Dir, "d", None);
        let allowance = Allowance::new(Some(1), None);
        for _ in 0..ENTRIES {
            allowance.admit(&head).unwrap();
        }
        let max = ENTRIES;
        assert_eq!(allowance.admit(&head), Err(TooMuch::Entries { max }));
    }
}
