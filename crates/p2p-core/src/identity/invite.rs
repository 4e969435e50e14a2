//! All that a newcomer needs, in one string.

use std::{fmt, str::FromStr};

use super::{HostPort, HostPortError, RelayAddress, RoomSecret, RoomSecretError};
use crate::protocol::{IdError, PeerId};

/// A room, and the relay on which it is, if it is on one.
///
/// Text: `p2p://HOST:PORT/RELAY-FINGERPRINT#ROOM-SECRET` (several places of a cluster of relays with commas
/// between: `p2p://HOST,HOST:PORT/…`), or `p2p://lan#ROOM-SECRET` for a room
/// whose members find each other on their LAN. `Display` writes the secret, since that is what an
/// invite is for; `Debug` and every error leave it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// Where the relay is, and the key that it must show; `None` for a room without one.
    pub relay: Option<RelayAddress>,
    /// The room.
    pub secret: RoomSecret,
}

/// Why a text is no invite. Says nothing of the secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// The text does not begin with `p2p://`.
    #[error("an invite begins with p2p://")]
    Scheme,
    /// No `/` and fingerprint follow the port.
    #[error("the invite has no relay fingerprint (p2p://HOST:PORT/RELAY-FINGERPRINT#ROOM-SECRET)")]
    NoFingerprint,
    /// No `#` and secret follow the fingerprint.
    #[error("the invite has no room secret: it ends before the #, where a shell may have cut it")]
    NoSecret,
    /// The host or the port is none.
    #[error("the invite's relay address: {0}")]
    Relay(#[from] HostPortError),
    /// The fingerprint is none.
    #[error("the invite's relay fingerprint: {0}")]
    Fingerprint(#[from] IdError),
    /// The secret is none.
    #[error("the invite: {0}")]
    Secret(#[from] RoomSecretError),
}

impl Invite {
    /// To a room on a relay.
    #[must_use]
    pub const fn new(at: HostPort, fingerprint: PeerId, secret: RoomSecret) -> Self {
        Self {
            relay: Some(RelayAddress::new(at, fingerprint)),
            secret,
        }
    }

    /// To a room without a relay.
    #[must_use]
    pub const fn lan(secret: RoomSecret) -> Self {
        Self {
            relay: None,
            secret,
        }
    }

    /// Where the room is, for people: the relay's host and port, or `lan`.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.relay {
            Some(relay) => relay.at.to_string(),
            None => LAN.to_owned(),
        }
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        let rest = match text.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(InviteError::Scheme),
        };
        let (clear, secret) = rest.split_once('#').unwrap_or((rest, ""));
        let (relay, fingerprint) = clear.split_once('/').unwrap_or((clear, ""));
        let is_lan = fingerprint.is_empty() && relay.eq_ignore_ascii_case(LAN);
        if fingerprint.is_empty() && !is_lan {
            return Err(InviteError::NoFingerprint);
        }
        if secret.is_empty() {
            return Err(InviteError::NoSecret);
        }
        let relay = match is_lan {
            true => None,
            false => Some(RelayAddress::parse(relay, fingerprint.parse()?)?),
        };
        let secret = secret.parse()?;
        Ok(Self { relay, secret })
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.reveal();
        match &self.relay {
            Some(relay) => write!(f, "{SCHEME}{relay}#{}", secret.as_str()),
            None => write!(f, "{SCHEME}{LAN}#{}", secret.as_str()),
        }
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.relay {
            Some(relay) => write!(f, "Invite({relay}, ..)"),
            None => write!(f, "Invite({LAN}, ..)"),
        }
    }
}

const SCHEME: &str = "p2p://";
/// What stands in the place of a relay where there is none.
const LAN: &str = "lan";

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite::new(
            "[::1]:99".parse().unwrap(),
            PeerId::from_bytes([7; 32]),
            RoomSecret::from_bytes([9; 16]),
        )
    }

    #[test]
    fn an_invite_reads_back_in_every_form_a_person_may_type() {
        let text = invite().to_string();
        assert!(text.starts_with("p2p://[::1]:99/"));
        for form in [
            text.clone(),
            text.to_uppercase(),
            text.replace('-', ""),
            format!("  {text}\r\n"),
        ] {
            assert_eq!(form.parse(), Ok(invite()), "{form}");
        }
        let default_port = text.replace("[::1]:99", "host").parse::<Invite>().unwrap();
        assert_eq!(default_port.relay.unwrap().at.port(), 4433);
    }

    #[test]
    fn an_invite_may_name_several_relays_of_a_cluster() {
        let text = invite().to_string().replace("[::1]:99", "a,[::1]:99,b:5");
        let parsed: Invite = text.to_uppercase().parse().unwrap();
        let places = parsed.relay.as_ref().unwrap().places();
        let places: Vec<_> = places.map(ToString::to_string).collect();
        assert_eq!(places, ["a:4433", "[::1]:99", "b:5"]);
        assert_eq!(parsed.place(), "a:4433");
        let canonical = text.replace("a,", "a:4433,");
        assert_eq!(parsed.to_string(), canonical);
        assert_eq!(canonical.parse(), Ok(parsed));
    }

    #[test]
    fn an_invite_to_a_room_without_a_relay_reads_back_and_a_relay_may_be_called_lan() {
        let lan = Invite::lan(RoomSecret::from_bytes([9; 16]));
        let text = lan.to_string();
        assert!(text.starts_with("p2p://lan#"));
        for form in [&text, &text.to_uppercase(), &text.replace("lan#", "lan/#")] {
            assert_eq!(form.parse(), Ok(lan.clone()), "{form}");
        }
        assert_eq!(lan.place(), "lan");
        assert_eq!(format!("{lan:?}"), "Invite(lan, ..)");
        let named = invite().to_string().replace("[::1]:99", "lan");
        assert_eq!(named.parse::<Invite>().unwrap().place(), "lan:4433");
        assert_eq!("p2p://lan".parse::<Invite>(), Err(InviteError::NoSecret));
        let with_port = text.replace("lan#", "lan:4433#");
        assert_eq!(with_port.parse::<Invite>(), Err(InviteError::NoFingerprint));
    }

    #[test]
    fn what_is_no_invite_is_refused_with_the_reason_and_without_the_secret() {
        let text = invite().to_string();
        let (clear, secret) = text.split_once('#').unwrap();
        for (bad, expected) in [
            (String::new(), InviteError::Scheme),
            (text.replace("p2p:", "http:"), InviteError::Scheme),
            ("é2p://".to_owned(), InviteError::Scheme),
            ("p2p://host:1".to_owned(), InviteError::NoFingerprint),
            (format!("p2p://host:1#{secret}"), InviteError::NoFingerprint),
            (clear.to_owned(), InviteError::NoSecret),
            (format!("{clear}#"), InviteError::NoSecret),
            (
                text.replace("99", "0"),
                InviteError::Relay(HostPortError::Port),
            ),
            (
                format!("{text}x"),
                InviteError::Secret(RoomSecretError::Length { got: 29 }),
            ),
        ] {
            let error = bad.parse::<Invite>().unwrap_err();
            assert_eq!(error, expected, "{bad}");
            assert!(!format!("{error} {error:?}").contains(&secret[..6]));
        }
        assert!(!format!("{:?}", invite()).contains(&secret[..6]));
    }
}
