//! One recipient's part in one attempt.

use std::time::Duration;

use crate::{
    protocol::Code,
    sealing::ReceiptOpener,
    transfer::{Error, ErrorKind},
};

/// How long a person may think about an offer, once the recipient says that it asks one.
const ASKING_LIMIT: Duration = Duration::from_secs(300);
/// Files that one recipient may be behind with before it is left to a later attempt.
const OUTSTANDING_MAX: usize = 16_384;

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

impl PartEnd {
    /// Whether it is to be tried again although it has brought nothing so far.
    pub(in crate::transfer::send) fn is_fruitless(&self) -> bool {
        matches!(
            self,
            Self::Again {
                progressed: false,
                ..
            }
        )
    }
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

    /// How it ends, if it has been quiet for too long or is too far behind.
    pub(super) fn end_of_patience(&self, quiet: Duration, timeout: Duration) -> Option<PartEnd> {
        let failed = |reason: &str| Some(PartEnd::Failed(Error::new(ErrorKind::TimedOut, reason)));
        let limit = match self.state {
            PartState::Asked if self.asking => ASKING_LIMIT,
            _ => timeout,
        };
        match self.state {
            PartState::Asked if quiet > limit => failed("no answer to the offer"),
            PartState::Accepted { .. } if self.outstanding > OUTSTANDING_MAX => {
                Some(PartEnd::Again {
                    error: Error::from_code(Code::Behind),
                    next: Next::Later,
                    answered: self.answered,
                    progressed: self.progressed,
                })
            }
            PartState::Accepted { .. } if quiet > limit => {
                failed(&format!("no progress for {} s", limit.as_secs()))
            }
            _ => None,
        }
    }
}
