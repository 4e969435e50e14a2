//! What a relay is told: on the command line, and in a file.

use std::{net::SocketAddr, path::Path};

use tracing::Level;

use super::{
    address::{BIND, public_addresses},
    cluster,
};
use crate::commands::{
    CommandError,
    cli::{RoomSettings, ServerArgs, ServerSettings},
    context::Context,
};
use crate::relay::{Limits, RoomQuota};

/// The options of the command line, over those of the file.
pub(super) fn read(args: &ServerArgs) -> Result<ServerSettings, CommandError> {
    let settings = args.settings.clone();
    match &args.config {
        Some(path) => Ok(settings.over(read_config(path)?)),
        None => Ok(settings),
    }
}

/// Reads a file of settings.
fn read_config(path: &Path) -> Result<ServerSettings, CommandError> {
    let wrong = |e: String| CommandError::usage(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    toml::from_str(&text).map_err(|e| {
        let line = e
            .span()
            .map_or(1, |span| text[..span.start].lines().count().max(1));
        wrong(format!("line {line}: {}", e.message()))
    })
}

/// Says whether a relay could start so. Binds nothing, makes nothing.
pub(super) fn check(context: &Context, settings: &ServerSettings) -> Result<u8, CommandError> {
    let bind = settings.bind.unwrap_or(BIND);
    public_addresses(settings.public.as_deref(), bind)?;
    cluster::check(settings)?;
    let audit = settings.audit.as_deref().and_then(Path::parent);
    let audit = audit.filter(|parent| !parent.as_os_str().is_empty());
    for (option, directory) in [
        ("certs", settings.certs.as_deref()),
        ("spool", settings.spool.as_deref()),
        ("audit", audit),
    ] {
        if let Some(directory) = directory
            && !directory.is_dir()
        {
            let directory = directory.display();
            return Err(CommandError::usage(format!(
                "{option}: {directory} is no directory"
            )));
        }
    }
    if !context.global.quiet {
        eprintln!("the settings are right; a relay with them listens on {bind}");
    }
    Ok(0)
}

/// How important a line must be for the log: `-q` and `-v` go before the setting.
pub(super) fn level(context: &Context, settings: &ServerSettings) -> Level {
    match settings.log_level {
        Some(level) if !context.global.quiet && context.global.verbose == 0 => level,
        _ => context.level(),
    }
}

/// The options that changed and count only from the next start on.
pub(super) fn fixed(before: &ServerSettings, after: &ServerSettings) -> Vec<&'static str> {
    let differs = [
        ("bind", before.bind != after.bind),
        ("tcp", before.tcp != after.tcp),
        ("public", before.public != after.public),
        ("certs", before.certs != after.certs),
        ("spool", before.spool != after.spool),
        ("spool-limit", before.spool_limit != after.spool_limit),
        ("memory-limit", before.memory_limit != after.memory_limit),
        ("metrics", before.metrics != after.metrics),
        ("audit", before.audit != after.audit),
        ("log", before.log != after.log),
        ("threads", before.threads != after.threads),
        ("cluster", before.cluster != after.cluster),
        ("cluster-key", before.cluster_key != after.cluster_key),
        ("node", before.node != after.node),
        ("trunk", before.trunk != after.trunk),
    ];
    let differs = differs.into_iter().filter(|(_, differs)| *differs);
    differs.map(|(option, _)| option).collect()
}

/// What peers, rooms and networks may have.
pub(super) fn limits(settings: &ServerSettings, max_peers: usize) -> Limits {
    let quota = |room: &RoomSettings| RoomQuota {
        members: room.members,
        rate: room.limit,
        files: room.files,
        spool: room.spool,
    };
    let rooms = settings.rooms.iter();
    Limits {
        max_peers: settings.max_peers.unwrap_or(max_peers),
        rate_per_peer: settings.limit,
        room: quota(&settings.room),
        rooms: rooms.map(|(id, room)| (*id, quota(room))).collect(),
        network_connections: settings.network.connections,
        network_handshakes: settings.network.handshakes,
    }
}

/// Where it would listen.
pub(super) fn bind(settings: &ServerSettings) -> SocketAddr {
    settings.bind.unwrap_or(BIND)
}
