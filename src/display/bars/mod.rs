//! Progress bars: for one file its own, for many files one, for each recipient one and a total.
//!
//! - [`Bars`]: is told what happens, and draws ten times a second while anything moves
//! - `job`: what is known of a send, or of a transfer that is received
//! - `view`: what is told of all that, in rows for a window of any width
//! - `canvas`: the rows as lines, drawn by indicatif

mod canvas;
mod job;
mod view;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

pub(super) use self::view::elide;
use self::{
    canvas::Canvas,
    job::{Direction, JobProgress, Jobs, State},
    view::View,
};
use super::stage::{Stage, window};
use crate::{
    protocol::{PeerId, Road, TransferId},
    transfer::PeerRef,
};

/// The bars of everything that is sent and received; without a terminal it draws nothing, and
/// still knows what is under way.
#[derive(Debug)]
pub struct Bars {
    jobs: Arc<Mutex<Jobs>>,
    stage: Stage,
    shown: bool,
}

/// How often bars are drawn.
const FRAME: Duration = Duration::from_millis(100);

/// Of a job of more files than this, taken over all peers, not every one is told.
pub(crate) const TOLD_MAX: u64 = 20;

impl Bars {
    /// Bars on a stage, or none.
    #[must_use]
    pub fn new(stage: Stage, shown: bool, color: bool) -> Self {
        let jobs = Arc::new(Mutex::new(Jobs::default()));
        if shown {
            let (jobs, stage) = (Arc::downgrade(&jobs), stage.clone());
            thread::Builder::new()
                .name("bars".to_owned())
                .spawn(move || keep_drawing(&jobs, &stage, color))
                .expect("the system gives a small program one more thread");
        }
        Self { jobs, stage, shown }
    }

    /// An attempt of a send begins, to these.
    pub(super) fn offered(&self, to: &[PeerRef], files: Option<u64>, bytes: Option<u64>) {
        let mut jobs = self.lock();
        let job = jobs
            .send
            .get_or_insert_with(|| JobProgress::new(Direction::To));
        (job.files, job.bytes) = (files, bytes);
        for peer in to {
            job.peer(peer).begin();
        }
    }

    /// Somebody offers files to this peer.
    pub(super) fn offer(
        &self,
        transfer: TransferId,
        from: &PeerRef,
        files: Option<u64>,
        bytes: Option<u64>,
    ) {
        let mut job = JobProgress::new(Direction::From);
        (job.files, job.bytes) = (files, bytes);
        // Nobody waits for an answer but the one who asks.
        job.peer(from).state = State::Moving;
        self.lock().received.insert(transfer, job);
    }

    /// A recipient has stored so much of a file, whose path is safe to print.
    pub(super) fn progress(
        &self,
        transfer: TransferId,
        peer: &PeerRef,
        (path, total): (String, Option<u64>),
        (bytes, resumed_from): (u64, u64),
    ) {
        self.with(transfer, peer.id, |job| {
            let now = Instant::now();
            job.peer(peer)
                .progress(now, path, bytes, total, resumed_from);
        });
    }

    /// Files of a peer take another road from now on.
    pub(super) fn on_road(&self, transfer: TransferId, peer: &PeerRef, road: Road) {
        self.with(transfer, peer.id, |job| job.peer(peer).road = Some(road));
    }

    /// A recipient has all of a file: how long that was under way, if it is to be told.
    pub(super) fn arrived(
        &self,
        transfer: TransferId,
        peer: &PeerRef,
        path: &str,
        bytes: u64,
    ) -> Option<Duration> {
        self.with(transfer, peer.id, |job| {
            let elapsed = job.peer(peer).elapsed(path);
            job.settle(peer, path, bytes);
            let files = job.files.unwrap_or_else(|| job.peer(peer).files);
            let is_told = files.saturating_mul(job.peers.len() as u64) <= TOLD_MAX;
            job.is_summed_up |= !is_told;
            is_told.then_some(elapsed)
        })
    }

    /// How many files of a transfer to this machine have arrived, and of how many.
    pub(super) fn arrivals(&self, transfer: TransferId) -> (u64, Option<u64>) {
        let jobs = self.lock();
        let Some(job) = jobs.received.get(&transfer) else {
            return (0, None);
        };
        (job.peers.iter().map(|one| one.files).sum(), job.files)
    }

    /// A peer is lost for now; the reason is safe to print.
    pub(super) fn away(&self, peer: PeerId, reason: String) {
        if let Some(job) = &mut self.lock().send {
            for one in job.peers.iter_mut().filter(|one| one.peer == peer) {
                one.state = State::Away(reason.clone());
            }
        }
    }

    /// A peer's part has failed for good; the reason is safe to print.
    pub(super) fn failed(&self, transfer: TransferId, peer: PeerId, reason: String) {
        let mut jobs = self.lock();
        if let Some(job) = jobs.received.get(&transfer)
            && job.peers.iter().any(|one| one.peer == peer)
        {
            jobs.received.remove(&transfer);
        } else if let Some(job) = &mut jobs.send {
            for one in job.peers.iter_mut().filter(|one| one.peer == peer) {
                one.state = State::Failed(reason.clone());
            }
        }
    }

    /// A transfer that was received is over, or the send with all of its attempts: whether there
    /// were files that were not told.
    pub(super) fn end(&self, transfer: TransferId) -> bool {
        let mut jobs = self.lock();
        let job = jobs.received.remove(&transfer).or_else(|| jobs.send.take());
        drop(jobs);
        // At once, so that what is printed next is not printed upon them.
        if self.shown {
            self.stage.draw(Vec::new());
        }
        job.is_some_and(|job| job.is_summed_up)
    }

    /// The job that an event about this peer belongs to.
    ///
    /// A process that receives what it sends itself, as the demo does, has both by one number.
    fn with<T>(
        &self,
        transfer: TransferId,
        peer: PeerId,
        f: impl FnOnce(&mut JobProgress) -> T,
    ) -> T {
        let mut jobs = self.lock();
        let jobs = &mut *jobs;
        let is_mine = |job: &JobProgress| job.peers.iter().any(|one| one.peer == peer);
        match jobs.received.get_mut(&transfer).filter(|job| is_mine(job)) {
            Some(job) => f(job),
            None => f(jobs
                .send
                .get_or_insert_with(|| JobProgress::new(Direction::To))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if self.shown {
            self.stage.draw(Vec::new());
        }
    }
}

/// Draws until the bars are dropped.
fn keep_drawing(jobs: &Weak<Mutex<Jobs>>, stage: &Stage, color: bool) {
    let mut canvas = Canvas::default();
    while let Some(jobs) = jobs.upgrade() {
        let (columns, rows) = window();
        let view = View {
            columns,
            rows,
            color,
        };
        let now = Instant::now();
        let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let all = jobs.send.iter().chain(jobs.received.values());
        let rows = all.flat_map(|job| view.rows(job, now)).collect();
        // Drawn under the lock: a job that has ended is not drawn again.
        stage.draw(canvas.lines(rows));
        drop(jobs);
        thread::sleep(FRAME);
    }
}
