//! What every file of one transfer shares.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
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
    sealing::{Head, PathKey, TransferOpener},
    storage::{
        Done, IncomingFile, Journal, LocalPath, Modified, Named, News, Partial, StorageError,
        Target, Telling, Ticket, crash_point,
    },
    transfer::{
        Event, MessageSender, PathMessage, PeerRef,
        direct::{Answering, Control, Conversation, Hub, answer},
    },
};

/// What every file of one transfer shares.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    /// Where this transfer's files go: never into a directory that was there before its job.
    pub(super) destination: Destination,
    pub(super) transfer: TransferId,
    /// How many files were announced.
    pub(super) files: Option<u64>,
    /// The sender.
    pub(super) from: PeerRef,
    pub(super) opener: TransferOpener,
    pub(super) messages: MessageSender,
    /// Which way messages go.
    pub(super) control: Control,
    /// Whether this side says for each file where to begin.
    pub(super) each: bool,
    /// Whether an earlier attempt at the job left notes.
    pub(super) is_resumed: bool,
    pub(super) allowance: Allowance,
    /// Files that further names may come of.
    pub(super) linked: LinkedFiles,
    pub(super) journal: SharedJournal,
    pub(super) settle: mpsc::Sender<Settlement>,
    /// The search for a direct path, once the sender has begun one.
    pub(super) direct: OnceLock<Answering>,
    /// Where that would be, unless there are to be none.
    pub(super) hub: Option<(Hub, Arc<PathKey>)>,
}

impl Context {
    /// Sends the sender a message about this transfer.
    pub(super) async fn send(&self, message: PeerMessage) {
        let messages = &self.messages;
        self.control.send(messages, self.from.id, message).await;
    }

    /// The sender says where it can be reached directly.
    pub(super) fn on_path(&self, message: PathMessage) {
        let Some((hub, key)) = &self.hub else { return };
        let conversation = || Conversation {
            transfer: self.transfer,
            peer: self.from.clone(),
            key: key.clone(),
            messages: self.messages.clone(),
            observer: self.shared.observer.clone(),
            control: self.control.clone(),
        };
        let answering = self.direct.get_or_init(|| answer(hub, conversation()));
        answering.on_path(message);
    }

    /// Whether a file may go on by another stream than the one on which it began.
    pub(super) fn has_lanes(&self) -> bool {
        self.direct.get().is_some()
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

    /// Notes that verified files are about to get their names.
    pub(super) fn note_names(&self, files: &[Named<'_>]) {
        self.journal.with(|journal| journal.named(files));
    }

    /// Length and hash of this file, if an earlier attempt was about to give it its name.
    pub(super) fn named_before(
        &self,
        path: &RelativePath,
        head: &Head,
    ) -> Option<(u64, blake3::Hash)> {
        let journal = self.journal.lock();
        journal.as_ref()?.was_named(path, head.size, modified(head))
    }

    /// Notes that a file is stored, or was there already, and then tells whoever watches: once,
    /// whatever is killed when. What a kill comes before is told when a listener starts.
    pub(super) fn report(
        &self,
        head: &Head,
        path: &RelativePath,
        stored: &LocalPath,
        file: &Stored,
    ) {
        self.linked.stored(head, stored);
        let Whole {
            len,
            hash,
            resumed_from,
            ..
        } = file.whole;
        let config = &self.shared.config;
        let out = match &self.destination {
            Destination::Directory(target) => target.path().to_str(),
            Destination::Writer(_) => None,
        };
        let news = out.map(|out| News {
            out: out.to_owned(),
            from: self.from.id,
            from_name: self.from.name.clone(),
            transfer: self.transfer,
            resumed_from,
            already_there: file.already_there,
            runs_program: config.runs_program,
        });
        let done = Done {
            stored: stored.clone(),
            len,
            blake3: hash,
        };
        let (mut event, mut program) = (None, None);
        self.journal.with(|journal| {
            let line = journal.done(path, head.size, modified(head), &done, news)?;
            event = journal.ticket(line, Telling::Event);
            if config.runs_program && !file.already_there {
                program = journal.ticket(line, Telling::Program);
            }
            Ok(())
        });
        crash_point("noted");
        let place = self.place(stored);
        self.tell(&head.path, place.clone(), file, event);
        if !file.already_there {
            self.shared.see_to(ReceivedFile {
                path: place,
                bytes: len,
                blake3: hash,
                from: self.from.clone(),
                transfer: self.transfer,
                files: self.files,
                ticket: program,
            });
        }
        crash_point("told");
    }

    /// The same of a file of which nothing is noted.
    pub(super) fn announce(&self, head: &Head, place: PathBuf, file: &Stored) {
        self.tell(&head.path, place, file, None);
    }

    fn tell(&self, file: &str, path: PathBuf, stored: &Stored, ticket: Option<Ticket>) {
        let Whole {
            len,
            hash,
            resumed_from,
            road,
        } = stored.whole;
        self.shared.tell(Event::Received {
            transfer: self.transfer,
            path,
            file: file.to_owned(),
            bytes: len,
            blake3: hash,
            from: self.from.clone(),
            resumed_from,
            already_there: stored.already_there,
            road,
            ticket,
        });
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
