//! An attempt that runs: its state, and the files and threads that work for it.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    attempt::{Attempt, Effect, FileStarts},
    file::{self, FileTask, Notes},
    keys::AttemptKeys,
    producer::{self, Job, Preparation, Produced, Walk},
};
use crate::{
    protocol::{FileIndex, PeerId, PeerMessage, TransferId},
    quic::RateLimit,
    transfer::Channel,
};

/// An attempt that runs.
pub(super) struct Running {
    pub(super) attempt: Attempt,
    pub(super) keys: Arc<AttemptKeys>,
    /// Until the attempt begins.
    pub(super) walk: Option<Walk>,
    /// Whether all recipients take hard links as such.
    pub(super) link: bool,
    /// From then on, until all files are found.
    pub(super) produced: Option<mpsc::Receiver<Produced>>,
    /// A file that waits for a place.
    pub(super) held: Option<Box<Job>>,
    pub(super) starts: HashMap<FileIndex, oneshot::Sender<FileStarts>>,
    pub(super) tasks: JoinSet<()>,
    /// Recipients that have everything and have not been told that they may forget it.
    pub(super) done: Vec<(PeerId, Duration)>,
}

/// A message that waits for room.
pub(super) enum Outgoing {
    Message(TransferId, Option<PeerId>, PeerMessage),
    Begin(TransferId),
    Close(TransferId),
}

impl Running {
    pub(super) fn carry_out(
        &mut self,
        transfer: TransferId,
        effect: Effect,
        outbox: &mut VecDeque<Outgoing>,
    ) {
        match effect {
            Effect::Send { to, message } => {
                outbox.push_back(Outgoing::Message(transfer, to, message));
            }
            Effect::Begin { each, compare } => {
                outbox.push_back(Outgoing::Begin(transfer));
                let preparation = Preparation {
                    seal_small: !each,
                    hash: compare,
                    link: self.link,
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

    /// Starts a file where there is a place for it, and holds it where there is none.
    pub(super) fn launch(
        &mut self,
        job: Box<Job>,
        channel: &Channel,
        (notes, limit): (Notes, Option<Arc<RateLimit>>),
    ) {
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
        let task = FileTask {
            keys: self.keys.clone(),
            streams: channel.streams(),
            limit,
            notes,
            sent: launched.sent,
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
