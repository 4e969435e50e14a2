//! The keys of the file picker.

use std::path::{Path, PathBuf};

use crossterm::event::{KeyCode, KeyEvent};

use super::{Effect, Parcel, news};
use crate::display::{
    menu::{Entry, Mode, Picker, Purpose, State},
    show::sanitise,
};

/// Rows that a page key moves by.
const PAGE: usize = 10;
/// Keys that are kept while a folder is being read.
const TYPED_MAX: usize = 256;

pub(super) fn keyed(state: &mut State, key: KeyEvent, mut picker: Picker) -> Vec<Effect> {
    if picker.reading && key.code != KeyCode::Esc {
        if picker.typed.len() < TYPED_MAX {
            picker.typed.push(key);
        }
        state.mode = Mode::Pick(picker);
        return Vec::new();
    }
    let last = picker.matching().len().saturating_sub(1);
    let mut moved = false;
    match key.code {
        KeyCode::Esc => return Vec::new(),
        KeyCode::Enter => return picked(state, picker),
        KeyCode::Down => picker.cursor = (picker.cursor + 1).min(last),
        KeyCode::Up => picker.cursor = picker.cursor.saturating_sub(1),
        KeyCode::PageDown => picker.cursor = (picker.cursor + PAGE).min(last),
        KeyCode::PageUp => picker.cursor = picker.cursor.saturating_sub(PAGE),
        KeyCode::Home => picker.cursor = 0,
        KeyCode::End => picker.cursor = last,
        KeyCode::Right => moved = picker.descend(),
        KeyCode::Left => moved = picker.ascend(),
        KeyCode::Tab => moved = picker.complete(),
        KeyCode::Backspace if picker.filter.is_empty() => moved = picker.ascend(),
        KeyCode::Backspace => {
            picker.filter.pop();
            picker.cursor = 0;
        }
        KeyCode::Char(' ') if picker.purpose != Purpose::Folder => {
            picker.mark();
            picker.cursor = (picker.cursor + 1).min(last);
        }
        KeyCode::Char('/') if picker.filter.is_empty() => {
            picker.go(PathBuf::from("/"));
            moved = true;
        }
        KeyCode::Char('~') if picker.filter.is_empty() && state.home.is_some() => {
            picker.go(state.home.clone().unwrap_or_default());
            moved = true;
        }
        KeyCode::Char('/') => moved = picker.descend(),
        KeyCode::Char(c) => picker.push(c),
        _ => {}
    }
    let folder = picker.folder.clone();
    state.mode = Mode::Pick(picker);
    if moved {
        vec![Effect::List(folder)]
    } else {
        Vec::new()
    }
}

/// Takes a folder's content, and then the keys that were pressed before it was there.
pub(super) fn listed(
    state: &mut State,
    folder: &Path,
    listed: Result<Vec<Entry>, String>,
) -> Vec<Effect> {
    let Mode::Pick(picker) = &mut state.mode else {
        return Vec::new();
    };
    picker.listed(folder, listed);
    if picker.reading {
        return Vec::new();
    }
    let typed = std::mem::take(&mut picker.typed);
    let mut effects = Vec::new();
    for key in typed {
        effects.extend(super::keyed(state, key));
    }
    effects
}

fn picked(state: &mut State, picker: Picker) -> Vec<Effect> {
    match &picker.purpose {
        Purpose::Folder if state.is_receiving() => {
            state.warn("the folder cannot change while something arrives");
            Vec::new()
        }
        Purpose::Folder => vec![Effect::Folder(picker.chosen_folder())],
        Purpose::Send(to) => {
            let chosen = picker.chosen();
            if chosen.is_empty() {
                state.mode = Mode::Pick(picker);
                return Vec::new();
            }
            let what = match chosen.as_slice() {
                [one] => sanitise(&one.file_name().unwrap_or(one.as_os_str()).to_string_lossy())
                    .into_owned(),
                several => format!("{} items", several.len()),
            };
            state.browse.clone_from(&picker.folder);
            news::sending(state, to.clone(), what, Parcel::Paths(chosen))
        }
    }
}
