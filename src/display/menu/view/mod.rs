//! What the menu looks like.

mod frame;
mod lists;
mod movement;
mod paint;
mod panels;
mod picker;
mod shown;
#[cfg(test)]
mod tests;
mod welcome;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    widgets::Clear,
};

use self::paint::Paint;
pub(super) use self::panels::offered;
use super::{Mode, State};

/// From this size on, all lists are shown side by side; below, one at a time.
const WIDE: (u16, u16) = (64, 16);
/// Part of the width that the list of peers has.
const LEFT_PERCENT: u16 = 32;

/// Draws a state.
pub fn view(state: &State, frame: &mut Frame<'_>) {
    let paint = Paint(state.color);
    let [head, body, notice, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    if state.mode == Mode::Invite(true) {
        // A code is large: it gets all but the line of keys.
        let all = head.union(notice);
        panels::qr(state, paint, frame, all);
        return frame.render_widget(frame::footer(state, foot.width), foot);
    }
    frame.render_widget(frame::header(state, paint, head.width), head);
    match &state.mode {
        Mode::Welcome(row) => welcome::choices(state, *row, paint, frame, body),
        Mode::Paste(text) => welcome::paste(text, false, paint, frame, body),
        Mode::Trying(text) => welcome::paste(text, true, paint, frame, body),
        Mode::Message(to, text) => panels::message(to, text, paint, frame, body),
        Mode::Pick(picker) => picker::pick(state, picker, paint, frame, body),
        Mode::Invite(_) => panels::invite(state, paint, frame, body),
        Mode::Receive => panels::receive(state, paint, frame, body),
        Mode::Name(text) => panels::name(state, text, paint, frame, body),
        Mode::Show(line) => shown::show(state, *line, paint, frame, body),
        Mode::Keys(line) => panels::keys(*line, paint, frame, body),
        Mode::Main | Mode::Quit => lists::all(state, paint, frame, body),
    }
    if state.mode == Mode::Quit {
        panels::quit(state, paint, frame, body);
    } else if matches!(state.mode, Mode::Main | Mode::Show(_)) && !state.offers.is_empty() {
        panels::offer(state, paint, frame, body);
    }
    frame::notice(state, paint, frame, notice);
    frame.render_widget(frame::footer(state, foot.width), foot);
}

/// Columns and rows that the viewer may fill, in a window of this size.
#[must_use]
pub fn preview_size(mode: &Mode, (columns, rows): (u16, u16)) -> (u16, u16) {
    let body = rows.saturating_sub(3);
    let (width, height) = if matches!(mode, Mode::Show(_)) || !is_wide(columns, rows) {
        (columns, body)
    } else {
        let area = Rect::new(0, 0, columns, body);
        let [.., preview] = lists::areas(area);
        (preview.width, preview.height)
    };
    (width.saturating_sub(2), height.saturating_sub(2))
}

fn is_wide(columns: u16, rows: u16) -> bool {
    columns >= WIDE.0 && rows >= WIDE.1
}

/// Empties the middle of an area for something that is laid over it.
fn overlay(frame: &mut Frame<'_>, area: Rect, width: u16, height: usize) -> Rect {
    let height = u16::try_from(height).unwrap_or(u16::MAX).min(area.height);
    let width = width.min(area.width);
    let area = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    // A wide letter that begins left of the area would reach into it.
    frame.render_widget(Clear, area);
    area
}
