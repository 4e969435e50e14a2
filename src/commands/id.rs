//! `p2p id`: my peer ID and name.

use super::{CommandError, cli::IdArgs, context::Context, invite::print_qr, output};

pub(super) fn run(context: &Context, args: &IdArgs) -> Result<u8, CommandError> {
    if let Some(name) = &args.name {
        context.set_name(name)?;
    }
    let (id, name) = (context.identity()?.id(), context.name()?);
    if context.global.json {
        output::json(&serde_json::json!({"event": "peer", "id": id, "name": name.name}))?;
        return Ok(0);
    }
    output::line(format!("{id}  {}", name.name))?;
    if args.qr {
        print_qr(&id.to_string())?;
    }
    Ok(0)
}
