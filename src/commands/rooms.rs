//! `p2p rooms`: the rooms that this machine has joined.

use super::{
    CommandError,
    cli::RoomsArgs,
    context::{Context, rooms_error},
    output,
};
use crate::home::Rooms;

pub(super) fn run(context: &Context, args: &RoomsArgs) -> Result<u8, CommandError> {
    let rooms = Rooms::of(context.home()?);
    if let Some(name) = &args.default {
        rooms.make_default(name).map_err(rooms_error)?;
    }
    if let Some(name) = &args.forget {
        rooms.remove(name).map_err(rooms_error)?;
    }
    let all = rooms.list().map_err(rooms_error)?;
    let width = all
        .iter()
        .map(|room| console::measure_text_width(&room.name.to_string()))
        .max()
        .unwrap_or(0);
    for room in &all {
        let (id, relay) = (room.invite.secret.room_id(), room.invite.place());
        if context.global.json {
            output::json(&serde_json::json!({
                "event": "room", "name": room.name.to_string(), "relay": relay,
                "room": id, "default": room.is_default,
            }))?;
        } else {
            let mark = if room.is_default { "*" } else { " " };
            let name = console::pad_str(
                &room.name.to_string(),
                width,
                console::Alignment::Left,
                None,
            )
            .into_owned();
            output::line(format!("{mark} {name}  {relay}  {}", id.short()))?;
        }
    }
    if all.is_empty() && !context.global.json && !context.global.quiet {
        context.stage.line("no room yet: `p2p join INVITE`");
    }
    Ok(0)
}
