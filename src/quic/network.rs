//! Which network this machine is on, as far as it can tell by itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

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
