//! What is laid over the lists, or shown in their place.

use qrcode::{Color as Module, EcLevel, QrCode};
use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Paragraph, Wrap},
};

use super::{
    overlay,
    paint::{Paint, pad},
};
use crate::{
    display::{
        bytes, contents,
        menu::{Audience, State},
        show::{columns, fit, sanitise},
    },
    transfer::receive::OfferView,
};

/// Names of an offer that are shown.
const NAMES_SHOWN: usize = 6;
/// Columns of an overlay.
const OVERLAY: u16 = 60;
/// Light modules around a code. ISO/IEC 18004 asks for four; scanners make do with two.
const QUIET: usize = 2;

/// What is offered, in a few words that are safe to print.
pub(in crate::display::menu) fn offered(offer: &OfferView) -> String {
    match (offer.text, offer.files, offer.names.as_slice()) {
        (false, Some(1), [(name, _)]) => sanitise(name).into_owned(),
        _ => contents(offer.files, None, offer.text),
    }
}

/// Who is meant, as in `Send to bob and carol`.
pub(super) fn names(to: &Audience) -> String {
    match to {
        Audience::Everyone => "everyone in the room".to_owned(),
        Audience::Peers(peers) => {
            let names: Vec<_> = peers.iter().map(|(_, name)| name.as_str()).collect();
            names.join(", ")
        }
    }
}

pub(super) fn offer(state: &State, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let Some(offer) = state.offers.front() else {
        return;
    };
    let width = usize::from(OVERLAY.min(area.width).saturating_sub(2));
    let what = contents(offer.files, offer.bytes, offer.text);
    let rest = format!(" ({}) offers {what}", offer.from.short());
    let name = fit(
        offer.from_name.as_str(),
        width.saturating_sub(columns(&rest)),
    );
    let mut lines = vec![Line::from(vec![
        Span::styled(name.into_owned(), Modifier::BOLD),
        Span::raw(rest),
    ])];
    // The question must be seen, however small the window is.
    let room = usize::from(area.height).saturating_sub(5).min(NAMES_SHOWN);
    for (name, size) in offer.names.iter().take(room) {
        let size = size.map(bytes).unwrap_or_default();
        let name = pad(&sanitise(name), width.saturating_sub(3 + columns(&size)));
        lines.push(Line::from(format!("  {name} {size}")));
    }
    if offer.files.unwrap_or(0) > offer.names.len().min(room) as u64 && !offer.text {
        lines.push(Line::from("  …"));
    }
    lines.push(Line::styled("accept? y / n", paint.accent()));
    let title = match state.offers.len() {
        1 => "Incoming".to_owned(),
        n => format!("Incoming, 1 of {n}"),
    };
    let area = overlay(frame, area, OVERLAY, lines.len() + 2);
    frame.render_widget(Paragraph::new(lines).block(paint.block(title)), area);
}

pub(super) fn quit(state: &State, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let mut lines = Vec::new();
    if state.is_busy() {
        lines.push(Line::from(
            "Something still moves. It can be resumed later.",
        ));
    }
    if state.hosting {
        lines.push(Line::from("The relay of this room ends with the menu."));
    }
    lines.push(Line::styled("quit? y / n", paint.accent()));
    let area = overlay(frame, area, OVERLAY, lines.len() + 2);
    frame.render_widget(Paragraph::new(lines).block(paint.block("Quit")), area);
}

pub(super) fn message(to: &Audience, text: &str, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let mut lines = vec![Line::from(format!("{}▏", sanitise(text)))];
    if text.is_empty() {
        lines.push(Line::default());
        lines.push(Line::styled(
            "It is shown there, and not stored.",
            paint.dim(),
        ));
    }
    let title = format!("Message to {}", names(to));
    let title = fit(&title, usize::from(area.width.saturating_sub(4))).into_owned();
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(text.block(paint.block(title)), area);
}

pub(super) fn invite(state: &State, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let invite = state.invite.clone().unwrap_or_default();
    let here_only = ["//127.", "//[::1]", "//localhost"]
        .iter()
        .any(|host| invite.contains(host));
    let mut lines = vec![
        Line::styled(invite, Modifier::BOLD),
        Line::default(),
        Line::from("Whoever has it is a member of the room: it is a secret."),
        Line::from("Elsewhere: `p2p join INVITE`, then `p2p listen` or `p2p`."),
    ];
    if here_only {
        let text = "This address is good on this machine only.";
        lines.push(Line::styled(text, paint.bad()));
    }
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(text.block(paint.block("Invite")), area);
}

