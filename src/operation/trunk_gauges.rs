//! The connections to other relays of a cluster, as gauges.

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::relay::{ClusterStatus, TrunkStatus};

/// One label: what people call the other relay. There are few.
type Label = [(&'static str, String); 1];

/// The connections to other relays.
#[derive(Debug, Default)]
pub(super) struct TrunkGauges {
    up: Family<Label, Gauge>,
    rooms: Family<Label, Gauge>,
    rtt: Family<Label, Gauge<f64, std::sync::atomic::AtomicU64>>,
    nats_connected: Gauge,
    relays: Gauge,
}

impl TrunkGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "nats_connected",
            "1 while other relays of the cluster can be found; 0 also where there is no cluster",
            self.nats_connected.clone(),
        );
        registry.register(
            "cluster_relays",
            "Other relays of the cluster that are up",
            self.relays.clone(),
        );
        registry.register(
            "trunk_up",
            "1 for each other relay of the cluster that this one is connected to",
            self.up.clone(),
        );
        registry.register(
            "trunk_rooms",
            "Rooms that have members here and at the other relay",
            self.rooms.clone(),
        );
        registry.register_with_unit(
            "trunk_rtt",
            "The estimate of the round-trip time to the other relay",
            Unit::Seconds,
            self.rtt.clone(),
        );
    }

    /// Has a series of each: what has none is not on the page.
    pub(super) fn name_all(&self) {
        let label: Label = [("node", String::new())];
        drop(self.up.get_or_create(&label));
        drop(self.rooms.get_or_create(&label));
        drop(self.rtt.get_or_create(&label));
    }

    /// As they are now; those that are no more are forgotten.
    pub(super) fn set(&self, cluster: Option<&ClusterStatus>, trunks: &[TrunkStatus]) {
        let nats = cluster.is_some_and(|cluster| cluster.nats);
        self.nats_connected.set(i64::from(nats));
        let relays = cluster.map_or(0, |cluster| cluster.relays.len());
        self.relays.set(i64::try_from(relays).unwrap_or(i64::MAX));
        self.up.clear();
        self.rooms.clear();
        self.rtt.clear();
        for trunk in trunks {
            let label: Label = [("node", trunk.name.clone())];
            self.up.get_or_create(&label).set(1);
            let rooms = i64::try_from(trunk.rooms).unwrap_or(i64::MAX);
            self.rooms.get_or_create(&label).set(rooms);
            self.rtt.get_or_create(&label).set(trunk.rtt_ms / 1e3);
        }
    }
}
