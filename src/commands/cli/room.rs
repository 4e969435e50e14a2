//! What concerns a room and who is in it: `p2p join`, `room`, `peers`, `id`, `invite`, `trust`

use clap::{Args, Subcommand};

use crate::{
    commands::completions,
    identity::RelayAddress,
    protocol::{PeerId, PeerName},
};

/// `p2p join`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p join 'p2p://host:4433/…#…'     quotes, since the shell reads # and &
  pass show relay | p2p join -        the secret appears in no process list")]
pub struct JoinArgs {
    /// The invite; `-` reads it from standard input, so that no process list shows it.
    #[arg(value_name = "INVITE")]
    pub invite: String,
}

/// `p2p room`
#[derive(Debug, Subcommand)]
pub enum RoomCommand {
    /// Make a room on this machine: prints its invite, and the room ID for `p2p server --admit`
    #[command(after_help = "\
Examples:
  p2p room new relay.example.org:4433/FINGERPRINT
                                      the relay's host, port and fingerprint: its invite up to the #")]
    New {
        /// The relay.
        #[arg(value_name = "HOST:PORT/RELAY-FINGERPRINT")]
        relay: RelayAddress,
    },
}

/// `p2p peers`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p peers                           who is there now
  p2p peers --watch                   and who comes and goes
  p2p --json peers | jq -r .name      for scripts")]
pub struct PeersArgs {
    /// Stay, and tell every change.
    #[arg(long)]
    pub watch: bool,
}

/// `p2p id`, `p2p invite`
#[derive(Debug, Args)]
pub struct QrArgs {
    /// As a QR code too.
    #[arg(long)]
    pub qr: bool,
}

/// `p2p trust`
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// List known peers
    #[command(after_help = "\
Examples:
  p2p trust ls                        name, ID, since when
  p2p --json trust ls | jq -r .id     for scripts")]
    Ls,
    /// Trust this name to be this peer, also where it was another
    #[command(after_help = "\
Examples:
  p2p trust add alice k7m2qx-…        her whole ID, as `p2p id` prints it on her machine")]
    Add {
        /// The name.
        #[arg(add = clap_complete::ArgValueCompleter::new(completions::complete_known))]
        name: PeerName,
        /// The peer's whole ID.
        id: PeerId,
    },
    /// Forget a name
    #[command(after_help = "\
Examples:
  p2p trust rm alice                  the next peer of that name is a new acquaintance")]
    Rm {
        /// The name.
        #[arg(add = clap_complete::ArgValueCompleter::new(completions::complete_known))]
        name: PeerName,
    },
}
