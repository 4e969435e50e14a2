//! `p2p peers`: who is in the room.

use std::time::Duration;

use super::{CommandError, cli::PeersArgs, context::Context, join::enter_error, signal::Signals};
use crate::{
    display::print_line,
    protocol::{Code, PeerState},
    transfer::{FailureKind, Peer, Presence},
};

/// How long completion may wait for the relay.
const COMPLETION_LIMIT: Duration = Duration::from_millis(700);

pub(super) fn run(context: &Context, args: &PeersArgs) -> Result<u8, CommandError> {
    let member = context.member()?;
    context.block_on(async {
        let signals = Signals::hear();
        let cancel = signals.token();
        let mut connection = member
            .enter(None)
            .await
            .map_err(|e| enter_error(&e, &member.invite))?;
        let presence = Presence::new(member.member_key());
        let lost = || CommandError::new(FailureKind::Unreachable, "the relay was lost");
        let mut peers = presence
            .list(&mut connection, args.watch)
            .await
            .ok_or_else(lost)?;
        peers.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        for peer in &peers {
            print(context, peer);
        }
        if peers.is_empty() && !context.global.json && !context.global.quiet {
            eprintln!("nobody else is in the room");
        }
        if args.watch {
            loop {
                let message = tokio::select! {
                    () = cancel.cancelled() => break,
                    heard = connection.hear() => heard.ok_or_else(lost)?,
                };
                if let Some(peer) = presence.hear(message) {
                    print(context, &peer);
                }
            }
        }
        connection.close(Code::Done).await;
        Ok(signals.exit_code().unwrap_or(0))
    })?
}

fn print(context: &Context, peer: &Peer) {
    let state = peer.state.as_str();
    if context.global.json {
        print_line(&serde_json::json!({
            "event": "peer", "id": peer.id, "name": peer.name, "state": state, "since": peer.since.as_secs(),
        }));
    } else {
        println!(
            "{:<16}  {}  {state:<9}  {}",
            peer.name,
            peer.id,
            crate::display::duration(peer.since)
        );
    }
}

/// Names of those who listen now, or are known, for completion.
pub(super) fn names_for_completion() -> Vec<String> {
    let global = super::cli::Global {
        home: std::env::var_os("P2P_HOME").map(Into::into),
        server: std::env::var("P2P_SERVER")
            .ok()
            .and_then(|text| text.parse().ok()),
        json: false,
        quiet: true,
        verbose: 0,
        color: super::cli::When::Never,
        progress: super::cli::When::Never,
    };
    let context = Context::new(global);
    let Ok(member) = context.member() else {
        return Vec::new();
    };
    let mut names: Vec<String> = context
        .known(&member.invite)
        .and_then(|known| known.load().map_err(CommandError::other))
        .map(|roster| roster.iter().map(|peer| peer.name.to_string()).collect())
        .unwrap_or_default();
    let asking = async {
        let mut connection = member.enter(None).await.ok()?;
        let peers = Presence::new(member.member_key())
            .list(&mut connection, false)
            .await?;
        connection.close(Code::Done).await;
        Some(peers)
    };
    let asked = context.block_on(async {
        tokio::time::timeout(COMPLETION_LIMIT, asking)
            .await
            .ok()
            .flatten()
    });
    if let Ok(Some(peers)) = asked {
        names.extend(
            peers
                .into_iter()
                .filter(|p| p.state == PeerState::Listening)
                .map(|p| p.name.to_string()),
        );
    }
    names.sort();
    names.dedup();
    names
}
