//! Where a relay is, and how to know that it is that relay.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use crate::protocol::{IdError, PeerId};

/// A host and a port, as a person writes them: `relay.example:4433`, `[::1]:4433`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// Why a text is no host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostPortError {
    /// The host is empty, too long, or has characters that no host has.
    #[error("expected a host name or an IP address (IPv6 in brackets)")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("expected a port from 1 to 65535")]
    Port,
    /// More places are named than a cluster of relays has.
    #[error("expected at most 16 addresses of one relay")]
    TooMany,
}

/// A relay: where it is and whose key it must show. Text: `HOST:PORT/FINGERPRINT`.
///
/// A cluster of relays with one key is at several places: `HOST:PORT,HOST:PORT/FINGERPRINT`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelayAddress {
    /// Where it is.
    pub at: HostPort,
    /// Where it is besides: other relays of its cluster. At most [`RelayAddress::OTHERS_MAX`] are read.
    pub others: Vec<HostPort>,
    /// The key that it must show.
    pub fingerprint: PeerId,
}

/// Why a text is no relay address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayAddressError {
    /// No `/` follows the port.
    #[error("expected HOST:PORT/RELAY-FINGERPRINT, got no fingerprint")]
    NoFingerprint,
    /// What precedes the `/` is no host and port.
    #[error("the relay's address: {0}")]
    At(#[from] HostPortError),
    /// What follows the `/` is no fingerprint.
    #[error("the relay's fingerprint: {0}")]
    Fingerprint(#[from] IdError),
}

impl HostPort {
    /// Puts together a host (a name, or an IP address without brackets) and a port.
    ///
    /// # Errors
    /// When the host is none.
    pub fn new(host: &str, port: u16) -> Result<Self, HostPortError> {
        if port == 0 {
            return Err(HostPortError::Port);
        }
        let valid = match host.contains(':') {
            true => is_ipv6(host),
            false => is_host_name(host),
        };
        if !valid {
            return Err(HostPortError::Host);
        }
        // The names of interfaces, which a scope may hold, tell cases apart.
        let host = match host.split_once('%') {
            Some((address, scope)) => format!("{}%{scope}", address.to_ascii_lowercase()),
            None => host.to_ascii_lowercase(),
        };
        Ok(Self { host, port })
    }

    /// The host: a name, or an IP address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(HostPortError::Host)?;
                if !host.contains(':') {
                    return Err(HostPortError::Host);
                }
                match rest {
                    "" => (host, None),
                    _ => (
                        host,
                        Some(rest.strip_prefix(':').ok_or(HostPortError::Port)?),
                    ),
                }
            }
            None => match text.split_once(':') {
                // Two colons without brackets: where the address ends cannot be told.
                Some((_, port)) if port.contains(':') => return Err(HostPortError::Host),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            None => DEFAULT_PORT,
            // `u16::from_str` takes a sign.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| HostPortError::Port)?
            }
            Some(_) => return Err(HostPortError::Port),
        };
        Self::new(host, port)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl RelayAddress {
    /// How many further places a text may name.
    pub const OTHERS_MAX: usize = 15;

    /// A relay at one place.
    #[must_use]
    pub const fn new(at: HostPort, fingerprint: PeerId) -> Self {
        Self {
            at,
            others: Vec::new(),
            fingerprint,
        }
    }

    /// The places of a text, and whose key is to be shown there.
    pub(super) fn parse(places: &str, fingerprint: PeerId) -> Result<Self, HostPortError> {
        let mut places = places.split(',').map(HostPort::from_str);
        let at = places.next().unwrap_or(Err(HostPortError::Host))?;
        let mut others: Vec<HostPort> = Vec::new();
        for place in places {
            let place = place?;
            if place != at && !others.contains(&place) {
                others.push(place);
            }
        }
        match others.len() <= Self::OTHERS_MAX {
            true => Ok(Self {
                at,
                others,
                fingerprint,
            }),
            false => Err(HostPortError::TooMany),
        }
    }

    /// Every place where it is.
    pub fn places(&self) -> impl Iterator<Item = &HostPort> {
        std::iter::once(&self.at).chain(&self.others)
    }
}

impl FromStr for RelayAddress {
    type Err = RelayAddressError;

