//! What everything in one round shares.

use crate::{
    protocol::TransferId,
    sealing::{Compression, TransferSealer},
};

/// The keys of one round, and how it seals.
#[derive(Debug)]
pub(super) struct RoundKeys {
    pub(super) sealer: TransferSealer,
    pub(super) compression: Compression,
}

impl RoundKeys {
    pub(super) fn transfer(&self) -> TransferId {
        self.sealer.transfer()
    }
}
