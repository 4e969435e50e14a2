//! Which roads to a relay a client may take.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::Proxies;
use crate::protocol::Road;

/// How long UDP is tried alone.
///
/// Two round trips of a slow mobile network; where UDP works, the attempt over TCP is never made.
const TCP_AFTER: Duration = Duration::from_millis(600);

/// How often UDP is tried again: a laptop leaves the office within hours, and a try is four packets.
const UDP_AGAIN: Duration = Duration::from_secs(10 * 60);

/// Which roads to a relay may be taken, and how they are raced.
#[derive(Debug, Clone)]
pub struct Roads {
    /// Whether UDP may be used.
    pub udp: bool,
    /// Whether TCP may be used.
    pub tcp: bool,
    /// The start that UDP has over TCP.
    pub tcp_after: Duration,
    /// How often UDP is tried again by whoever stays on TCP.
    pub udp_again: Duration,
    /// Proxies for the road over TCP.
    pub proxies: Arc<Proxies>,
    /// Where a relay on this LAN is, if it is one: then no name is resolved, and nothing else is tried.
    pub lan: Vec<SocketAddr>,
}

impl Default for Roads {
    /// Both roads, without a proxy.
    fn default() -> Self {
        Self {
            udp: true,
            tcp: true,
            tcp_after: TCP_AFTER,
            udp_again: UDP_AGAIN,
            proxies: Arc::default(),
            lan: Vec::new(),
        }
    }
}

impl Roads {
    /// To a relay on this LAN.
    #[must_use]
    pub fn on_lan(addresses: Vec<SocketAddr>) -> Self {
        Self {
            lan: addresses,
            ..Self::default()
        }
    }

    /// Only this road to the relay.
    #[must_use]
    pub fn only(self, road: Road) -> Self {
        Self {
            udp: road == Road::Relay,
            tcp: road == Road::Tcp,
            ..self
        }
    }
}
