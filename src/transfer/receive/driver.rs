//! One transfer from the recipient's side: feeds its [`Receiver`] and does what that wants done.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::{MissedTickBehavior, timeout},
};

use super::{
    Decision, Destination, Refusal, Shared,
    admission::{Notes, Offer},
    allowance::Allowance,
    approvals::Approval,
    context::Context,
    file::FileTasks,
    lanes::{LaneBook, Role, hand_over},
    linked::LinkedFiles,
    receiver::{Effect, Ended, Receiver, Terms},
    store,
};
use crate::{
    protocol::{Answer, Code, DeclineReason, FileHeader, PeerMessage},
    quic::FileReceiver,
    sealing::{OpenedOffer, RECEIPTS_MAX, ReceiptSealer},
    storage::crash_point,
    transfer::{Error, ErrorKind, Event, MessageSender, PathMessage, direct::Hub},
};

/// How often the sender is told how much is stored.
const PROGRESS: Duration = Duration::from_millis(200);
/// Settled files that wait to be reported: four batches of receipts.
const SETTLED: usize = 4 * RECEIPTS_MAX;
/// How long the notes on a complete transfer are kept for a sender that has not closed it.
///
/// Receipts that were lost with a connection are asked for again at once; on one that has held for
/// so long they have arrived, and the sender only waits for other recipients.
const ACKNOWLEDGE_LIMIT: Duration = Duration::from_secs(5);

/// What reaches a transfer's task.
pub(super) enum Input {
    /// A stream of a file, whose header is read.
    File(FileReceiver, FileHeader),
    /// The sender says something.
    Message(PeerMessage),
    /// The sender says where it can be reached directly.
    Path(PathMessage),
}

/// Why a transfer is to end. It never waits behind anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The sender's part is over.
    Gone(Code),
    /// This listener is about to end.
    Stop(Code),
}

/// What comes in for one transfer.
pub(super) struct Inputs {
    pub(super) queue: mpsc::Receiver<Input>,
    pub(super) end: watch::Receiver<Option<End>>,
}

/// One transfer, from its opened offer to its end.
pub(super) struct Driver {
    shared: Arc<Shared>,
    offer: Offer,
    messages: MessageSender,
    direct: Option<Hub>,
    inputs: Inputs,
    started: Instant,
}

impl Driver {
    pub(super) async fn run(
        shared: Arc<Shared>,
        offer: Offer,
        opened: OpenedOffer,
        (messages, direct): (MessageSender, Option<Hub>),
        inputs: Inputs,
    ) -> Ended {
        let mut driver = Self {
            shared,
            offer,
            messages,
            direct,
            inputs,
            started: Instant::now(),
        };
        match driver.decide(opened).await {
            Some(Ok((context, receipts, settled))) => {
                driver.receive(context, receipts, settled).await
            }
            Some(Err(refusal)) => {
                driver.decline(refusal).await;
                Ended::Declined
            }
            None => Ended::Declined,
        }
    }

