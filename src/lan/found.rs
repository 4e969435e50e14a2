//! Listeners that were found, and what is believed of what is heard.

use std::{
    net::{IpAddr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD};

use crate::{
    identity::{AnnouncedAt, Announcement, Identity, LanKey},
    protocol::PeerId,
};

/// The type of service (RFC 6763, section 7).
pub(super) const SERVICE: &str = "_p2p._udp.local.";
/// The TXT record's key for the sealed announcement.
pub(super) const SEALED: &str = "a";
/// The TXT record's key for the version of the announcement.
pub(super) const VERSION: &str = "v";
/// The version of the announcement.
pub(super) const VERSION_NOW: &str = "1";

/// Addresses of one listener that are tried at the most.
const ADDRESSES_MAX: usize = 8;
/// Ports below are those of services, which no listener's socket has by chance.
const PORT_MIN: u16 = 1024;
/// Characters of an instance's name: 16 bytes in base32.
const INSTANCE_LEN: usize = 26;

/// A listener of the room on this LAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Who, and the key of its relay.
    pub announcement: Announcement,
    /// Where its relay is said to be: nobody vouches for that, so the key has to be checked.
    pub addresses: Vec<SocketAddr>,
}

/// A service as it was heard of.
#[derive(Debug, Clone)]
pub(super) struct Heard<'a> {
    /// The whole name.
    pub(super) name: &'a str,
    pub(super) port: u16,
    /// The TXT record's values.
    pub(super) version: Option<&'a [u8]>,
    pub(super) sealed: Option<&'a [u8]>,
    /// In any order; a link-local one of IPv6 with its scope.
    pub(super) addresses: Vec<SocketAddr>,
}

/// A fresh name for an instance.
pub(super) fn new_instance() -> String {
    let mut bytes = [0; 16];
    p2p_core::crypto::random(&mut bytes);
    let mut name = BASE32_NOPAD.encode(&bytes);
    name.make_ascii_lowercase();
    name
}

/// The text that an announcement travels as.
pub(super) fn seal(me: &Identity, relay: PeerId, key: &LanKey, at: &AnnouncedAt<'_>) -> String {
    BASE64_NOPAD.encode(&Announcement::seal(me, relay, key, at))
}

/// The hour since 1970, in which announcements hold.
pub(super) fn hour_of(unix: u64) -> u64 {
    unix / 3600
}

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map(|since| since.as_secs()).unwrap_or_default()
}

impl Heard<'_> {
    /// The listener, if a member of the room has announced it within the hour; clocks may be an hour
    /// apart.
    pub(super) fn judge(self, key: &LanKey, unix: u64) -> Option<Found> {
        let instance = self.name.strip_suffix(SERVICE)?.strip_suffix('.')?;
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if instance.len() != INSTANCE_LEN
            || !instance.bytes().all(is_plain)
            || self.version? != VERSION_NOW.as_bytes()
            || self.port < PORT_MIN
        {
            return None;
        }
        let sealed = self.sealed?;
        if sealed.len() != BASE64_NOPAD.encode_len(Announcement::SEALED_LEN) {
            return None;
        }
        let sealed = BASE64_NOPAD.decode(sealed).ok()?;
        let hour = hour_of(unix);
        let announcement = [hour, hour.saturating_sub(1), hour + 1]
            .into_iter()
            .find_map(|hour| {
                let at = AnnouncedAt {
                    instance,
                    port: self.port,
                    hour,
                };
                Announcement::open(key, &at, &sealed)
            })?;
        let addresses = in_order(self.addresses);
        (!addresses.is_empty()).then_some(Found {
            announcement,
            addresses,
        })
    }
}

/// What can be connected to, the widest scope first.
fn in_order(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut kept: Vec<SocketAddr> = Vec::new();
    let mut addresses: Vec<_> = addresses.into_iter().map(canonical).collect();
    addresses.retain(|address| may_be_tried(*address));
    // The order of what is heard is nobody's: equal sets are equal lists.
    addresses.sort_by_key(|address| (rank(address.ip()), *address));
    for address in addresses {
        if kept.len() < ADDRESSES_MAX && !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

/// An IPv4 address in an IPv6 one (RFC 4291, section 2.5.5.2), as itself; scopes are kept.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip.is_ipv4() => SocketAddr::new(ip, address.port()),
        _ => address,
    }
}

