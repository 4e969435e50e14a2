//! `p2p join`: saves an invite after reaching its relay.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use super::{
    CommandError,
    cli::{InviteText, JoinArgs},
    context::{Context, rooms_error},
    output,
};
use crate::{
    home::Rooms,
    identity::Invite,
    protocol::Code,
    transfer::{EnterError, Error, Event, PeerRef},
};

/// The longest invite that is read from standard input, in bytes.
const INVITE_MAX: u64 = 4096;

pub(super) fn run(context: &Context, args: &JoinArgs) -> Result<u8, CommandError> {
    let invite = invite(&args.invite)?;
    if let Some(name) = &args.name {
        context.set_name(name)?;
    }
    let member = context.member_of(invite.clone())?;
    let entered = context.block_on(context.connecting(&invite, async {
        let channel = member.enter(None).await?;
        channel.close(Code::Done).await;
        Ok::<_, EnterError>(())
    }))?;
    entered.map_err(|e| enter_error(e, &invite))?;
    let rooms = Rooms::of(context.home()?);
    let room = rooms
        .add(&invite, context.global.room.as_ref())
        .map_err(rooms_error)?;
    if context.global.json {
        output::json(&Event::Joined {
            me: PeerRef::new(member.id(), member.name.name.clone()),
            relay: invite.relay.to_string(),
        })?;
    } else if !context.global.quiet {
        let (relay, me) = (&invite.relay, &member.name);
        let stage = &context.stage;
        stage.line(&format!("joined the room at {relay} as {}", me.name));
        if !me.chosen {
            stage.line("hint: that is the host's name; `p2p id --name NAME` chooses another");
        }
        if !room.is_default {
            let name = &room.name;
            stage.line(&format!(
                "hint: it is not the default room: use `--room {name}`, or `p2p rooms --default {name}`"
            ));
        }
    }
    Ok(0)
}

/// The invite as it was given, or asked for.
fn invite(given: &InviteText) -> Result<Invite, CommandError> {
    let read = match given.as_str() {
        "-" => Some(read_line().map_err(|e| {
            CommandError::other(format!("cannot read the invite from standard input: {e}"))
        })?),
        _ => None,
    };
    let invite = read.map_or_else(|| given.parse(), |line| line.parse());
    invite.map_err(|e| CommandError::usage(format!("not an invite: {e}")))
}

/// One line, without waiting for the end of the input.
fn read_line() -> io::Result<String> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        eprint!("invite (p2p://…): ");
        io::stderr().flush()?;
    }
    let mut line = String::new();
    io::stdin().lock().take(INVITE_MAX).read_line(&mut line)?;
    Ok(line)
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
        Kind::Unreachable => error.hint("is `p2p server` running there, and does its port reach this machine, by UDP or TCP?"),
        Kind::NotTrusted => error.hint(
            "if the relay was set up anew, ask its operator for the new invite; for a room made elsewhere, `p2p server --admit ROOM-ID`",
        ),
        _ => error,
    }
}
