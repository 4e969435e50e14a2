//! What one transfer has carried, for the audit and for whoever waits until all are over.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use prometheus_client::metrics::gauge::Gauge;

use super::{
    Meters,
    audit::{self, Delivered},
    fanout::Report,
};
use crate::protocol::{PeerId, RoomId, TransferId};

/// One transfer, from its first offer until its last file is passed on.
///
/// Whoever passes on a file of it holds it, also when its sender has gone: a record is written when the
/// last one lets go.
#[derive(Debug)]
pub(super) struct Tally {
    room: RoomId,
    transfer: TransferId,
    sender: PeerId,
    carried: Mutex<Carried>,
    active: Gauge,
}

#[derive(Debug, Default)]
struct Carried {
    files: u64,
    bytes: u64,
    recipients: HashMap<PeerId, Delivered>,
}

impl Tally {
    pub(super) fn new(
        meters: &Meters,
        (room, transfer): (RoomId, TransferId),
        sender: PeerId,
    ) -> Self {
        let active = meters.transfers_gauge();
        active.inc();
        Self {
            room,
            transfer,
            sender,
            carried: Mutex::default(),
            active,
        }
    }

    /// Adds what became of a file.
    pub(super) fn add(&self, report: &Report) {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        carried.files += 1;
        carried.bytes += report.bytes_in;
        for delivery in &report.deliveries {
            let one = carried.recipients.entry(delivery.peer).or_default();
            one.bytes += delivery.bytes;
            match delivery.outcome.code() {
                Ok(()) => one.files += 1,
                Err(_) => one.failed += 1,
            }
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.active.dec();
        let carried = std::mem::take(
            self.carried
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if carried.files > 0 {
            let (files, bytes) = (carried.files, carried.bytes);
            audit::transfer(self.room, self.transfer, self.sender, (files, bytes));
        }
        for (recipient, delivered) in carried.recipients {
            audit::delivery(
                (self.room, self.transfer),
                (self.sender, recipient),
                delivered,
            );
        }
    }
}
