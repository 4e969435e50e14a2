//! `p2p room new`: a room whose secret the relay never holds.

use super::{CommandError, cli::RoomCommand, context::Context, output};
use crate::identity::{Invite, RoomSecret};

pub(super) fn run(context: &Context, command: &RoomCommand) -> Result<u8, CommandError> {
    let RoomCommand::New { relay } = command;
    let secret = RoomSecret::generate();
    let room = secret.room_id();
    let invite = Invite {
        relay: relay.at.clone(),
        fingerprint: relay.fingerprint,
        secret,
    };
    if context.global.json {
        output::json(
            &serde_json::json!({"event": "room", "invite": invite.to_string(), "room": room}),
        )?;
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