    fn from_str(text: &str) -> Result<Self, RelayAddressError> {
        let (at, fingerprint) = text
            .trim()
            .split_once('/')
            .ok_or(RelayAddressError::NoFingerprint)?;
        if fingerprint.is_empty() {
            return Err(RelayAddressError::NoFingerprint);
        }
        Ok(Self::parse(at, fingerprint.parse()?)?)
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at)?;
        for other in &self.others {
            write!(f, ",{other}")?;
        }
        write!(f, "/{}", self.fingerprint)
    }
}

/// An IPv6 address; a link-local one may name its scope, as in `fe80::1%eth0` (RFC 4007, section 11).
fn is_ipv6(host: &str) -> bool {
    let Some((address, scope)) = host.split_once('%') else {
        return host.parse::<Ipv6Addr>().is_ok();
    };
    // The names that Linux gives to interfaces have at most 15 bytes.
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=15).contains(&scope.len())
        && scope.bytes().all(plain)
        && address
            .parse::<Ipv6Addr>()
            .is_ok_and(|ip| ip.is_unicast_link_local())
}

/// A name that the resolver may be asked for (RFC 1123, section 2.1, and underscores).
fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

/// The port of a relay where none is given.
pub const DEFAULT_PORT: u16 = 4433;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_written() {
        for (text, canonical) in [
            ("relay.example:4433", "relay.example:4433"),
            ("Relay.Example", "relay.example:4433"),
            ("192.0.2.7:1", "192.0.2.7:1"),
            ("[2001:db8::1]:65535", "[2001:db8::1]:65535"),
            ("[::1]", "[::1]:4433"),
            ("[FE80::1%Eth0.7]:9", "[fe80::1%Eth0.7]:9"),
            ("my_host-2.", "my_host-2.:4433"),
        ] {
            let parsed: HostPort = text.parse().unwrap();
            assert_eq!(parsed.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(parsed));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for host in [
            "",
            ":4433",
            "::1",
            "[::1",
            "[1.2.3.4]:1",
            "a b:1",
            "-a:1",
            "a..b:1",
            "a\u{1b}[2J:1",
            "é:1",
            "user@host:1",
            "[::g]:1",
            "[2001:db8::1%eth0]:1",
            "[fe80::1%]:1",
            "[fe80::1%eth0 ]:1",
            "[fe80::1%abcdefghijklmnop]:1",
        ] {
            assert_eq!(
                host.parse::<HostPort>(),
                Err(HostPortError::Host),
                "{host:?}"
            );
        }
        for port in ["a:", "a:0", "a:65536", "a:+1", "a:1x", "[::1]4433"] {
            assert_eq!(
                port.parse::<HostPort>(),
                Err(HostPortError::Port),
                "{port:?}"
            );
        }
    }

    #[test]
    fn a_relay_address_reads_back() {
        let fingerprint = PeerId::from_bytes([7; 32]);
        let text = format!("[::1]:99/{fingerprint}");
        let parsed: RelayAddress = text.parse().unwrap();
        assert_eq!(parsed.to_string(), text);
        assert_eq!(parsed.fingerprint, fingerprint);
        let cluster = format!("a,[::1]:99,a:4433,b:5/{fingerprint}");
        let parsed: RelayAddress = cluster.parse().unwrap();
        let canonical = format!("a:4433,[::1]:99,b:5/{fingerprint}");
        assert_eq!(parsed.to_string(), canonical);
        assert_eq!(parsed.places().count(), 3);
        for (bad, error) in [
            ("a,", HostPortError::Host),
            (",a", HostPortError::Host),
            ("a, b", HostPortError::Host),
            ("a,b:0", HostPortError::Port),
        ] {
            let parsed = format!("{bad}/{fingerprint}").parse::<RelayAddress>();
            assert_eq!(parsed, Err(RelayAddressError::At(error)), "{bad}");
        }
        let many: Vec<_> = (0..17).map(|i| format!("h{i}")).collect();
        let parsed = format!("{}/{fingerprint}", many.join(",")).parse::<RelayAddress>();
        assert_eq!(parsed, Err(RelayAddressError::At(HostPortError::TooMany)));
        assert_eq!(
            "host:1".parse::<RelayAddress>(),
            Err(RelayAddressError::NoFingerprint)
        );
        assert!(matches!(
            "host:1/abc".parse::<RelayAddress>(),
            Err(RelayAddressError::Fingerprint(_))
        ));
    }
}
