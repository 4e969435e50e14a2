//! What stands in the place of discovery over NATS in a build without the cargo feature `cluster`.

use std::{convert::Infallible, fmt, io, str::FromStr};

use super::Directory;

/// NATS servers, of which this build knows none.
#[derive(Debug, Clone)]
pub struct NatsServers(Infallible);

/// Why a text names no NATS servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this p2p was built without clusters (the cargo feature `cluster`)")]
pub struct NatsServersError;

/// Discovery, which this build cannot do.
#[derive(Debug)]
pub struct Discovery(Infallible);

impl NatsServers {
    /// The same servers.
    #[must_use]
    pub fn with_tls_from_env(self) -> Self {
        self
    }
}

impl FromStr for NatsServers {
    type Err = NatsServersError;

    fn from_str(_: &str) -> Result<Self, NatsServersError> {
        Err(NatsServersError)
    }
}

impl fmt::Display for NatsServers {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl Discovery {
    /// Cannot be called: there are no servers.
    ///
    /// # Errors
    /// Never.
    pub fn start(_: Directory, servers: NatsServers) -> io::Result<Self> {
        match servers.0 {}
    }
}
