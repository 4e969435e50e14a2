//! Every transport parameter, with the reason for its value.
//!
//! The controller of congestion is our own, in `congestion/`. Left as quinn has it: the frequency of
//! acknowledgements; fewer made no difference beyond the noise. Elsewhere: socket buffers in `socket.rs`,
//! batches in `batches.rs`, what is held out of order in `reassembly.rs`, the order of ciphers in `tls.rs`,
//! priorities of streams in `link.rs`, threads in `workers.rs`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

use super::congestion::{Congestion, PathRate};

/// File streams that one end may have open towards the other.
///
/// Small files travel one per stream, so this is how many of them are under way in one round trip:
/// 256 make 3,200 files a second at 80 ms. It also bounds what a hostile peer can pin.
pub const STREAMS_MAX: u32 = 256;

/// What a stream's sender may send before the receiver has read any of it, in bytes.
///
/// It bounds one file to so much in a round trip: 800 Mbit/s at 80 ms. Streams are read in any order
/// (`reassembly.rs`): ordered, 2.9 MB would be the largest safe window, since quinn-proto closes a
/// connection with more than 1,024 gaps in what one stream was not asked for.
const STREAM_WINDOW: u32 = 8_000_000;

/// What a connection's sender may send before any of it is read, over all streams, in bytes.
///
/// Not unlimited, or a peer could pin `STREAMS_MAX` times the stream window; large enough that 8
/// unread streams starve no other.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// What a client may send the relay before it is admitted, in bytes, over all streams: its `hello`.
const UNADMITTED_WINDOW: u32 = 16 << 10;

/// What the relay keeps unacknowledged towards a peer that gets no files, in bytes: control messages.
const CONTROL_SEND_WINDOW: u64 = 128 << 10;

/// Bytes written to a connection's streams and not yet acknowledged.
///
/// Two stream windows: a bulk file leaves room for the control stream and small files.
const SEND_WINDOW: u64 = 16_000_000;

/// [`STREAM_WINDOW`] where the round trip is no more than a system call: beyond, data only waits, out of the
/// processors' caches. Over loopback, 8 MB measured a tenth slower and took twice the memory.
const NEAR_STREAM_WINDOW: u32 = 2_500_000;

/// [`SEND_WINDOW`] for such a path.
const NEAR_SEND_WINDOW: u64 = 8_000_000;

/// Files and rooms that one relay may have open towards another.
pub(super) const TRUNK_FILES: u32 = 512;
pub(super) const TRUNK_ROOMS: u32 = 4_096;

/// [`STREAM_WINDOW`] between relays: 400 Mbit/s for one file at 80 ms.
const TRUNK_STREAM_WINDOW: u32 = 4_000_000;

/// What a relay may send another one before any of it is read, until the other grants it more, in bytes.
const TRUNK_WINDOW_FIRST: u32 = 1 << 20;

/// [`SEND_WINDOW`] between relays: eight files at their full window.
const TRUNK_SEND_WINDOW: u64 = 32_000_000;

/// Packets that may overtake one before it counts as lost.
///
/// So many that only time decides (see [`TIME_THRESHOLD`]): where packets are late, as many overtake them as
/// the link carries meanwhile, 130 in 5 ms of 300 Mbit/s.
const PACKET_THRESHOLD: u32 = 2_048;

/// How long after one that was sent later a packet may arrive before it counts as lost, in round trips.
///
/// RFC 9002, section 6.1.2, has 9/8; a quarter stands packets that are 5 ms late at 20 ms. A loss that is
/// noticed later costs nothing, since streams are read in any order.
const TIME_THRESHOLD: f32 = 1.25;

/// The largest UDP payload tried, in bytes: an eighth of what one call hands to the kernel (see
/// `batches.rs`), and nearly what jumbo frames of 9,000 carry.
///
/// Larger ones, which only loopback takes, gained a tenth there, and cost a relay 8 KiB for every idle
/// listener. Where the path carries less, discovery stops at its limit.
const MTU_MAX: u16 = 8_188;

/// The same where the other end is on the Internet, whose paths carry no more.
///
/// Looking for more there would find nothing, and have the relay keep a buffer of 13 KiB for each listener:
/// what it probed with.
const MTU_INTERNET: u16 = 1_452;

/// The smallest UDP payload limit that may be asked for: what every QUIC path carries
/// (RFC 9000, section 14).
const MTU_MIN: u16 = 1_200;

