//! One recipient's part in one attempt.

use std::time::Duration;

use crate::{sealing::ReceiptOpener, transfer::Error};

/// One recipient's part in one attempt.
pub(in crate::transfer::send) struct Part {
    pub(super) state: PartState,
    /// Files that were sent to it and that it has not settled.
    pub(super) outstanding: usize,
    pub(super) settled: u64,
    pub(super) receipts: ReceiptOpener,
    /// Whether a person is asked there.
    pub(super) asking: bool,
    /// When it last answered, stored or settled anything.
    pub(super) moved: Duration,
    /// Whether it has answered the offer in any way.
    pub(super) answered: bool,
    /// Whether it has stored or settled anything.
    pub(super) progressed: bool,
    /// For how long the others have waited for it alone to say where files begin.
    pub(super) held: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartState {
    Asked,
    Accepted { each: bool, compare: bool },
    Over,
}

/// How a recipient's part in an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transfer::send) enum PartEnd {
    /// It has settled every file.
    Done,
    /// Not for good: it can be offered the rest again.
    Again {
        /// Why it was not served.
        error: Error,
        /// When, and with whom.
        next: Next,
        /// Whether it has answered the offer in any way.
        answered: bool,
        /// Whether it has stored or settled anything in this attempt.
        progressed: bool,
    },
    /// For good.
    Failed(Error),
}

/// When a recipient is served again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transfer::send) enum Next {
    /// After a pause that grows.
    Later,
    /// At once: it has just said yes.
    Now,
    /// At once, and never together with others, whom it would hold up.
    Alone,
}

impl Part {
    pub(super) fn new(receipts: ReceiptOpener, now: Duration) -> Self {
        Self {
            state: PartState::Asked,
            outstanding: 0,
            settled: 0,
            receipts,
            asking: false,
            moved: now,
            answered: false,
            progressed: false,
            held: Duration::ZERO,
        }
    }

    pub(super) fn takes_part(&self) -> bool {
        matches!(self.state, PartState::Accepted { .. })
    }

    pub(super) fn says_where_to_begin(&self) -> bool {
        matches!(self.state, PartState::Accepted { each: true, .. })
    }
}
