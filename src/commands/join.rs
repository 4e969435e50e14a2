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
    quic::ConnectError,
    transfer::{EnterError, Error, ErrorKind, Event, PeerRef},
};

/// The longest invite that is read from standard input, in bytes.
const INVITE_MAX: u64 = 4096;

pub(super) fn run(context: &Context, args: &JoinArgs) -> Result<u8, CommandError> {
    let invite = invite(&args.invite)?;
    if let Some(name) = &args.name {
        context.set_name(name)?;
    }
    let member = context.member_of(invite.clone())?;
    let observer = context.observer();
    let entered = context.block_on(async {
        // There is nothing to reach where members find each other.
        if invite.relay.is_some() {
            let channel = member.enter_observed(None, None, &*observer).await?;
            channel.close(Code::Done).await;
        }
        Ok::<_, EnterError>(())
    })?;
    entered.map_err(|e| enter_error(e, &invite))?;
    let rooms = Rooms::of(context.home()?);
    let room = rooms
        .add(&invite, context.global.room.as_ref())
        .map_err(rooms_error)?;
    if context.global.json {
        output::json(&Event::Joined {
            me: PeerRef::new(member.id(), member.name.name.clone()),
            relay: invite.place(),
        })?;
    } else if !context.global.quiet {
        let (place, me) = (invite.place(), &member.name);
        let stage = &context.stage;
        match &invite.relay {
            Some(_) => stage.line(&format!("joined the room at {place} as {}", me.name)),
            None => stage.line(&format!(
                "joined the room as {}; its members find each other on their LAN, without a relay",
                me.name
            )),
        }
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
    with_hint(entering(&error, &invite.place()), &error)
}

/// What failed on the way into a room; the relay is named once.
pub(super) fn entering(error: &Error, relay: &str) -> CommandError {
    match error.cause::<EnterError>() {
        Some(EnterError::Connect(_)) => CommandError::from_failure("cannot enter the room", error),
        _ => CommandError::from_failure(&format!("cannot enter the room at {relay}"), error),
    }
}

/// Adds what usually helps against failures of this kind on the way into a room.
pub(super) fn with_hint(described: CommandError, error: &Error) -> CommandError {
    const NO_ANSWER: &str =
        "is `p2p server` running there, and can this machine reach its port by UDP or TCP?";
    const NEW_KEY: &str = "if the relay was set up again, ask its operator for the new invite";
    const NOT_ADMITTED: &str = "the relay's operator admits it: `p2p server --admit ROOM-ID`";
    match (error.cause::<EnterError>(), error.kind()) {
        (Some(EnterError::NotAdmitted), _) => described.hint(NOT_ADMITTED),
        (Some(EnterError::Connect(ConnectError::Resolve { .. })), _) => {
            described.hint("is the name right, and is this machine online?")
        }
        (_, ErrorKind::NotTrusted) => described.hint(NEW_KEY),
        (_, ErrorKind::Unreachable) => described.hint(NO_ANSWER),
        _ => described,
    }
}
