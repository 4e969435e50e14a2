//! What every file of one transfer shares.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use super::{
    Destination, ListenConfig, ReceivedFile, Shared,
    allowance::Allowance,
    linked::LinkedFiles,
    outcome::{Settlement, Stored, Whole},
};
use crate::{
    protocol::{PeerMessage, RelativePath, TransferId},
    sealing::{Head, TransferOpener},
    storage::{Done, IncomingFile, Journal, LocalPath, Modified, Partial, StorageError, Target},
    transfer::{Event, MessageSender, PeerRef},
};

/// What every file of one transfer shares.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    /// Where this transfer's files go: never into a directory that was there before its job.
    pub(super) destination: Destination,
    pub(super) transfer: TransferId,
    /// The sender.
    pub(super) from: PeerRef,
    pub(super) opener: TransferOpener,
    pub(super) messages: MessageSender,
    /// Whether this side says for each file where to begin.
    pub(super) each: bool,
    /// Whether an earlier attempt at the job left notes.
    pub(super) is_resumed: bool,
    pub(super) allowance: Allowance,
    /// Files that further names may come of.
    pub(super) linked: LinkedFiles,
    pub(super) journal: SharedJournal,
    pub(super) settle: mpsc::Sender<Settlement>,
}

impl Context {
    /// Sends the sender a message about this transfer.
    pub(super) async fn send(&self, message: PeerMessage) {
        let to = Some(self.from.id);
        self.messages.send(to, self.transfer, message).await;
    }

    /// Says what became of a file; waits while too many wait to be reported.
    pub(super) async fn settle(&self, settlement: Settlement) {
        let _ = self.settle.send(settlement).await;
    }

    /// How storage knows a file, so that a later attempt finds its partial file again.
    pub(super) fn incoming(&self, head: &Head, path: &RelativePath) -> IncomingFile {
        let modified = modified(head);
        IncomingFile {
            path: path.clone(),
            size: head.size,
            executable: head.exec,
            mode: head.mode,
            sparse: head.sparse,
            modified,
            resume_key: IncomingFile::resume_key(&self.from.id, path, head.size, modified),
        }
    }

    /// Where a stored file is, as people call it.
    pub(super) fn place(&self, path: &LocalPath) -> PathBuf {
        self.shared.config.out.join(path.to_path_buf())
    }

    /// Notes a partial file, so that it is found and removed when it is never finished.
    pub(super) fn note_partial(&self, partial: &Partial) {
        if let Destination::Directory(target) = &self.destination {
            self.journal
                .with(|journal| journal.partial(target, partial));
        }
    }

    /// What an interrupted attempt has stored of this file.
    pub(super) fn stored_before(&self, path: &RelativePath, head: &Head) -> Option<Done> {
        let journal = self.journal.lock();
        journal.as_ref()?.lookup(path, head.size, modified(head))
    }

    /// Tells whoever watches that a file is stored, or was there already, and then notes it, so that
    /// no later attempt tells it again. Blocks while the program that runs after each file is behind.
    pub(super) fn report(
        &self,
        head: &Head,
        path: &RelativePath,
        stored: &LocalPath,
        file: &Stored,
    ) {
        let Whole { len, hash, .. } = file.whole;
        self.linked.stored(head, stored);
        self.announce(head, self.place(stored), file);
        let done = Done {
            stored: stored.clone(),
            len,
            blake3: hash,
        };
        self.journal
            .with(|journal| journal.done(path, head.size, modified(head), &done));
    }

    /// The same of a file that no later attempt can go on with.
    pub(super) fn announce(&self, head: &Head, place: PathBuf, file: &Stored) {
        let Whole {
            len,
            hash,
            resumed_from,
        } = file.whole;
        self.shared.observer.event(Event::Received {
            transfer: self.transfer,
            path: place.clone(),
            file: head.path.clone(),
            bytes: len,
            blake3: hash,
            from: self.from.clone(),
            resumed_from,
            already_there: file.already_there,
            road: self.messages.road(),
        });
        if let Some(after) = self
            .shared
            .config
            .after
            .as_ref()
            .filter(|_| !file.already_there)
        {
            // Closed once this listener is told to stop.
            let _ = after.blocking_send(ReceivedFile {
                path: place,
                bytes: len,
                blake3: hash,
                from: self.from.clone(),
                transfer: self.transfer,
            });
        }
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
    fn with(&self, f: impl FnOnce(&mut Journal) -> Result<(), StorageError>) {
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

/// When a file's content last changed, by its sender's word.
pub(super) fn modified(head: &Head) -> Option<Modified> {
    head.mtime.map(|time| (time.0, time.1))
}
