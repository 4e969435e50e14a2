//! What is shown to whoever is in no room yet.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::Line,
    widgets::{Paragraph, Wrap},
};

use super::paint::Paint;
use crate::display::{menu::State, show::sanitise};

pub(super) fn choices(state: &State, row: usize, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let known = state.invite.is_some();
    let intro = if known {
        "The room of this machine cannot be entered."
    } else {
        "This machine is in no room yet. Whoever runs a relay has the invite to its room."
    };
    let mut lines = vec![Line::from(intro), Line::default()];
    let mut choices = vec![
        ("p", "Paste an invite", "to a relay that runs elsewhere"),
        (
            "r",
            "Start a relay here",
            "for as long as this menu is open",
        ),
    ];
    if known {
        choices.push(("t", "Try again", "it may be back"));
    }
    for (at, (key, choice, about)) in choices.into_iter().enumerate() {
        let style = if at == row {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        let mut line = Line::styled(format!(" {key}  {choice:<18} "), style);
        if area.width >= 64 {
            line.push_span(ratatui::text::Span::styled(
                format!("  {about}"),
                paint.dim(),
            ));
        }
        lines.push(line);
    }
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(text.block(paint.block("Welcome")), area);
}

pub(super) fn paste(text: &str, trying: bool, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let end = if trying { "" } else { "▏" };
    let mut lines = vec![Line::from(format!("{}{end}", sanitise(text)))];
    if trying {
        lines.push(Line::default());
        lines.push(Line::from("Reaching the relay…"));
    } else if text.is_empty() {
        lines.push(Line::default());
        let like = "It looks like p2p://HOST:PORT/FINGERPRINT#SECRET";
        lines.push(Line::styled(like, paint.dim()));
    }
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(text.block(paint.block("Paste the invite")), area);
}
