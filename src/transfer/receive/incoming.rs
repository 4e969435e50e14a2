//! One transfer from the recipient's side: decision, files, receipts.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    Destination, OfferView, Refusal, Shared, file,
    store::{self, Slot},
};
use crate::{
    identity::{Origin, Verdict},
    protocol::{
        Answer, Code, DeclineReason, FileHeader, FileIndex, PeerId, PeerMessage, PeerName,
        RelativePath, SafeText, TransferId,
    },
    quic::FileReceiver,
    sealing::{
        Manifest, OpenedOffer, Outcome, RECEIPTS_MAX, Receipt, ReceiptSealer, TransferOpener,
    },
    storage::{Conflict, Done, Journal, JournalError, Modified},
    transfer::{Event, Failure, FailureKind, Voice, unix_now},
};

/// Larger files of one transfer that are written at once; the sender sends no more than three.
const BULK_AT_ONCE: usize = 4;
/// How often the sender hears how much is stored.
const PROGRESS: Duration = Duration::from_millis(200);

/// What reaches a transfer's task.
pub(super) enum Heard {
    /// A stream of a file, whose header is read.
    File(FileReceiver, FileHeader),
    /// The sender says something.
    Said(PeerMessage),
    /// The relay says that the sender's part is over.
    Gone(Code),
    /// This listener is about to end.
    Stop(Code),
}

/// How a transfer ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Nothing was received.
    Declined,
    /// The rest may follow in another transfer.
    Interrupted,
    /// Every file is settled; with the first failure, if there was one.
    Complete(Option<Failure>),
}

/// What every file of one transfer shares.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) transfer: TransferId,
    /// The sender.
    pub(super) from: PeerId,
    pub(super) opener: TransferOpener,
    pub(super) voice: Voice,
    /// Whether this side says for each file where to begin.
    pub(super) each: bool,
    pub(super) bulk: Semaphore,
    pub(super) store: mpsc::Sender<store::Job>,
    pub(super) journal: SharedJournal,
}

impl Context {
    /// Notes a partial file, so that it is found and removed when it is never finished.
    pub(super) fn note_partial(&self, slot: &Slot) {
        if let (Slot::Partial(partial), Destination::Directory(target)) =
            (slot, &self.shared.config.destination)
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
    fn new(journal: Journal) -> Self {
        Self(Arc::new(Mutex::new(Some(journal))))
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
    fn finish(&self) {
        if let Some(journal) = self.lock().take()
            && let Err(error) = journal.finish()
        {
            tracing::debug!(%error, "the journal was not removed");
        }
    }
}

/// What became of one file.
pub(super) struct Settlement {
    pub(super) index: FileIndex,
    pub(super) outcome: Result<Stored, Lost>,
}

/// A file that is verified and stored.
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) len: u64,
    pub(super) hash: blake3::Hash,
    pub(super) resumed_from: u64,
    pub(super) already_there: bool,
    /// A message, which is nowhere on disk.
    pub(super) text: Option<String>,
    /// Whether people want to hear of it: directories and links go without saying.
    pub(super) notable: bool,
}

/// A file that is not.
pub(super) struct Lost {
    pub(super) path: Option<String>,
    pub(super) code: Code,
    pub(super) reason: SafeText,
}

impl Lost {
    pub(super) fn new(path: Option<&str>, code: Code, reason: impl std::fmt::Display) -> Self {
        Self {
            path: path.map(str::to_owned),
            code,
            reason: SafeText::new(&reason.to_string()),
        }
    }
}

/// Who sends.
struct Sender {
    id: PeerId,
    name: PeerName,
    chosen: bool,
}

/// What opens files and signs for them.
type Keys = (TransferOpener, ReceiptSealer);

/// One transfer, from its opened offer to its end.
pub(super) struct Incoming {
    shared: Arc<Shared>,
    transfer: TransferId,
    sender: Sender,
    manifest: Manifest,
    voice: Voice,
    hears: mpsc::UnboundedReceiver<Heard>,
    started: Instant,
}

impl Incoming {
    pub(super) fn new(
        shared: Arc<Shared>,
        transfer: TransferId,
        offer: OpenedOffer,
        voice: Voice,
        hears: mpsc::UnboundedReceiver<Heard>,
    ) -> (Self, Keys) {
        let OpenedOffer {
            sender,
            name,
            chosen,
            manifest,
            opener,
            receipts,
            ..
        } = offer;
        let sender = Sender {
            id: sender,
            name,
            chosen,
        };
        (
            Self {
                shared,
                transfer,
                sender,
                manifest,
                voice,
                hears,
                started: Instant::now(),
            },
            (opener, receipts),
        )
    }

