//! `p2p invite`: the saved invite.

use qrcode::{QrCode, render::unicode::Dense1x2};

use super::{CommandError, cli::QrArgs, context::Context, output};

pub(super) fn run(context: &Context, args: &QrArgs) -> Result<u8, CommandError> {
    let invite = context.invite()?.to_string();
    if context.global.json {
        output::json(&serde_json::json!({"event": "invite", "invite": invite}))?;
        return Ok(0);
    }
    output::line(&invite)?;
    if args.qr {
        print_qr(&invite)?;
    }
    Ok(0)
}

/// Prints a text as a QR code, two modules to a character.
pub(super) fn print_qr(text: &str) -> Result<(), CommandError> {
    let code = QrCode::new(text).map_err(|e| CommandError::other(format!("no QR code: {e}")))?;
    // Scanners expect dark on light; terminals are mostly the other way round.
    let code = code
        .render()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    output::line(code)
}