    /// Decides about the offer; `None` when the sender is gone before that.
    async fn decide(&mut self, opened: OpenedOffer) -> Option<Result<Accepted, Refusal>> {
        let path = opened.path.clone();
        let (shared, screened) = (self.shared.clone(), self.offer.clone());
        let screening = spawn_blocking(move || screened.screen(&shared)).await;
        let screened = screening.expect("screening does not panic");
        self.shared.observer.event(Event::Offer {
            transfer: self.offer.transfer,
            from: self.offer.from.clone(),
            files: self.offer.manifest.files,
            bytes: self.offer.manifest.bytes,
            text: self.offer.manifest.text,
            asks: matches!(screened, Ok((_, Decision::Ask))),
        });
        let (notes, decision) = match screened {
            Ok(screened) => screened,
            Err(refusal) => return Some(Err(refusal)),
        };
        // Only what policy lets through is noted, and no person is asked twice about one offer.
        let taken_up = match opened.claim() {
            Ok(keys) => match decision {
                Decision::Ask => self.ask().await.map(|yes| yes.map(|yes| (keys, Some(yes)))),
                _ => Some(Ok((keys, None))),
            },
            Err(error) => Some(Err(Refusal::new(DeclineReason::Busy, &error.to_string()))),
        };
        let ((opener, receipts), approval) = match taken_up {
            Some(Ok(taken_up)) => taken_up,
            Some(Err(refusal)) => {
                notes.forget().await;
                return Some(Err(refusal));
            }
            None => {
                notes.forget().await;
                return None;
            }
        };
        let (shared, accepted) = (self.shared.clone(), self.offer.clone());
        let pinning = spawn_blocking(move || accepted.pin(&shared)).await;
        if let Err(refusal) = pinning.expect("pinning does not panic") {
            notes.forget().await;
            return Some(Err(refusal));
        }
        let Notes {
            journal,
            is_resumed,
            is_there,
        } = notes;
        let (settle, settled) = mpsc::channel(SETTLED);
        let context = Context {
            shared: self.shared.clone(),
            destination: journal.destination(&self.shared.config),
            transfer: self.offer.transfer,
            files: self.offer.manifest.files,
            from: self.offer.from.clone(),
            opener,
            messages: self.messages.clone(),
            each: is_resumed || is_there,
            is_resumed,
            allowance: Allowance::new(self.shared.config.max_size, approval),
            linked: LinkedFiles::default(),
            journal,
            settle,
            direct: OnceLock::new(),
            hub: self.direct.clone().map(|hub| (hub, path)),
        };
        Some(Ok((Arc::new(context), receipts, settled)))
    }

    /// Asks a person; `None` when the sender is gone before there is an answer.
    async fn ask(&mut self) -> Option<Result<Arc<Approval>, Refusal>> {
        self.send(PeerMessage::Asking {}).await;
        tokio::select! {
            answer = self.offer.ask(&self.shared) => Some(answer),
            () = gone(&mut self.inputs) => None,
        }
    }

    async fn decline(&self, Refusal { reason, text }: Refusal) {
        let kind = match reason {
            DeclineReason::KeyChanged => ErrorKind::NotTrusted,
            DeclineReason::NoSpace => ErrorKind::LocalFile,
            _ => Error::from_decline(reason, &text).kind(),
        };
        self.shared.observer.event(Event::Declined {
            transfer: self.offer.transfer,
            peer: self.offer.from.clone(),
            reason,
            failure: Error::new(kind, &text),
        });
        let answer = Answer::Decline { reason, text };
        self.send(PeerMessage::Answer { answer }).await;
    }

