//! What every file of one transfer shares.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, mpsc};

use super::{
    Destination, ListenConfig, Shared,
    allowance::Allowance,
    store::{self, Slot},
};
use crate::{
    protocol::{PeerId, RelativePath, TransferId},
    sealing::TransferOpener,
    storage::{Done, Journal, JournalError, Modified, Target},
    transfer::MessageSender,
};

/// What every file of one transfer shares.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    /// Where this transfer's files go: never into a directory that was there before its job.
    pub(super) destination: Destination,
    pub(super) transfer: TransferId,
    /// The sender.
    pub(super) from: PeerId,
    pub(super) opener: TransferOpener,
    pub(super) messages: MessageSender,
    /// Whether this side says for each file where to begin.
    pub(super) each: bool,
    pub(super) allowance: Allowance,
    /// Places for files of one chunk, which are held in memory until they are stored.
    pub(super) small: Semaphore,
    /// Places for larger ones.
    pub(super) bulk: Semaphore,
    pub(super) store: mpsc::Sender<store::Job>,
    pub(super) journal: SharedJournal,
}

impl Context {
    /// Notes a partial file, so that it is found and removed when it is never finished.
    pub(super) fn note_partial(&self, slot: &Slot) {
        if let (Slot::Partial(partial), Destination::Directory(target)) = (slot, &self.destination)
        {
            self.journal
                .with(|journal| journal.partial(target, partial));
        }
    }

    /// What an interrupted attempt has stored of this file.
    pub(super) fn stored_before(
        &self,
        path: &RelativePath,
        size: Option<u64>,
        modified: Option<Modified>,
    ) -> Option<Done> {
        self.journal
            .lock()
            .as_ref()
            .and_then(|journal| journal.lookup(path, size, modified))
    }
}

/// The notes on one transfer, while it is not complete.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedJournal(Arc<Mutex<Option<Journal>>>);

impl SharedJournal {
    pub(super) fn new(journal: Journal) -> Self {
        Self(Arc::new(Mutex::new(Some(journal))))
    }

    /// The destination as the job of these notes may use it.
    pub(super) fn destination(&self, config: &ListenConfig) -> Destination {
        let Destination::Directory(target) = &config.destination else {
            return config.destination.clone();
        };
        let tops = self.lock().as_ref().map(|journal| journal.tops(target));
        let (journal, noted) = (self.clone(), target.clone());
        let note = move |sent: &str, here: &str| {
            journal.with(|journal| journal.top(&noted, sent, here));
        };
        let target = target.for_job(config.conflict, tops.unwrap_or_default(), note);
        Destination::Directory(Arc::new(target))
    }

    /// Bytes of this job that are in the target directory already, whole files and parts.
    pub(super) fn held(&self, target: &Target) -> u64 {
        self.lock()
            .as_ref()
            .map_or(0, |journal| journal.held(target))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Journal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to the journal; a note that is lost costs a later attempt some bytes and no more.
    pub(super) fn with(&self, f: impl FnOnce(&mut Journal) -> Result<(), JournalError>) {
        if let Some(journal) = &mut *self.lock()
            && let Err(error) = f(journal)
        {
            tracing::debug!(%error, "not noted");
        }
    }

    /// Forgets the transfer: it is complete.
    pub(super) fn finish(&self) {
        if let Some(journal) = self.lock().take()
            && let Err(error) = journal.finish()
        {
            tracing::debug!(%error, "the journal was not removed");
        }
    }
}
