//! The command line as it is parsed.

mod listen;
mod room;
mod send;
mod server;
mod show;
mod value;

pub use value::{CommandLine, InviteText};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use self::value::any_path;
pub use self::{
    listen::{Accept, ConflictArg, ListenArgs, NamesArg},
    room::{IdArgs, JoinArgs, PeersArgs, QrArgs, RoomCommand, RoomsArgs, TrustCommand},
    send::{BroadcastArgs, Compress, SendArgs, WhatArgs},
    server::{LogFormat, RoomSettings, ServerArgs, ServerCommand, ServerSettings, StatusArgs},
    show::{DemoArgs, ShowArgs},
};
use crate::{direct::Policy, home::RoomName};

/// Send files to machines you know, by name, through a relay you own and need not trust.
#[derive(Debug, Parser)]
#[command(name = "p2p", version, max_term_width = 100, subcommand_required = false, after_help = EXAMPLES)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do; nothing opens the menu.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  p2p server                          a relay, once, anywhere; prints the invite
  p2p join 'p2p://host:4433/…#…'      on every machine: which relay and room
  p2p listen --name alice             wait for files here
  p2p send --to alice report.csv      to one
  p2p broadcast dataset.tar           to all
  tar c . | p2p send --to alice --name backup.tar -";

/// What applies to every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Directory of all state: key, invite, known peers, unfinished transfers.
    #[arg(long, global = true, value_name = "DIR", env = "P2P_HOME", value_hint = ValueHint::DirPath, value_parser = any_path())]
    pub home: Option<PathBuf>,
    /// Use this room, by its name in `p2p rooms`, instead of the default one.
    #[arg(long, global = true, value_name = "NAME")]
    pub room: Option<RoomName>,
    /// Use this invite instead of a saved one.
    #[arg(
        long,
        global = true,
        value_name = "INVITE",
        env = "P2P_SERVER",
        hide_env_values = true
    )]
    pub server: Option<InviteText>,
    /// Print one JSON object per line on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more; repeat for more still.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// When to show progress bars.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub progress: When,
}

/// When to do something that suits a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether files go from peer to peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DirectArg {
    /// Wherever a path can be opened; otherwise through the relay.
    Auto,
    /// Within the local network only.
    Lan,
    /// Never: everything passes through the relay.
    Never,
}

impl DirectArg {
    /// What it means.
    #[must_use]
    pub fn policy(self) -> Policy {
        match self {
            Self::Auto => Policy::Auto,
            Self::Lan => Policy::Lan,
            Self::Never => Policy::Never,
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a relay; prints its invite when ready
    Server(Box<ServerArgs>),
    /// Save an invite after reaching its relay
    Join(JoinArgs),
    /// List the rooms that this machine has joined, choose the default, or forget one
    Rooms(RoomsArgs),
    /// Create a room of your own
    #[command(
        subcommand,
        after_help = "\
Examples:
  p2p room new relay.example.org:4433/FINGERPRINT
                                      a room whose secret the relay never has"
    )]
    Room(RoomCommand),
    /// Wait for files, store and show them
    Listen(ListenArgs),
    /// Send files, directories, a pipe or a message to peers
    Send(SendArgs),
    /// Send to every listening peer of the room
    Broadcast(BroadcastArgs),
    /// List who is in the room
    Peers(PeersArgs),
    /// Print this machine's peer ID and name, or change its name
    #[command(after_help = "\
Examples:
  p2p id                              what others give to `p2p trust add`
  p2p id --name alice                 what others call this machine from now on
  p2p id --qr                         to be read by a camera")]
    Id(IdArgs),
    /// Print the saved invite
    #[command(after_help = "\
Examples:
  p2p invite                          it lets whoever has it into the room: pass it on with care
  p2p invite --qr                     to be read by a camera
  p2p invite | ssh nas p2p join -     another machine joins the same room")]
    Invite(QrArgs),
    /// Manage known peers: which name belongs to which ID, and whom you trust
    #[command(
        subcommand,
        after_help = "\
Examples:
  p2p trust ls                        whom this machine knows
  p2p trust add alice k7m2qx-…        alice has a new machine
  p2p trust rm alice                  forget her"
    )]
    Trust(TrustCommand),
    /// Show JSON, CSV or an image in the terminal, as listen does
    Show(ShowArgs),
    /// Run a relay and two listeners on this machine, and send and broadcast to them
    Demo(DemoArgs),
    /// Print a shell's completion script
    #[command(after_help = "\
Examples:
  p2p completions bash > ~/.local/share/bash-completion/completions/p2p
  p2p completions zsh > ~/.zfunc/_p2p
  p2p completions fish > ~/.config/fish/completions/p2p.fish
  p2p completions powershell | Out-String | Invoke-Expression

Peers of the room are completed by name: p2p send --to <TAB>")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all pages into a directory
    #[command(after_help = "\
Examples:
  p2p man | man -l -                  read it at once
  p2p man --out ~/.local/share/man/man1
                                      a page for each command: man p2p-send")]
    Man {
        /// Write one page for each command into this directory.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        out: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in [["p2p", "--json", "id"], ["p2p", "id", "--json"]] {
            assert!(Cli::parse_from(line).global.json);
        }
    }
}
