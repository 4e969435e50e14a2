//! Parameters of a connection inside a tunnel: TCP below it loses nothing and sets the pace.

use std::{any::Any, sync::Arc, time::Instant};

use quinn::{
    TransportConfig,
    congestion::{Controller, ControllerFactory},
};

use super::PACKET_MAX;
use crate::quic::{Role, Tuning};

/// Bytes in flight inside a tunnel: 400 Mbit/s at 80 ms. TCP's own window is what limits.
const WINDOW: u64 = 4 << 20;

/// Packets that may overtake one before it counts as lost. None does: TCP keeps the order.
const PACKET_THRESHOLD: u32 = 1000;
/// The same in round trips.
const TIME_THRESHOLD: f32 = 2.0;

/// What a connection of this role uses inside a tunnel.
///
/// Two loss recoveries on top of each other fight: while TCP repeats a segment, the inner one would
/// take everything behind it for lost, halve its window, and repeat it too.
pub(in crate::quic) fn tunnelled(tuning: Tuning, role: Role) -> Arc<TransportConfig> {
    let mut config = tuning.configure(role);
    config
        .congestion_controller_factory(Arc::new(Fixed))
        .initial_mtu(PACKET_MAX)
        .mtu_discovery_config(None)
        .packet_threshold(PACKET_THRESHOLD)
        .time_threshold(TIME_THRESHOLD);
    if role == Role::Relay {
        Tuning::restrict(&mut config);
    }
    Arc::new(config)
}

/// A window that nothing changes.
#[derive(Debug, Clone, Copy)]
struct Fixed;

impl ControllerFactory for Fixed {
    fn build(self: Arc<Self>, _now: Instant, _mtu: u16) -> Box<dyn Controller> {
        Box::new(*self)
    }
}

impl Controller for Fixed {
    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        WINDOW
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }

    fn initial_window(&self) -> u64 {
        WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