/// The invite as a QR code, two modules to a cell.
pub(super) fn qr(state: &State, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let text = state.invite.as_deref().unwrap_or_default();
    // The lowest redundancy makes the smallest code; a screen has no scratches.
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else {
        return;
    };
    let side = code.width() + 2 * QUIET;
    let rows = side.div_ceil(2);
    if side > usize::from(area.width) || rows > usize::from(area.height) {
        let text = format!(
            "The QR code needs a window of {side} columns and {} rows. `p2p invite --qr` prints it.",
            rows + 1
        );
        let text = Paragraph::new(text).wrap(Wrap { trim: true });
        return frame.render_widget(text.block(paint.block("Invite")), area);
    }
    let dark = |x: usize, y: usize| {
        let inside = |n: usize| (QUIET..QUIET + code.width()).contains(&n);
        inside(x) && inside(y) && code[(x - QUIET, y - QUIET)] == Module::Dark
    };
    // Scanners expect dark on light. Without colour that is only sure where the terminal is dark.
    let style = if paint.0 {
        Style::new().fg(Color::Indexed(231)).bg(Color::Indexed(16))
    } else {
        Style::new()
    };
    let line = |row: usize| {
        let cell = |x| match (dark(x, 2 * row), dark(x, 2 * row + 1)) {
            (false, false) => '█',
            (false, true) => '▀',
            (true, false) => '▄',
            (true, true) => ' ',
        };
        Line::from(Span::styled((0..side).map(cell).collect::<String>(), style))
    };
    frame.render_widget(
        Paragraph::new((0..rows).map(line).collect::<Vec<_>>()),
        area,
    );
}

pub(super) fn receive(state: &State, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let rule = if state.takes_all {
        "Whatever members send is taken."
    } else {
        "You are asked before anything is taken."
    };
    let lines = vec![
        Line::styled(rule, Modifier::BOLD),
        Line::default(),
        Line::from(format!("name    {} ({})", state.name, state.id.short())),
        Line::from(format!("folder  {}", state.tilde(&state.folder))),
        Line::from(format!("others  p2p send --to {} FILE", state.name)),
    ];
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(
        text.block(paint.block("Receiving while the menu is open")),
        area,
    );
}

pub(super) fn name(state: &State, text: &str, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let lines = vec![
        Line::from(format!("{}▏", sanitise(text))),
        Line::default(),
        Line::styled(
            format!("What others see, and send to. Now: {}", state.name),
            paint.dim(),
        ),
    ];
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(text.block(paint.block("Name of this machine")), area);
}

pub(super) fn keys(from: usize, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    const KEYS: [(&str, &str); 16] = [
        ("s", "send files to the marked"),
        ("b", "broadcast: send to all"),
        ("m", "message to the marked"),
        ("r", "receive: ask or take all"),
        ("y n", "answer an offer"),
        ("Space", "mark a peer"),
        ("a", "mark all"),
        ("x", "stop a send"),
        ("⏎", "send, or open"),
        ("f", "folder for what arrives"),
        ("i", "invite: copy, QR code"),
        ("Tab ←→", "next list"),
        ("↑↓ jk", "move"),
        ("Esc", "dismiss a notice"),
        ("Ctrl-Z", "suspend"),
        ("q", "quit"),
    ];
    let one = |(key, what): &(&str, &str)| format!("{} {}", pad(key, 7), pad(what, 26));
    // In a low window, two columns; in one that is narrow as well, as many as fit from a line on.
    let height = usize::from(area.height.saturating_sub(2)).max(1);
    let lines: Vec<_> = if height >= KEYS.len() || area.width < 72 {
        let from = from.min(KEYS.len().saturating_sub(height));
        let lines = KEYS.iter().skip(from);
        lines.map(|key| Line::from(one(key))).collect()
    } else {
        let half = KEYS.len().div_ceil(2);
        let row = |at: usize| {
            let right = KEYS.get(at + half).map(one).unwrap_or_default();
            Line::from(format!("{} {right}", one(&KEYS[at])))
        };
        (0..half).map(row).collect()
    };
    frame.render_widget(Paragraph::new(lines).block(paint.block("Keys")), area);
}
