//! The keys of the file picker.

use std::path::{Path, PathBuf};

use crossterm::event::{KeyCode, KeyEvent};

use super::{Content, Effect, rows};
use crate::display::{
    menu::{Entry, Mode, Picker, Purpose, State},
    show::sanitise,
};

/// Rows that a page key moves by.
const PAGE: usize = 10;
/// Keys that are kept while a folder is being read.
const TYPED_MAX: usize = 256;

pub(super) fn on_key(state: &mut State, key: KeyEvent, mut picker: Picker) -> Vec<Effect> {
    if picker.reading && key.code != KeyCode::Esc {
        if picker.typed.len() < TYPED_MAX {
            picker.typed.push(key);
        }
        state.mode = Mode::Pick(picker);
        return Vec::new();
    }
    let last = picker.matching().len().saturating_sub(1);
    let went_home = std::mem::take(&mut picker.went_home);
    let mut moved = false;
    match key.code {
        KeyCode::Esc => return Vec::new(),
        KeyCode::Enter if picker.opens() => moved = picker.descend(),
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
        KeyCode::Char('/') if went_home => {}
        KeyCode::Char('/') => match picker.filter.as_str() {
            "" => {
                picker.go(PathBuf::from("/"));
                moved = true;
            }
            "." => picker.filter.clear(),
            ".." => moved = picker.ascend(),
            _ => moved = picker.descend(),
        },
        KeyCode::Char('~') if picker.filter.is_empty() && state.home.is_some() => {
            picker.go(state.home.clone().unwrap_or_default());
            picker.went_home = true;
            moved = true;
        }
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

/// Takes text that was pasted: a path leads to where it is, anything else is as if it were typed.
pub(super) fn pasted(state: &mut State, text: &str) -> Vec<Effect> {
    let Mode::Pick(picker) = &mut state.mode else {
        return Vec::new();
    };
    let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    // Terminals quote what is dropped on them, as for a shell.
    let is_quoted = text.contains(['\'', '"', '\\']);
    let words = is_quoted.then(|| shell_words::split(&text).unwrap_or_default());
    let text = match words.as_deref() {
        Some([one]) => one.clone(),
        _ => text,
    };
    let path = match (text.strip_prefix('~'), &state.home) {
        (Some(""), Some(home)) => home.clone(),
        (Some(rest), Some(home)) if rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(&text),
    };
    if !text.contains('/') && path.as_os_str() == text.as_str() {
        text.chars().for_each(|c| picker.push(c));
        return Vec::new();
    }
    picker.follow(&path);
    vec![Effect::List(picker.folder.clone())]
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
        effects.extend(super::on_key(state, key));
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
            rows::sending(state, to.clone(), what, Content::Paths(chosen))
        }
    }
}
