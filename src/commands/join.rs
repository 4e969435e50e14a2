//! `p2p join`: saves an invite after reaching its relay.

use std::io::Read;

use super::{CommandError, cli::JoinArgs, context::Context, output};
use crate::{
    home::save_invite,
    identity::Invite,
    protocol::Code,
    transfer::{EnterError, Error, Event, PeerRef},
};

/// The longest invite that is read from standard input, in bytes.
const INVITE_MAX: u64 = 4096;

pub(super) fn run(context: &Context, args: &JoinArgs) -> Result<u8, CommandError> {
    let text = if args.invite == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(INVITE_MAX)
            .read_to_string(&mut text)
            .map_err(|e| {
                CommandError::other(format!("cannot read the invite from standard input: {e}"))
            })?;
        text
    } else {
        args.invite.clone()
    };
    let invite: Invite = text
        .trim()
        .parse()
        .map_err(|e| CommandError::usage(format!("not an invite: {e}")))?;
    let path = context.home()?.invite();
    let member = context.member_of(invite.clone())?;
    let entered = context.block_on(async {
        let connection = member.enter(None).await?;
        connection.close(Code::Done).await;
        Ok::<_, EnterError>(())
    })?;
    entered.map_err(|e| enter_error(e, &invite))?;
    save_invite(&invite, &path)
        .map_err(|e| CommandError::other(format!("cannot save the invite: {e}")))?;
    if context.global.json {
        output::json(&Event::Joined {
            me: PeerRef::new(member.id(), member.name.name.clone()),
            relay: invite.relay.to_string(),
        })?;
    } else if !context.global.quiet {
        eprintln!(
            "joined the room at {} as {}",
            invite.relay, member.name.name
        );
    }
    Ok(0)
}

/// Why the room could not be entered, with what to do about it.
pub(super) fn enter_error(error: EnterError, invite: &Invite) -> CommandError {
    let error = Error::from(error);
    let doing = format!("cannot enter the room at {}", invite.relay);
    with_hint(CommandError::from_failure(&doing, &error), error.kind())
}

/// Adds what usually helps against failures of this kind on the way into a room.
pub(super) fn with_hint(error: CommandError, kind: crate::transfer::ErrorKind) -> CommandError {
    use crate::transfer::ErrorKind as Kind;
    match kind {
        Kind::Unreachable => error.hint("is `p2p server` running there, and does its UDP port reach this machine?"),
        Kind::NotTrusted => error.hint(
            "if the relay was set up anew, ask its operator for the new invite; for a room made elsewhere, `p2p server --admit ROOM-ID`",
        ),
        _ => error,
    }
}
