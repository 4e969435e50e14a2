//! The jobs that are open, over all channels of a listener.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::driver::End;
use crate::{
    protocol::{Code, PeerId, TransferId},
    sealing::JobId,
};

/// A transfer that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) from: PeerId,
    pub(super) job: JobId,
    pub(super) end: watch::Sender<Option<End>>,
    /// Cancelled once everything that the transfer had open is put away.
    pub(super) over: CancellationToken,
}

/// Every transfer that is open: a sender may begin its job again on another channel.
#[derive(Debug, Default)]
pub(super) struct Jobs(Mutex<HashMap<TransferId, Open>>);

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, HashMap<TransferId, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, transfer: TransferId, open: Open) {
        self.lock().insert(transfer, open);
    }

    pub(super) fn remove(&self, transfer: TransferId) {
        self.lock().remove(&transfer);
    }

    /// Whether something of this sender is open.
    pub(super) fn has_of(&self, from: PeerId) -> bool {
        self.lock().values().any(|open| open.from == from)
    }

    /// Whether something of this job is open.
    pub(super) fn has(&self, from: PeerId, job: JobId) -> bool {
        let is_same = |open: &Open| open.from == from && open.job == job;
        self.lock().values().any(is_same)
    }

    /// Ends what is still open of a job that its sender begins again.
    ///
    /// The sender's word is enough: it was killed or cut off, and this side has not noticed yet.
    pub(super) fn supersede(&self, from: PeerId, job: JobId) -> Vec<CancellationToken> {
        let open = self.lock();
        let older = open
            .values()
            .filter(|open| open.from == from && open.job == job);
        let end = |open: &Open| {
            end(&open.end, End::Gone(Code::Replaced));
            open.over.clone()
        };
        older.map(end).collect()
    }
}

/// Ends a transfer; the first word counts, but that this listener stops, and what comes after the relay was lost: a
/// transfer may have gone on without it.
pub(super) fn end(told: &watch::Sender<Option<End>>, end: End) {
    told.send_if_modified(|current| {
        let first = matches!(current, None | Some(End::Gone(Code::PeerGone)))
            || matches!(end, End::Stop(_));
        if first {
            *current = Some(end);
        }
        first
    });
}
