//! Where an end of a path can be reached.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::sealing::{PathEnd, PathKey};

/// Addresses that one end names at the most.
pub const CANDIDATES_MAX: usize = 8;

/// Bytes of a message before it is sealed: all have this length, or it would tell how many addresses a
/// machine has. Eight addresses of IPv6 and all else take 420.
const PADDED: usize = 512;

/// Ports below are those of services, which nobody's socket has by chance: a member who names one wants
/// it probed by us.
const PORT_MIN: u16 = 1024;

/// Which machines paths may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Others.
    #[default]
    Network,
    /// This one as well, by its loopback addresses: asked for by whoever runs both ends here.
    Machine,
}

/// Where one end can be reached, as it tells the other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Candidates {
    /// In the order in which they should be tried.
    pub addresses: Vec<SocketAddr>,
    /// Whether a NAT has given this end another port than its own: then it may well give out another one for
    /// each destination, so that none of the addresses leads through it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hard: bool,
}

/// Why a message from the other end is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidatesError {
    /// It is not sealed by the other end.
    #[error("not sealed by the other end of the path")]
    Seal,
    /// It has another length than every message has, or no candidates in it.
    #[error("no list of candidates")]
    Malformed,
}

impl Candidates {
    /// From addresses of this machine: those that others may reach, each once, as many as are named.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>, reach: Reach) -> Self {
        let mut kept: Vec<SocketAddr> = Vec::new();
        for address in addresses {
            let address = canonical(address);
            if is_acceptable(address, reach)
                && !kept.contains(&address)
                && kept.len() < CANDIDATES_MAX
            {
                kept.push(address);
            }
        }
        Self {
            addresses: kept,
            hard: false,
        }
    }

    /// The same, behind a NAT that changes ports or not.
    #[must_use]
    pub fn hard(self, hard: bool) -> Self {
        Self { hard, ..self }
    }

    /// Seals them for the other end.
    #[must_use]
    pub fn seal(&self, key: &PathKey, from: PathEnd) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("addresses are strings");
        debug_assert!(text.len() <= PADDED);
        // JSON ends where its bracket closes: what follows is blank.
        text.resize(PADDED, b' ');
        key.seal(from, &text)
    }

    /// Opens what the end `from` has sealed. What it may not name, or names beyond the limit, is left out.
    ///
    /// # Errors
    /// See [`CandidatesError`].
    pub fn open(
        key: &PathKey,
        from: PathEnd,
        sealed: &[u8],
        reach: Reach,
    ) -> Result<Self, CandidatesError> {
        let text = key.open(from, sealed).ok_or(CandidatesError::Seal)?;
        if text.len() != PADDED {
            return Err(CandidatesError::Malformed);
        }
        let named: Self = serde_json::from_slice(&text).map_err(|_| CandidatesError::Malformed)?;
        Ok(Self::new(named.addresses, reach).hard(named.hard))
    }
}

/// Whether an address that a member names may be probed: some machine's own, at a port of no service.
///
/// What is named by a hostile member gets at most a few dozen packets of 64 bytes, and never more than one
/// address each: no broadcast, no multicast, and nothing on this machine itself where nobody asked for that.
#[must_use]
pub fn is_acceptable(address: SocketAddr, reach: Reach) -> bool {
    if address.ip().to_canonical().is_loopback() {
        return reach == Reach::Machine && address.port() >= PORT_MIN;
    }
    let unicast = match canonical(address).ip() {
        IpAddr::V4(ip) => {
            !(ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.octets()[0] == 0
                || ip.octets()[0] >= 240)
        }
        IpAddr::V6(ip) => {
            // Link-local addresses mean nothing without this machine's own interface.
            !(ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local())
        }
    };
    unicast && address.port() >= PORT_MIN
}

/// An IPv4 address in IPv6's clothes as itself (RFC 4291, section 2.5.5.2).
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: Reach = Reach::Network;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn candidates_read_back_at_the_other_end_and_tell_nothing_by_their_length() {
        let key = PathKey::new(&[7; 32]);
        let few = Candidates::new(addresses(&["192.0.2.7:5000"]), NETWORK);
        let many = Candidates::new(
            (1..=8).map(|n| {
                let text = format!("[2001:db8:ffff:ffff:ffff:ffff:ffff:fff{n}]:65535");
                text.parse().unwrap()
            }),
            NETWORK,
        )
        .hard(true);
        assert_eq!(many.addresses.len(), CANDIDATES_MAX);
        let sealed = [&few, &many].map(|c| c.seal(&key, PathEnd::Sender));
        assert_eq!(sealed[0].len(), sealed[1].len());
        let opened = Candidates::open(&key, PathEnd::Sender, &sealed[1], NETWORK);
        assert_eq!(opened, Ok(many));
        let reflected = Candidates::open(&key, PathEnd::Recipient, &sealed[0], NETWORK);
        assert_eq!(reflected, Err(CandidatesError::Seal));
    }

    #[test]
    fn a_hostile_list_names_nobody_elses_services_and_no_crowds() {
        let key = PathKey::new(&[7; 32]);
        let hostile = Candidates {
            addresses: addresses(&[
                "192.0.2.7:53",
                "192.0.2.7:0",
                "127.0.0.1:4433",
                "[::ffff:127.0.0.1]:4433",
                "224.0.0.251:5353",
                "255.255.255.255:4433",
                "0.0.0.0:4433",
                "[ff02::fb]:5353",
                "[::1]:4433",
                "[fe80::1]:4433",
                "240.0.0.1:4433",
                "192.0.2.7:4433",
                "[::ffff:192.0.2.7]:4433",
            ]),
            hard: false,
        };
        let sealed = hostile.seal(&key, PathEnd::Recipient);
        let opened = Candidates::open(&key, PathEnd::Recipient, &sealed, NETWORK).unwrap();
        assert_eq!(opened.addresses, addresses(&["192.0.2.7:4433"]));
        // Whoever has asked for it reaches this machine, but no service of it.
        let here = |text: &str| is_acceptable(text.parse().unwrap(), Reach::Machine);
        assert!(here("127.0.0.1:4433") && here("[::ffff:127.0.0.1]:4433") && !here("[::1]:53"));
    }

    #[test]
    fn no_more_are_taken_than_may_be_named() {
        let key = PathKey::new(&[7; 32]);
        let text = serde_json::json!({"addresses": (0..9).map(|n| format!("192.0.2.{n}:4433")).collect::<Vec<_>>()});
        let mut text = serde_json::to_vec(&text).unwrap();
        text.resize(PADDED, b' ');
        let opened = Candidates::open(
            &key,
            PathEnd::Sender,
            &key.seal(PathEnd::Sender, &text),
            NETWORK,
        );
        assert_eq!(opened.unwrap().addresses.len(), CANDIDATES_MAX);
        for text in [&b"{}"[..], b"[", &[b' '; PADDED]] {
            let sealed = key.seal(PathEnd::Sender, text);
            assert_eq!(
                Candidates::open(&key, PathEnd::Sender, &sealed, NETWORK),
                Err(CandidatesError::Malformed)
            );
        }
    }
}
