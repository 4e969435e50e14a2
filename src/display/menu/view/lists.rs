//! The lists: who is in the room, what moves, what arrived.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Modifier,
    text::{Line, Span},
    widgets::{List, ListItem, ListState, Paragraph, Wrap},
};

use super::{
    LEFT_PERCENT, is_wide, movement,
    paint::{Paint, pad},
    shown,
};
use crate::display::{
    bytes,
    menu::{Arrived, Link, Pane, State},
    show::{columns, fit},
};

/// The areas of the lists, and of the preview.
pub(super) fn areas(area: Rect) -> [Rect; 4] {
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(LEFT_PERCENT), Constraint::Fill(1)]).areas(area);
    let [moving, arrived, preview] = Layout::vertical([
        Constraint::Fill(3),
        Constraint::Fill(3),
        Constraint::Fill(4),
    ])
    .areas(right);
    [left, moving, arrived, preview]
}

pub(super) fn all(state: &State, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let window = frame.area();
    if !is_wide(window.width, window.height) {
        return list(state, state.pane, true, paint, frame, area);
    }
    let [left, moving, arrived, preview] = areas(area);
    list(state, Pane::Peers, false, paint, frame, left);
    list(state, Pane::Movements, false, paint, frame, moving);
    list(state, Pane::Arrivals, false, paint, frame, arrived);
    shown::show(state, 0, paint, frame, preview);
}

fn list(state: &State, pane: Pane, alone: bool, paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width.saturating_sub(2));
    let here = state.pane == pane;
    let mut block = ratatui::widgets::Block::bordered().border_style(paint.dim());
    block = if alone {
        block.title(tabs(state, paint))
    } else {
        block.title(title(state, pane, here, paint))
    };
    if here && let Some(below) = below(state) {
        block = block.title_bottom(format!(" {} ", fit(&below, width.saturating_sub(2))));
    }
    let rows = rows(state, pane, paint, width);
    if rows.is_empty() {
        let text = Paragraph::new(empty(state, pane)).wrap(Wrap { trim: true });
        return frame.render_widget(text.block(block), area);
    }
    let mut at = ListState::default().with_selected(here.then(|| state.cursor()));
    let list = List::new(rows)
        .block(block)
        .highlight_style(Modifier::REVERSED);
    frame.render_stateful_widget(list, area, &mut at);
}

fn title(state: &State, pane: Pane, here: bool, paint: Paint) -> Span<'static> {
    let name = match pane {
        Pane::Peers if state.link == Link::Lost => "Room, as last seen",
        Pane::Peers => "Room",
        Pane::Movements => "Transfers",
        Pane::Arrivals => "Arrived",
    };
    let text = format!(" {name} {} ", state.rows(pane));
    // What tells the active list without colour.
    let style = if here {
        paint.accent().add_modifier(Modifier::REVERSED)
    } else {
        ratatui::style::Style::new()
    };
    Span::styled(text, style)
}

/// The titles of all lists, where only one of them is shown.
fn tabs(state: &State, paint: Paint) -> Line<'static> {
    let panes = [Pane::Peers, Pane::Movements, Pane::Arrivals];
    let spans = panes.map(|pane| title(state, pane, state.pane == pane, paint));
    Line::from(spans.to_vec())
}

/// More about the row under the cursor.
fn below(state: &State) -> Option<String> {
    match state.pane {
        Pane::Peers => {
            let marked = state.peers.iter().filter(|peer| peer.marked).count();
            (marked > 0).then(|| format!("{marked} marked"))
        }
        Pane::Movements => state.movement().map(|m| movement::summary(m, state.now)),
        Pane::Arrivals => None,
    }
}

fn empty(state: &State, pane: Pane) -> String {
    match pane {
        Pane::Peers => "Nobody else is here yet. Press i for the invite: whoever has it can \
             `p2p join` it, and then `p2p listen`."
            .to_owned(),
        Pane::Movements => "Nothing moves. Press s to send to one, b to all.".to_owned(),
        Pane::Arrivals => format!(
            "Nothing arrived yet. Others reach you with `p2p send --to {} FILE`.",
            state.name
        ),
    }
}

fn rows(state: &State, pane: Pane, paint: Paint, width: usize) -> Vec<ListItem<'static>> {
    match pane {
        Pane::Peers => state
            .peers
            .iter()
            .map(|peer| {
                let mark = if peer.marked { "✓" } else { " " };
                let (dot, style) = if peer.listening {
                    ("●", paint.good())
                } else {
                    ("○", paint.dim())
                };
                let id = peer.id.short().to_string();
                let name = pad(peer.name.as_str(), width.saturating_sub(4 + columns(&id)));
                ListItem::new(Line::from(vec![
                    Span::raw(mark),
                    Span::styled(dot, style),
                    Span::raw(format!(" {name} ")),
                    Span::styled(id, paint.dim()),
                ]))
            })
            .collect(),
        Pane::Movements => state
            .movements
            .iter()
            .map(|m| ListItem::new(movement::row(m, state.now, paint, width)))
            .collect(),
        Pane::Arrivals => state
            .arrivals
            .iter()
            .map(|arrival| {
                let from = fit(arrival.from.as_str(), width / 4).into_owned();
                let end = match arrival.what {
                    Arrived::File(_) => format!(" {:>9} from {from}", bytes(arrival.bytes)),
                    Arrived::Message(_) => format!(" says {from}"),
                };
                let title = pad(&arrival.title, width.saturating_sub(columns(&end)));
                ListItem::new(format!("{title}{end}"))
            })
            .collect(),
    }
}
