//! What people and scripts see while files move; the viewer; the menu. Commands print their own answers.
//!
//! It knows events and protocol types, and nothing of how they come about.

mod ascii;
mod bars;
mod events;
mod failed_list;
mod human;
mod json;
mod log;
pub mod menu;
mod pace;
mod phrases;
mod stage;

pub use bars::Bars;
pub(crate) use bars::TOLD_MAX;
pub use events::Events;
pub use json::{print_json, print_line};
pub use log::Log;
pub use p2p_view as show;
pub use p2p_view::format::{bytes, counted, duration, rate};
pub(crate) use phrases::contents;
pub use stage::{Pause, Stage};

use std::path::PathBuf;

use self::{human::Human, json::Json};

/// How much is said, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// JSON events instead of text.
    pub json: bool,
    /// Errors only.
    pub quiet: bool,
    /// Colour on standard error.
    pub color: bool,
    /// Whether standard error is a terminal, where lines are fitted to its width.
    pub terminal: bool,
    /// Progress bars on standard error.
    pub bars: bool,
}

/// Prints events in a style, on this stage; long lists of files that failed go to a file in `lists`.
#[must_use]
pub fn events(style: Style, stage: &Stage, lists: Option<PathBuf>) -> Events {
    if style.json {
        Events::start(Json::default())
    } else {
        Events::start(Human::new(style, stage.clone(), lists))
    }
}
