//! `p2p server`

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueHint};

use super::value::{parse_rate, parse_size};
use crate::{protocol::RoomId, relay::TcpListen};

/// `p2p server`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p server                              listen on port 4433, one room, print its invite
  p2p server --public relay.example.org   what the invite should call this machine
  p2p server --admit ROOM-ID              admit a room made elsewhere with `p2p room new`")]
pub struct ServerArgs {
    /// Address to listen on; port 0 picks one.
    #[arg(long, value_name = "ADDR", default_value = "[::]:4433")]
    pub bind: SocketAddr,
    /// Where to listen on TCP, for peers whose network blocks UDP; `off` for nowhere [default: the
    /// same address and port, where it is free].
    #[arg(long, value_name = "ADDR")]
    pub tcp: Option<TcpListen>,
    /// What the invite calls this machine: a name or address that peers can reach.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub public: Option<String>,
    /// Where the relay's key, certificate and admitted rooms are [default: inside the home].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub certs: Option<PathBuf>,
    /// Admit this room, now and after every restart.
    #[arg(long, value_name = "ROOM-ID", help_heading = "Rooms")]
    pub admit: Vec<RoomId>,
    /// Admit every room.
    #[arg(long, help_heading = "Rooms")]
    pub open: bool,
    /// Connections at once.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1024,
        help_heading = "Limits"
    )]
    pub max_peers: usize,
    /// Where recipients that fall behind are served from [default: the system's temporary directory].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Limits")]
    pub spool: Option<PathBuf>,
    /// Bytes on disk for recipients that fall behind.
    #[arg(long, value_name = "SIZE", default_value = "1Gi", value_parser = parse_size, help_heading = "Limits")]
    pub spool_limit: u64,
    /// Bytes of content in memory.
    #[arg(long, value_name = "SIZE", default_value = "32Mi", value_parser = parse_size, help_heading = "Limits")]
    pub memory_limit: u64,
    /// Bytes a second that each peer may send.
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Limits")]
    pub limit: Option<u64>,
    /// Threads that encrypt, decrypt and send [default: 1].
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub threads: Option<std::num::NonZeroUsize>,
}
