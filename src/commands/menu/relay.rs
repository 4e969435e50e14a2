//! The relay that the menu runs when it is asked to; it ends with the menu.

use std::net::Ipv6Addr;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    commands::{CommandError, cli::ServerSettings, server},
    home::{Home, load_invite},
    identity::Invite,
    operation::PassedSockets,
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
    // Where the usual port is taken, any other serves.
    let any_port = ServerSettings {
        bind: Some((Ipv6Addr::UNSPECIFIED, 0).into()),
        ..ServerSettings::default()
    };
    let (relay, elsewhere, _) =
        server::open(home, &ServerSettings::default(), PassedSockets::default())
            .or_else(|_| server::open(home, &any_port, PassedSockets::default()))?;
    let here = load_invite(&home.relay_invite())
        .map_err(CommandError::other)?
        .unwrap_or_else(|| elsewhere.clone());
    tasks.spawn(relay.run(end.clone()));
    Ok(Hosted { here, elsewhere })
}
