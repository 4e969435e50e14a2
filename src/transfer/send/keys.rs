//! What every file of one attempt shares.

use crate::{
    protocol::TransferId,
    sealing::{Compression, TransferSealer},
};

/// The keys of one attempt, and how it seals.
#[derive(Debug)]
pub(super) struct AttemptKeys {
    pub(super) sealer: TransferSealer,
    pub(super) compression: Compression,
}

impl AttemptKeys {
    pub(super) fn transfer(&self) -> TransferId {
        self.sealer.transfer()
    }
}
