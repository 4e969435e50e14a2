//! One transfer: offers out, answers in, files out, receipts in.
//!
//! A round is one attempt with fresh keys. A recipient that could not be served for a passing
//! reason is served by the next round, from where it stopped.

mod hearing;
mod part;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use self::part::{Part, PartState};
use super::{
    file::{self, FileEnd, FileTask, SealedStart},
    ledger::Ledger,
    producer::{self, Job, Produced, Producible},
    shared::RoundKeys,
    target::{Status, Target},
};
use crate::{
    protocol::{Code, FileClass, FileIndex, PeerId, PeerMessage, Road, SignedOffer},
    quic::RateLimit,
    sealing::ReceiptOpener,
    transfer::{Channel, Error, ErrorKind, Event, MessageSender, Observer},
};

/// Files of one chunk that are under way at once: below the stream limit, so that bulk has a place.
const SMALL_AT_ONCE: usize = 128;
/// Larger files that are under way at once: few finish sooner than many, and keep the send window
/// free for small ones.
const BULK_AT_ONCE: usize = 3;
/// Once someone has accepted, how long the others may take before the files start without them: so
/// many times what the first took, within these bounds.
///
/// Who answers later gets the files in a round of its own: one that is stopped costs the others little.
const STRAGGLERS: (u32, Duration, Duration) =
    (4, Duration::from_millis(400), Duration::from_secs(2));
/// How long a person may think about an offer, once the recipient says that it asks one.
const ASKING_LIMIT: Duration = Duration::from_secs(300);
/// Files that even the fastest recipient has not settled before no further one is sent.
///
/// What is on its way is remembered here and held at the relay: without a bound, for as many small
/// files as the relay has memory for.
const AHEAD_MAX: usize = 2048;
/// Files that one recipient may be behind with before it is left to a later round.
const OUTSTANDING_MAX: usize = 16_384;
/// How often time limits are looked at.
const TICK: Duration = Duration::from_millis(250);

/// What a round is for.
pub(super) struct RoundPlan {
    pub(super) keys: Arc<RoundKeys>,
    pub(super) source: Producible,
    pub(super) timeout: Duration,
    pub(super) limit: Option<Arc<RateLimit>>,
    pub(super) road: Road,
}

/// An offer that is ready to go out.
pub(super) struct Offer {
    /// Its recipient's place among the targets.
    pub(super) target: usize,
    pub(super) offer: SignedOffer,
    /// For what the recipient will sign.
    pub(super) receipts: ReceiptOpener,
}

/// How a round ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// Every part is over; the targets say how.
    Over,
    /// The connection to the relay is gone.
    Disconnected,
    /// Cancelled by this side.
    Cancelled,
}

