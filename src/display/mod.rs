//! What people and scripts see while files move; the viewer; the menu. Commands print their own answers.
//!
//! It knows events and protocol types, and nothing of how they come about.

mod bars;
mod events;
mod human;
pub mod menu;
mod stage;

use std::sync::Arc;

pub use bars::Bars;
pub use events::{JsonEvents, print_line};
pub use human::Human;
pub use p2p_view as show;
pub use p2p_view::format::{bytes, duration, rate};
pub use stage::{Pause, Stage};

use crate::transfer::Observer;

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

/// The observer for a style, on this stage.
#[must_use]
pub fn observer(style: Style, stage: &Stage) -> Arc<dyn Observer> {
    if style.json {
        Arc::new(JsonEvents::new(stage.clone()))
    } else {
        Arc::new(Human::new(style, stage.clone()))
    }
}
