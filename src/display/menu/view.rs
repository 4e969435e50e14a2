//! What the menu looks like.

use qrcode::{QrCode, render::unicode::Dense1x2};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, List, ListItem, ListState, Paragraph, Wrap},
};

use super::{Job, Link, Mode, Movement, Outcome, Pane, Picker, Purpose, State, ansi};
use crate::display::{bytes, show::sanitise};

/// From this size on, all lists are shown side by side; below, one at a time.
const WIDE: (u16, u16) = (64, 16);
/// Names of an offer that are shown.
const NAMES_SHOWN: usize = 6;

/// Draws a state.
pub fn view(state: &State, frame: &mut Frame<'_>) {
    let [head, body, notice, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let paint = Paint(state.color);
    frame.render_widget(header(state, paint), head);
    match &state.mode {
        Mode::Welcome(row) => welcome(state, *row, frame, body),
        Mode::Paste(text) => paste(text, frame, body),
        Mode::Pick(picker) => pick(picker, paint, frame, body),
        Mode::Invite(qr) => invite(state, *qr, frame, body),
        Mode::Show(line) => show(state, *line, frame, body),
        Mode::Keys => keys(frame, body),
        Mode::Main | Mode::Quit => lists(state, paint, frame, body),
    }
    if let (Some((text, bad)), true) = (&state.notice, notice.height > 0) {
        let style = if *bad { paint.bad() } else { Style::new() };
        frame.render_widget(Span::styled(text.as_str(), style), notice);
    }
    if matches!(state.mode, Mode::Main | Mode::Show(_)) && !state.offers.is_empty() {
        offer(state, paint, frame, body);
    }
    frame.render_widget(footer(state, foot.width), foot);
}

/// Styles that mean something without colour as well.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn fg(self, color: Color) -> Style {
        if self.0 {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }
    fn good(self) -> Style {
        self.fg(Color::Green)
    }
    fn bad(self) -> Style {
        self.fg(Color::Red).add_modifier(Modifier::BOLD)
    }
    fn accent(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::BOLD)
    }
}

fn header(state: &State, paint: Paint) -> Line<'static> {
    let (link, style) = match &state.link {
        Link::None => ("no room yet".to_owned(), Style::new()),
        Link::Connecting => ("connecting…".to_owned(), Style::new()),
        Link::Joined(relay) => (format!("at {relay}"), paint.good()),
        Link::Lost(reason) => (format!("relay lost: {reason}"), paint.bad()),
    };
    Line::from(vec![
        Span::styled("p2p ", paint.accent()),
        Span::styled(state.name.to_string(), Modifier::BOLD),
        Span::raw(" "),
        Span::styled(link, style),
        Span::raw(format!(" → {}", sanitise(&state.folder.to_string_lossy()))),
    ])
}

/// As many keys as fit, the most important first.
fn footer(state: &State, width: u16) -> Line<'static> {
    let keys: &[(&str, &str)] = match &state.mode {
        Mode::Main | Mode::Show(_) if !state.offers.is_empty() => {
            &[("y", "accept"), ("n", "decline")]
        }
        Mode::Main => &[
            ("q", "quit"),
            ("s", "send"),
            ("b", "all"),
            ("?", "keys"),
            ("Tab", "list"),
            ("Space", "mark"),
            ("f", "folder"),
            ("i", "invite"),
            ("⏎", "open"),
        ],
        Mode::Welcome(_) => &[("↑↓", "choose"), ("⏎", "do it"), ("q", "quit")],
        Mode::Paste(_) => &[("⏎", "join"), ("Esc", "back")],
        Mode::Pick(Picker {
            purpose: Purpose::Folder,
            ..
        }) => &[
            ("⏎", "use"),
            ("→", "enter"),
            ("←", "up"),
            ("Tab", "complete"),
            ("Esc", "back"),
        ],
        Mode::Pick(_) => &[
            ("⏎", "send"),
            ("Space", "mark"),
            ("Tab", "fill"),
            ("Esc", "back"),
            ("→", "enter"),
            ("←", "up"),
        ],
        Mode::Invite(_) => &[("c", "copy"), ("r", "QR code"), ("Esc", "back")],
        Mode::Show(_) => &[("↑↓", "scroll"), ("Esc", "back")],
        Mode::Keys => &[("any key", "back")],
        Mode::Quit => &[("y", "quit, it can be resumed"), ("n", "stay")],
    };
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, what) in keys {
        used += key.chars().count() + what.chars().count() + 3;
        if used > usize::from(width) + 2 {
            break;
        }
        spans.push(Span::styled((*key).to_owned(), Modifier::REVERSED));
        spans.push(Span::raw(format!(" {what}  ")));
    }
    Line::from(spans)
}

