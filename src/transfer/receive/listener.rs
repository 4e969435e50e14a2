//! A listener on one connection: what it receives goes to the transfer that it is for.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Refusal, Shared,
    admission::Offer,
    driver::{Driver, End, Input, Inputs},
    jobs::{self, Open},
    lanes::read_header,
    published::Published,
    pulse::Pulse,
    queue::{Place, Queue, Waiting},
    receiver,
};
use crate::{
    protocol::{
        Answer, Code, DeclineReason, FileHeader, PeerId, PeerMessage, Road, SafeText, SignedOffer,
        TransferId,
    },
    quic::{FileReceiver, STREAMS_MAX},
    sealing::{Inbox, OpenKeys, OpenedOffer, open_offer},
    transfer::{Channel, Error, ErrorKind, Event, Incoming, Member, PeerEvent, unix_now},
};

/// What waits for one transfer: every stream that may be open, and some messages.
const INPUTS: usize = STREAMS_MAX as usize + 64;
/// How often clocks and those who wait are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How one connection of a listener ended.
pub(super) enum Ended {
    Lost(Error),
    Replaced,
    /// UDP has opened to whoever is on TCP: connect anew, then let go of this channel.
    Moving(Box<Channel>),
    Finished(Option<Error>),
}

/// A listener on one connection.
pub(super) struct Listener<'a> {
    shared: &'a Arc<Shared>,
    seat: &'a Member,
    channel: Channel,
    keys: OpenKeys,
    published: Published,
    pulse: Pulse,
    transfers: HashMap<TransferId, Transfer>,
    queue: Queue,
    tasks: JoinSet<(TransferId, receiver::Ended)>,
    headers: JoinSet<Option<(FileReceiver, FileHeader)>>,
}

/// The way to a transfer's task.
struct Transfer {
    from: PeerId,
    inputs: mpsc::Sender<Input>,
    end: watch::Sender<Option<End>>,
}

