//! One recipient's part in one round.

use crate::sealing::ReceiptOpener;

/// One recipient's part in this round.
pub(super) struct Part {
    /// Its place among the targets.
    pub(super) target: usize,
    pub(super) state: PartState,
    /// Files that were sent to it and that it has not settled.
    pub(super) outstanding: usize,
    pub(super) settled: u64,
    pub(super) receipts: ReceiptOpener,
    pub(super) asking: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PartState {
    Asked,
    Accepted { each: bool },
    Over,
}

impl Part {
    pub(super) fn takes_part(&self) -> bool {
        matches!(self.state, PartState::Accepted { .. })
    }
}
