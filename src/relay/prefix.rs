//! Which addresses belong together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network that an address is in: whoever has one address there may well have them all.
///
/// A /24 of IPv4, and of IPv6 the /56 that a customer is commonly given (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Prefix(IpAddr);

impl Prefix {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 72)).into(),
        })
    }

    /// Whether it is this machine itself.
    pub(super) fn is_loopback(self) -> bool {
        match self.0 {
            IpAddr::V4(v4) => v4.is_loopback(),
            // The mask takes the last bit of ::1.
            IpAddr::V6(v6) => v6.is_unspecified(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::of(text.parse().unwrap())
    }

    #[test]
    fn neighbours_share_a_prefix_and_strangers_do_not() {
        assert_eq!(prefix("192.0.2.1"), prefix("192.0.2.254"));
        assert_eq!(prefix("192.0.2.1"), prefix("::ffff:192.0.2.9"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.3.1"));
        assert_eq!(prefix("2001:db8:0:1::1"), prefix("2001:db8:0:ff::2"));
        assert_ne!(prefix("2001:db8:0:1::1"), prefix("2001:db8:0:100::1"));
        assert!(prefix("127.0.0.1").is_loopback() && prefix("::1").is_loopback());
        assert!(!prefix("192.0.2.1").is_loopback() && !prefix("2001:db8::1").is_loopback());
    }
}