    pub(super) async fn run(mut self, keys: Keys) -> Ended {
        self.shared.observer.event(Event::Offer {
            transfer: self.transfer,
            from: self.sender.id,
            from_name: self.sender.name.clone(),
            files: self.manifest.files,
            bytes: self.manifest.bytes,
        });
        match self.decide().await {
            Some(Ok(())) => {}
            Some(Err(refusal)) => {
                self.failed(
                    Failure::from_decline(refusal.reason, &refusal.text),
                    refusal.reason,
                );
                let answer = Answer::Decline {
                    reason: refusal.reason,
                    text: refusal.text,
                };
                self.say(PeerMessage::Answer { answer }).await;
                return Ended::Declined;
            }
            None => return Ended::Declined,
        }
        let journal = match self.open_journal().await {
            Ok(journal) => journal,
            Err(error) => {
                let refusal =
                    Refusal::new(DeclineReason::NoSpace, &format!("cannot store: {error}"));
                self.failed(
                    Failure::new(FailureKind::LocalFile, &refusal.text),
                    refusal.reason,
                );
                let answer = Answer::Decline {
                    reason: refusal.reason,
                    text: refusal.text,
                };
                self.say(PeerMessage::Answer { answer }).await;
                return Ended::Declined;
            }
        };
        let (journal, resuming) = journal;
        let skipping = self.shared.config.conflict == Conflict::Skip;
        let each = matches!(self.shared.config.destination, Destination::Directory(_))
            && (resuming || skipping);
        self.say(PeerMessage::Answer {
            answer: Answer::Accept { each },
        })
        .await;
        self.receive(each, journal, keys).await
    }

    /// Applies policy; `None` when the sender is gone before there is a decision.
    async fn decide(&mut self) -> Option<Result<(), Refusal>> {
        let (config, offer) = (&self.shared.config, &self.sender);
        let roster = match config.known.load() {
            Ok(roster) => roster,
            Err(error) => {
                return Some(Err(Refusal::new(
                    DeclineReason::NotTrusted,
                    &error.to_string(),
                )));
            }
        };
        if let Verdict::Changed { pinned } = roster.check(&offer.name, offer.id) {
            let (name, id) = (&offer.name, offer.id);
            let text = format!("the name {name} belongs to {pinned} here, not to {id}");
            return Some(Err(Refusal::new(DeclineReason::KeyChanged, &text)));
        }
        let bytes = self.manifest.bytes;
        if let (Some(max), Some(bytes)) = (config.max_size, bytes)
            && bytes > max
        {
            let text = format!("{bytes} bytes, where {max} are taken");
            return Some(Err(Refusal::new(DeclineReason::TooLarge, &text)));
        }
        if let (Destination::Directory(target), Some(bytes)) = (&config.destination, bytes)
            && let Ok(free) = target.free_bytes()
            && bytes > free
        {
            let text = format!("{bytes} bytes, where {free} are free");
            return Some(Err(Refusal::new(DeclineReason::NoSpace, &text)));
        }
        let view = OfferView {
            transfer: self.transfer,
            from: offer.id,
            from_name: offer.name.clone(),
            files: self.manifest.files,
            bytes,
            names: self
                .manifest
                .names
                .iter()
                .map(|e| (e.path.to_string(), e.size))
                .collect(),
            text: self.manifest.text,
        };
        let gate = config.gate.clone();
        if gate.asks() {
            self.voice
                .tell(self.transfer, Some(offer.id), PeerMessage::Asking {})
                .await;
        }
        let decision = tokio::select! {
            decision = gate.decide(&view) => decision,
            () = gone(&mut self.hears) => return None,
        };
        if decision.is_ok() && self.sender.chosen {
            let pinned = self.shared.config.known.pin(
                &self.sender.name,
                self.sender.id,
                Origin::Seen,
                unix_now(),
            );
            if let Err(error) = pinned {
                self.shared.observer.event(Event::Notice(format!(
                    "known peers were not updated: {error}"
                )));
            }
        }
        Some(decision)
    }

    /// Opens the notes on this job; whether an earlier attempt left some.
    async fn open_journal(&self) -> Result<(SharedJournal, bool), JournalError> {
        let Destination::Directory(_) = self.shared.config.destination else {
            return Ok(Default::default());
        };
        let (folder, sender, job) = (
            self.shared.config.journal.clone(),
            self.sender.id,
            self.manifest.job.0,
        );
        let opening = tokio::task::spawn_blocking(move || Journal::open(&folder, &sender, &job));
        let (journal, resuming) = opening.await.expect("opening a journal does not panic")?;
        Ok((SharedJournal::new(journal), resuming))
    }

