//! The keys of the lists.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent};

use super::Effect;
use crate::display::menu::{
    Activity, Arrived, Audience, Mode, Outcome, Pane, Picker, Purpose, State,
};

/// Rows that a page key moves by.
const PAGE: usize = 10;

pub(super) fn on_key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let last = state.rows(state.pane).saturating_sub(1);
    let cursor = state.cursor();
    match key.code {
        KeyCode::Tab | KeyCode::Right => {
            state.pane = match state.pane {
                Pane::Peers => Pane::Movements,
                Pane::Movements => Pane::Arrivals,
                Pane::Arrivals => Pane::Peers,
            };
        }
        KeyCode::BackTab | KeyCode::Left => {
            state.pane = match state.pane {
                Pane::Peers => Pane::Arrivals,
                Pane::Movements => Pane::Peers,
                Pane::Arrivals => Pane::Movements,
            };
        }
        KeyCode::Down | KeyCode::Char('j') => return move_to(state, (cursor + 1).min(last)),
        KeyCode::Up | KeyCode::Char('k') => return move_to(state, cursor.saturating_sub(1)),
        KeyCode::PageDown => return move_to(state, (cursor + PAGE).min(last)),
        KeyCode::PageUp => return move_to(state, cursor.saturating_sub(PAGE)),
        KeyCode::Home | KeyCode::Char('g') => return move_to(state, 0),
        KeyCode::End | KeyCode::Char('G') => return move_to(state, last),
        KeyCode::Char(' ') => mark(state),
        KeyCode::Char('a') => mark_all(state),
        KeyCode::Char('s') => return send(state),
        KeyCode::Enter if state.pane == Pane::Peers => return send(state),
        KeyCode::Enter if cursor < state.rows(state.pane) => {
            state.mode = Mode::Show(0);
            return preview(state);
        }
        KeyCode::Char('m') => {
            if let Some(to) = audience(state) {
                state.mode = Mode::Message(to, String::new());
            }
        }
        KeyCode::Char('b') if state.peers.iter().any(|peer| peer.listening) => {
            let from = state.browse.clone();
            return browse(state, Purpose::Send(Audience::Everyone), from);
        }
        KeyCode::Char('b') => state.warn("nobody is listening in this room"),
        KeyCode::Char('x') => return stop(state),
        KeyCode::Char('r') => state.mode = Mode::Receive,
        KeyCode::Char('f') => return folder(state),
        KeyCode::Char('i') if state.invite.is_some() => state.mode = Mode::Invite(false),
        KeyCode::Char('?' | 'h') => state.mode = Mode::Keys(0),
        KeyCode::Char('q') if state.is_busy() || (state.hosting && !state.peers.is_empty()) => {
            state.mode = Mode::Quit;
        }
        KeyCode::Char('q') => return vec![Effect::Quit(0)],
        KeyCode::Esc => state.notice = None,
        _ => {}
    }
    Vec::new()
}

/// Asks for the preview of what is under the cursor of the arrivals.
pub(super) fn preview(state: &State) -> Vec<Effect> {
    match state.arrival().map(|arrival| &arrival.what) {
        Some(Arrived::File(path)) => vec![Effect::Preview(path.clone())],
        _ => Vec::new(),
    }
}

/// Chooses the folder that is received into.
pub(super) fn folder(state: &mut State) -> Vec<Effect> {
    let from = state.folder.clone();
    browse(state, Purpose::Folder, from)
}

fn move_to(state: &mut State, row: usize) -> Vec<Effect> {
    state.cursors[state.pane as usize] = row;
    if state.pane == Pane::Arrivals {
        return preview(state);
    }
    Vec::new()
}

fn mark(state: &mut State) {
    let cursor = state.cursors[Pane::Peers as usize];
    if state.pane != Pane::Peers {
        return;
    }
    if let Some(peer) = state.peers.get_mut(cursor) {
        peer.marked = !peer.marked && peer.listening;
        let last = state.peers.len() - 1;
        state.cursors[Pane::Peers as usize] = (cursor + 1).min(last);
    }
}

/// Marks everyone who listens; if they all are, nobody.
fn mark_all(state: &mut State) {
    let all = state
        .peers
        .iter()
        .all(|peer| peer.marked || !peer.listening);
    for peer in &mut state.peers {
        peer.marked = peer.listening && !all;
    }
}

fn send(state: &mut State) -> Vec<Effect> {
    let Some(to) = audience(state) else {
        return Vec::new();
    };
    let from = state.browse.clone();
    browse(state, Purpose::Send(to), from)
}

/// Those who are marked, or the one under the cursor.
fn audience(state: &mut State) -> Option<Audience> {
    let marked = state.peers.iter().filter(|peer| peer.marked);
    let marked: Vec<_> = marked.map(|peer| (peer.id, peer.name.clone())).collect();
    if !marked.is_empty() {
        return Some(Audience::Peers(marked));
    }
    match state.peer() {
        Some(peer) if peer.listening => {
            return Some(Audience::Peers(vec![(peer.id, peer.name.clone())]));
        }
        Some(peer) => {
            let text = format!("{} is here, but does not listen", peer.name);
            state.warn(text);
        }
        None => state.warn("nobody else is in the room yet: i shows the invite"),
    }
    None
}

fn browse(state: &mut State, purpose: Purpose, folder: PathBuf) -> Vec<Effect> {
    state.mode = Mode::Pick(Picker::new(purpose, folder.clone()));
    vec![Effect::List(folder)]
}

fn stop(state: &mut State) -> Vec<Effect> {
    match state.movement() {
        Some(movement) if state.pane == Pane::Movements && movement.is_open() => {
            match movement.activity {
                Activity::Send(number) => return vec![Effect::Stop(number)],
                Activity::Receive(_) if movement.outcome == Outcome::Running => {
                    state.warn("only its sender can stop it");
                }
                Activity::Receive(_) => {}
            }
        }
        _ => {}
    }
    Vec::new()
}
