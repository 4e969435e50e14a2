//! An attempt that runs: its state, and the files and threads that work for it.

use std::{collections::HashMap, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    attempt::{Attempt, Effect, FileStarts},
    file::{self, FileTask, Notes},
    keys::AttemptKeys,
    outbox::{Outbox, Outgoing},
    producer::{self, Job, Preparation, Produced, Walk},
};
use crate::{
    protocol::{FileIndex, PeerId, TransferId},
    quic::RateLimit,
    transfer::Channel,
};

/// How long a recipient that has everything waits to be told whether the others have it too. It forgets
/// what it has noted after five seconds.
const DONE_KEPT: Duration = Duration::from_secs(3);

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

impl Running {
    pub(super) fn carry_out(&mut self, transfer: TransferId, effect: Effect, outbox: &mut Outbox) {
        match effect {
            Effect::Send { to, message } => {
                outbox.message(transfer, to, message);
            }
            Effect::Begin { each, compare } => {
                outbox.push(Outgoing::Begin(transfer));
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

    /// Recipients that have everything and need not wait any longer to be told so.
    pub(super) fn take_dismissed(&mut self, now: Duration, all_done: bool) -> Vec<PeerId> {
        let at_once = all_done || self.attempt.is_over();
        let due = |(_, since): &mut (PeerId, Duration)| at_once || now >= *since + DONE_KEPT;
        self.done
            .extract_if(.., due)
            .map(|(peer, _)| peer)
            .collect()
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
