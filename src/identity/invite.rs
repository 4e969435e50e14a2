//! All that a newcomer needs, in one string.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use zeroize::Zeroizing;

use super::{
    HostPort, HostPortError, PrivateFileError, RelayAddress, RoomSecret, RoomSecretError,
    private_file,
};
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
    #[error("the invite has no room secret: it is cut off before the #")]
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

/// Why a saved invite cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InviteFileError {
    /// The file cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file holds no invite.
    #[error("{} holds no invite", path.display())]
    Invite {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InviteError,
    },
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

    /// Saves the invite in a private file (mode 0600), in the place of an earlier one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), InviteFileError> {
        let line = Zeroizing::new(format!("{self}\n"));
        Ok(private_file::replace(path, line.as_bytes())?)
    }

    /// Reads a saved invite; `None` when none is saved.
    ///
    /// # Errors
    /// A file that others may read, or that holds no invite, is refused.
    pub fn load(path: &Path) -> Result<Option<Self>, InviteFileError> {
        let Some(text) = private_file::read(path, INVITE_FILE_MAX)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(invite) => Ok(Some(invite)),
            Err(source) => Err(InviteFileError::Invite {
                path: path.to_owned(),
                source,
            }),
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

/// A host name of 253 characters, a fingerprint and a secret, with room for dashes.
const INVITE_FILE_MAX: u64 = 1024;

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

    #[test]
    fn a_saved_invite_reads_back_and_an_exposed_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("invite");
        assert!(Invite::load(&path).unwrap().is_none());
        invite().save(&path).unwrap();
        assert_eq!(Invite::load(&path).unwrap(), Some(invite()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(
                Invite::load(&path),
                Err(InviteFileError::File(PrivateFileError::Exposed { .. }))
            ));
        }
        private_file::replace(&path, b"nonsense").unwrap();
        let error = Invite::load(&path).unwrap_err();
        assert!(matches!(error, InviteFileError::Invite { .. }));
    }
}
