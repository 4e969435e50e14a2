//! One row of what is being sent or received.

use std::{collections::HashMap, path::Path};

use crate::protocol::{PeerId, PeerName, TransferId};

/// What a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// The menu's own send of this number, over all its attempts.
    Send(u64),
    /// Someone's transfer to me.
    Receive(TransferId),
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Still moving.
    Running,
    /// Everything arrived.
    Done,
    /// Something did not arrive; safe to print.
    Failed(String),
}

/// What moves between me and one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// What it belongs to.
    pub job: Job,
    /// The peer at the other end.
    pub peer: PeerId,
    /// Its name.
    pub name: PeerName,
    /// Bytes of the whole, where known.
    pub total: Option<u64>,
    /// Files that have arrived.
    pub files: u64,
    /// How far it is.
    pub outcome: Outcome,
    arrived: u64,
    moving: HashMap<String, u64>,
}

impl Movement {
    /// A row that begins.
    #[must_use]
    pub fn new(job: Job, peer: PeerId, name: PeerName, total: Option<u64>) -> Self {
        Self {
            job,
            peer,
            name,
            total,
            files: 0,
            outcome: Outcome::Running,
            arrived: 0,
            moving: HashMap::new(),
        }
    }

    /// Notes how much of a file has arrived.
    pub fn progress(&mut self, file: String, bytes: u64) {
        self.moving.insert(file, bytes);
    }

    /// Notes that a file has arrived whole.
    pub fn arrive(&mut self, file: &Path, bytes: u64) {
        self.moving.retain(|moving, _| !file.ends_with(moving));
        self.arrived = self.arrived.saturating_add(bytes);
        self.files += 1;
    }

    /// Ends the row; a failure that was told before stays.
    pub fn end(&mut self, outcome: Outcome) {
        if self.outcome == Outcome::Running {
            self.outcome = outcome;
            self.moving.clear();
        }
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
}
