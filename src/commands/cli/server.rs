//! `p2p server`

use std::{
    collections::HashMap,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use serde::{Deserialize, Deserializer, de};
use tracing::Level;

use super::value::{parse_duration, parse_rate, parse_size};
use crate::{cluster::NodeName, protocol::RoomId, relay::TcpListen};

/// `p2p server`
#[derive(Debug, Default, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  p2p server                              listen on port 4433, one room, print its invite
  p2p server --public relay.example.org   what the invite should call this machine
  p2p server --admit ROOM-ID              admit a room made elsewhere with `p2p room new`
  p2p server --config relay.toml --check  say whether that file is right, and start nothing
  p2p server --metrics 127.0.0.1:9433     for Prometheus: /metrics, /healthz, /readyz
  p2p server status --watch               who is there, and what the relay is doing"
)]
pub struct ServerArgs {
    #[command(subcommand)]
    pub command: Option<ServerCommand>,
    #[command(flatten)]
    pub settings: ServerSettings,
    /// Read options from this TOML file; those on the command line go before it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Operation")]
    pub config: Option<PathBuf>,
    /// Check the options and the file, and end.
    #[arg(long, help_heading = "Operation")]
    pub check: bool,
}

/// What else there is to do about a relay.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Print the status of the relay that runs under this home
    Status(StatusArgs),
}

/// `p2p server status`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p server status                       rooms, peers, rates, memory, spool
  p2p server status --watch               every second
  p2p server status --json | jq .rooms    for programs
  sudo p2p --home /var/lib/p2p-server server status
                                          of the relay that systemd runs")]
pub struct StatusArgs {
    /// Go on, once a second.
    #[arg(long)]
    pub watch: bool,
}

/// What a relay can be told, on the command line or in a file, where names and values are the same.
///
/// Everything is optional, so that one can be laid over the other; what neither says is the default
/// that the help names.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerSettings {
    /// Address to listen on; port 0 picks one [default: [::]:4433].
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<SocketAddr>,
    /// Where to listen on TCP, for peers whose network blocks UDP; `off` for nowhere [default: the
    /// same address and port, where it is free].
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "from_text")]
    pub tcp: Option<TcpListen>,
    /// What the invite calls this machine: a name or address that peers can reach; behind it, with commas
    /// between, other relays of its cluster.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub public: Option<String>,
    /// Where the relay's key, certificate and admitted rooms are [default: inside the home].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub certs: Option<PathBuf>,
    /// Admit this room, now and after every restart; repeatable.
    #[arg(long, value_name = "ROOM-ID", help_heading = "Rooms")]
    pub admit: Vec<RoomId>,
    /// Admit every room.
    #[arg(
        long,
        num_args = 0,
        default_missing_value = "true",
        help_heading = "Rooms"
    )]
    pub open: Option<bool>,
    /// Let peers find no direct connections to each other: everything passes through this relay.
    #[arg(
        long,
        num_args = 0,
        default_missing_value = "true",
        help_heading = "Rooms"
    )]
    pub no_direct: Option<bool>,
    /// Connections of admitted peers at once [default: 1024].
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub max_peers: Option<usize>,
    /// Where recipients that fall behind are served from [default: the system's temporary directory].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Limits")]
    pub spool: Option<PathBuf>,
    /// Bytes on disk for recipients that fall behind [default: 1Gi].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Limits")]
    #[serde(deserialize_with = "size")]
    pub spool_limit: Option<u64>,
    /// Bytes held for all transfers [default: 64Mi, less in a small control group].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Limits")]
    #[serde(deserialize_with = "size")]
    pub memory_limit: Option<u64>,
    /// Bytes a second that each peer may send.
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Limits")]
    #[serde(deserialize_with = "rate")]
    pub limit: Option<u64>,
    /// Address to serve `/metrics` (OpenMetrics), `/healthz` and `/readyz` over HTTP; port 0 picks one.
    #[arg(long, value_name = "ADDR", help_heading = "Operation")]
    pub metrics: Option<SocketAddr>,
    /// How long transfers that are under way may go on after SIGTERM [default: 60s].
    #[arg(long, value_name = "DUR", value_parser = parse_duration, help_heading = "Operation")]
    #[serde(deserialize_with = "period")]
    pub drain: Option<Duration>,
    /// Format of log lines on standard error [default: text].
    #[arg(long, value_name = "FORMAT", help_heading = "Operation")]
    pub log: Option<LogFormat>,
    /// The least important level to log: error, warn, info, debug, trace [default: warn, or as -q and -v say].
    #[arg(long, value_name = "LEVEL", help_heading = "Operation")]
    #[serde(deserialize_with = "from_text")]
    pub log_level: Option<Level>,
    /// Append a line of JSON for each admission, refusal and transfer to this file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Operation")]
    pub audit: Option<PathBuf>,
    /// Threads that serve, each with an endpoint of its own behind the port [default: 1].
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub threads: Option<NonZeroUsize>,
    /// NATS servers over which the relays of a cluster find each other; several with commas between.
    #[arg(long, value_name = "URL", help_heading = "Cluster")]
    pub cluster: Option<String>,
    /// The cluster's key, the same on all of its relays; made if it is not there.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Cluster")]
    pub cluster_key: Option<PathBuf>,
    /// What this relay is called in the cluster [default: the host's name].
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub node: Option<NodeName>,
    /// UDP address for the other relays of the cluster [default: the port after --bind's].
    #[arg(long, value_name = "ADDR", help_heading = "Cluster")]
    pub trunk: Option<SocketAddr>,
    /// What the members of each room may have together. In a file only.
    #[arg(skip)]
    pub room: RoomSettings,
    /// What some rooms may have in place of that.
    #[arg(skip)]
    pub rooms: HashMap<RoomId, RoomSettings>,
    /// What one network may have.
    #[arg(skip)]
    pub network: NetworkSettings,
}

