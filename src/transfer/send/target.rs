//! One recipient through all attempts, and what became of it.

use std::time::Instant;

use crate::{
    protocol::{PeerId, PeerName},
    transfer::{Error, ErrorKind, PeerRef},
};

/// One recipient of a send, over as many rounds as it takes.
#[derive(Debug)]
pub struct Target {
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
    /// When it last stored or answered anything.
    pub last_progress: Instant,
    /// Whether it has ever answered.
    pub answered: bool,
    /// Since when it waits for the next round, while others are served.
    pub(super) left_since: Option<Instant>,
    /// Whether people have heard why it is served in a later attempt.
    pub(super) is_told: bool,
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

impl Target {
    pub(super) fn new(id: PeerId, name: PeerName) -> Self {
        Self {
            id,
            name,
            files: 0,
            bytes: 0,
            failed_files: Vec::new(),
            status: Status::Pending(Error::new(ErrorKind::NoSuchPeer, "not reached yet")),
            last_progress: Instant::now(),
            answered: false,
            left_since: None,
            is_told: false,
        }
    }

    /// It, as events name it.
    pub(super) fn peer(&self) -> PeerRef {
        PeerRef::new(self.id, self.name.clone())
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.status, Status::Pending(_))
    }

    pub(super) fn moved(&mut self) {
        self.last_progress = Instant::now();
    }

    /// Leaves it to the next round.
    pub(super) fn leave(&mut self, why: Error) {
        self.status = Status::Pending(why);
        self.left_since = Some(Instant::now());
    }

    /// The round is over: that it waited for the others does not count as time without progress.
    pub(super) fn waited(&mut self) {
        if let Some(since) = self.left_since.take() {
            self.last_progress += since.elapsed();
        }
    }

    pub(super) fn file_failed(&mut self, file: &str, failure: Error) {
        if self.failed_files.len() < FAILED_FILES_MAX {
            self.failed_files.push((file.to_owned(), failure));
        }
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

/// What became of a whole send.
#[derive(Debug)]
pub struct Summary {
    /// Every recipient.
    pub targets: Vec<Target>,
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
        let failures: Vec<_> = self.targets.iter().filter_map(Target::failure).collect();
        match failures.first() {
            None => self.unread.first().map(|(_, failure)| failure.clone()),
            Some(first) if failures.len() == self.targets.len() => Some((*first).clone()),
            Some(_) => {
                let (failed, all) = (failures.len(), self.targets.len());
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

    fn target(status: Status) -> Target {
        Target {
            status,
            ..Target::new(PeerId::from_bytes([1; 32]), "a".parse().unwrap())
        }
    }

    #[test]
    fn partial_means_that_some_have_everything() {
        let failed = || target(Status::Failed(Error::new(ErrorKind::TimedOut, "slow")));
        let kind = |targets| {
            Summary {
                targets,
                unread: vec![],
            }
            .failure()
            .map(|f| f.kind())
        };
        assert_eq!(kind(vec![target(Status::Done)]), None);
        assert_eq!(kind(vec![failed(), failed()]), Some(ErrorKind::TimedOut));
        assert_eq!(
            kind(vec![target(Status::Done), failed()]),
            Some(ErrorKind::Partial)
        );
    }

    #[test]
    fn who_waits_for_others_is_not_idle() {
        let mut target = target(Status::Done);
        let (now, minute) = (Instant::now(), std::time::Duration::from_secs(60));
        let Some(past) = now.checked_sub(2 * minute) else {
            return;
        };
        target.last_progress = past;
        target.leave(Error::new(ErrorKind::TimedOut, "fell behind"));
        target.left_since = Some(past + minute);
        target.waited();
        let idle = target.last_progress.elapsed();
        assert!(idle >= minute && idle < 2 * minute, "{idle:?}");
        target.waited();
        assert!(target.last_progress.elapsed() >= minute, "counted once");
    }

    #[test]
    fn a_file_that_could_not_be_read_fails_the_send() {
        let unread = vec![("x".into(), Error::new(ErrorKind::LocalFile, "gone"))];
        let summary = Summary {
            targets: vec![target(Status::Done)],
            unread,
        };
        assert_eq!(
            summary.failure().map(|f| f.kind()),
            Some(ErrorKind::LocalFile)
        );
    }
}
