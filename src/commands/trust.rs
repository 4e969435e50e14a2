//! `p2p trust`: known peers.

use super::{CommandError, cli::TrustCommand, context::Context, output};
use crate::{
    identity::{Origin, Standing},
    transfer::{ErrorKind, unix_now},
};

pub(super) fn run(context: &Context, command: TrustCommand) -> Result<u8, CommandError> {
    let known = context.known(&context.invite()?)?;
    let failed = |e| CommandError::caused("cannot use the list of known peers", e);
    match command {
        TrustCommand::Ls => {
            let known = known.load().map_err(failed)?;
            for peer in known.iter() {
                if context.global.json {
                    output::json(&serde_json::json!({
                        "event": "known", "name": peer.name, "id": peer.id, "since": peer.since,
                        "origin": peer.origin, "trusted": known.is_trusted(peer.id), "standing": peer.standing,
                    }))?;
                } else {
                    let since = std::time::UNIX_EPOCH + std::time::Duration::from_secs(peer.since);
                    let why = match peer.origin {
                        _ if peer.standing == Some(Standing::Always) => {
                            "trusted: you always accept it"
                        }
                        _ if peer.standing == Some(Standing::Never) => {
                            "shut out: you never accept it"
                        }
                        Origin::Seen => "not trusted: only received from",
                        Origin::SentTo => "trusted: you sent to it",
                        Origin::Added => "trusted: you added it",
                    };
                    let day = humantime::format_rfc3339_seconds(since).to_string();
                    let day = day.split('T').next().unwrap_or_default().to_owned();
                    output::line(format!("{}  {why}, {day}  {}", peer.name, peer.id))?;
                }
            }
        }
        TrustCommand::Add { name, id } => {
            known.add(&name, id, unix_now()).map_err(failed)?;
            if !context.global.quiet {
                context.stage.line(&format!("{name} is {id} from now on"));
            }
        }
        TrustCommand::Rm { name } => {
            if known.remove(&name).map_err(failed)?.is_none() {
                return Err(CommandError::new(
                    ErrorKind::NoSuchPeer,
                    format!("no known peer is called {name}"),
                )
                .hint("`p2p trust ls` lists them"));
            }
        }
    }
    Ok(0)
}
