//! The keys of whoever is in no room yet.

use crossterm::event::{KeyCode, KeyEvent};

use super::{Effect, field};
use crate::display::menu::{Mode, State};

/// Choices before there is an invite: to paste one, or to start a relay here.
const CHOICES: usize = 2;

pub(super) fn on_key(state: &mut State, key: KeyEvent, row: usize) -> Vec<Effect> {
    // With an invite, it can be tried again as well.
    let rows = CHOICES + usize::from(state.invite.is_some());
    let chosen = match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return vec![Effect::Quit(0)],
        KeyCode::Char('p') => 0,
        KeyCode::Char('r') => 1,
        KeyCode::Char('t') if rows > CHOICES => 2,
        KeyCode::Enter => row,
        _ => {
            state.mode = Mode::Welcome(match key.code {
                KeyCode::Up | KeyCode::Char('k') => row.saturating_sub(1),
                KeyCode::Down | KeyCode::Char('j') | KeyCode::Tab => (row + 1).min(rows - 1),
                _ => row,
            });
            return Vec::new();
        }
    };
    state.notice = None;
    state.mode = Mode::Welcome(chosen);
    match chosen {
        0 => {
            state.mode = Mode::Paste(String::new());
            Vec::new()
        }
        1 => vec![Effect::StartRelay],
        _ => vec![Effect::Retry],
    }
}

pub(super) fn paste(state: &mut State, key: KeyEvent, mut text: String) -> Vec<Effect> {
    match key.code {
        KeyCode::Enter if !text.is_empty() => {
            state.notice = None;
            state.mode = Mode::Trying(text.clone());
            return vec![Effect::Join(text)];
        }
        KeyCode::Esc => {
            state.notice = None;
            state.mode = Mode::Welcome(0);
            return Vec::new();
        }
        _ => field::edit(&mut text, key),
    }
    state.mode = Mode::Paste(text);
    Vec::new()
}
