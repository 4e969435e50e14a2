//! The command line as it is parsed.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::{
    identity::{Invite, RelayAddress},
    protocol::{PeerId, PeerName, RoomId},
    relay::TcpListen,
};

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
    /// Where all state is: key, invite, known peers, unfinished transfers.
    #[arg(long, global = true, value_name = "DIR", env = "P2P_HOME", value_hint = ValueHint::DirPath)]
    pub home: Option<PathBuf>,
    /// Use this invite instead of the saved one.
    #[arg(
        long,
        global = true,
        value_name = "INVITE",
        env = "P2P_SERVER",
        hide_env_values = true
    )]
    pub server: Option<Invite>,
    /// One JSON object a line on standard output, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say less: errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; repeat it for still more.
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

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a relay; prints its invite when ready
    Server(ServerArgs),
    /// Save an invite after reaching its relay
    Join(JoinArgs),
    /// Make a room of your own
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
    /// Who is in the room
    Peers(PeersArgs),
    /// My peer ID and name
    #[command(after_help = "\
Examples:
  p2p id                              what others give to `p2p trust add`
  p2p id --qr                         to be read by a camera")]
    Id(QrArgs),
    /// The saved invite
    #[command(after_help = "\
Examples:
  p2p invite                          it lets whoever has it into the room: pass it on with care
  p2p invite --qr                     to be read by a camera
  p2p invite | ssh nas p2p join -     another machine joins the same room")]
    Invite(QrArgs),
    /// Known peers: which name belongs to which ID
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
    /// A relay, two listeners, a relayed JSON, CSV and picture, a broadcast: all on this machine
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

/// `p2p listen`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p listen --name alice --out ~/Inbox
  p2p listen --accept ask                 decide about each offer
  p2p listen --once --out - > backup.tar  one file to standard output
  p2p listen --exec 'notify-send Received'")]
pub struct ListenArgs {
    /// What others call this machine [default: the host name]; remembered.
    #[arg(long)]
    pub name: Option<PeerName>,
    /// Where files go; `-` writes one file to standard output.
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
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
    /// The largest transfer to take.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Policy")]
    pub max_size: Option<u64>,
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
    /// Run this after each file, with the file's path as its last argument; no shell is involved.
    #[arg(long, value_name = "CMD", value_parser = parse_command, help_heading = "After receiving")]
    pub exec: Option<CommandLine>,
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(pub Vec<String>);

/// Whose files a listener takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accept {
    /// Every member of the room.
    All,
    /// Those that you have added with `p2p trust add`, or sent something to by name.
    Trusted,
    /// You are asked each time.
    Ask,
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
    /// Leave out what matches; repeatable.
    #[arg(long, value_name = "GLOB", help_heading = "What to send")]
    pub exclude: Vec<String>,
    /// Wait so long for a recipient that is not there.
    #[arg(long, value_name = "DUR", default_value = "0s", value_parser = parse_duration, help_heading = "Time and speed")]
    pub wait: Duration,
    /// Give up on a recipient after so long without progress.
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_duration, help_heading = "Time and speed")]
    pub timeout: Duration,
    /// Bytes a second.
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Time and speed")]
    pub limit: Option<u64>,
    /// Whether to compress what shrinks.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "auto",
        help_heading = "Time and speed"
    )]
    pub compress: Compress,
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
#[command(after_help = "\
Examples:
  p2p send --to alice report.csv
  p2p send --to alice --to k7m2qx photos/ notes.md
  tar c . | p2p send --to alice --name backup.tar -
  p2p send --to alice --text 'the build is done'")]
pub struct SendArgs {
    /// A name, a peer ID, or the beginning of one (6 characters and more); repeatable.
    #[arg(long, value_name = "ID", required = true, add = clap_complete::ArgValueCompleter::new(super::completions::complete_peer))]
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
  p2p broadcast --exclude '*.tmp' results/
  p2p broadcast --text 'going down in five minutes'")]
pub struct BroadcastArgs {
    /// What to send, and how.
    #[command(flatten)]
    pub what: WhatArgs,
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
        #[arg(add = clap_complete::ArgValueCompleter::new(super::completions::complete_known))]
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
        #[arg(add = clap_complete::ArgValueCompleter::new(super::completions::complete_known))]
        name: PeerName,
    },
}

/// `p2p show`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p show readings.csv               a table that fits the window, its head and its tail
  p2p -v show readings.csv            and what is in each column, and how much is missing
  p2p show response.json              indented, in colour, what is long left out
  p2p show photo.jpg                  drawn: kitty, iTerm2, sixel, or in half blocks
  p2p --color always show a.json | less -R")]
pub struct ShowArgs {
    /// The file.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Stop at a limit of time and memory, as for files from others.
    #[arg(long, hide = true)]
    pub limited: bool,
    /// Do not ask the terminal what it can draw: somebody else reads its answers.
    #[arg(long, hide = true)]
    pub unasked: bool,
    /// Show it as in a terminal of so many columns and rows, without any graphics protocol.
    #[arg(long, hide = true, value_name = "COLUMNSxROWS", value_parser = parse_cells)]
    pub cells: Option<(u16, u16)>,
}

fn parse_cells(text: &str) -> Result<(u16, u16), String> {
    let (columns, rows) = text
        .split_once('x')
        .ok_or("no x between columns and rows")?;
    let number = |text: &str| text.parse().map_err(|e| format!("{text:?}: {e}"));
    Ok((number(columns)?, number(rows)?))
}

/// `p2p demo`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p demo                            nothing is left behind, nothing leaves this machine
  p2p demo report.json photo.png      with files of your own")]
pub struct DemoArgs {
    /// Relay these instead of the demo's own JSON, CSV and picture.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
}

/// Reads a size: digits with `k M G` (powers of 1000) or `Ki Mi Gi` (of 1024).
fn parse_size(text: &str) -> Result<u64, String> {
    // The library takes a lone `k` for 1000 as well, but wants the `B` behind `Ki`.
    let text = text.trim();
    let full = if text.ends_with(['i', 'I']) {
        format!("{text}B")
    } else {
        text.to_owned()
    };
    parse_size::Config::new()
        .with_decimal()
        .parse_size(full)
        .map_err(|e| format!("{e}; for example 500k, 20M, 4Gi"))
}

/// Reads bytes a second: a size, with or without `/s`.
fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_size(text.trim().trim_end_matches("/s"))? {
        0 => Err("a rate is above 0".to_owned()),
        rate => Ok(rate),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|e| format!("{e}; for example 10s, 5m"))
}

fn parse_command(text: &str) -> Result<CommandLine, String> {
    let words = shell_words::split(text).map_err(|e| e.to_string())?;
    if words.is_empty() {
        Err("a program is needed".to_owned())
    } else {
        Ok(CommandLine(words))
    }
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
    fn sizes_and_durations_read_as_documented() {
        for (text, bytes) in [
            ("0", 0),
            ("10", 10),
            ("10k", 10_000),
            ("2M", 2_000_000),
            ("1G", 1_000_000_000),
            ("4Ki", 4096),
            ("3Mi", 3 << 20),
            ("1Gi", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_rate("40M/s"), Ok(40_000_000));
        assert!(parse_size("lots").is_err() && parse_rate("0").is_err());
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in [["p2p", "--json", "id"], ["p2p", "id", "--json"]] {
            assert!(Cli::parse_from(line).global.json);
        }
    }
}