impl<'a> Listener<'a> {
    pub(super) fn new(
        (shared, seat): (&'a Arc<Shared>, &'a Member),
        (channel, after_loss): (Channel, bool),
        keys: OpenKeys,
    ) -> Self {
        Self {
            pulse: Pulse::new(channel.ping_every(), after_loss, Instant::now()),
            shared,
            seat,
            channel,
            keys,
            published: Published::now(),
            transfers: HashMap::new(),
            queue: Queue::new(shared.config.once, shared.places.clone()),
            tasks: JoinSet::new(),
            headers: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self, cancel: &CancellationToken) -> Ended {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut streams = self.channel.incoming();
        let on_tcp = self.channel.road() == Road::Tcp;
        let mut udp_opens = Box::pin(self.seat.udp_opens());
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    self.end_transfers(End::Stop(Code::Shutdown));
                    while self.tasks.join_next().await.is_some() {}
                    self.channel.close(Code::Done).await;
                    return Ended::Finished(None);
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    let Ok((transfer, ended)) = ended else { continue };
                    self.transfers.remove(&transfer);
                    match (self.queue.leave(transfer), ended) {
                        // Nobody said yes, or the sender will be back with the rest.
                        (false, _)
                        | (true, receiver::Ended::Declined | receiver::Ended::Interrupted) => {}
                        (true, receiver::Ended::Complete(failure)) => {
                            while let Some(late) = self.queue.pop() {
                                self.decline(&late, FINISHED).await;
                            }
                            self.channel.close(Code::Done).await;
                            return Ended::Finished(failure);
                        }
                    }
                    self.admit_next().await;
                }
                event = self.channel.recv() => match event {
                    Some(event) => self.on_event(event).await,
                    None => return self.lost().await,
                },
                file = streams.accept(), if self.headers.len() < STREAMS_MAX as usize => match file {
                    Ok(Incoming::Relay(file)) => { self.headers.spawn(read_header(file)); }
                    Ok(Incoming::Direct(file)) => self.on_file(file.stream, file.header, Some(file.from)),
                    Err(_) => return self.lost().await,
                },
                Some(header) = self.headers.join_next(), if !self.headers.is_empty() => {
                    if let Ok(Some((stream, header))) = header {
                        self.on_file(stream, header, None);
                    }
                }
                () = &mut udp_opens, if on_tcp && self.transfers.is_empty() => {
                    return Ended::Moving(Box::new(self.channel));
                }
                _ = tick.tick() => self.on_tick().await,
            }
        }
    }

    /// A file's stream has come: on a connection `from` a peer itself, or through the relay.
    fn on_file(&self, stream: FileReceiver, header: FileHeader, from: Option<PeerId>) {
        let transfer = self.transfers.get(&header.transfer);
        match transfer.filter(|t| from.is_none_or(|from| t.from == from)) {
            Some(t) => t.input(Input::File(stream, header)),
            None => stream.stop(Code::UnknownTransfer),
        }
    }

    async fn on_event(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Message {
                transfer,
                from,
                message: PeerMessage::Offer { offer },
            } => self.on_offer(transfer, from, offer).await,
            PeerEvent::Message {
                transfer,
                from,
                message,
            } => {
                if let Some(t) = self.transfers.get(&transfer).filter(|t| t.from == from) {
                    t.input(Input::Message(message));
                }
            }
            PeerEvent::Path {
                transfer,
                from,
                message,
            } => {
                if let Some(t) = self.transfers.get(&transfer).filter(|t| t.from == from) {
                    t.input(Input::Path(message));
                }
            }
            PeerEvent::Gone {
                transfer,
                peer,
                code,
            } => {
                self.queue.withdraw(transfer, peer);
                if let Some(t) = self.transfers.get(&transfer).filter(|t| t.from == peer) {
                    t.end(End::Gone(code));
                }
            }
            _ => {}
        }
    }

    /// Opens an offer and gives it a place, lets it wait for one, or declines it.
    async fn on_offer(&mut self, transfer: TransferId, from: PeerId, offer: SignedOffer) {
        if self.transfers.contains_key(&transfer) {
            return;
        }
        let waiting = Waiting {
            transfer,
            from,
            offer,
            since: Instant::now(),
        };
        // What goes on with a job takes the place of what is still open of it.
        let opened = match self.queue.has_room(from) || self.shared.jobs.has_of(from) {
            true => self.open(&waiting),
            false => None,
        };
        let jobs = &self.shared.jobs;
        let goes_on = opened
            .as_ref()
            .is_some_and(|opened| jobs.has(from, opened.manifest.job));
        match (opened, self.queue.enter(transfer, from, goes_on)) {
            (Some(opened), Place::Free) => self.start(transfer, opened),
            (None, Place::Free) => {
                self.queue.leave(transfer);
            }
            (_, Place::Taken) => {
                if let Err(late) = self.queue.push(waiting) {
                    self.decline(&late, BUSY).await;
                }
            }
        }
        self.shared
            .crowded
            .store(self.queue.is_crowded(), Ordering::Relaxed);
    }

    /// Opens an offer; one that does not hold is declined.
    fn open(&self, waiting: &Waiting) -> Option<OpenedOffer> {
        let member = &self.shared.member;
        let inbox = Inbox {
            me: &member.identity,
            room: member.room(),
            member_key: &member.member_key(),
            keys: &self.keys,
        };
        let opened = open_offer(&waiting.offer, waiting.transfer, waiting.from, &inbox);
        let Err(error) = opened else {
            return opened.ok();
        };
        let failure = Error::new(ErrorKind::Verification, format!("offer refused: {error}"));
        self.shared.observer.event(Event::Failed {
            transfer: waiting.transfer,
            peer: None,
            file: None,
            failure,
        });
        let (messages, to, transfer) = (self.channel.messages(), waiting.from, waiting.transfer);
        let answer = Answer::Decline {
            reason: DeclineReason::Verification,
            text: SafeText::new(&error.to_string()),
        };
        tokio::spawn(async move {
            let message = PeerMessage::Answer { answer };
            messages.send(Some(to), transfer, message).await;
        });
        None
    }

    /// Gives an opened offer its task.
    fn start(&mut self, transfer: TransferId, opened: OpenedOffer) {
        let (from, job) = (opened.sender, opened.manifest.job);
        let older = self.shared.jobs.supersede(from, job);
        let (inputs, queue) = mpsc::channel(INPUTS);
        let (end, ends) = watch::channel(None);
        let over = CancellationToken::new();
        let open = Open {
            from,
            job,
            end: end.clone(),
            over: over.clone(),
        };
        self.shared.jobs.add(transfer, open);
        let entry = Transfer { from, inputs, end };
        self.transfers.insert(transfer, entry);
        let inputs = Inputs { queue, end: ends };
        let offer = Offer::new(transfer, &opened);
        let (shared, direct) = (self.shared.clone(), self.channel.direct().cloned());
        let messages = self.channel.messages();
        let closed = Closed {
            shared: shared.clone(),
            transfer,
            _over: over.drop_guard(),
        };
        self.tasks.spawn(async move {
            let _closed = closed;
            for older in older {
                older.cancelled().await;
            }
            let ended = Driver::run(shared, offer, opened, (messages, direct), inputs).await;
            (transfer, ended)
        });
    }

    /// Starts those who waited, as far as there is room now.
    async fn admit_next(&mut self) {
        while let Some(next) = self.queue.pop_ready() {
            self.on_offer(next.transfer, next.from, next.offer).await;
        }
        self.shared
            .crowded
            .store(self.queue.is_crowded(), Ordering::Relaxed);
    }

    async fn on_tick(&mut self) {
        if self.pulse.is_due(Instant::now(), self.channel.heard()) {
            self.channel.ping();
        }
        while let Some(late) = self.queue.pop_expired(Instant::now()) {
            self.decline(&late, BUSY).await;
        }
        self.admit_next().await;
        let (lifetime, unix, now) = (self.seat.bundle_lifetime, unix_now(), Instant::now());
        let pause = self.shared.config.between_keys;
        let worn = self.keys.current().is_worn() && now.duration_since(self.published.at) >= pause;
        if worn || self.published.is_due(lifetime, unix, now) {
            // A key lives for half of what its bundle promises, and can open for the other half.
            self.keys.rotate();
        } else if !self.published.has_jumped(unix, now) {
            return;
        }
        self.published = Published::now();
        let public = self.keys.current().public().clone();
        let direct = self.channel.takes_direct();
        let bundle = self.seat.bundle_with(Some(public), direct);
        self.channel.publish(bundle).await;
    }

    async fn decline(&self, waiting: &Waiting, (reason, text): (DeclineReason, &str)) {
        let Refusal { reason, text } = Refusal::new(reason, text);
        let message = PeerMessage::Answer {
            answer: Answer::Decline { reason, text },
        };
        let (to, messages) = (Some(waiting.from), self.channel.messages());
        messages.send(to, waiting.transfer, message).await;
    }

    fn end_transfers(&self, end: End) {
        for transfer in self.transfers.values() {
            transfer.end(end);
        }
    }

    /// Lets transfers note what they have, and says why the connection ended.
    async fn lost(mut self) -> Ended {
        let reason = self.channel.ended().await;
        self.end_transfers(End::Gone(Code::PeerGone));
        while self.tasks.join_next().await.is_some() {}
        match reason.code() {
            Code::Replaced => Ended::Replaced,
            Code::NotAdmitted => Ended::Lost(Error::from_source(ErrorKind::NotTrusted, reason)),
            _ => Ended::Lost(Error::from_source(ErrorKind::Unreachable, reason)),
        }
    }
}

/// A transfer that is open until this is dropped, however its task ends.
struct Closed {
    shared: Arc<Shared>,
    transfer: TransferId,
    _over: DropGuard,
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.shared.jobs.remove(self.transfer);
    }
}

impl Transfer {
    /// Passes something on; a sender that says more than it has to say is cut off.
    fn input(&self, input: Input) {
        if let Err(mpsc::error::TrySendError::Full(input)) = self.inputs.try_send(input) {
            if let Input::File(stream, _) = input {
                stream.stop(Code::Protocol);
            }
            self.end(End::Gone(Code::Protocol));
        }
    }

    fn end(&self, end: End) {
        jobs::end(&self.end, end);
    }
}

/// The passing refusal of a listener that has all the transfers it takes.
const BUSY: (DeclineReason, &str) = (
    DeclineReason::Busy,
    "receives as many transfers as it takes at once",
);
/// The refusal of a listener that has had its one transfer.
const FINISHED: (DeclineReason, &str) = (DeclineReason::Finished, "takes one transfer only");
