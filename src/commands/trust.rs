//! `p2p trust`: known peers.

use super::{CommandError, cli::TrustCommand, context::Context, output};
use crate::transfer::{ErrorKind, unix_now};

pub(super) fn run(context: &Context, command: TrustCommand) -> Result<u8, CommandError> {
    let known = context.known(&context.invite()?)?;
    let failed = |e| CommandError::other(format!("known peers: {e}"));
    match command {
        TrustCommand::Ls => {
            for peer in known.load().map_err(failed)?.iter() {
                if context.global.json {
                    output::json(&serde_json::json!({
                        "event": "known", "name": peer.name, "id": peer.id, "since": peer.since,
                        "origin": peer.origin,
                    }))?;
                } else {
                    let since = std::time::UNIX_EPOCH + std::time::Duration::from_secs(peer.since);
                    output::line(format!(
                        "{}  {}  since {}",
                        peer.name,
                        peer.id,
                        humantime::format_rfc3339_seconds(since)
                    ))?;
                }
            }
        }
        TrustCommand::Add { name, id } => {
            known.add(&name, id, unix_now()).map_err(failed)?;
            if !context.global.quiet {
                eprintln!("{name} is now {id} here");
            }
        }
        TrustCommand::Rm { name } => {
            if known.remove(&name).map_err(failed)?.is_none() {
                return Err(CommandError::new(
                    ErrorKind::NoSuchPeer,
                    format!("nobody is known as {name}"),
                )
                .hint("`p2p trust ls` lists who is"));
            }
        }
    }
    Ok(0)
}
