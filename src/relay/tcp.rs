//! Where a relay listens on TCP, for peers whose network blocks UDP.

use std::{net::SocketAddr, str::FromStr};

/// Where a relay listens on TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TcpListen {
    /// On the address and port of UDP; without TCP, where somebody else has that port.
    #[default]
    SameAsUdp,
    /// Here, or the relay does not start.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

/// Why a text is no [`TcpListen`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an address and a port, such as [::]:443, or off")]
pub struct TcpListenError;

impl FromStr for TcpListen {
    type Err = TcpListenError;

    fn from_str(text: &str) -> Result<Self, TcpListenError> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|_| TcpListenError),
        }
    }
}
