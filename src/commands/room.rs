//! `p2p room new`: a room whose secret no relay ever holds.

use super::{
    CommandError,
    cli::{InviteText, RoomCommand},
    context::Context,
    output,
};
use crate::identity::{Invite, RelayAddress, RoomSecret};

pub(super) fn run(context: &Context, command: &RoomCommand) -> Result<u8, CommandError> {
    let RoomCommand::New { relay, .. } = command;
    let secret = RoomSecret::generate();
    let room = secret.room_id();
    let invite = Invite {
        relay: relay.as_ref().map(address).transpose()?,
        secret,
    };
    if context.global.json {
        output::json(
            &serde_json::json!({"event": "room", "invite": invite.to_string(), "room": room}),
        )?;
    } else if invite.relay.is_none() {
        output::line(&invite)?;
        if !context.global.quiet {
            eprintln!(
                "the invite, for members: `p2p join INVITE`, then `p2p listen` and `p2p send` on one LAN"
            );
        }
    } else {
        output::line(format!("{invite}\n{room}"))?;
        if !context.global.quiet {
            eprintln!(
                "the first line is the invite, for members; the second the room's ID, for `p2p server --admit`"
            );
        }
    }
    Ok(0)
}

/// The relay alone: of an invite that has a room already, its secret is left out.
fn address(relay: &InviteText) -> Result<RelayAddress, CommandError> {
    if let Ok(invite) = relay.parse()
        && let Some(relay) = invite.relay
    {
        return Ok(relay);
    }
    let text = relay.as_str();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.split_once('#').map_or(text, |(rest, _)| rest);
    text.parse()
        .map_err(|e| CommandError::usage(format!("not a relay: {e}")))
}
