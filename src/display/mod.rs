//! What people and scripts see while files move; the viewer; the menu. Commands print their own answers.
//!
//! It knows events and protocol types, and nothing of how they come about.

mod bars;
mod events;
mod format;
mod human;
pub mod menu;
pub mod show;

use std::sync::Arc;

pub use bars::Bars;
pub use events::{JsonEvents, print_line};
pub use format::{bytes, duration, rate};
pub use human::Human;

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
    /// Progress bars on standard error.
    pub bars: bool,
}

/// The observer for a style.
#[must_use]
pub fn observer(style: Style) -> Arc<dyn Observer> {
    if style.json {
        Arc::new(JsonEvents::default())
    } else {
        Arc::new(Human::new(style))
    }
}