/// One transfer's state; owned by one task, which hears everything in turn.
pub(super) struct Round<'a> {
    keys: Arc<RoundKeys>,
    targets: &'a mut [Target],
    observer: &'a Arc<dyn Observer>,
    unread: &'a mut Vec<(String, Error)>,
    timeout: Duration,
    limit: Option<Arc<RateLimit>>,
    road: Road,
    parts: HashMap<PeerId, Part>,
    ledger: Ledger,
    starts: HashMap<FileIndex, mpsc::UnboundedSender<SealedStart>>,
    files: Option<u64>,
    under_way: (usize, usize),
    tasks: JoinSet<(FileIndex, FileClass)>,
    ends: (
        mpsc::UnboundedSender<FileEnd>,
        mpsc::UnboundedReceiver<FileEnd>,
    ),
    /// Recipients that are to hear that this round goes on without them.
    leaving: Vec<(PeerId, Code)>,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        plan: &RoundPlan,
        targets: &'a mut [Target],
        unread: &'a mut Vec<(String, Error)>,
        observer: &'a Arc<dyn Observer>,
    ) -> Self {
        Self {
            keys: plan.keys.clone(),
            targets,
            observer,
            unread,
            timeout: plan.timeout,
            limit: plan.limit.clone(),
            road: plan.road,
            parts: HashMap::new(),
            ledger: Ledger::default(),
            starts: HashMap::new(),
            files: None,
            under_way: (0, 0),
            tasks: JoinSet::new(),
            ends: mpsc::unbounded_channel(),
            leaving: Vec::new(),
        }
    }

    /// Runs the whole transfer with the targets at `places`, which are present and pending.
    pub(super) async fn run(
        mut self,
        channel: &mut Channel,
        plan: RoundPlan,
        offers: Vec<Offer>,
        cancel: &tokio_util::sync::CancellationToken,
    ) -> RoundEnd {
        let transfer = self.keys.transfer();
        let messages = channel.messages();
        for Offer {
            target,
            offer,
            receipts,
        } in offers
        {
            let peer = self.targets[target].id;
            self.targets[target].moved();
            self.targets[target].is_told = false;
            let part = Part {
                target,
                state: PartState::Asked,
                outstanding: 0,
                settled: 0,
                receipts,
                asking: false,
            };
            self.parts.insert(peer, part);
            messages
                .send(Some(peer), transfer, PeerMessage::Offer { offer })
                .await;
        }
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = match self.answers(channel, &mut tick, cancel).await {
            Ok(()) => self.deliver(channel, plan.source, &mut tick, cancel).await,
            Err(end) => end,
        };
        self.tasks.shutdown().await;
        for target in self.targets.iter_mut() {
            target.waited();
        }
        match end {
            RoundEnd::Cancelled => {
                messages
                    .send(
                        None,
                        transfer,
                        PeerMessage::Cancel {
                            code: Code::Cancelled,
                        },
                    )
                    .await;
                messages.close(transfer).await;
            }
            RoundEnd::Over => {
                // Recipients keep their notes on the transfer until they hear that nobody is to
                // come back for it.
                let code = Code::Done;
                messages
                    .send(None, transfer, PeerMessage::Cancel { code })
                    .await;
                messages.close(transfer).await;
            }
            RoundEnd::Disconnected => {}
        }
        end
    }

    /// Hears answers until all are in, or the stragglers have had their time.
    async fn answers(
        &mut self,
        channel: &mut Channel,
        tick: &mut tokio::time::Interval,
        cancel: &tokio_util::sync::CancellationToken,
    ) -> Result<(), RoundEnd> {
        let asked = Instant::now();
        let mut until: Option<Instant> = None;
        loop {
            if self
                .parts
                .values()
                .all(|part| part.state != PartState::Asked)
            {
                break;
            }
            if until.is_none() && self.parts.values().any(Part::takes_part) {
                let (times, least, most) = STRAGGLERS;
                until = Some(Instant::now() + (asked.elapsed() * times).clamp(least, most));
            }
            let stragglers = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(RoundEnd::Cancelled),
                heard = channel.recv() => match heard {
                    Some(event) => self.hear(event),
                    None => return Err(self.disconnected(channel).await),
                },
                _ = tick.tick() => self.check_time(),
                () = stragglers => break,
            }
        }
        if self.parts.values().any(Part::takes_part) {
            Ok(())
        } else {
            Err(RoundEnd::Over)
        }
    }

    /// Sends the files and hears receipts until every part is over.
    async fn deliver(
        &mut self,
        channel: &mut Channel,
        source: Producible,
        tick: &mut tokio::time::Interval,
        cancel: &tokio_util::sync::CancellationToken,
    ) -> RoundEnd {
        let transfer = self.keys.transfer();
        let messages = channel.messages();
        channel.begin(transfer).await;
        let each = self
            .parts
            .values()
            .any(|part| part.state == PartState::Accepted { each: true });
        let mut produced = producer::start(source, self.keys.clone(), !each);
        let mut held: Option<Job> = None;
        let mut producing = true;
        loop {
            if let Some(job) = held.take() {
                held = self.launch(job, channel);
            }
            self.take_leave(&messages).await;
            if self
                .parts
                .values()
                .all(|part| part.state == PartState::Over)
            {
                return RoundEnd::Over;
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return RoundEnd::Cancelled,
                Some(end) = self.ends.1.recv() => self.file_ended(end),
                heard = channel.recv() => match heard {
                    Some(event) => self.hear(event),
                    None => return self.disconnected(channel).await,
                },
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => self.task_done(done),
                next = produced.recv(), if producing && held.is_none() => match next {
                    Some(Produced::Job(job)) => held = self.launch(*job, channel),
                    Some(Produced::Unreadable(path, failure)) => self.unreadable(path, failure),
                    Some(Produced::End(files)) => {
                        producing = false;
                        self.files = Some(files);
                        messages.send(None, transfer, PeerMessage::End { files }).await;
                        self.settle_parts();
                    }
                    None => producing = false,
                },
                _ = tick.tick() => self.check_time(),
            }
        }
    }

    /// Starts a job where there is a place for it, and hands it back where there is none.
    fn launch(&mut self, job: Job, channel: &Channel) -> Option<Job> {
        let (small, bulk) = &mut self.under_way;
        let (count, max) = match job.class {
            FileClass::Small => (small, SMALL_AT_ONCE),
            FileClass::Bulk => (bulk, BULK_AT_ONCE),
        };
        let taking_part = self.parts.values().filter(|part| part.takes_part());
        let least = taking_part.map(|part| part.outstanding).min();
        if *count >= max || least.is_some_and(|least| least >= AHEAD_MAX) {
            return Some(job);
        }
        *count += 1;
        let (index, class) = (job.index, job.class);
        let taking: Vec<_> = self
            .parts
            .iter()
            .filter(|(_, part)| part.takes_part())
            .map(|(id, _)| *id)
            .collect();
        for peer in &taking {
            self.parts.get_mut(peer).expect("listed above").outstanding += 1;
        }
        let sent = self.ledger.sent(index, &job.head, taking.iter().copied());
        let each = |peer: &PeerId| self.parts[peer].state == PartState::Accepted { each: true };
        let recipients = u32::try_from(taking.len()).expect("the relay's limit is lower");
        let wait_for: Vec<_> = taking.into_iter().filter(each).collect();
        let starts = (!wait_for.is_empty()).then(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            self.starts.insert(index, sender);
            receiver
        });
        let task = FileTask {
            keys: self.keys.clone(),
            streams: channel.streams(),
            limit: self.limit.clone(),
            ends: self.ends.0.clone(),
            sent,
            recipients,
            wait_for,
            starts,
        };
        self.tasks.spawn(async move {
            file::send(task, job).await;
            (index, class)
        });
        None
    }

    fn task_done(&mut self, done: Result<(FileIndex, FileClass), tokio::task::JoinError>) {
        let Ok((index, class)) = done else { return };
        self.starts.remove(&index);
        match class {
            FileClass::Small => self.under_way.0 -= 1,
            FileClass::Bulk => self.under_way.1 -= 1,
        }
    }

    fn unreadable(&mut self, path: String, failure: Error) {
        // Every round walks the tree again; people need to hear it once.
        if !self.unread.iter().any(|(known, _)| *known == path) {
            self.observer.event(Event::Failed {
                transfer: self.keys.transfer(),
                peer: None,
                file: Some(path.clone()),
                failure: failure.clone(),
            });
            self.unread.push((path, failure));
        }
    }

    /// Tells those whose part has ended early that nothing more comes.
    async fn take_leave(&mut self, messages: &MessageSender) {
        for (peer, code) in std::mem::take(&mut self.leaving) {
            messages
                .send(
                    Some(peer),
                    self.keys.transfer(),
                    PeerMessage::Cancel { code },
                )
                .await;
        }
    }

    /// Leaves every part that is not over to the next round.
    async fn disconnected(&mut self, channel: &Channel) -> RoundEnd {
        let reason = channel.ended().await;
        let peers: Vec<_> = self.parts.keys().copied().collect();
        for peer in peers {
            let failure = Error::new(
                ErrorKind::Unreachable,
                format!("the relay was lost: {reason}"),
            );
            self.part_over(peer, Status::Pending(failure));
        }
        RoundEnd::Disconnected
    }
}