fn lists(state: &State, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    if frame.area().width < WIDE.0 || frame.area().height < WIDE.1 {
        return list(state, state.pane, paint, frame, area);
    }
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(32), Constraint::Fill(1)]).areas(area);
    let [moving, arrived, preview] = Layout::vertical([
        Constraint::Fill(3),
        Constraint::Fill(3),
        Constraint::Fill(4),
    ])
    .areas(right);
    list(state, Pane::Peers, paint, frame, left);
    list(state, Pane::Movements, paint, frame, moving);
    list(state, Pane::Arrivals, paint, frame, arrived);
    show(state, 0, frame, preview);
}

fn list(state: &State, pane: Pane, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width.saturating_sub(2));
    let (title, empty, rows): (_, _, Vec<ListItem<'_>>) = match pane {
        Pane::Peers => (
            "Room",
            "nobody else is here yet",
            state
                .peers
                .iter()
                .map(|p| {
                    let mark = if p.marked { "✓" } else { " " };
                    let state = if p.listening { "●" } else { "○" };
                    ListItem::new(format!("{mark}{state} {}  {}", p.name, p.id.short()))
                })
                .collect(),
        ),
        Pane::Movements => (
            "Transfers",
            "nothing moves",
            state
                .movements
                .iter()
                .map(|m| ListItem::new(movement(m, paint, width)))
                .collect(),
        ),
        Pane::Arrivals => (
            "Arrived",
            "nothing arrived yet",
            state
                .arrivals
                .iter()
                .map(|a| ListItem::new(format!("{}  {}  from {}", a.title, bytes(a.bytes), a.from)))
                .collect(),
        ),
    };
    let here = state.pane == pane;
    let title = Span::styled(
        format!(" {title} {} ", rows.len()),
        if here { paint.accent() } else { Style::new() },
    );
    let block = Block::bordered().title(title);
    if rows.is_empty() {
        return frame.render_widget(
            Paragraph::new(empty).wrap(Wrap { trim: true }).block(block),
            area,
        );
    }
    let mut at = ListState::default().with_selected(here.then(|| state.cursor()));
    let list = List::new(rows)
        .block(block)
        .highlight_style(Modifier::REVERSED);
    frame.render_stateful_widget(list, area, &mut at);
}

fn movement(movement: &Movement, paint: Paint, width: usize) -> Line<'static> {
    let arrow = if matches!(movement.job, Job::Send(_)) {
        "↑"
    } else {
        "↓"
    };
    let name: String = movement.name.as_str().chars().take(12).collect();
    let size = bytes(movement.bytes());
    let start = format!("{arrow} {name:<12} ");
    let (end, style) = match &movement.outcome {
        Outcome::Running => (size, Style::new()),
        Outcome::Done => (format!("✓ {size}"), paint.good()),
        Outcome::Failed(reason) => (format!("✗ {reason}"), paint.bad()),
    };
    let mut spans = vec![Span::raw(start)];
    let room = width.saturating_sub(15 + end.chars().count() + 6).min(30);
    if let (Some(ratio), true) = (
        movement.ratio(),
        room >= 4 && movement.outcome == Outcome::Running,
    ) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let full = ((ratio * room as f64) as usize).min(room);
        spans.push(Span::styled("█".repeat(full), paint.good()));
        spans.push(Span::raw("░".repeat(room - full)));
        spans.push(Span::raw(format!(" {:>3.0}% ", (ratio * 100.0).floor())));
    }
    spans.push(Span::styled(end, style));
    Line::from(spans)
}

fn show(state: &State, from: usize, frame: &mut Frame<'_>, area: Rect) {
    let arrival = state.arrivals.get(state.cursors[Pane::Arrivals as usize]);
    let title = arrival.map_or(" Preview ".to_owned(), |arrival| match arrival.path {
        Some(_) => format!(" {} ", arrival.title),
        None => format!(" Message from {} ", arrival.from),
    });
    let block = Block::bordered().title(title);
    let paragraph = match (arrival, &state.preview) {
        (Some(arrival), _) if arrival.path.is_none() => {
            Paragraph::new(arrival.title.as_str()).wrap(Wrap { trim: false })
        }
        (Some(arrival), Some(preview)) if arrival.path.as_ref() == Some(&preview.path) => {
            let lines = ansi::lines(&preview.text);
            let from = from.min(lines.len().saturating_sub(1));
            Paragraph::new(lines.into_iter().skip(from).collect::<Vec<_>>())
        }
        _ => Paragraph::default(),
    };
    frame.render_widget(paragraph.block(block), area);
}

