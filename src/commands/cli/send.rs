//! `p2p send` and `p2p broadcast`

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, ValueHint};

use super::{
    DirectArg, NamesArg,
    value::{parse_duration, parse_rate},
};

/// What `send` and `broadcast` share.
#[derive(Debug, Args)]
pub struct WhatArgs {
    /// Files and directories; `-` is standard input (with --name).
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath, required_unless_present = "text")]
    pub paths: Vec<PathBuf>,
    /// What the recipient calls what comes from standard input.
    #[arg(long, help_heading = "What to send")]
    pub name: Option<String>,
    /// Send this message instead of files: it is shown, not stored.
    #[arg(long, conflicts_with_all = ["paths", "name"], help_heading = "What to send")]
    pub text: Option<String>,
    /// Leave out what matches, as a line of a .gitignore would; repeatable.
    #[arg(long, value_name = "GLOB", help_heading = "What to send")]
    pub exclude: Vec<String>,
    /// Leave out what the lines of this file match; repeatable.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "What to send")]
    pub exclude_from: Vec<PathBuf>,
    /// Leave out what git ignores.
    #[arg(long, help_heading = "What to send")]
    pub gitignore: bool,
    /// Send permissions too. The recipient grants no more than it would without them.
    #[arg(long, conflicts_with = "text", help_heading = "What to send")]
    pub preserve: bool,
    /// What to do about a name that cannot be shown: send it with %XX for what cannot, or refuse the file.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "replace",
        help_heading = "What to send"
    )]
    pub names: NamesArg,
    /// List what would be sent, and send nothing.
    #[arg(
        short = 'n',
        long,
        conflicts_with = "text",
        help_heading = "What to send"
    )]
    pub dry_run: bool,
    /// How long to wait for a recipient, or the relay, that is not there.
    #[arg(long, value_name = "DUR", default_value = "0s", value_parser = parse_duration, help_heading = "Time and speed")]
    pub wait: Duration,
    /// How long a recipient may make no progress before it is given up.
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_duration, help_heading = "Time and speed")]
    pub timeout: Duration,
    /// Bytes a second on the line: after compression and encryption.
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Time and speed")]
    pub limit: Option<u64>,
    /// Whether to compress what gets smaller by it.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "auto",
        help_heading = "Time and speed"
    )]
    pub compress: Compress,
    /// Whether files may go to the recipient itself instead of through the relay; the recipient then
    /// learns this machine's addresses.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "auto",
        help_heading = "Time and speed"
    )]
    pub direct: DirectArg,
}

/// Whether to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    /// Where it helps.
    Auto,
    /// Not at all.
    Never,
}

/// `p2p send`
#[derive(Debug, Args)]
#[command(
    override_usage = "p2p send [OPTIONS] --to <ID> [PATH]...",
    after_help = "\
Examples:
  p2p send --to alice report.csv
  p2p send --to alice --to id:k7m2qx-hw3u photos/ notes.md
  tar c . | p2p send --to alice --name backup.tar -
  p2p send --to alice --text 'the build is done'"
)]
pub struct SendArgs {
    /// A name, a peer ID, or `id:` and at least 10 characters of one; repeatable.
    #[arg(long, value_name = "ID", required = true)]
    pub to: Vec<String>,
    /// What to send, and how.
    #[command(flatten)]
    pub what: WhatArgs,
}

/// `p2p broadcast`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p broadcast dataset.tar
  p2p broadcast --exclude '*.tmp' --exclude /raw results/
  p2p broadcast --gitignore --dry-run .   what would be sent
  p2p broadcast --text 'going down in five minutes'")]
pub struct BroadcastArgs {
    /// What to send, and how.
    #[command(flatten)]
    pub what: WhatArgs,
}
