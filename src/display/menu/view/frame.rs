//! The lines around whatever is shown: who and where, what to know, which keys there are.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};

use super::paint::{Paint, tail, wrap};
use crate::display::{
    menu::{Link, Mode, Pane, Purpose, State},
    show::{columns, fit},
};

/// Lines that a notice may take.
const NOTICE_LINES: usize = 4;
/// From this width on, keys are spaced out.
const ROOMY: u16 = 60;
/// Columns for the folder that are worth showing it.
const FOLDER_MIN: usize = 8;

pub(super) fn header(state: &State, paint: Paint, width: u16) -> Line<'static> {
    let width = usize::from(width);
    let (link, style) = match &state.link {
        Link::None => ("○ no room yet".to_owned(), Style::new()),
        Link::Connecting(relay) => (format!("○ connecting to {relay}"), Style::new()),
        Link::Joined(_) if state.hosting => ("● relay here".to_owned(), paint.good()),
        Link::Joined(relay) => (format!("● {relay}"), paint.good()),
        Link::Lost => ("○ relay lost, trying again".to_owned(), paint.bad()),
    };
    let mut room = width.saturating_sub(4);
    let mut part = |text: &str| {
        let text = fit(text, room).into_owned();
        room -= columns(&text);
        text
    };
    let name = part(&format!("{} ", state.name));
    let link = part(&link);
    let mut spans = vec![
        Span::styled("p2p ", paint.accent()),
        Span::styled(name, Modifier::BOLD),
        Span::styled(link, style),
    ];
    let arrow = if room > 40 {
        "  files go to "
    } else {
        "  → "
    };
    if room >= columns(arrow) + FOLDER_MIN {
        let folder = tail(&state.tilde(&state.folder), room - columns(arrow));
        spans.push(Span::styled(arrow, paint.dim()));
        spans.push(Span::raw(folder));
    }
    Line::from(spans)
}

/// The last thing to know: upwards over the body where it needs more than a line, so that
/// nothing else moves.
pub(super) fn notice(state: &State, paint: Paint, frame: &mut Frame<'_>, line: Rect) {
    let asks = matches!(state.mode, Mode::Main | Mode::Show(_) | Mode::Quit);
    let (text, style) = match (&state.notice, state.offers.front()) {
        (_, Some(offer)) if !asks => {
            let text = format!("{} offers something: Esc to see it", offer.from_name);
            (text, paint.accent())
        }
        (Some(notice), _) if notice.bad => (notice.text.clone(), paint.bad()),
        (Some(notice), _) => (notice.text.clone(), Style::new()),
        (None, _) => return,
    };
    let lines = wrap(&text, usize::from(line.width), NOTICE_LINES);
    let height = u16::try_from(lines.len()).unwrap_or(1).min(line.y.max(1));
    let text: Vec<_> = lines
        .into_iter()
        .map(|text| Line::styled(text, style))
        .collect();
    let area = Rect {
        y: line.y + 1 - height,
        height,
        ..line
    };
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(text), area);
}

/// As many keys as fit, the most important first.
pub(super) fn footer(state: &State, width: u16) -> Line<'static> {
    let mut keys: Vec<(&str, String)> = Vec::new();
    let mut key = |key, what: &str| keys.push((key, what.to_owned()));
    match &state.mode {
        Mode::Main | Mode::Show(_) if !state.offers.is_empty() => {
            key("y", "accept");
            key("n", "decline");
            if state.mode == Mode::Main {
                key("q", "quit");
            }
        }
        Mode::Main => {
            key("s", "send");
            key("b", "broadcast");
            key("r", "receive");
            key("q", "quit");
            key("?", "keys");
            match state.pane {
                Pane::Peers => {
                    key("m", "message");
                    key("Space", "mark");
                }
                Pane::Movements => {
                    key("⏎", "details");
                    key("x", "stop");
                }
                Pane::Arrivals => key("⏎", "open"),
            }
            key("i", "invite");
            key("Tab", "next list");
        }
        Mode::Welcome(_) => {
            key("↑↓", "choose");
            key("⏎", "do it");
            key("q", "quit");
        }
        Mode::Paste(_) => {
            key("⏎", "join");
            key("Ctrl-U", "clear");
            key("Esc", "back");
        }
        Mode::Trying(_) => key("Esc", "back"),
        Mode::Message(..) => {
            key("⏎", "send");
            key("Ctrl-U", "clear");
            key("Esc", "back");
        }
        Mode::Pick(picker) if picker.purpose == Purpose::Folder => {
            key("⏎", "use it");
            key("Esc", "back");
            key("→", "enter");
            key("←", "up");
            key("Tab", "complete");
        }
        Mode::Pick(picker) => {
            match picker.marked.len() {
                0 if picker.opens() => key("⏎", "open"),
                0 => key("⏎", "send"),
                n => key("⏎", &format!("send {n} marked")),
            }
            key("Space", "mark");
            key("Esc", "back");
            key("→", "enter");
            key("←", "up");
            key("Tab", "complete");
            key("/", "root");
            key("~", "home");
        }
        Mode::Invite(qr) => {
            key("c", "copy");
            key("r", if *qr { "as text" } else { "as QR code" });
            key("Esc", "back");
        }
        Mode::Receive => {
            key(
                "a",
                if state.takes_all {
                    "ask first"
                } else {
                    "take all"
                },
            );
            key("f", "folder");
            key("n", "name");
            key("Esc", "back");
        }
        Mode::Name(_) => {
            key("⏎", "use it");
            key("Ctrl-U", "clear");
            key("Esc", "back");
        }
        Mode::Show(_) => {
            key("↑↓", "scroll");
            key("Space", "page");
            key("Esc", "back");
        }
        Mode::Keys(_) => {
            key("↑↓", "scroll");
            key("any other", "back");
        }
        Mode::Quit => {
            key("y", "quit");
            key("n", "stay");
        }
    }
    let (gap, width) = (if width < ROOMY { 1 } else { 2 }, usize::from(width));
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, what) in keys {
        let whole = columns(key) + 1 + columns(&what);
        let fits = used + whole <= width;
        if !fits && used + columns(key) > width {
            break;
        }
        spans.push(Span::styled(key.to_owned(), Modifier::REVERSED));
        if !fits {
            break;
        }
        spans.push(Span::raw(format!(" {what}{}", " ".repeat(gap))));
        used += whole + gap;
    }
    Line::from(spans)
}