/// What the members of one room may have together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RoomSettings {
    /// Identities at once.
    pub members: Option<NonZeroUsize>,
    /// Bytes a second that all of them may send.
    #[serde(deserialize_with = "rate")]
    pub limit: Option<u64>,
    /// Files that are passed on at once.
    pub files: Option<NonZeroUsize>,
    /// Bytes on disk for those that are behind.
    #[serde(deserialize_with = "size")]
    pub spool: Option<u64>,
}

/// What one network may have: a /24 of IPv4, a /56 of IPv6.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkSettings {
    /// Connections of admitted peers at once.
    pub connections: Option<NonZeroUsize>,
    /// New connections a second.
    pub handshakes: Option<NonZeroU32>,
}

impl ServerSettings {
    /// These settings, and where they say nothing, those of `under`. Rooms are admitted by either.
    #[must_use]
    pub fn over(mut self, under: Self) -> Self {
        self.admit.extend(under.admit);
        Self {
            bind: self.bind.or(under.bind),
            tcp: self.tcp.or(under.tcp),
            public: self.public.or(under.public),
            certs: self.certs.or(under.certs),
            admit: self.admit,
            open: self.open.or(under.open),
            no_direct: self.no_direct.or(under.no_direct),
            max_peers: self.max_peers.or(under.max_peers),
            spool: self.spool.or(under.spool),
            spool_limit: self.spool_limit.or(under.spool_limit),
            memory_limit: self.memory_limit.or(under.memory_limit),
            limit: self.limit.or(under.limit),
            metrics: self.metrics.or(under.metrics),
            drain: self.drain.or(under.drain),
            log: self.log.or(under.log),
            log_level: self.log_level.or(under.log_level),
            audit: self.audit.or(under.audit),
            threads: self.threads.or(under.threads),
            cluster: self.cluster.or(under.cluster),
            cluster_key: self.cluster_key.or(under.cluster_key),
            node: self.node.or(under.node),
            trunk: self.trunk.or(under.trunk),
            // No command line says anything of these.
            room: under.room,
            rooms: under.rooms,
            network: under.network,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object on each line.
    Json,
}

/// A size in a file: a number of bytes, or text as on the command line.
#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Size::deserialize(deserializer)? {
        Size::Bytes(bytes) => Ok(Some(bytes)),
        Size::Text(text) => parse_size(&text).map(Some).map_err(de::Error::custom),
    }
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Size::deserialize(deserializer)? {
        Size::Bytes(0) => Err(de::Error::custom("a rate is above 0")),
        Size::Bytes(bytes) => Ok(Some(bytes)),
        Size::Text(text) => parse_rate(&text).map(Some).map_err(de::Error::custom),
    }
}

fn period<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(de::Error::custom)
}

fn from_text<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServerArgs,
    }

    #[test]
    fn a_file_takes_every_option_of_the_command_line_and_no_other() {
        let room = RoomId::from_bytes([7; 32]);
        let text = format!(
            "bind = \"[::]:5000\"\ntcp = \"off\"\npublic = \"relay.example.org\"\ncerts = \"/c\"\n\
             admit = [\"{room}\"]\nopen = true\nno-direct = true\nmax-peers = 7\nspool = \"/s\"\nspool-limit = \"2Gi\"\n\
             memory-limit = 67108864\nlimit = \"5M/s\"\n\
             metrics = \"[::1]:9433\"\ndrain = \"5m\"\nlog = \"json\"\nlog-level = \"info\"\naudit = \"/a\"\nthreads = 2\n\
             cluster = \"nats://n\"\ncluster-key = \"/k\"\nnode = \"one\"\ntrunk = \"[::]:5\"\n"
        );
        let file: ServerSettings = toml::from_str(&text).unwrap();
        let room = room.to_string();
        let line = Line::parse_from([
            "server",
            "--bind",
            "[::]:5000",
            "--tcp",
            "off",
            "--public",
            "relay.example.org",
            "--certs",
            "/c",
            "--admit",
            &room,
            "--open",
            "--no-direct",
            "--max-peers",
            "7",
            "--spool",
            "/s",
            "--spool-limit",
            "2Gi",
            "--memory-limit",
            "64Mi",
            "--limit",
            "5M",
            "--metrics",
            "[::1]:9433",
            "--drain",
            "5m",
            "--log",
            "json",
            "--log-level",
            "info",
            "--audit",
            "/a",
            "--threads",
            "2",
            "--cluster",
            "nats://n",
            "--cluster-key",
            "/k",
            "--node",
            "one",
            "--trunk",
            "[::]:5",
        ]);
        assert_eq!(file, line.args.settings);
        // Whatever is added to the command line is added to the file.
        let options = <ServerSettings as Args>::augment_args(clap::Command::new("server"));
        for option in options.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(
                text.contains(&format!("{option} = ")),
                "{option} is not in this test"
            );
        }
        for wrong in [
            "max_peers = 7",
            "memory-limit = \"much\"",
            "threads = 0",
            "limit = 0",
        ] {
            assert!(toml::from_str::<ServerSettings>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let line = Line::parse_from(["server", "--max-peers", "9"]);
        let file = toml::from_str("max-peers = 7\nthreads = 2").unwrap();
        let both = line.args.settings.over(file);
        assert_eq!(
            (both.max_peers, both.threads.map(NonZeroUsize::get)),
            (Some(9), Some(2))
        );
    }
}
