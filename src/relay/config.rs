//! What a relay is told at its start.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    num::NonZeroUsize,
    path::PathBuf,
    str::FromStr,
    sync::Arc,
};

use super::{Admission, Budget, ClusterConfig, Hook, Limits};
use crate::quic::Tuning;

/// What a relay is told at its start.
#[derive(Debug)]
pub struct RelayConfig {
    /// Where to listen; port 0 picks one.
    pub bind: SocketAddr,
    /// Where to listen on TCP.
    pub tcp: TcpListen,
    /// A UDP socket that is bound already; then `bind` does not count.
    pub udp_socket: Option<UdpSocket>,
    /// A TCP socket that listens already; then `tcp` does not count.
    pub tcp_socket: Option<TcpListener>,
    /// Which rooms may use it.
    pub admission: Admission,
    /// What peers, rooms and networks may have; may change later.
    pub limits: Limits,
    /// Bytes of content in memory, over all files.
    pub memory_limit: u64,
    /// Bytes of content on disk for recipients that fall behind, over all files.
    pub spool_limit: u64,
    /// Files that may be open for that at once.
    pub spool_files: u64,
    /// Where that is; nothing stays there.
    pub spool: PathBuf,
    /// Transport parameters.
    pub tuning: Tuning,
    /// Threads that encrypt, decrypt and send.
    pub threads: NonZeroUsize,
    /// Whether peers may find direct connections by way of this relay.
    pub direct: bool,
    /// How it is part of a cluster; nothing where it is alone.
    pub cluster: Option<ClusterConfig>,
    /// Watches or corrupts; for tests.
    pub hook: Option<Arc<dyn Hook>>,
}

impl RelayConfig {
    /// The default limits: 1,024 peers, 64 MiB of memory, 1 GiB of spool.
    #[must_use]
    pub fn new(bind: SocketAddr, admission: Admission) -> Self {
        Self {
            bind,
            tcp: TcpListen::default(),
            udp_socket: None,
            tcp_socket: None,
            admission,
            limits: Limits {
                max_peers: DEFAULT_MAX_PEERS,
                ..Limits::default()
            },
            memory_limit: Budget::MEMORY_LIMIT,
            spool_limit: 1 << 30,
            spool_files: u64::MAX,
            spool: std::env::temp_dir(),
            tuning: Tuning::default(),
            threads: NonZeroUsize::MIN,
            direct: true,
            cluster: None,
            hook: None,
        }
    }
}

/// Connections of admitted peers at once, where nobody says how many.
pub const DEFAULT_MAX_PEERS: usize = 1024;

/// Where a relay listens on TCP, for peers whose network blocks UDP.
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
