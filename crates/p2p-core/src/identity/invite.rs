//! All that a newcomer needs, in one string.

use std::{fmt, str::FromStr};

use super::{HostPort, HostPortError, RelayAddress, RoomSecret, RoomSecretError};
use crate::protocol::{IdError, PeerId};

/// A relay, the key that it must show, and a room on it.
///
/// Text: `p2p://HOST:PORT/RELAY-FINGERPRINT#ROOM-SECRET`. `Display` writes the secret, since that
/// is what an invite is for; `Debug` and every error leave it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// Where the relay is.
    pub relay: HostPort,
    /// The key that the relay must show.
    pub fingerprint: PeerId,
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
    /// The relay alone, without the room.
    #[must_use]
    pub fn relay_address(&self) -> RelayAddress {
        RelayAddress {
            at: self.relay.clone(),
            fingerprint: self.fingerprint,
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
        if fingerprint.is_empty() {
            return Err(InviteError::NoFingerprint);
        }
        if secret.is_empty() {
            return Err(InviteError::NoSecret);
        }
        Ok(Self {
            relay: relay.parse()?,
            fingerprint: fingerprint.parse()?,
            secret: secret.parse()?,
        })
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.reveal();
        write!(
            f,
            "{SCHEME}{}/{}#{}",
            self.relay,
            self.fingerprint,
            secret.as_str()
        )
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite({}, ..)", self.relay_address())
    }
}

const SCHEME: &str = "p2p://";

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite {
            relay: "[::1]:99".parse().unwrap(),
            fingerprint: PeerId::from_bytes([7; 32]),
            secret: RoomSecret::from_bytes([9; 16]),
        }
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
        assert_eq!(default_port.relay.port(), 4433);
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