    async fn receive(
        mut self,
        each: bool,
        journal: SharedJournal,
        (opener, mut receipts): Keys,
    ) -> Ended {
        let (settle, mut settled) = mpsc::unbounded_channel::<Settlement>();
        let store = store::start(
            self.shared.clone(),
            self.sender.id,
            journal.clone(),
            settle.clone(),
        );
        let context = Arc::new(Context {
            shared: self.shared.clone(),
            transfer: self.transfer,
            from: self.sender.id,
            opener,
            voice: self.voice.clone(),
            each,
            bulk: Semaphore::new(BULK_AT_ONCE),
            store,
            journal: journal.clone(),
        });
        let mut files: JoinSet<()> = JoinSet::new();
        let mut active: HashMap<FileIndex, Arc<Active>> = HashMap::new();
        let mut tally = Tally::default();
        let mut tick = tokio::time::interval(PROGRESS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        let mut stopped = false;
        let end = loop {
            if tally.is_complete() {
                break Ok(());
            }
            tokio::select! {
                biased;
                count = settled.recv_many(&mut batch, RECEIPTS_MAX) => {
                    debug_assert!(count > 0, "this task holds a sender");
                    self.settle(&mut batch, &mut active, &mut receipts, &mut tally).await;
                }
                heard = self.hears.recv() => match heard {
                    Some(Heard::File(stream, header)) => {
                        let progress = Arc::new(Active::default());
                        active.insert(header.file, progress.clone());
                        let task = file::receive(context.clone(), stream, header, progress, settle.clone());
                        files.spawn(task);
                    }
                    Some(Heard::Said(PeerMessage::End { files })) => tally.files = Some(files),
                    Some(Heard::Said(PeerMessage::Cancel { code }) | Heard::Gone(code)) => break Err(code),
                    Some(Heard::Said(_)) => {}
                    Some(Heard::Stop(code)) => {
                        self.say(PeerMessage::Cancel { code }).await;
                        stopped = true;
                        break Err(code);
                    }
                    None => break Err(Code::Cancelled),
                },
                Some(_) = files.join_next(), if !files.is_empty() => {}
                _ = tick.tick() => self.progress(&active).await,
            }
        };
        // What is being written is put away before anyone may come back for it.
        files.shutdown().await;
        drop((context, settle));
        while settled.recv_many(&mut batch, RECEIPTS_MAX).await > 0 {
            self.settle(&mut batch, &mut active, &mut receipts, &mut tally)
                .await;
        }
        self.end(end, stopped, &tally, &journal)
    }

    /// Tells the sender what became of files, and signs for those that are stored.
    async fn settle(
        &self,
        batch: &mut Vec<Settlement>,
        active: &mut HashMap<FileIndex, Arc<Active>>,
        receipts: &mut ReceiptSealer,
        tally: &mut Tally,
    ) {
        let mut signed = Vec::with_capacity(batch.len());
        for Settlement { index, outcome } in batch.drain(..) {
            tally.settled += 1;
            let name = active.remove(&index).and_then(|file| file.name());
            match outcome {
                Ok(stored) => {
                    let outcome = if stored.already_there {
                        Outcome::AlreadyThere
                    } else {
                        Outcome::Stored
                    };
                    signed.push(Receipt {
                        file: index,
                        len: stored.len,
                        blake3: *stored.hash.as_bytes(),
                        outcome,
                    });
                    tally.notable += u64::from(stored.notable);
                    tally.bytes += stored.len;
                    self.stored(stored, name.unwrap_or_default());
                }
                Err(lost) => {
                    let failure = Failure {
                        kind: Failure::from_code(lost.code).kind,
                        reason: lost.reason.clone(),
                    };
                    tally.failure.get_or_insert(failure.clone());
                    self.shared.observer.event(Event::Failed {
                        transfer: self.transfer,
                        peer: Some((self.sender.id, self.sender.name.clone())),
                        file: lost.path,
                        failure,
                    });
                    let message = PeerMessage::Failed {
                        file: Some(index),
                        code: lost.code,
                        reason: lost.reason,
                    };
                    self.say(message).await;
                }
            }
        }
        if !signed.is_empty() {
            let batch = receipts
                .seal(&signed)
                .expect("1 to RECEIPTS_MAX, as many as a batch takes");
            self.say(PeerMessage::Receipts {
                batch: batch.into(),
            })
            .await;
        }
    }

    fn stored(&self, stored: Stored, file: String) {
        let (transfer, from, from_name) = (self.transfer, self.sender.id, self.sender.name.clone());
        if let Some(text) = stored.text {
            self.shared.observer.event(Event::Message {
                transfer,
                from,
                from_name,
                text,
            });
        } else if stored.notable {
            self.shared.observer.event(Event::Received {
                transfer,
                path: stored.path,
                file,
                bytes: stored.len,
                blake3: stored.hash,
                from,
                from_name,
                resumed_from: stored.resumed_from,
                already_there: stored.already_there,
            });
        }
    }

    async fn progress(&self, active: &HashMap<FileIndex, Arc<Active>>) {
        for (file, progress) in active {
            let bytes = progress.stored.load(Ordering::Relaxed);
            if progress.told.swap(bytes, Ordering::Relaxed) == bytes {
                continue;
            }
            let head = progress
                .head
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if let Some((path, total)) = head {
                self.shared.observer.event(Event::Progress {
                    transfer: self.transfer,
                    peer: self.sender.id,
                    peer_name: self.sender.name.clone(),
                    file: path,
                    bytes,
                    total,
                    resumed_from: progress.resumed_from.load(Ordering::Relaxed),
                });
            }
            self.say(PeerMessage::Stored { file: *file, bytes }).await;
        }
    }

    fn end(
        &self,
        end: Result<(), Code>,
        stopped: bool,
        tally: &Tally,
        journal: &SharedJournal,
    ) -> Ended {
        // The sender closes once it has heard of every file: nothing is missing then.
        let over = matches!(end, Ok(()) | Err(Code::Done));
        if over {
            journal.finish();
        } else if matches!(end, Err(Code::Replaced)) {
            // Not a failure: the same job goes on in a newer transfer.
            self.shared.observer.event(Event::Retrying {
                peer: Some((self.sender.id, self.sender.name.clone())),
                reason: "began again".to_owned(),
            });
        } else if let Err(code) = end {
            let failure = if stopped {
                Failure::new(
                    FailureKind::Interrupted,
                    "stopped here before all of it came",
                )
            } else {
                Failure::from_code(code)
            };
            self.shared.observer.event(Event::Failed {
                transfer: self.transfer,
                peer: Some((self.sender.id, self.sender.name.clone())),
                file: None,
                failure,
            });
        }
        // That nothing follows is the relay's word as well; how many files there are is the sender's.
        let missing = self
            .manifest
            .files
            .unwrap_or(0)
            .saturating_sub(tally.notable);
        let mut failure = tally.failure.clone();
        if over && missing > 0 && failure.is_none() {
            let reason = format!("{missing} of the files that were announced did not come");
            failure = Some(Failure::new(FailureKind::Other, reason));
        }
        let whole = over && failure.is_none();
        self.shared.observer.event(Event::Done {
            transfer: self.transfer,
            files: tally.notable,
            bytes: tally.bytes,
            elapsed: self.started.elapsed(),
            delivered: u64::from(whole),
            failed: u64::from(!whole),
        });
        match end {
            Ok(()) | Err(Code::Done) => Ended::Complete(failure),
            Err(code) if matches!(self.shared.config.destination, Destination::Stdout) => {
                // Bytes on standard output cannot be taken back or resumed.
                let failure = Failure::new(
                    FailureKind::Verification,
                    format!("the file is not whole: {code}"),
                );
                Ended::Complete(Some(failure))
            }
            Err(_) => Ended::Interrupted,
        }
    }

    fn failed(&self, failure: Failure, reason: DeclineReason) {
        let kind = if reason == DeclineReason::KeyChanged {
            FailureKind::NotTrusted
        } else {
            failure.kind
        };
        self.shared.observer.event(Event::Failed {
            transfer: self.transfer,
            peer: Some((self.sender.id, self.sender.name.clone())),
            file: None,
            failure: Failure { kind, ..failure },
        });
    }

    async fn say(&self, message: PeerMessage) {
        self.voice
            .tell(self.transfer, Some(self.sender.id), message)
            .await;
    }
}

/// Counts what is settled.
#[derive(Debug, Default)]
struct Tally {
    files: Option<u64>,
    settled: u64,
    /// Files and messages: what the sender has counted.
    notable: u64,
    bytes: u64,
    failure: Option<Failure>,
}

impl Tally {
    fn is_complete(&self) -> bool {
        self.files.is_some_and(|files| self.settled >= files)
    }
}

/// How far one file is.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) stored: AtomicU64,
    pub(super) resumed_from: AtomicU64,
    told: AtomicU64,
    head: Mutex<Option<(String, Option<u64>)>>,
}

impl Active {
    pub(super) fn describe(&self, path: &str, total: Option<u64>) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some((path.to_owned(), total));
    }

    fn name(&self) -> Option<String> {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        head.as_ref().map(|(path, _)| path.clone())
    }
}

/// Waits until the sender takes the offer back.
async fn gone(hears: &mut mpsc::UnboundedReceiver<Heard>) {
    loop {
        match hears.recv().await {
            Some(Heard::Gone(_) | Heard::Stop(_) | Heard::Said(PeerMessage::Cancel { .. }))
            | None => return,
            Some(_) => {}
        }
    }
}
