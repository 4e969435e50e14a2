//! The pages that a monitoring system reads.

use std::{
    sync::{Mutex, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::StatusCode;
use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{
    http::{Answer, Page},
    trunk_gauges::TrunkGauges,
};
use crate::relay::{Meters, RelayHandle, Totals};

/// A page of metrics is made anew at most this often: who asks more often gets the one before.
const FRESH: Duration = Duration::from_millis(500);
/// A thread that has given no sign for so long counts as stuck; it gives one a second.
const STUCK: Duration = Duration::from_secs(10);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

type Label = [(&'static str, String); 1];
type Seconds = Gauge<f64, AtomicU64>;

/// `/metrics`, `/healthz` and `/readyz` of one relay.
pub(super) struct Pages {
    relay: RelayHandle,
    metrics: Mutex<Metrics>,
}

struct Metrics {
    registry: Registry,
    gauges: Gauges,
    page: Option<(Instant, String)>,
}

/// What is asked of the relay for each page.
#[derive(Default)]
struct Gauges {
    connections: Family<Label, Gauge>,
    rooms: Gauge,
    memory_used: Gauge,
    memory_limit: Gauge,
    spool_used: Gauge,
    spool_limit: Gauge,
    queued: Gauge,
    udp_drops: Counter,
    ticks: Family<Label, Seconds>,
    draining: Gauge,
    full: Gauge,
    trunks: TrunkGauges,
}

impl Pages {
    pub(super) fn new(relay: RelayHandle) -> Self {
        let metrics = Metrics::new(relay.meters());
        Self {
            relay,
            metrics: Mutex::new(metrics),
        }
    }

    fn metrics(&self) -> String {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, page)) = &metrics.page
            && made.elapsed() < FRESH
        {
            return page.clone();
        }
        metrics.gauges.set(&self.relay);
        let mut page = String::new();
        let encoded = text::encode(&mut page, &metrics.registry);
        encoded.expect("writing to a string cannot fail");
        metrics.page = Some((Instant::now(), page.clone()));
        page
    }

    fn health(&self) -> Page {
        let worst = self.relay.ticks().into_iter().max().unwrap_or_default();
        match worst < STUCK {
            true => Page::line(StatusCode::OK, "ok"),
            false => {
                let text = format!("a thread has given no sign for {} s", worst.as_secs());
                Page::line(StatusCode::SERVICE_UNAVAILABLE, &text)
            }
        }
    }

    fn readiness(&self) -> Page {
        let not = |why| Page::line(StatusCode::SERVICE_UNAVAILABLE, why);
        if self.relay.is_draining() {
            not("draining")
        } else if self.relay.is_full() {
            not("full")
        } else {
            Page::line(StatusCode::OK, "ready")
        }
    }
}

impl Answer for Pages {
    fn page(&self, path: &str, accept: &str) -> Option<Page> {
        match path {
            "/metrics" => {
                let page = self.metrics();
                let (content_type, body) = match accept.contains("application/openmetrics-text") {
                    true => (OPEN_METRICS, page),
                    false => (PROMETHEUS, classic(&page)),
                };
                Some(Page {
                    status: StatusCode::OK,
                    content_type,
                    body: Bytes::from(body),
                })
            }
            "/healthz" => Some(self.health()),
            "/readyz" => Some(self.readiness()),
            _ => None,
        }
    }
}

impl Metrics {
    fn new(meters: &Meters) -> Self {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix("p2p_relay");
        meters.register(registry);
        let gauges = Gauges::default();
        for role in ["listener", "sender"] {
            let label = [("role", role.to_owned())];
            drop(gauges.connections.get_or_create(&label));
        }
        let first = [("worker", "0".to_owned())];
        drop(gauges.ticks.get_or_create(&first));
        gauges.register(registry);
        let build = Family::<Label, Gauge>::default();
        let version: Label = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        build.get_or_create(&version).set(1);
        registry.register("build_info", "1, with the version of this program", build);
        Self {
            registry: all,
            gauges,
            page: None,
        }
    }
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "connections",
            "Connections of admitted peers, by what they are for: listener, sender",
            self.connections.clone(),
        );
        registry.register("rooms", "Rooms in which anybody is", self.rooms.clone());
        let bytes = [
            (
                "memory_used",
                "Bytes of others that are held in memory",
                &self.memory_used,
            ),
            (
                "memory_limit",
                "Bytes of others that may be held in memory",
                &self.memory_limit,
            ),
            (
                "spool_used",
                "Content on disk for recipients that are behind",
                &self.spool_used,
            ),
            (
                "spool_limit",
                "Content that may be on disk",
                &self.spool_limit,
            ),
            (
                "control_queue",
                "Messages that wait for peers to read them",
                &self.queued,
            ),
        ];
        for (name, help, gauge) in bytes {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
        registry.register(
            "udp_receive_drops",
            "Packets that the kernel dropped before the relay read them: its socket buffer was full",
            self.udp_drops.clone(),
        );
        registry.register_with_unit(
            "worker_tick",
            "For how long each thread that drives connections has given no sign; one that turns \
             gives one a second",
            Unit::Seconds,
            self.ticks.clone(),
        );
        registry.register(
            "draining",
            "1 while transfers end and no new ones begin",
            self.draining.clone(),
        );
        registry.register(
            "full",
            "1 while no further peer is let in",
            self.full.clone(),
        );
        self.trunks.register(registry);
    }

    fn set(&self, relay: &RelayHandle) {
        let totals: Totals = relay.totals();
        let set = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        for (role, count) in [("listener", totals.listeners), ("sender", totals.senders)] {
            let label: Label = [("role", role.to_owned())];
            set(&self.connections.get_or_create(&label), count);
        }
        set(&self.rooms, totals.rooms);
        set(&self.memory_used, totals.memory.0);
        set(&self.memory_limit, totals.memory.1);
        set(&self.spool_used, totals.spool.0);
        set(&self.spool_limit, totals.spool.1);
        set(&self.queued, totals.queued);
        let drops = relay.udp_drops().unwrap_or_default();
        self.udp_drops
            .inc_by(drops.saturating_sub(self.udp_drops.get()));
        for (worker, age) in relay.ticks().into_iter().enumerate() {
            let label: Label = [("worker", worker.to_string())];
            self.ticks.get_or_create(&label).set(age.as_secs_f64());
        }
        set(&self.draining, u64::from(relay.is_draining()));
        set(&self.full, u64::from(relay.is_full()));
        self.trunks.set(relay.cluster().as_ref(), &relay.trunks());
    }
}

/// The name of every metric, as queries say it.
#[must_use]
pub fn metric_names() -> Vec<String> {
    let metrics = Metrics::new(&Meters::new());
    metrics.gauges.trunks.name_all();
    let mut page = String::new();
    let encoded = text::encode(&mut page, &metrics.registry);
    encoded.expect("writing to a string cannot fail");
    let page = classic(&page);
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = types.filter_map(|rest| rest.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// OpenMetrics as Prometheus' own text format 0.0.4: in it a counter's name is that of its samples.
fn classic(open: &str) -> String {
    let counters: Vec<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let about = ["# TYPE ", "# HELP "].into_iter().find_map(|kind| {
            let (name, rest) = line.strip_prefix(kind)?.split_once(' ')?;
            Some((kind, name, rest))
        });
        match about {
            Some((kind, name, rest)) if counters.contains(&name) => {
                text.push_str(&format!("{kind}{name}_total {rest}\n"));
            }
            None if line.starts_with("# ") => {}
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_classic_format_a_counter_is_called_as_its_samples_are() {
        let open = "# HELP a_bytes What came.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                    a_bytes_total 3\n# HELP b Now.\n# TYPE b gauge\nb{x=\"y\"} 1\n# EOF\n";
        let expected = "# HELP a_bytes_total What came.\n# TYPE a_bytes_total counter\n\
                        a_bytes_total 3\n# HELP b Now.\n# TYPE b gauge\nb{x=\"y\"} 1\n";
        assert_eq!(classic(open), expected);
    }

    #[test]
    fn no_metric_is_called_by_a_peer_or_a_room() {
        let names = metric_names();
        assert!(names.len() > 20, "{names:?}");
        assert!(names.contains(&"p2p_relay_sent_bytes_total".to_owned()));
        assert!(names.iter().all(|name| name.starts_with("p2p_relay_")));
    }
}