fn may_be_tried(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V4(v4) => {
            let ip = v4.ip();
            !(ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.octets()[0] >= 240)
        }
        SocketAddr::V6(v6) => {
            let ip = v6.ip();
            // A link-local address means nothing without the interface that it is on.
            !(ip.is_unspecified()
                || ip.is_multicast()
                || (ip.is_unicast_link_local() && v6.scope_id() == 0))
        }
    }
}

fn rank(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => 2,
        IpAddr::V4(ip) if ip.is_link_local() => 2,
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::RoomSecret;

    const NOW: u64 = 1_800_000_000;

    fn key() -> LanKey {
        RoomSecret::from_bytes([1; 16]).lan_key()
    }

    const RELAY: PeerId = PeerId::from_bytes([2; 32]);

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What is found of an announcement that was sealed at `unix` and then changed.
    fn judged(unix: u64, change: impl Fn(&mut String, &mut u16, &mut String)) -> Option<Found> {
        let (instance, port) = (new_instance(), 5000);
        let at = AnnouncedAt {
            instance: &instance,
            port,
            hour: hour_of(unix),
        };
        let mut sealed = seal(&Identity::generate(), RELAY, &key(), &at);
        let (mut name, mut port) = (format!("{instance}.{SERVICE}"), port);
        change(&mut name, &mut port, &mut sealed);
        let heard = Heard {
            name: &name,
            port,
            version: Some(b"1"),
            sealed: Some(sealed.as_bytes()),
            addresses: addresses(&["192.0.2.1:5000"]),
        };
        heard.judge(&key(), NOW)
    }

    #[test]
    fn a_member_is_found_whose_clock_is_less_than_an_hour_off() {
        for unix in [NOW, NOW - 3600, NOW + 3600] {
            let found = judged(unix, |_, _, _| {}).unwrap();
            assert_eq!(found.announcement.relay, RELAY);
        }
    }

    #[test]
    fn what_is_forged_or_replayed_elsewhere_or_later_is_nothing() {
        for unix in [NOW - 7200, NOW + 7200] {
            assert_eq!(judged(unix, |_, _, _| {}), None, "an older hour");
        }
        let other = new_instance();
        let elsewhere = format!("{other}.{SERVICE}");
        assert_eq!(judged(NOW, |name, _, _| name.clone_from(&elsewhere)), None);
        assert_eq!(judged(NOW, |_, port, _| *port += 1), None);
        assert_eq!(judged(NOW, |_, port, _| *port = 53), None);
        for text in ["", "AAAA", "é", &"A".repeat(123), &"A".repeat(60_000)] {
            assert_eq!(judged(NOW, |_, _, sealed| text.clone_into(sealed)), None);
        }
        for name in [
            "",
            SERVICE,
            "._p2p._udp.local.",
            "a._p2p._udp.local.",
            "x._http._tcp.local.",
            "\u{1b}[2J.._p2p._udp.local.",
        ] {
            assert_eq!(
                judged(NOW, |it, _, _| name.clone_into(it)),
                None,
                "{name:?}"
            );
        }
    }

    #[test]
    fn of_many_addresses_a_few_are_tried_and_none_that_leads_nowhere() {
        let kept = in_order(addresses(&[
            "[fe80::2%7]:5000",
            "[fe80::1]:5000",
            "[2001:db8::1]:5000",
            "[::ffff:192.0.2.1]:5000",
            "192.0.2.1:5000",
            "224.0.0.251:5000",
            "255.255.255.255:5000",
            "0.0.0.0:5000",
            "[ff02::fb]:5000",
            "[::]:5000",
            "169.254.7.7:5000",
        ]));
        let expected = addresses(&[
            "192.0.2.1:5000",
            "[2001:db8::1]:5000",
            "169.254.7.7:5000",
            "[fe80::2%7]:5000",
        ]);
        assert_eq!(kept, expected);
        let many = (0..200).map(|n| SocketAddr::from(([192, 0, 2, n], 5000)));
        assert_eq!(in_order(many.collect()).len(), ADDRESSES_MAX);
    }
}