fn offer(state: &State, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let Some(offer) = state.offers.front() else {
        return;
    };
    let what = match (offer.text, offer.files) {
        (true, _) => "a message".to_owned(),
        (_, Some(1)) => "1 file".to_owned(),
        (_, Some(n)) => format!("{n} files"),
        (_, None) => "files".to_owned(),
    };
    let size = offer
        .bytes
        .map(|size| format!(", {}", bytes(size)))
        .unwrap_or_default();
    let mut lines = vec![Line::from(vec![
        Span::styled(offer.from_name.to_string(), Modifier::BOLD),
        Span::raw(format!(" ({}) offers {what}{size}", offer.from.short())),
    ])];
    for (name, size) in offer.names.iter().take(NAMES_SHOWN) {
        let size = size
            .map(|size| format!("  {}", bytes(size)))
            .unwrap_or_default();
        lines.push(Line::from(format!("  {}{size}", sanitise(name))));
    }
    if offer.files.unwrap_or(0) > NAMES_SHOWN as u64 {
        lines.push(Line::from("  …"));
    }
    lines.push(Line::styled("accept? y / n", paint.accent()));
    let more = match state.offers.len() {
        1 => String::new(),
        n => format!("(1 of {n}) "),
    };
    let area = centered(
        area,
        60,
        u16::try_from(lines.len())
            .unwrap_or(u16::MAX)
            .saturating_add(2),
    );
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(format!(" Incoming {more}"));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn welcome(state: &State, row: usize, frame: &mut Frame<'_>, area: Rect) {
    let mut lines = vec![Line::from("This machine is in no room."), Line::default()];
    let mut choices = vec!["Paste an invite (p)", "Start a relay here (r)"];
    if state.invite.is_some() {
        choices.push("Try again (t)");
    }
    for (at, choice) in choices.into_iter().enumerate() {
        let style = if at == row {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        lines.push(Line::styled(format!(" {choice} "), style));
    }
    let block = Block::bordered().title(" Welcome ");
    frame.render_widget(
        Paragraph::new(lines)
            .wrap(Wrap { trim: false })
            .block(block),
        area,
    );
}

fn paste(text: &str, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::bordered().title(" Paste the invite ");
    let text = format!("{}▏", sanitise(text));
    frame.render_widget(
        Paragraph::new(text).wrap(Wrap { trim: false }).block(block),
        area,
    );
}

fn pick(picker: &Picker, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let folder = sanitise(&picker.folder.to_string_lossy()).into_owned();
    let what = match &picker.purpose {
        Purpose::Folder => "Receive into".to_owned(),
        Purpose::Send(None) => "Send to everyone".to_owned(),
        Purpose::Send(Some(to)) if to.len() == 1 => "Send to 1 peer".to_owned(),
        Purpose::Send(Some(to)) => format!("Send to {} peers", to.len()),
    };
    let marked = match picker.marked.len() {
        0 => String::new(),
        n => format!(" {n} marked "),
    };
    let block = Block::bordered()
        .title(Span::styled(format!(" {what} "), paint.accent()))
        .title_bottom(marked);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [line, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inner);
    // What is typed matters more than where: the front gives way.
    let path = format!(
        "{}/{}▏",
        folder.trim_end_matches('/'),
        sanitise(&picker.filter)
    );
    let skip = path.chars().count().saturating_sub(usize::from(line.width));
    frame.render_widget(
        Span::styled(path.chars().skip(skip).collect::<String>(), Modifier::BOLD),
        line,
    );
    if let Some(problem) = &picker.problem {
        return frame.render_widget(Span::styled(problem.as_str(), paint.bad()), rest);
    }
    let rows = picker.matching().into_iter().map(|entry| {
        let mark = if picker.marked.contains(&picker.folder.join(&entry.name)) {
            "✓"
        } else {
            " "
        };
        let end = if entry.is_file { "" } else { "/" };
        ListItem::new(format!("{mark} {}{end}", sanitise(&entry.name)))
    });
    let mut at = ListState::default().with_selected(Some(picker.cursor));
    frame.render_stateful_widget(
        List::new(rows).highlight_style(Modifier::REVERSED),
        rest,
        &mut at,
    );
}

fn invite(state: &State, qr: bool, frame: &mut Frame<'_>, area: Rect) {
    let text = state.invite.as_deref().unwrap_or_default();
    let code = qr.then(|| QrCode::new(text).ok()).flatten().map(|code| {
        // Scanners expect dark on light; terminals are mostly the other way round.
        code.render()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build()
    });
    let block = Block::bordered().title(" Invite: a secret, for members only ");
    let Some(code) = code else {
        let text = Paragraph::new(text).wrap(Wrap { trim: false });
        return frame.render_widget(text.block(block), area);
    };
    let fits = code.lines().count() <= usize::from(area.height)
        && code
            .lines()
            .next()
            .is_some_and(|line| line.chars().count() <= usize::from(area.width));
    if fits {
        frame.render_widget(Paragraph::new(code), area);
    } else {
        let text = "The QR code needs a larger window; `p2p invite --qr` prints it.";
        frame.render_widget(
            Paragraph::new(text).wrap(Wrap { trim: true }).block(block),
            area,
        );
    }
}

fn keys(frame: &mut Frame<'_>, area: Rect) {
    let text = "Tab ←→  list     ↑↓ jk  move\nSpace   mark a peer\ns ⏎     send to marked peers\nb       send to everyone\nf       change the folder\ni       invite: copy, QR code\n⏎       look at what arrived\nq       quit";
    frame.render_widget(
        Paragraph::new(text).block(Block::bordered().title(" Keys ")),
        area,
    );
}

fn centered(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}
