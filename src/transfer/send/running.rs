//! An attempt that runs: its state, and the files and threads that work for it.

use std::{collections::HashMap, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    attempt::{Attempt, Effect, FileStarts},
    file::{self, FileTask, Notes},
    lanes::FileRoads,
    outbox::{Outbox, Outgoing},
    producer::{self, AttemptKeys, Preparation, PreparedFile, Produced, Walk},
};
use crate::{
    protocol::{FileIndex, PeerId, PeerMessage, TransferId},
    quic::RateLimit,
    sealing::PathKey,
    transfer::{
        Channel, FileStreams, Observer, PathMessage, PeerRef, WayId,
        direct::{Control, ControlEvent, Conversation, Opening, open},
        vigil::{Silence, Verdict},
    },
};

/// How long a recipient that has everything waits to be told whether the others have it too. It forgets
/// what it has noted after five seconds.
const DONE_KEPT: Duration = Duration::from_secs(3);

/// How long the last messages may take to arrive over a direct connection.
const PART_LIMIT: Duration = Duration::from_secs(2);

/// Files that are remembered for a direct connection's end before those that are over are forgotten.
const AGAIN_REMEMBERED: usize = 512;

/// An attempt that runs.
pub(super) struct Running {
    pub(super) attempt: Attempt,
    /// The way by which all of its recipients are served.
    pub(super) way: WayId,
    pub(super) keys: Arc<AttemptKeys>,
    /// Where its files say what they have found out.
    pub(super) notes: Notes,
    pub(super) limit: Option<Arc<RateLimit>>,
    /// Until the attempt begins.
    pub(super) walk: Option<Walk>,
    /// Whether all recipients take hard links as such.
    pub(super) link: bool,
    /// Whether it says which names were replaced: one attempt does.
    pub(super) announce: bool,
    /// From then on, until all files are found.
    pub(super) produced: Option<mpsc::Receiver<Produced>>,
    /// A file that waits for a place.
    pub(super) held: Option<Box<PreparedFile>>,
    pub(super) starts: HashMap<FileIndex, oneshot::Sender<FileStarts>>,
    pub(super) tasks: JoinSet<()>,
    /// What it takes to find a direct path to each recipient that may have one.
    pub(super) paths: HashMap<PeerId, (PeerRef, PathKey)>,
    /// The search for one, or the path, where there is one recipient.
    pub(super) direct: Option<(PeerId, Opening)>,
    /// Which way messages go, where that may change.
    pub(super) control: Option<Control>,
    /// How long its relay has been silent.
    pub(super) silence: Silence,
    /// File streams through the relay.
    pub(super) relay: FileStreams,
    /// Files that may have to go on from where a direct connection ended.
    pub(super) again: HashMap<FileIndex, mpsc::Sender<u32>>,
    /// Recipients that have everything and have not been told that they may forget it.
    pub(super) done: Vec<(PeerId, Duration)>,
}

impl Running {
    /// `outbox` is that of its way, while there is one.
    pub(super) fn carry_out(&mut self, effect: Effect, outbox: Option<&mut Outbox>) {
        match effect {
            Effect::Send { to, message } => self.say(to, message, outbox),
            Effect::Begin { each, compare, .. } => {
                if let Some(outbox) = outbox {
                    outbox.push(Outgoing::Begin(self.notes.transfer));
                }
                let preparation = Preparation {
                    seal_small: !each,
                    hash: compare,
                    link: self.link,
                    announce: self.announce,
                };
                self.produced = self
                    .walk
                    .take()
                    .map(|walk| producer::start(walk, self.keys.clone(), preparation));
            }
            Effect::Content { file, starts } => {
                if let Some(waiting) = self.starts.remove(&file) {
                    let _ = waiting.send(starts);
                }
            }
            // The send's own state has taken the others.
            _ => {}
        }
    }

    /// Sends a message by whichever way messages go.
    pub(super) fn say(
        &self,
        to: Option<PeerId>,
        message: PeerMessage,
        outbox: Option<&mut Outbox>,
    ) {
        let relayed = match &self.control {
            Some(control) => control.route(message),
            None => Some(message),
        };
        if let (Some(message), Some(outbox)) = (relayed, outbox) {
            outbox.message(self.notes.transfer, to, message);
        }
    }

    /// A message has come through the relay: whether it is to be taken.
    pub(super) fn takes_relayed(&self, message: &PeerMessage) -> bool {
        let control = self.control.as_ref();
        control.is_none_or(|control| control.on_relayed(message))
    }

    /// The relay is lost: whether the attempt goes on over its direct connection alone.
    pub(super) fn take_over(&self) -> bool {
        self.control.as_ref().is_some_and(Control::take_over)
    }

    /// Whether it goes on so.
    pub(super) fn has_taken_over(&self) -> bool {
        self.control.as_ref().is_some_and(Control::goes_on)
    }