/// What is taken for the round trip before it is measured; a first packet is repeated after three times
/// as long, and a handshake that was given up is remembered for nine times as long.
///
/// Half of what RFC 9002 (section 6.2.2) recommends: a relay that is flooded with handshakes drops first
/// packets, and who repeats them sooner gets in sooner; and what it remembers is memory. On a path that
/// takes longer, one small packet is sent twice.
const FIRST_RTT: Duration = Duration::from_millis(150);

/// How often a direct connection is pinged where nothing else is sent.
const DIRECT_PING: Duration = Duration::from_millis(400);

/// When a silent direct connection counts as dead: after three pings without an answer. A file stands still for
/// as long, and a moment more, until it goes on through the relay.
const DIRECT_IDLE: Duration = Duration::from_millis(1_500);

/// Which part an endpoint plays; it decides how soon a silent connection counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The relay: patient, because its peers' values decide (the smaller one holds).
    Relay,
    /// A listener: idle most of the time, and there may be a thousand of them.
    Listener,
    /// A sender: someone is waiting at a terminal.
    Sender,
    /// Whoever has made a direct connection: the relay stands by, so that what is silent is soon given up.
    Direct,
    /// The other end of it.
    DirectAccepted,
    /// Either end of a connection between two relays: members of the other are there for as long as it is.
    Trunk,
}

/// The parameters that users and tests may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// The largest UDP payload to try, in bytes.
    pub mtu: u16,
    /// What the path to the other end carried lately.
    pub known: Option<PathRate>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            mtu: MTU_MAX,
            known: None,
        }
    }
}

impl Tuning {
    /// The default, with the largest UDP payload limited by `P2P_MTU` where that is set.
    ///
    /// For networks on which path MTU discovery misbehaves, and for benchmarks.
    #[must_use]
    pub fn from_env() -> Self {
        let wanted = std::env::var("P2P_MTU")
            .ok()
            .and_then(|text| text.parse().ok());
        Self {
            mtu: wanted.unwrap_or(MTU_MAX).clamp(MTU_MIN, MTU_MAX),
            known: None,
        }
    }

    /// The largest UDP payload that an endpoint should take.
    ///
    /// Independent of `mtu`: what the other end may send us is its choice.
    #[must_use]
    pub fn max_udp_payload() -> u16 {
        MTU_MAX
    }

    /// What a connection of the relay may come to, over all of its streams, in bytes.
    pub const CONNECTION_WINDOW: u64 = CONNECTION_WINDOW as u64;

    /// What a peer at `remote` may send on one stream before it is read, in bytes.
    #[must_use]
    pub fn stream_window(remote: IpAddr) -> u64 {
        match remote.is_loopback() {
            true => NEAR_STREAM_WINDOW.into(),
            false => STREAM_WINDOW.into(),
        }
    }

    /// What another relay at `remote` may send on one stream before it is read, in bytes.
    #[must_use]
    pub fn trunk_stream_window(remote: IpAddr) -> u64 {
        match remote.is_loopback() {
            true => NEAR_STREAM_WINDOW.into(),
            false => TRUNK_STREAM_WINDOW.into(),
        }
    }

    /// What is kept unacknowledged towards a peer at `remote` that gets files, in bytes.
    #[must_use]
    pub fn send_window(remote: IpAddr) -> u64 {
        match remote.is_loopback() {
            true => NEAR_SEND_WINDOW,
            false => SEND_WINDOW,
        }
    }

    /// The relay's parameters for a client at `remote` that is not admitted yet: one stream for its `hello`.
    pub(super) fn unadmitted(self, remote: IpAddr) -> TransportConfig {
        let mut config = self.configure_for(Role::Relay, remote);
        Self::restrict(&mut config);
        config
    }

    /// Grants what a `hello` takes, and no more.
    pub(super) fn restrict(config: &mut TransportConfig) {
        config
            .max_concurrent_uni_streams(0u32.into())
            .receive_window(UNADMITTED_WINDOW.into())
            .send_window(CONTROL_SEND_WINDOW);
    }

    /// The parameters of a connection with another relay at `remote`.
    pub(super) fn trunk(self, remote: IpAddr) -> TransportConfig {
        let mut config = self.configure_for(Role::Trunk, remote);
        // Rooms share it: no file may wait for another's recipients, and none may be first.
        config
            .max_concurrent_uni_streams(TRUNK_FILES.into())
            .max_concurrent_bidi_streams(TRUNK_ROOMS.into())
            .receive_window(TRUNK_WINDOW_FIRST.into())
            .send_fairness(true);
        if !remote.is_loopback() {
            config.stream_receive_window(TRUNK_STREAM_WINDOW.into());
        }
        config.send_window(Self::trunk_send_window(remote));
        config
    }

