//! What a relay counts for whoever operates it. Never by peer or room: their number has no bound.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::protocol::Code;

/// One label, and what it says.
type Label = [(&'static str, String); 1];

/// The counters of one relay. Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    handshakes: Family<Label, Counter>,
    turned_away: Family<Label, Counter>,
    received: Counter,
    sent: Family<Label, Counter>,
    /// The member of `sent` for peers, which every piece of a file counts on.
    sent_to_peers: Counter,
    /// The same for other relays.
    sent_to_relays: Counter,
    received_from_relays: Counter,
    trunk_sent: Counter,
    deliveries: Family<Label, Counter>,
    behind: Counter,
    spool_written: Counter,
    packets_lost: Counter,
    files_active: Gauge,
    transfers_active: Gauge,
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Handshake {
    /// The peer has proven its key.
    Done,
    /// It did not come to an end, or not to a good one.
    Failed,
    /// Others needed its place.
    Evicted,
}

impl Handshake {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Evicted => "evicted",
        }
    }
}

impl Meters {
    /// Counts from 0.
    #[must_use]
    pub fn new() -> Self {
        let mut meters = Self::default();
        let to_peers: Label = [("to", "peer".to_owned())];
        // A series that is there before the first event is one whose first event can be seen.
        for ended in [Handshake::Done, Handshake::Failed, Handshake::Evicted] {
            let label = [("result", ended.name().to_owned())];
            drop(meters.handshakes.get_or_create(&label));
        }
        for code in [Code::NotAdmitted, Code::Busy, Code::Shutdown] {
            let label = [("code", code_name(code))];
            drop(meters.turned_away.get_or_create(&label));
        }
        for code in [Code::Done, Code::Behind, Code::PeerGone] {
            let label = [("code", code_name(code))];
            drop(meters.deliveries.get_or_create(&label));
        }
        meters.sent_to_peers = meters.sent.get_or_create(&to_peers).clone();
        let to_relays: Label = [("to", "relay".to_owned())];
        meters.sent_to_relays = meters.sent.get_or_create(&to_relays).clone();
        meters
    }

    /// Adds all of them to `registry`, which prefixes their names.
    pub fn register(&self, registry: &mut Registry) {
        let bytes = || Unit::Bytes;
        registry.register(
            "handshakes",
            "QUIC handshakes, by how they ended: done, failed, evicted",
            self.handshakes.clone(),
        );
        registry.register(
            "turned_away",
            "Peers that were not let in after their handshake, by the code that they were told",
            self.turned_away.clone(),
        );
        registry.register_with_unit(
            "received",
            "Content of files that came in from senders",
            bytes(),
            self.received.clone(),
        );
        registry.register_with_unit(
            "received_from_relays",
            "Content of files that came in from other relays",
            bytes(),
            self.received_from_relays.clone(),
        );
        registry.register_with_unit(
            "trunk_sent",
            "UDP payload that went to other relays: files, messages, and all that QUIC adds",
            bytes(),
            self.trunk_sent.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Content of files that went out, by what it went to",
            bytes(),
            self.sent.clone(),
        );
        registry.register(
            "file_deliveries",
            "Files that were passed on to one recipient, by how that ended; done is success",
            self.deliveries.clone(),
        );
        registry.register(
            "recipients_behind",
            "Deliveries in which the recipient fell behind and was served from the spool, or cut off",
            self.behind.clone(),
        );
        registry.register_with_unit(
            "spool_written",
            "Content that went through the spool",
            bytes(),
            self.spool_written.clone(),
        );
        registry.register(
            "packets_lost",
            "Packets that this relay sent and that were not acknowledged in time",
            self.packets_lost.clone(),
        );
        registry.register(
            "files_active",
            "Files that are being passed on",
            self.files_active.clone(),
        );
        registry.register(
            "transfers_active",
            "Transfers that are offered or under way",
            self.transfers_active.clone(),
        );
    }

    pub(super) fn handshake(&self, ended: Handshake) {
        count(&self.handshakes, "result", ended.name().to_owned());
    }

    pub(super) fn turned_away(&self, code: Code) {
        count(&self.turned_away, "code", code_name(code));
    }

    pub(super) fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    pub(super) fn sent_to_peer(&self, bytes: u64) {
        self.sent_to_peers.inc_by(bytes);
    }

    pub(super) fn sent_to_relay(&self, bytes: u64) {
        self.sent_to_relays.inc_by(bytes);
    }

    pub(super) fn received_from_relay(&self, bytes: u64) {
        self.received_from_relays.inc_by(bytes);
    }

    pub(super) fn sent_on_trunk(&self, bytes: u64) {
        self.trunk_sent.inc_by(bytes);
    }

    pub(super) fn delivery(&self, ended: Result<(), Code>, fell_behind: bool) {
        let code = ended.err().unwrap_or(Code::Done);
        count(&self.deliveries, "code", code_name(code));
        if fell_behind || code == Code::Behind {
            self.behind.inc();
        }
    }

    pub(super) fn spooled(&self, bytes: u64) {
        self.spool_written.inc_by(bytes);
    }

    pub(super) fn lost(&self, packets: u64) {
        self.packets_lost.inc_by(packets);
    }

    /// Counts a file that is being passed on, until what this gives is dropped.
    pub(super) fn file(&self) -> ActiveFile {
        self.files_active.inc();
        ActiveFile(self.files_active.clone())
    }

    /// Counts transfers.
    pub(super) fn transfers_gauge(&self) -> Gauge {
        self.transfers_active.clone()
    }

    /// Transfers that are offered or under way.
    #[must_use]
    pub fn transfers_active(&self) -> u64 {
        u64::try_from(self.transfers_active.get()).unwrap_or_default()
    }

    /// Files that are being passed on now.
    #[must_use]
    pub fn files_active(&self) -> u64 {
        u64::try_from(self.files_active.get()).unwrap_or_default()
    }
}

/// A file that is being passed on.
#[derive(Debug)]
pub(super) struct ActiveFile(Gauge);

impl Drop for ActiveFile {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn count(family: &Family<Label, Counter>, label: &'static str, value: String) {
    family.get_or_create(&[(label, value)]).inc();
}

/// A code's name in JSON: one of a few, whatever came over the wire.
pub(super) fn code_name(code: Code) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_for_as_long_as_it_is_passed_on_and_codes_have_names() {
        let meters = Meters::new();
        let file = meters.file();
        assert_eq!(meters.files_active(), 1);
        drop(file);
        assert_eq!(meters.files_active(), 0);
        assert_eq!(code_name(Code::NotAdmitted), "not_admitted");
        assert_eq!(code_name(Code::Unknown), "unknown");
    }
}
