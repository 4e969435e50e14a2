//! Which network this machine is on, as far as it can tell by itself.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime},
};

/// How often it is looked whether packets leave from another address.
///
/// Two system calls; an address that changes is noticed by connections within this and a round trip.
const LOOK: Duration = Duration::from_secs(1);
/// By how much the clock on the wall must be ahead of the one that stops while the machine sleeps.
const SLEPT: Duration = Duration::from_secs(3);

/// Counts how often this machine has changed its network.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// A number that changes with the machine's network; what was measured before is of another path.
pub(super) fn epoch() -> u64 {
    EPOCH.load(Ordering::Relaxed)
}

/// Waits until packets to `remote` leave from another address than they do now, or the machine has
/// slept.
///
/// Being without a network for a while is no change: only what comes after it can be. Cancel-safe.
pub(super) async fn changed(remote: IpAddr) {
    let local = match remote {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut before = source_towards(local, remote);
    let mut clocks = (Instant::now(), SystemTime::now());
    loop {
        tokio::time::sleep(LOOK).await;
        let (ran, passed) = (clocks.0.elapsed(), clocks.1.elapsed().unwrap_or_default());
        clocks = (Instant::now(), SystemTime::now());
        let now = source_towards(local, remote);
        let moved = now.is_some() && before.is_some() && now != before;
        before = now.or(before);
        if moved || passed > ran + SLEPT {
            EPOCH.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}

/// A name for the networks by which this machine reaches others; it changes when they do.
///
/// Made of the address that the system would send from: all of an IPv4 address, and of an IPv6 address
/// the prefix, since hosts change the rest (RFC 8981). Nothing is sent.
#[must_use]
pub fn network_name() -> String {
    // Addresses for documentation (RFC 5737, RFC 3849): routed like any other, and nobody's.
    let v4 = source_towards(
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv4Addr::new(192, 0, 2, 1).into(),
    );
    let v6 = source_towards(
        Ipv6Addr::UNSPECIFIED.into(),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    );
    let v6 = v6.map(|ip| match ip {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).to_string(),
        IpAddr::V4(ip) => ip.to_string(),
    });
    let v4 = v4.map(|ip| ip.to_string());
    [v4, v6].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The address from which the system would send to `remote`; connecting a UDP socket sends nothing.
fn source_towards(local: IpAddr, remote: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::new(local, 0)).ok()?;
    socket.connect(SocketAddr::new(remote, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_address_that_packets_leave_from() {
        let loopback = source_towards(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into());
        assert_eq!(loopback, Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(network_name(), network_name());
    }
}
