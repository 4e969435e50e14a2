//! The keys of what is laid over the lists.

use crossterm::event::{KeyCode, KeyEvent};

use super::{Content, Effect, field, lists, rows};
use crate::{
    display::menu::{Activity, Audience, Mode, Movement, Outcome, State, view},
    protocol::TransferId,
};

/// Answers the oldest offer.
pub(super) fn answer(state: &mut State, transfer: TransferId, yes: bool) -> Vec<Effect> {
    let Some(at) = state.offers.iter().position(|o| o.transfer == transfer) else {
        return Vec::new();
    };
    let Some(offer) = state.offers.remove(at) else {
        return Vec::new();
    };
    if yes {
        let what = view::offered(&offer);
        let peer = (offer.from, offer.from_name);
        let mut movement = Movement::new(Activity::Receive(transfer), peer, what, state.now);
        movement.expect(offer.files, offer.bytes);
        movement.outcome = Outcome::Running;
        rows::add(state, movement);
    } else {
        state.say(format!("declined what {} offered", offer.from_name));
    }
    vec![Effect::Answer(transfer, yes)]
}

pub(super) fn message(
    state: &mut State,
    key: KeyEvent,
    to: Audience,
    mut text: String,
) -> Vec<Effect> {
    match key.code {
        KeyCode::Esc => return Vec::new(),
        KeyCode::Enter if !text.trim().is_empty() => {
            return rows::sending(state, to, "a message".to_owned(), Content::Text(text));
        }
        _ => field::edit(&mut text, key),
    }
    state.mode = Mode::Message(to, text);
    Vec::new()
}

pub(super) fn invite(state: &mut State, key: KeyEvent, qr: bool) -> Vec<Effect> {
    match (key.code, &state.invite) {
        (KeyCode::Char('c'), Some(invite)) => {
            let effect = Effect::Copy(invite.clone());
            state.mode = Mode::Invite(qr);
            state.say("the invite is in the clipboard, if the terminal allows it");
            return vec![effect];
        }
        (KeyCode::Char('r'), _) => state.mode = Mode::Invite(!qr),
        (KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'i'), _) => {}
        _ => state.mode = Mode::Invite(qr),
    }
    Vec::new()
}

pub(super) fn receive(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    state.mode = Mode::Receive;
    match key.code {
        KeyCode::Char('a') => {
            state.takes_all = !state.takes_all;
            if state.takes_all {
                let waiting: Vec<_> = state.offers.iter().map(|offer| offer.transfer).collect();
                let answers = waiting.into_iter();
                return answers
                    .flat_map(|offer| answer(state, offer, true))
                    .collect();
            }
        }
        KeyCode::Char('f') => return lists::folder(state),
        KeyCode::Char('n') if state.is_receiving() => {
            state.warn("the name cannot change while something arrives");
        }
        KeyCode::Char('n') => state.mode = Mode::Name(String::new()),
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'r') => state.mode = Mode::Main,
        _ => {}
    }
    Vec::new()
}

pub(super) fn name(state: &mut State, key: KeyEvent, mut text: String) -> Vec<Effect> {
    match key.code {
        KeyCode::Esc => {
            state.mode = Mode::Receive;
            return Vec::new();
        }
        KeyCode::Enter if !text.trim().is_empty() => {
            state.mode = Mode::Receive;
            return vec![Effect::Rename(text.trim().to_owned())];
        }
        _ => field::edit(&mut text, key),
    }
    state.mode = Mode::Name(text);
    Vec::new()
}

pub(super) fn show(state: &mut State, key: KeyEvent, line: usize) -> Vec<Effect> {
    state.mode = Mode::Show(match key.code {
        KeyCode::Down | KeyCode::Char('j') => line.saturating_add(1),
        KeyCode::Up | KeyCode::Char('k') => line.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => line.saturating_add(10),
        KeyCode::PageUp => line.saturating_sub(10),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => {
            state.mode = Mode::Main;
            return lists::preview(state);
        }
        _ => line,
    });
    Vec::new()
}