    /// What is kept unacknowledged towards another relay at `remote`, in bytes.
    pub(super) fn trunk_send_window(remote: IpAddr) -> u64 {
        match remote.is_loopback() {
            true => SEND_WINDOW,
            false => TRUNK_SEND_WINDOW,
        }
    }

    /// The parameters of a connection with `remote`; what a comparison with bare quinn must use as well.
    #[must_use]
    pub fn transport(self, role: Role, remote: IpAddr) -> Arc<TransportConfig> {
        Arc::new(self.configure_for(role, remote))
    }

    pub(super) fn configure_for(self, role: Role, remote: IpAddr) -> TransportConfig {
        let tuning = match is_internet(remote) {
            true => Self {
                mtu: self.mtu.min(MTU_INTERNET),
                ..self
            },
            false => self,
        };
        let mut config = tuning.configure(role);
        if remote.is_loopback() {
            config.stream_receive_window(NEAR_STREAM_WINDOW.into());
        }
        config.send_window(Self::send_window(remote));
        config
    }

    pub(super) fn configure(self, role: Role) -> TransportConfig {
        let (keep_alive, idle) = match role {
            // Each end pings only where nothing else was sent; the relay leaves it to its peers.
            Role::Relay => (None, Duration::from_secs(20)),
            // Below the 30 s after which many NATs forget a UDP mapping; 1,000 listeners make 100
            // pings a second. A relay that was killed and is back answers the next ping with a reset, so
            // that an idle listener knows after 10 s at most. A listener that was killed is gone before
            // a sender's usual patience of 30 s ends, so that the sender hears why.
            Role::Listener => (Some(Duration::from_secs(10)), Duration::from_secs(20)),
            Role::Sender => (Some(Duration::from_secs(4)), Duration::from_secs(12)),
            // A ping that is lost is repeated in time.
            Role::Direct => (Some(DIRECT_PING), DIRECT_IDLE),
            // A ping of its own would put off its idle timeout (RFC 9000, section 10.1), and it is this end that
            // says from where the file has to go on.
            Role::DirectAccepted => (None, DIRECT_IDLE),
            Role::Trunk => (Some(Duration::from_secs(1)), Duration::from_secs(4)),
        };
        // The client's, or of whoever has made a direct connection.
        let takes_control = matches!(role, Role::Relay | Role::DirectAccepted);
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(self.mtu);
        let mut config = TransportConfig::default();
        config
            .initial_rtt(FIRST_RTT)
            .max_concurrent_uni_streams(STREAMS_MAX.into())
            .max_concurrent_bidi_streams(VarInt::from_u32(u32::from(takes_control)))
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(CONNECTION_WINDOW.into())
            .send_window(SEND_WINDOW)
            .packet_threshold(PACKET_THRESHOLD)
            .time_threshold(TIME_THRESHOLD)
            .congestion_controller_factory(Arc::new(Congestion { known: self.known }))
            // Round-robin among files of one priority would finish them all late.
            .send_fairness(false)
            .mtu_discovery_config(Some(discovery))
            .keep_alive_interval(keep_alive)
            .max_idle_timeout(Some(
                IdleTimeout::try_from(idle).expect("seconds fit a VarInt"),
            ))
            .datagram_receive_buffer_size(None);
        config
    }
}

/// Whether packets to this address leave the networks that somebody runs for themselves.
#[must_use]
pub fn is_internet(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10 is between a provider and its customers (RFC 6598); tunnels use it as well.
            let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            let is_own = v4.is_loopback() || v4.is_private() || v4.is_link_local();
            !(is_own || is_shared || v4.is_unspecified())
        }
        IpAddr::V6(v6) => {
            let is_own = v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local();
            !(is_own || v6.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_networks_may_carry_large_packets_and_the_internet_does_not() {
        for own in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "100.100.1.1",
            "169.254.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "0.0.0.0",
        ] {
            assert!(!is_internet(own.parse().unwrap()), "{own}");
        }
        for far in [
            "192.0.2.1",
            "100.128.0.1",
            "2001:db8::1",
            "::ffff:198.51.100.1",
        ] {
            assert!(is_internet(far.parse().unwrap()), "{far}");
        }
    }
}
