//! The relay that the menu runs when it is asked to; it ends with the menu.

use clap::Parser;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    commands::{
        CommandError,
        cli::{Cli, Command},
        server,
    },
    home::{Home, load_invite},
    identity::Invite,
};

/// How to reach it: from here, and from elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Hosted {
    /// At this machine's own address, which no firewall bars.
    pub(super) here: Invite,
    /// As others are invited.
    pub(super) elsewhere: Invite,
}

/// Starts a relay as `p2p server` does. Call it inside a runtime.
pub(super) fn start(
    home: &Home,
    tasks: &TaskTracker,
    end: &CancellationToken,
) -> Result<Hosted, CommandError> {
    let open = |options: &[&str]| {
        let line = ["p2p", "server"].iter().chain(options);
        match Cli::try_parse_from(line).map(|cli| cli.command) {
            Ok(Some(Command::Server(args))) => server::open(home, &args),
            _ => Err(CommandError::other("no relay can be started")),
        }
    };
    // Where the usual port is taken, any other serves.
    let (relay, elsewhere) = open(&[]).or_else(|_| open(&["--bind", "[::]:0"]))?;
    let here = load_invite(&home.relay_invite())
        .map_err(CommandError::other)?
        .unwrap_or_else(|| elsewhere.clone());
    tasks.spawn(relay.run(end.clone()));
    Ok(Hosted { here, elsewhere })
}
