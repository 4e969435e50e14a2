//! How much may be under way: see `docs/congestion.md`.

mod competition;
mod cycle;
mod known;
mod model;
#[cfg(test)]
mod path;
mod rate;
#[cfg(test)]
mod rivals;
mod round;
mod round_trip;
#[cfg(test)]
mod simulation;
mod start;
mod state;
#[cfg(test)]
mod tests;
mod train;

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

pub use known::PathRate;
use model::Model;
use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, Cubic, CubicConfig};
use quinn_proto::RttEstimator;

use super::network;

/// Below this round trip, CUBIC decides: what delays packets there is processors, not queues.
const NEAR: Duration = Duration::from_millis(2);

/// Makes controllers.
#[derive(Debug, Default)]
pub(super) struct Congestion {
    /// What such a path carried lately.
    pub(super) known: Option<PathRate>,
}

impl ControllerFactory for Congestion {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let model = Model::new(now, current_mtu, self.known);
        Box::new(Follower {
            near: Some(near(now, current_mtu, &model)),
            model,
            epoch: network::epoch(),
            mtu: current_mtu,
        })
    }
}

fn near(now: Instant, mtu: u16, model: &Model) -> Cubic {
    let mut cubic = CubicConfig::default();
    cubic.initial_window(model.initial_window());
    Cubic::new(Arc::new(cubic), now, mtu)
}

/// Follows what the path shows.
#[derive(Debug, Clone)]
struct Follower {
    /// For a path that is short; gone once it has shown that it is long.
    near: Option<Cubic>,
    model: Model,
    /// This machine's network for which all that holds.
    epoch: u64,
    mtu: u16,
}

impl Follower {
    /// Forgets the path when this machine is on another network.
    ///
    /// quinn keeps a client's controller then: it cannot know that packets take another way.
    fn check_network(&mut self, now: Instant) {
        let epoch = network::epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.model.restart(now, None);
            self.near = Some(near(now, self.mtu, &self.model));
        }
    }
}

/// What a connection's controller has measured, if its path is long and was in use.
pub(super) fn measured(controller: Box<dyn Controller>) -> Option<PathRate> {
    let follower = controller.into_any().downcast::<Follower>().ok()?;
    match follower.near {
        Some(_) => None,
        None => follower.model.measured(),
    }
}

/// Whether a connection's controller is what holds its sender up.
pub(super) fn is_full(controller: Box<dyn Controller>) -> bool {
    let follower = controller.into_any().downcast::<Follower>();
    follower.is_ok_and(|follower| follower.model.is_full())
}

impl Controller for Follower {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.check_network(now);
        if let Some(cubic) = &mut self.near {
            cubic.on_sent(now, bytes, last_packet_number);
        }
        self.model.on_sent(now, bytes);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        if let Some(cubic) = &mut self.near {
            cubic.on_ack(now, sent, bytes, app_limited, rtt);
        }
        self.model.on_ack(now, sent, bytes, app_limited);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.model.on_end_acks(now, in_flight, app_limited);
        if let Some(cubic) = &mut self.near {
            cubic.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
            if self.model.is_farther(NEAR) {
                self.near = None;
            }
        }
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        if let Some(cubic) = &mut self.near {
            cubic.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        }
        self.model
            .on_loss(now, sent, lost_bytes, is_persistent_congestion);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = new_mtu;
        if let Some(cubic) = &mut self.near {
            cubic.on_mtu_update(new_mtu);
        }
        self.model.on_mtu(new_mtu);
    }

    fn window(&self) -> u64 {
        match &self.near {
            Some(cubic) => cubic.window(),
            None => self.model.window(),
        }
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window();
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.model.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
