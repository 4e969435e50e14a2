//! One recipient through all attempts, and what became of it.

use std::{collections::HashSet, time::Duration};

use super::attempt::Next;
use crate::{
    protocol::{PeerId, PeerName},
    transfer::{Error, ErrorKind, PeerRef, backoff::Backoff},
};

/// The pause before a recipient is offered the rest again, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// How patient a send is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a recipient that is not there yet.
    pub(super) wait: Duration,
    /// For one that makes no progress although it could.
    pub(super) timeout: Duration,
}

/// One recipient of a send, over as many attempts as it takes.
#[derive(Debug)]
pub struct Recipient {
    /// Who.
    pub id: PeerId,
    /// Its name, where it is known.
    pub name: PeerName,
    /// Files that it has signed for.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that it will not get, and why.
    pub failed_files: Vec<(String, Error)>,
    /// What became of its part as a whole.
    pub status: Status,
    /// What it has signed for, so that each file counts once, however often it is offered.
    pub(super) settled: HashSet<u64>,
    /// Whether it has ever been offered anything.
    pub(super) was_offered: bool,
    /// Whether it has ever answered.
    pub(super) has_answered: bool,
    /// Whether an attempt with it is running.
    pub(super) is_served: bool,
    /// Whether it is served by itself, since it would hold up others.
    pub(super) alone: bool,
    /// When it may be offered the rest again.
    pub(super) next: Duration,
    /// Since when it has made no progress although it could.
    pub(super) quiet_since: Duration,
    /// Whether it went away once since it made progress.
    was_lost: bool,
    pub(super) backoff: Backoff,
}

/// What became of a recipient's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It is still to be served; with the reason why it was not, so far.
    Pending(Error),
    /// It was served; single files may have failed.
    Done,
    /// It was not, for good.
    Failed(Error),
}

/// Failed files that are remembered by name, for each recipient.
const FAILED_FILES_MAX: usize = 1000;

impl Recipient {
    pub(super) fn new(id: PeerId, name: PeerName) -> Self {
        Self {
            id,
            name,
            files: 0,
            bytes: 0,
            failed_files: Vec::new(),
            status: Status::Pending(Error::new(ErrorKind::NoSuchPeer, "is not listening")),
            settled: HashSet::new(),
            was_offered: false,
            has_answered: false,
            is_served: false,
            alone: false,
            next: Duration::ZERO,
            quiet_since: Duration::ZERO,
            was_lost: false,
            backoff: Backoff::new(BACKOFF),
        }
    }

    pub(super) fn peer(&self) -> PeerRef {
        PeerRef::new(self.id, self.name.clone())
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.status, Status::Pending(_))
    }

    /// It has made progress.
    pub(super) fn moved(&mut self, now: Duration) {
        self.quiet_since = now;
        self.was_lost = false;
        self.backoff = Backoff::new(BACKOFF);
    }

    /// It is to be served again, for this reason; whether that is worth telling.
    pub(super) fn again(
        &mut self,
        now: Duration,
        next: Next,
        error: Error,
        (answered, progressed): (bool, bool),
    ) -> bool {
        self.has_answered |= answered;
        // A loss explains silence; but not one after the other without any progress.
        let explains =
            progressed || (answered && !self.was_lost && error.kind() == ErrorKind::NoSuchPeer);
        self.was_lost = !progressed && (self.was_lost || explains);
        if explains || next != Next::Later {
            self.quiet_since = now;
        }
        self.next = match next {
            Next::Later => now + self.backoff.next(),
            Next::Now => now,
            Next::Alone => {
                self.alone = true;
                now
            }
        };
        let status = Status::Pending(error);
        let is_news = self.status != status;
        self.status = status;
        is_news || next != Next::Later
    }

    /// Why it is given up now, if it is.
    ///
    /// `spent`: what there was to send was sent to the others, and cannot be sent again.
    pub(super) fn given_up(
        &self,
        now: Duration,
        Patience { wait, timeout }: Patience,
        is_present: bool,
        spent: bool,
    ) -> Option<Error> {
        let Status::Pending(error) = &self.status else {
            return None;
        };
        if self.is_served {
            return None;
        }
        let quiet = now.saturating_sub(self.quiet_since);
        // It was said to be there, and was not; or it never was.
        let absent = error.kind() == ErrorKind::NoSuchPeer
            && !self.has_answered
            && (self.was_offered || !is_present);
        if spent {
            let reason = "standard input was sent to the others, and cannot be sent again";
            Some(Error::new(error.kind(), reason))
        } else if absent && now >= wait {
            Some(error.clone())
        } else if quiet >= timeout.max(wait) {
            let reason = format!("no progress for {} s", timeout.max(wait).as_secs());
            Some(error.clone().context_of(ErrorKind::TimedOut, reason))
        } else {
            None
        }
    }

    /// Counts a file that it has signed for; whether that is news.
    pub(super) fn file_delivered(&mut self, path: &str, bytes: u64) -> bool {
        let is_news = self.settled.insert(key(path));
        if is_news {
            self.files += 1;
            self.bytes += bytes;
            self.failed_files.retain(|(failed, _)| failed != path);
        }
        is_news
    }

    /// Notes a file that it will not get; whether that is news.
    pub(super) fn file_failed(&mut self, path: &str, error: Error) -> bool {
        let known = |(failed, _): &(String, Error)| failed == path;
        // What an earlier attempt has delivered is delivered.
        if self.settled.contains(&key(path)) || self.failed_files.iter().any(known) {
            return false;
        }
        if self.failed_files.len() < FAILED_FILES_MAX {
            self.failed_files.push((path.to_owned(), error));
        }
        true
    }

    /// Why it does not have everything, if so.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        match &self.status {
            Status::Failed(failure) | Status::Pending(failure) => Some(failure),
            Status::Done => self.failed_files.first().map(|(_, failure)| failure),
        }
    }
}

