//! What concerns a room and who is in it: `p2p join`, `room`, `peers`, `id`, `invite`, `trust`

use clap::{Args, Subcommand};

use super::value::InviteText;
use crate::{
    home::RoomName,
    protocol::{PeerId, PeerName},
};

/// `p2p join`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p join 'p2p://host:4433/…#…'     quotes, since the shell reads # and &
  p2p join - --name alice             asks for the invite; others will see alice
  p2p join - --room work              a second room, by the name of work
  pass show relay | p2p join -        the secret appears in no process list")]
pub struct JoinArgs {
    /// The invite; `-` asks for it, or reads a line from standard input: no process list shows it.
    #[arg(value_name = "INVITE")]
    pub invite: InviteText,
    /// The name that others see, from now on [default: the host name].
    #[arg(long)]
    pub name: Option<PeerName>,
}

/// `p2p rooms`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p rooms                           every room, and which is the default
  p2p --room work send --to bob a.txt
                                      in another room, once
  p2p rooms --default work            from now on")]
pub struct RoomsArgs {
    /// Use this room where none is named.
    #[arg(long, value_name = "NAME", conflicts_with = "forget")]
    pub default: Option<RoomName>,
    /// Forget this room.
    #[arg(long, value_name = "NAME")]
    pub forget: Option<RoomName>,
}

/// `p2p room`
#[derive(Debug, Subcommand)]
pub enum RoomCommand {
    /// Make a room on this machine: prints its invite, and the room ID for `p2p server --admit`
    #[command(after_help = "\
Examples:
  p2p room new relay.example.org:4433/FINGERPRINT
                                      the relay's host, port and fingerprint: its invite up to the #
  p2p room new --lan                  a room without a relay: members find each other on their LAN")]
    New {
        /// The relay, or any invite of it.
        #[arg(
            value_name = "HOST:PORT/RELAY-FINGERPRINT",
            required_unless_present = "lan"
        )]
        relay: Option<InviteText>,
        /// Without a relay: members find each other on their LAN.
        #[arg(long, conflicts_with = "relay")]
        lan: bool,
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
    /// Keep running, and print every change.
    #[arg(long)]
    pub watch: bool,
}

/// `p2p id`
#[derive(Debug, Args)]
pub struct IdArgs {
    /// Set this machine's name.
    #[arg(long)]
    pub name: Option<PeerName>,
    /// Print a QR code as well.
    #[arg(long)]
    pub qr: bool,
}

/// `p2p invite`
#[derive(Debug, Args)]
pub struct QrArgs {
    /// Print a QR code as well.
    #[arg(long)]
    pub qr: bool,
}

/// `p2p trust`
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// List known peers, whom of them you trust, and why
    #[command(after_help = "\
Examples:
  p2p trust ls                        name, trusted or not, since when, ID
  p2p --json trust ls | jq -r .id     for scripts")]
    Ls,
    /// Trust a peer under this name, whoever had the name before
    #[command(after_help = "\
Examples:
  p2p trust add alice k7m2qx-…        her whole ID, as `p2p id` prints it on her machine")]
    Add {
        /// The name.
        name: PeerName,
        /// The peer's whole ID.
        id: PeerId,
    },
    /// Forget a name
    #[command(after_help = "\
Examples:
  p2p trust rm alice                  the next peer of that name counts as new")]
    Rm {
        /// The name.
        name: PeerName,
    },
}
