//! A file that waits until its recipients have said where it begins for them.

use std::{collections::HashSet, time::Duration};

use crate::protocol::{Base64, PeerId};

/// Where one recipient wants a file to begin, still sealed.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::transfer::send) struct SealedStart {
    pub(in crate::transfer::send) peer: PeerId,
    pub(in crate::transfer::send) have: Base64,
}

/// What the recipients of one file have said so far.
#[derive(Debug, Default)]
pub(super) struct Starts {
    pub(super) missing: HashSet<PeerId>,
    pub(super) known: Vec<SealedStart>,
    /// When its head left: nobody can answer before.
    pub(super) since: Option<Duration>,
    /// Since when only one of several is missing.
    pub(super) one_missing_since: Option<Duration>,
    /// Recipients of the file when it was begun.
    pub(super) recipients: usize,
}

impl Starts {
    pub(super) fn new(missing: HashSet<PeerId>, recipients: usize) -> Self {
        Self {
            missing,
            recipients,
            ..Self::default()
        }
    }

    /// Whether some of its recipients are ready, and wait for those that are missing.
    pub(super) fn holds_up(&self) -> bool {
        !self.missing.is_empty() && self.missing.len() < self.recipients
    }

    /// Notes that its head has left.
    pub(super) fn on_head_sent(&mut self, now: Duration) {
        self.since.get_or_insert(now);
        self.note_last(now);
    }

    /// Takes what a recipient says; how long it alone has held up the others, or nothing where it
    /// was not asked.
    pub(super) fn on_start(&mut self, now: Duration, start: SealedStart) -> Option<Duration> {
        if !self.missing.remove(&start.peer) {
            return None;
        }
        self.known.push(start);
        let held = self.one_missing_since.take();
        self.note_last(now);
        Some(held.map_or(Duration::ZERO, |since| now.saturating_sub(since)))
    }

    /// Waits for this recipient no longer.
    pub(super) fn on_leave(&mut self, now: Duration, peer: PeerId) {
        self.recipients = self.recipients.saturating_sub(1);
        self.missing.remove(&peer);
        self.known.retain(|start| start.peer != peer);
        self.note_last(now);
    }

    fn note_last(&mut self, now: Duration) {
        self.one_missing_since = match self.missing.len() == 1 && self.recipients > 1 {
            true => self.one_missing_since.or(Some(now)),
            false => None,
        };
    }
}
