//! Where NATS is, and how to connect to it.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use async_nats::{ConnectOptions, ServerAddr};

/// One NATS server or several of one cluster: `nats://a:4222,nats://b:4222`, `tls://` with TLS.
///
/// A user and password may stand in the first. `Debug` and every error leave them out.
#[derive(Clone)]
pub struct NatsServers {
    /// Without what stands before their hosts: the client logs them.
    addresses: Vec<ServerAddr>,
    access: Option<Access>,
    tls: Tls,
}

/// What NATS is to know of whoever connects.
#[derive(Clone)]
enum Access {
    Password(String, String),
    Token(String),
}

/// The files of mutual TLS, named by the variables that other programs for NATS read.
#[derive(Debug, Clone, Default)]
struct Tls {
    ca: Option<PathBuf>,
    certificate: Option<(PathBuf, PathBuf)>,
}

/// Why a text names no NATS servers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatsServersError {
    /// A part of it is no address.
    #[error("expected nats://HOST:PORT or tls://HOST:PORT, several of them with commas between")]
    Address,
    /// There are too many.
    #[error("at most {MAX} NATS servers")]
    TooMany,
}

impl NatsServers {
    /// The same, with the files that `NATS_CA`, `NATS_CERT` and `NATS_KEY` name for TLS.
    #[must_use]
    pub fn with_tls_from_env(mut self) -> Self {
        let file = |name| std::env::var_os(name).filter(|it| !it.is_empty());
        let file = |name| file(name).map(PathBuf::from);
        self.tls = Tls {
            ca: file("NATS_CA"),
            certificate: file("NATS_CERT").zip(file("NATS_KEY")),
        };
        self
    }

    pub(super) fn addresses(&self) -> Vec<ServerAddr> {
        self.addresses.clone()
    }

    pub(super) fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .name("p2p")
            .no_echo()
            .retry_on_initial_connect()
            .max_reconnects(None)
            .connection_timeout(CONNECT_LIMIT)
            .ping_interval(PING)
            .reconnect_delay_callback(|attempts| match attempts {
                0 | 1 => Duration::ZERO,
                _ => RECONNECT,
            })
            .subscription_capacity(QUEUE);
        options = match self.access.clone() {
            Some(Access::Password(user, password)) => options.user_and_password(user, password),
            Some(Access::Token(token)) => options.token(token),
            None => options,
        };
        if let Some(ca) = &self.tls.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &self.tls.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        options
    }
}

impl FromStr for NatsServers {
    type Err = NatsServersError;

    fn from_str(text: &str) -> Result<Self, NatsServersError> {
        let mut addresses = Vec::new();
        let mut access = None;
        for part in text.split(',') {
            let part = part.trim();
            if !(part.starts_with("nats://") || part.starts_with("tls://")) {
                return Err(NatsServersError::Address);
            }
            let address: ServerAddr = part.parse().map_err(|_| NatsServersError::Address)?;
            if address.host().is_empty() {
                return Err(NatsServersError::Address);
            }
            if addresses.is_empty() {
                access = match (address.username(), address.password()) {
                    (Some(user), Some(password)) => {
                        Some(Access::Password(user.into(), password.into()))
                    }
                    (Some(token), None) => Some(Access::Token(token.into())),
                    (None, _) => None,
                };
            }
            addresses.push(without_access(part)?);
        }
        match addresses.len() <= MAX {
            true => Ok(Self {
                addresses,
                access,
                tls: Tls::default(),
            }),
            false => Err(NatsServersError::TooMany),
        }
    }
}

/// The same address without a user and password.
fn without_access(part: &str) -> Result<ServerAddr, NatsServersError> {
    let bare = part.split_once("://").map(|(scheme, rest)| {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit('@').next().unwrap_or(authority);
        format!("{scheme}://{host}{path}")
    });
    let bare = bare.ok_or(NatsServersError::Address)?;
    bare.parse().map_err(|_| NatsServersError::Address)
}

impl fmt::Display for NatsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, address) in self.addresses.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}:{}", address.host(), address.port())?;
        }
        Ok(())
    }
}

impl fmt::Debug for NatsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsServers({self})")
    }
}

/// More than any cluster of NATS has.
const MAX: usize = 16;
/// From the first packet to NATS to its answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Between two attempts: discovery is to be back within two seconds of NATS.
const RECONNECT: Duration = Duration::from_millis(400);
/// How often NATS is asked whether it is there; two questions without an answer end the connection.
const PING: Duration = Duration::from_secs(5);
/// Messages of one subscription that may wait; more are dropped, and everything is asked again. NATS
/// lets no client send more than 1 MiB in one.
const QUEUE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_urls_and_shown_without_their_passwords() {
        let one: NatsServers = "nats://user:secret@127.0.0.1:4222".parse().unwrap();
        assert_eq!(format!("{one} {one:?}").matches("secret").count(), 0);
        assert_eq!(one.to_string(), "127.0.0.1:4222");
        // The client logs them at the level debug.
        assert!(!format!("{:?}", one.addresses()).contains("secret"));
        let odd: NatsServers = "nats://u:p%40ss@[::1]:4222/".parse().unwrap();
        assert_eq!(odd.addresses()[0].port(), 4222);
        assert!(odd.addresses()[0].password().is_none());
        let two: NatsServers = "nats://a,tls://b:5".parse().unwrap();
        assert_eq!(two.to_string(), "a:4222, b:5");
        for bad in [
            "",
            "a:4222",
            "http://a",
            "nats://",
            "nats://a,",
            "nats://a:x",
        ] {
            let error = bad.parse::<NatsServers>().unwrap_err();
            assert_eq!(error, NatsServersError::Address, "{bad}");
        }
        let many = vec!["nats://a"; MAX + 1].join(",");
        let error = many.parse::<NatsServers>().unwrap_err();
        assert_eq!(error, NatsServersError::TooMany);
    }
}
