//! `p2p listen`

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{
    DirectArg, When,
    value::{CommandLine, parse_command, parse_size},
};
use crate::protocol::PeerName;

/// `p2p listen`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p listen --name alice --out ~/Inbox
  p2p listen --lan                        found on this LAN too, while the relay is away
  p2p listen --accept ask                 decide about each offer
  p2p listen --once --out - > backup.tar  one file to standard output
  p2p listen --notify                     the desktop says what has come
  p2p listen --exec 'mv -t ~/Sorted'      each file's path comes last")]
pub struct ListenArgs {
    /// The name that others see, from now on [default: the host name].
    #[arg(long)]
    pub name: Option<PeerName>,
    /// Where files go; `-` writes one file to standard output.
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// Be found on this LAN too, without a relay; always so where the invite names none.
    #[arg(long)]
    pub lan: bool,
    /// Whose files to take.
    #[arg(
        long,
        value_name = "WHO",
        default_value = "all",
        help_heading = "Policy"
    )]
    pub accept: Accept,
    /// What to do about a name that is taken.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "rename",
        help_heading = "Policy"
    )]
    pub conflict: ConflictArg,
    /// What to do with a name that this file system cannot hold: store it with the characters in
    /// question replaced by %XX, or refuse it.
    #[arg(
        long,
        value_enum,
        value_name = "POLICY",
        default_value = "replace",
        help_heading = "Policy"
    )]
    pub names: NamesArg,
    /// The largest transfer to take.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Policy")]
    pub max_size: Option<u64>,
    /// Whether files may come from the sender itself instead of through the relay; senders whose
    /// offer is accepted then learn this machine's addresses.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "auto",
        help_heading = "Policy"
    )]
    pub direct: DirectArg,
    /// Whether to show received JSON, CSV and images.
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "After receiving"
    )]
    pub show: When,
    /// Exit after one transfer.
    #[arg(long, help_heading = "After receiving")]
    pub once: bool,
    /// With `--out -`: write to a terminal too, whatever the bytes do to it.
    #[arg(long, help_heading = "After receiving")]
    pub force: bool,
    /// Say on the desktop what has come.
    #[arg(long, help_heading = "After receiving")]
    pub notify: bool,
    /// Run this after each file, with the file's path as its last argument; no shell is involved.
    #[arg(long, value_name = "CMD", value_parser = parse_command, help_heading = "After receiving")]
    pub exec: Option<CommandLine>,
}

/// Whose files a listener takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accept {
    /// Every member of the room.
    All,
    /// Those that you have added with `p2p trust add`, or sent something to by name.
    Trusted,
    /// Ask each time.
    Ask,
}

/// What to do about a name that the file system cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NamesArg {
    /// Store it with %XX for each character in question: a:b becomes a%3Ab.
    Replace,
    /// Refuse the file.
    Strict,
}

/// What to do about a name that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConflictArg {
    /// Keep both: `name (1).ext`.
    Rename,
    /// Replace the old file, at once and whole.
    Overwrite,
    /// Keep the old file.
    Skip,
}
