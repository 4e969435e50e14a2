//! One transfer from the recipient's side: decision, files, receipts.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

use super::{
    Destination, Refusal, Shared,
    allowance::Allowance,
    context::{Context, SharedJournal},
    file,
    settlement::{Active, Settlement, Tally},
    store,
};
use crate::{
    protocol::{
        Answer, Code, DeclineReason, FileHeader, FileIndex, PeerId, PeerMessage, PeerName,
        TransferId,
    },
    quic::FileReceiver,
    sealing::{Manifest, OfferError, OpenedOffer, RECEIPTS_MAX, ReceiptSealer, TransferOpener},
    storage::{Conflict, Journal, JournalError},
    transfer::{Error, ErrorKind, Event, MessageSender},
};

/// Files of one chunk that are in memory on their way to the disk: as many as a sender has under way.
///
/// Without a bound a sender that is faster than the disk would fill the memory, since a stream that
/// is read to its end makes room for the next.
const SMALL_AT_ONCE: usize = 128;
/// Larger files of one transfer that are written at once; the sender sends no more than three.
const BULK_AT_ONCE: usize = 4;
/// How often the sender hears how much is stored.
const PROGRESS: Duration = Duration::from_millis(200);
/// How long the notes on a complete transfer are kept for a sender that has not closed it.
///
/// Receipts that were lost with a connection are asked for again at once; on one that has held for
/// so long they have arrived, and the sender only waits for other recipients.
const ACKNOWLEDGE_LIMIT: Duration = Duration::from_secs(5);

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
    Complete(Option<Error>),
}

/// Who sends.
pub(super) struct Sender {
    pub(super) id: PeerId,
    pub(super) name: PeerName,
    pub(super) chosen: bool,
}

/// What opens files and signs for them.
pub(super) type Keys = (TransferOpener, ReceiptSealer);

/// One transfer, from its opened offer to its end.
pub(super) struct Incoming {
    pub(super) shared: Arc<Shared>,
    pub(super) transfer: TransferId,
    pub(super) sender: Sender,
    pub(super) manifest: Manifest,
    pub(super) messages: MessageSender,
    pub(super) hears: mpsc::UnboundedReceiver<Heard>,
    pub(super) started: Instant,
}

impl Incoming {
    pub(super) fn new(
        shared: Arc<Shared>,
        transfer: TransferId,
        offer: OpenedOffer,
        messages: MessageSender,
        hears: mpsc::UnboundedReceiver<Heard>,
    ) -> Result<(Self, Keys), OfferError> {
        let sender = Sender {
            id: offer.sender,
            name: offer.name.clone(),
            chosen: offer.chosen,
        };
        let manifest = offer.manifest.clone();
        let keys = offer.claim()?;
        let incoming = Self {
            shared,
            transfer,
            sender,
            manifest,
            messages,
            hears,
            started: Instant::now(),
        };
        Ok((incoming, keys))
    }

    pub(super) async fn run(mut self, keys: Keys) -> Ended {
        self.shared.observer.event(Event::Offer {
            transfer: self.transfer,
            from: self.peer(),
            files: self.manifest.files,
            bytes: self.manifest.bytes,
        });
        match self.decide().await {
            Some(Ok(())) => {}
            Some(Err(refusal)) => {
                self.failed(
                    Error::from_decline(refusal.reason, &refusal.text),
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
                    Error::new(ErrorKind::LocalFile, &refusal.text),
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
            answer: Answer::Accept {
                each,
                compare: false,
            },
        })
        .await;
        self.receive(each, journal, keys).await
    }

    /// Opens the notes on this job; whether an earlier attempt left some.
    pub(super) async fn open_journal(&self) -> Result<(SharedJournal, bool), JournalError> {
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
        let destination = journal.destination(&self.shared.config);
        let store = store::start(
            self.shared.clone(),
            destination.clone(),
            self.sender.id,
            journal.clone(),
            settle.clone(),
        );
        let context = Arc::new(Context {
            shared: self.shared.clone(),
            destination,
            transfer: self.transfer,
            from: self.sender.id,
            opener,
            messages: self.messages.clone(),
            each,
            allowance: Allowance::new(
                self.shared.config.max_size,
                self.manifest
                    .bytes
                    .filter(|_| self.shared.config.gate.asks()),
            ),
            small: Semaphore::new(SMALL_AT_ONCE),
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
            if let Some((code, _)) = tally.stopped {
                break Err(code);
            }
            if tally.is_complete() {
                break Ok(());
            }
            tokio::select! {
                biased;
                // First, since a task that has ended keeps its memory until then.
                Some(_) = files.join_next(), if !files.is_empty() => {}
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
        let ended = self.end(end, stopped, &tally);
        let over = match end {
            Ok(()) => acknowledged(&mut self.hears).await,
            // The sender closes once it has heard of every file: nothing is missing then.
            Err(code) => code == Code::Done && !tally.cut,
        };
        if over {
            journal.finish();
        }
        ended
    }
}

/// Waits until the sender has heard that everything is stored; not so where it is lost before.
///
/// Until then it may come back, and must find what it has sent, not send it a second time.
async fn acknowledged(hears: &mut mpsc::UnboundedReceiver<Heard>) -> bool {
    let hearing = async {
        loop {
            match hears.recv().await {
                Some(Heard::Gone(code) | Heard::Said(PeerMessage::Cancel { code })) => {
                    return code == Code::Done;
                }
                Some(Heard::Stop(_)) | None => return false,
                Some(_) => {}
            }
        }
    };
    timeout(ACKNOWLEDGE_LIMIT, hearing).await.unwrap_or(true)
}
