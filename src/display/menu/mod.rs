//! The full-screen menu: what it knows, how it changes, what it looks like.
//!
//! - [`State`]: everything that is on the screen; pure
//! - [`update`]: from a key or a piece of [`News`] to the next state, and [`Effect`]s to carry out
//! - [`view`]: draws a state
//! - [`Picker`]: chooses files, or a folder
//! - `movement`: one row of what is sent or received
//! - `ansi`: what the viewer prints, as styled lines
//!
//! It touches neither disk nor network nor terminal nor clock: whoever runs it does.

mod ansi;
mod movement;
mod picker;
mod state;
mod update;
mod view;

pub use movement::{Activity, Movement, Outcome};
pub use picker::{Audience, Entry, Picker, Purpose};
pub use state::{Arrival, Arrived, Link, Mode, Notice, Pane, PeerRow, Preview, State};
pub use update::{Content, Effect, Input, News, Served, update};
pub use view::{preview_size, view};
