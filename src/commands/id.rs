//! `p2p id`: my peer ID and name.

use super::{CommandError, cli::QrArgs, context::Context, invite::print_qr, output};

pub(super) fn run(context: &Context, args: &QrArgs) -> Result<u8, CommandError> {
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