/// What a path is remembered by: eight bytes, so that a million files cost little.
fn key(path: &str) -> u64 {
    let hash = blake3::hash(path.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk().expect("32 bytes");
    u64::from_be_bytes(*first)
}

/// What became of a whole send.
#[derive(Debug)]
pub struct Summary {
    /// Every recipient.
    pub recipients: Vec<Recipient>,
    /// Files that could not be read, and so were sent to nobody.
    pub unread: Vec<(String, Error)>,
}

impl Summary {
    /// The process's outcome: nothing, where every recipient has everything.
    ///
    /// Where some have everything and some have not, [`ErrorKind::Partial`]; otherwise the first
    /// failure's own kind.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        let failures: Vec<_> = self
            .recipients
            .iter()
            .filter_map(Recipient::failure)
            .collect();
        match failures.first() {
            None => self.unread.first().map(|(_, failure)| failure.clone()),
            Some(first) if failures.len() == self.recipients.len() => Some((*first).clone()),
            Some(_) => {
                let (failed, all) = (failures.len(), self.recipients.len());
                Some(Error::new(
                    ErrorKind::Partial,
                    format!("{failed} of {all} recipients failed"),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient(status: Status) -> Recipient {
        Recipient {
            status,
            ..Recipient::new(PeerId::from_bytes([1; 32]), "a".parse().unwrap())
        }
    }

    #[test]
    fn partial_means_that_some_have_everything() {
        let failed = || recipient(Status::Failed(Error::new(ErrorKind::TimedOut, "slow")));
        let kind = |recipients| {
            Summary {
                recipients,
                unread: vec![],
            }
            .failure()
            .map(|f| f.kind())
        };
        assert_eq!(kind(vec![recipient(Status::Done)]), None);
        assert_eq!(kind(vec![failed(), failed()]), Some(ErrorKind::TimedOut));
        assert_eq!(
            kind(vec![recipient(Status::Done), failed()]),
            Some(ErrorKind::Partial)
        );
    }

    #[test]
    fn a_file_counts_once_however_often_it_is_delivered() {
        let mut recipient = recipient(Status::Done);
        let full = || Error::new(ErrorKind::LocalFile, "disk full");
        assert!(recipient.file_failed("a", full()));
        assert!(!recipient.file_failed("a", full()));
        assert!(
            recipient.file_delivered("a", 5),
            "a later attempt brought it"
        );
        assert_eq!(recipient.failure(), None);
        assert!(!recipient.file_delivered("a", 5));
        assert!(!recipient.file_failed("a", full()));
        assert_eq!((recipient.files, recipient.bytes), (1, 5));
    }

    #[test]
    fn a_file_that_could_not_be_read_fails_the_send() {
        let unread = vec![("x".into(), Error::new(ErrorKind::LocalFile, "gone"))];
        let summary = Summary {
            recipients: vec![recipient(Status::Done)],
            unread,
        };
        assert_eq!(
            summary.failure().map(|f| f.kind()),
            Some(ErrorKind::LocalFile)
        );
    }
}
