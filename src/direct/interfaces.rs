//! The addresses of this machine, and the networks that it is on.

use std::net::{IpAddr, SocketAddr};

use super::Reach;

/// Interfaces of containers and virtual machines on this machine: nobody else is there.
const VIRTUAL: [&str; 7] = [
    "docker", "br-", "virbr", "lxcbr", "podman", "cni", "flannel",
];

/// The interfaces of this machine at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    addresses: Vec<(IpAddr, u8)>,
}

impl Interfaces {
    /// Asks the system; a system that does not say has none.
    #[must_use]
    pub fn now() -> Self {
        let found = if_addrs::get_if_addrs().unwrap_or_default();
        let others = found.into_iter().filter(|interface| {
            let name = interface.name.as_str();
            !VIRTUAL.iter().any(|begin| name.starts_with(begin))
        });
        let addresses = others.map(|interface| match interface.addr {
            if_addrs::IfAddr::V4(v4) => (v4.ip.into(), v4.prefixlen),
            if_addrs::IfAddr::V6(v6) => (v6.ip.into(), v6.prefixlen),
        });
        Self {
            addresses: addresses.collect(),
        }
    }

    /// Where a socket on `port` of every address can be reached, the local network's addresses first.
    pub fn sockets(&self, port: u16, reach: Reach) -> impl Iterator<Item = SocketAddr> {
        let mut addresses: Vec<_> = self.addresses.iter().map(|(ip, _)| *ip).collect();
        addresses.retain(|ip| reach == Reach::Machine || !ip.is_loopback());
        // IPv4 of the local network, then IPv6: of those there are often several, most for a while.
        addresses.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
        addresses
            .into_iter()
            .map(move |ip| SocketAddr::new(ip, port))
    }

    /// Whether no router is on the way to this address: it is in a network that this machine is on.
    #[must_use]
    pub fn is_on_link(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.addresses.iter().any(|(own, prefix)| {
            let (own, ip, len) = match (own, ip) {
                (IpAddr::V4(own), IpAddr::V4(ip)) => {
                    (own.to_bits().into(), ip.to_bits().into(), 32)
                }
                (IpAddr::V6(own), IpAddr::V6(ip)) => (own.to_bits(), ip.to_bits(), 128),
                _ => return false,
            };
            let host = u32::from(u8::saturating_sub(len, *prefix));
            // A network of one address is a tunnel's end.
            host > 0 && shifted(own, host) == shifted(ip, host)
        })
    }
}

fn shifted(ip: u128, host: u32) -> u128 {
    ip.checked_shr(host).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces() -> Interfaces {
        let addresses = [
            ("127.0.0.1", 8),
            ("2001:db8:7::9", 64),
            ("192.168.4.9", 22),
            ("100.64.0.3", 32),
        ];
        let address = |(ip, prefix): (&str, u8)| (ip.parse().unwrap(), prefix);
        Interfaces {
            addresses: addresses.map(address).to_vec(),
        }
    }

    #[test]
    fn only_what_shares_a_prefix_is_on_link() {
        let interfaces = interfaces();
        let on_link = |ip: &str| interfaces.is_on_link(ip.parse().unwrap());
        assert!(
            on_link("192.168.7.1") && on_link("::ffff:192.168.7.1") && on_link("2001:db8:7::1")
        );
        assert!(!on_link("192.168.8.1") && !on_link("2001:db8:8::1") && !on_link("192.0.2.1"));
        assert!(!on_link("100.64.0.3"), "a tunnel");
    }

    #[test]
    fn loopback_is_named_only_where_it_was_asked_for() {
        let interfaces = interfaces();
        let named = |reach| interfaces.sockets(7, reach).map(|s| s.ip().to_string());
        let network: Vec<_> = named(Reach::Network).collect();
        assert_eq!(network, ["192.168.4.9", "100.64.0.3", "2001:db8:7::9"]);
        assert!(named(Reach::Machine).any(|ip| ip == "127.0.0.1"));
    }

    #[test]
    fn this_machine_has_addresses() {
        assert!(!Interfaces::now().addresses.is_empty());
    }
}