    async fn receive(
        mut self,
        context: Arc<Context>,
        mut receipts: ReceiptSealer,
        mut settled: mpsc::Receiver<super::outcome::Settlement>,
    ) -> Ended {
        // What an earlier attempt has stored is told without the sender's hashes.
        let compare = context.each && !context.is_resumed;
        let answer = Answer::Accept {
            each: context.each,
            compare,
        };
        self.send(PeerMessage::Answer { answer }).await;
        let mut receiver = Receiver::new(Terms {
            transfer: self.offer.transfer,
            from: self.offer.from.clone(),
            files: self.offer.manifest.files,
            to_writer: matches!(self.shared.config.destination, Destination::Writer(_)),
            compare,
            renames: self.offer.manifest.renames,
        });
        let journal = context.journal.clone();
        let tasks = FileTasks::new(context.clone(), store::start(context.clone()));
        let mut files = JoinSet::new();
        let mut lanes = LaneBook::default();
        let accepted = Instant::now();
        let mut tick = tokio::time::interval(PROGRESS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        while receiver.over().is_none() {
            let effects = tokio::select! {
                biased;
                // First, since a task that has ended keeps its memory until then.
                Some(_) = files.join_next(), if !files.is_empty() => continue,
                Ok(_) = self.inputs.end.changed() => match *self.inputs.end.borrow_and_update() {
                    Some(End::Gone(code)) => {
                        // What it said before is still in the queue.
                        loop {
                            match self.inputs.queue.try_recv() {
                                Ok(Input::Message(message)) => receiver.on_message(message),
                                Ok(Input::Path(_)) => {}
                                _ => break,
                            }
                        }
                        receiver.on_gone(code);
                        continue;
                    }
                    Some(End::Stop(code)) => receiver.on_stop(code),
                    None => continue,
                },
                _ = settled.recv_many(&mut batch, RECEIPTS_MAX) => receiver.on_settled(batch.drain(..)),
                input = self.inputs.queue.recv() => {
                    match input {
                        Some(Input::File(stream, header)) => {
                            let role = match context.has_lanes() {
                                true => lanes.place(header.file, &context.opener),
                                false => lanes.first(header.file),
                            };
                            match role {
                                Role::First(more) => {
                                    let progress = receiver.on_file(header.file);
                                    let file = (stream, header);
                                    files.spawn(tasks.clone().receive(file, more, progress));
                                }
                                Role::Another(place) => {
                                    files.spawn(hand_over(stream, place));
                                }
                                Role::Refused(code) => stream.stop(code),
                            }
                        }
                        Some(Input::Path(message)) => context.on_path(message),
                        Some(Input::Message(message)) => receiver.on_message(message),
                        None => receiver.on_gone(Code::Cancelled),
                    }
                    continue;
                }
                _ = tick.tick() => {
                    let shared = &self.shared;
                    let crowded = shared.crowded.load(Ordering::Relaxed)
                        && shared.places.has_most(self.offer.from.id);
                    receiver.on_tick(accepted.elapsed(), crowded)
                }
            };
            self.perform(effects, &mut receipts).await;
        }
        // What is being written is put away before anyone may come back for it.
        files.shutdown().await;
        drop((tasks, context));
        while settled.recv_many(&mut batch, RECEIPTS_MAX).await > 0 {
            let effects = receiver.on_settled(batch.drain(..));
            self.perform(effects, &mut receipts).await;
        }
        let (code, finished) = (receiver.over(), receiver.leaves_nothing());
        let has_all = receiver.is_complete();
        let (effects, ended) = receiver.finish(self.started.elapsed());
        self.perform(effects, &mut receipts).await;
        if code == Some(Code::Done) {
            let approvals = &self.shared.approvals;
            approvals.used(self.offer.from.id, &self.offer.manifest);
        }
        // The sender closes once it has heard of every file: nothing is missing then.
        if finished && (!has_all || acknowledged(&mut self.inputs).await) {
            let _ = spawn_blocking(move || journal.finish()).await;
        }
        ended
    }

    async fn perform(&self, effects: Vec<Effect>, receipts: &mut ReceiptSealer) {
        for effect in effects {
            match effect {
                Effect::Emit(event) => self.shared.observer.event(*event),
                Effect::Send(message) => self.send(message).await,
                Effect::Sign(files) => {
                    let batch = receipts.seal(&files);
                    let batch = batch.expect("1 to RECEIPTS_MAX, as many as a batch takes");
                    let batch = batch.into();
                    crash_point("signed");
                    self.send(PeerMessage::Receipts { batch }).await;
                    crash_point("receipted");
                }
            }
        }
    }

    async fn send(&self, message: PeerMessage) {
        let to = Some(self.offer.from.id);
        self.messages.send(to, self.offer.transfer, message).await;
    }
}

/// What an accepted transfer is received with.
type Accepted = (
    Arc<Context>,
    ReceiptSealer,
    mpsc::Receiver<super::outcome::Settlement>,
);

/// Waits until the sender takes the offer back, or nobody is to be asked any more.
async fn gone(inputs: &mut Inputs) {
    loop {
        tokio::select! {
            _ = inputs.end.wait_for(Option::is_some) => return,
            input = inputs.queue.recv() => match input {
                Some(Input::Message(PeerMessage::Cancel { .. })) | None => return,
                Some(_) => {}
            }
        }
    }
}

/// Waits until the sender has heard that everything is stored; not so where it is lost before.
///
/// Until then it may come back, and must find what it has sent, not send it a second time.
async fn acknowledged(inputs: &mut Inputs) -> bool {
    let waiting = async {
        loop {
            tokio::select! {
                biased;
                input = inputs.queue.recv() => match input {
                    Some(Input::Message(PeerMessage::Cancel { code })) => return code == Code::Done,
                    Some(_) => {}
                    None => return false,
                },
                end = inputs.end.wait_for(Option::is_some) => {
                    return matches!(end.as_deref(), Ok(Some(End::Gone(Code::Done))));
                }
            }
        }
    };
    timeout(ACKNOWLEDGE_LIMIT, waiting).await.unwrap_or(true)
}
