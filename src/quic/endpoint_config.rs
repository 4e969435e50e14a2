//! What endpoints on sockets of every kind share.

use std::{io, time::Duration};

use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};

use super::{Credentials, steering::Place};

/// The configuration of an endpoint that takes packets of up to `packet_max` bytes, and is alone at its port.
pub(super) fn endpoint_config(
    credentials: &Credentials,
    packet_max: u16,
) -> io::Result<EndpointConfig> {
    placed_endpoint_config(credentials, packet_max, Place::ALONE)
}

/// The same of one of several at a port.
pub(super) fn placed_endpoint_config(
    credentials: &Credentials,
    packet_max: u16,
    place: Place,
) -> io::Result<EndpointConfig> {
    let mut config = EndpointConfig::new(credentials.reset_key());
    config.cid_generator(move || Box::new(RandomIds(place)));
    config.min_reset_interval(BETWEEN_RESETS);
    config
        .max_udp_payload_size(packet_max)
        .map_err(io::Error::other)?;
    Ok(config)
}

/// The least time between two stateless resets: none.
///
/// They are how 10,000 listeners learn that their relay was restarted, each at its next ping. Pings come in
/// bursts, and quinn, which has one time for a whole burst, would answer one of each whatever this is: measured
/// with 1,000 listeners, most waited for their idle time to pass. A reset is smaller than the packet that it
/// answers (RFC 9000, section 10.3), so that nobody can amplify anything by it, and no two ends can go on for ever.
const BETWEEN_RESETS: Duration = Duration::ZERO;

/// Connection IDs that say nothing but which endpoint at its port they are of.
///
/// quinn's default gives IDs by which one run of an endpoint knows its own, and ignores packets with
/// any other: then nobody whose connection a restart has ended would ever be sent a stateless reset.
#[derive(Debug)]
struct RandomIds(Place);

impl RandomIds {
    /// Long enough that no two of a relay's connections share one (RFC 9000, section 5.1).
    const LEN: usize = 8;
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; Self::LEN];
        p2p_core::crypto::random(&mut bytes);
        bytes[0] = self.0.mark(bytes[0]);
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        Self::LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
