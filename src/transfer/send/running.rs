//! An attempt that runs: its state, and the files and threads that work for it.

use std::{collections::HashMap, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
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
        Channel, Observer, PathMessage, PeerRef, WayId,
        direct::{Conversation, Opening, open},
    },
};

/// How long a recipient that has everything waits to be told whether the others have it too. It forgets
/// what it has noted after five seconds.
const DONE_KEPT: Duration = Duration::from_secs(3);

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
    /// Files that may have to go on from where a direct connection ended.
    pub(super) again: HashMap<FileIndex, mpsc::Sender<u32>>,
    /// Recipients that have everything and have not been told that they may forget it.
    pub(super) done: Vec<(PeerId, Duration)>,
}

impl Running {
    pub(super) fn carry_out(&mut self, transfer: TransferId, effect: Effect, outbox: &mut Outbox) {
        match effect {
            Effect::Send { to, message } => {
                outbox.message(transfer, to, message);
            }
            Effect::Begin { each, compare, .. } => {
                outbox.push(Outgoing::Begin(transfer));
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
        observer: &Arc<dyn Observer>,
    ) {
        let Some(hub) = channel.direct() else { return };
        let Some((peer, key)) = self.paths.remove(&peer) else {
            return;
        };
        let id = peer.id;
        let conversation = Conversation {
            transfer: self.keys.transfer(),
            peer,
            key: Arc::new(key),
            messages: channel.messages(),
            observer: observer.clone(),
        };
        self.direct = Some((id, open(hub, conversation)));
    }

    /// A recipient says where it can be reached directly.
    pub(super) fn on_path(&self, from: PeerId, message: PathMessage) {
        if let Some(opening) = self.direct_to(from) {
            opening.on_path(message);
        }
    }

    /// A recipient says where a direct connection has ended; whether it says that.
    pub(super) fn on_again(&self, from: PeerId, message: &PeerMessage) -> bool {
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
    pub(super) fn launch(&mut self, job: Box<PreparedFile>, channel: &Channel) {
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
                relay: channel.streams(),
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