    /// Looks whether the relay still answers, and gives it up where not and there is a direct connection to go on by.
    pub(super) fn watch_relay(&mut self, channel: &Channel) {
        if !self.control.as_ref().is_some_and(Control::is_open) {
            return;
        }
        match self.silence.look(channel.heard()) {
            Verdict::Wait => {}
            Verdict::Ask => channel.ping(),
            Verdict::Lost => channel.give_up(),
        }
    }

    /// Says what still waits to be said over a direct connection, then ends that.
    pub(super) async fn part(self) {
        if let Some(control) = &self.control {
            let _ = timeout(PART_LIMIT, control.finish()).await;
        }
    }

    /// Recipients that have everything and need not wait any longer to be told so.
    pub(super) fn take_dismissed(&mut self, now: Duration, all_done: bool) -> Vec<PeerId> {
        let at_once = all_done || self.attempt.is_over();
        let due = |(_, since): &mut (PeerId, Duration)| at_once || now >= *since + DONE_KEPT;
        self.done
            .extract_if(.., due)
            .map(|(peer, _)| peer)
            .collect()
    }

    /// Looks for a direct path to the one recipient that takes part.
    ///
    /// To several, the relay carries one copy: that is faster wherever this machine's own line is what
    /// limits (decision 0062).
    pub(super) fn open_direct(
        &mut self,
        peer: PeerId,
        channel: &Channel,
        (observer, events): (
            &Arc<dyn Observer>,
            &mpsc::Sender<(TransferId, ControlEvent)>,
        ),
    ) {
        let Some(hub) = channel.direct() else { return };
        let Some((peer, key)) = self.paths.remove(&peer) else {
            return;
        };
        let id = peer.id;
        let control = Control::new(self.notes.transfer, events.clone());
        self.control = Some(control.clone());
        let conversation = Conversation {
            control,
            transfer: self.keys.transfer(),
            peer,
            key: Arc::new(key),
            messages: channel.messages(),
            observer: observer.clone(),
        };
        self.direct = Some((id, open(hub, conversation)));
    }

    /// A recipient says something.
    pub(super) fn on_message(&mut self, now: Duration, from: PeerId, message: PeerMessage) {
        if !self.on_again(from, &message) {
            self.attempt.on_message(now, from, message);
        }
    }

    /// A recipient says where it can be reached directly.
    pub(super) fn on_path(&self, from: PeerId, message: PathMessage) {
        if let Some(opening) = self.direct_to(from) {
            opening.on_path(message);
        }
    }

    /// A recipient says where a direct connection has ended; whether it says that.
    fn on_again(&self, from: PeerId, message: &PeerMessage) -> bool {
        let PeerMessage::Again { file, chunk } = message else {
            return false;
        };
        if let Some(opening) = self.direct_to(from) {
            if let Some(lacks) = self.again.get(file) {
                let _ = lacks.try_send(*chunk);
            }
            opening.on_lost();
        }
        true
    }

    fn direct_to(&self, peer: PeerId) -> Option<&Opening> {
        let direct = self.direct.as_ref().filter(|(to, _)| *to == peer);
        direct.map(|(_, opening)| opening)
    }

    /// Starts a file where there is a place for it, and holds it where there is none.
    pub(super) fn launch(&mut self, job: Box<PreparedFile>) {
        if !self.attempt.has_room_for(job.class) {
            self.held = Some(job);
            return;
        }
        let launched = self.attempt.on_launch(job.index, &job.head, job.class);
        let starts = launched.waits.then(|| {
            let (sender, receiver) = oneshot::channel();
            self.starts.insert(job.index, sender);
            receiver
        });
        let (lacks, again) = mpsc::channel(1);
        let direct = self.direct.as_ref().map(|(_, opening)| opening);
        if direct.is_some() {
            if self.again.len() >= AGAIN_REMEMBERED {
                self.again.retain(|_, lacks| !lacks.is_closed());
            }
            self.again.insert(job.index, lacks);
        }
        let task = FileTask {
            keys: self.keys.clone(),
            roads: FileRoads {
                relay: self.relay.clone(),
                direct: direct.map(Opening::link),
                only_direct: direct.is_some_and(Opening::is_only_road),
                expected_until: direct.map_or_else(Instant::now, Opening::expected_until),
            },
            again,
            limit: self.limit.clone(),
            notes: self.notes.clone(),
            sent: launched.sent,
            holdups: launched.holdups,
            starts,
        };
        self.tasks.spawn(file::send(task, *job));
    }
}

/// What the first producer that has something says; attempts whose last file waits for a place are
/// not asked.
pub(super) async fn next_produced(
    running: &mut HashMap<TransferId, Running>,
) -> (TransferId, Option<Produced>) {
    poll_fn(|context| {
        for (transfer, running) in &mut *running {
            if running.held.is_none()
                && let Some(produced) = &mut running.produced
                && let Poll::Ready(next) = produced.poll_recv(context)
            {
                return Poll::Ready((*transfer, next));
            }
        }
        Poll::Pending
    })
    .await
}
