//! One row of what is being sent or received.

use std::{collections::HashMap, path::Path, time::Duration};

use crate::display::pace::Pace;
use crate::protocol::{PeerId, PeerName, TransferId};

/// What a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// The menu's own send of this number, over all its attempts.
    Send(u64),
    /// Someone's transfer to me.
    Receive(TransferId),
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Offered, and not answered yet.
    Waiting,
    /// Moving.
    Running,
    /// Everything arrived.
    Done,
    /// Something did not arrive; safe to print.
    Failed(String),
}

/// What moves between me and one peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Movement {
    /// What it belongs to.
    pub activity: Activity,
    /// The peer at the other end.
    pub peer: PeerId,
    /// Its name.
    pub name: PeerName,
    /// What moves: a file's name, or how many there are; safe to print.
    pub what: String,
    /// Files of the whole, where known.
    pub count: Option<u64>,
    /// Bytes of the whole, where known.
    pub total: Option<u64>,
    /// Files that have arrived.
    pub files: u64,
    /// How far it is.
    pub outcome: Outcome,
    arrived: u64,
    moving: HashMap<String, u64>,
    pace: Pace<Duration>,
    began: Duration,
    ended: Option<Duration>,
}

/// Files under way whose progress is followed; more than may be under way at once.
const MOVING_MAX: usize = 1024;

impl Movement {
    /// A row that begins now.
    #[must_use]
    pub fn new(
        activity: Activity,
        (peer, name): (PeerId, PeerName),
        what: String,
        now: Duration,
    ) -> Self {
        Self {
            activity,
            peer,
            name,
            what,
            count: None,
            total: None,
            files: 0,
            outcome: Outcome::Waiting,
            arrived: 0,
            moving: HashMap::new(),
            pace: Pace::default(),
            began: now,
            ended: None,
        }
    }

    /// Notes how much there is altogether; what was told first stays, since a later attempt is
    /// only about what is left.
    pub fn expect(&mut self, files: Option<u64>, bytes: Option<u64>) {
        self.count = self.count.or(files);
        self.total = self.total.or(bytes);
    }

    /// Notes how much of a file has arrived.
    pub fn progress(&mut self, file: String, bytes: u64, now: Duration) {
        self.run(now);
        if self.moving.len() < MOVING_MAX || self.moving.contains_key(&file) {
            self.moving.insert(file, bytes);
        }
        self.pace.note(now, self.bytes());
    }

    /// Notes that a file has arrived whole.
    pub fn arrive(&mut self, file: &Path, bytes: u64, now: Duration) {
        self.run(now);
        self.moving.retain(|moving, _| !file.ends_with(moving));
        self.arrived = self.arrived.saturating_add(bytes);
        self.files += 1;
        self.pace.note(now, self.bytes());
        if self.count == Some(self.files) {
            self.end(Outcome::Done, now);
        }
    }

    /// Ends the row; a failure that was told before stays.
    pub fn end(&mut self, outcome: Outcome, now: Duration) {
        if self.is_open() {
            self.outcome = outcome;
            self.ended = Some(now);
            self.moving.clear();
        }
    }

    /// Whether it is not over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.outcome, Outcome::Waiting | Outcome::Running)
    }

    /// Bytes that have arrived, never more than there are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let moving = self
            .moving
            .values()
            .fold(0, |a: u64, b| a.saturating_add(*b));
        let bytes = self.arrived.saturating_add(moving);
        self.total.map_or(bytes, |total| bytes.min(total))
    }

    /// The part that has arrived, from 0 to 1; `None` where the whole is not known.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        match (&self.outcome, self.total) {
            (Outcome::Done, _) => Some(1.0),
            (_, Some(0)) => Some(0.0),
            #[expect(clippy::cast_precision_loss)]
            (_, Some(total)) => Some(self.bytes() as f64 / total as f64),
            (_, None) => None,
        }
    }

    /// Bytes per second; `None` while nothing is known, or nothing moves.
    #[must_use]
    pub fn rate(&self, now: Duration) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rate = self.pace.rate(now)? as u64;
        (rate > 0).then_some(rate)
    }

    /// How long it will take at this rate.
    #[must_use]
    pub fn left(&self, now: Duration) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.bytes());
        Some(Duration::from_secs(left.div_ceil(self.rate(now)?)))
    }

    /// How long it took, or has taken so far.
    #[must_use]
    pub fn took(&self, now: Duration) -> Duration {
        self.ended.unwrap_or(now).saturating_sub(self.began)
    }

    fn run(&mut self, now: Duration) {
        if self.outcome == Outcome::Waiting {
            self.outcome = Outcome::Running;
            // Time that somebody took to answer is no part of it.
            self.began = now;
        }
    }
}
