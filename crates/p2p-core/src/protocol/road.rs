//! The roads by which packets travel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How packets reach the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Road {
    /// Through the relay, over UDP.
    Relay,
    /// Through the relay, over TCP.
    Tcp,
    /// From peer to peer.
    Direct,
    /// From peer to peer within one local network.
    Lan,
}

impl Road {
    /// Its name in events and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Tcp => "tcp",
            Self::Direct => "direct",
            Self::Lan => "lan",
        }
    }
}

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
