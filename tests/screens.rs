//! The screens that the documents show, captured from the real program in a pseudo-terminal.
//!
//! `cargo test --test screens -- --ignored` writes them all to `docs/screens/`; add a file beside
//! `screens/menu.rs` for the screens of another part.

#![cfg(unix)]

mod common;
#[path = "screens/menu.rs"]
mod menu;
#[path = "screens/transfer.rs"]
mod transfer;
#[path = "screens/viewer.rs"]
mod viewer;

use std::{fs, path::Path};

use common::terminal::Terminal;

/// Writes what a terminal shows to `docs/screens/NAME.txt`.
///
/// `replace` puts what is the same on every machine in the place of what is not.
fn capture(name: &str, terminal: &Terminal, replace: &[(&str, &str)]) {
    let mut text = terminal.text();
    for (from, to) in replace {
        text = text.replace(from, to);
    }
    let text = text.trim_end_matches('\n');
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screens");
    fs::write(folder.join(name).with_extension("txt"), format!("{text}\n")).unwrap();
}
