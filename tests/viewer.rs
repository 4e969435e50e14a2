//! What the viewer prints for real files, hostile ones among them.
//!
//! What people see is kept as snapshots in `snapshots/`; `INSTA_UPDATE=always cargo test --test
//! viewer` writes them anew.
//!
//! - `samples`: what is in `samples/`, as people see it
//! - `pictures`: drawn by every way there is, damaged ones refused
//! - `terminal`: the program itself, on a terminal that is asked what it can draw
//! - `command`: `p2p show`, its options, and what a listener shows
//! - `suites`: csv-spectrum, JSONTestSuite and PngSuite where they are at hand
//! - `hostile`: escape sequences everywhere, depth, anything at all
//! - `large`: files of any size, in a moment; made here, small unless `P2P_TEST_SCALE` says more

#[path = "viewer/command.rs"]
mod command;
mod common;
#[path = "viewer/hostile.rs"]
mod hostile;
#[path = "viewer/large.rs"]
mod large;
#[path = "viewer/pictures.rs"]
mod pictures;
#[path = "viewer/samples.rs"]
mod samples;
#[path = "viewer/suites.rs"]
mod suites;
#[path = "viewer/terminal.rs"]
mod terminal;

use std::path::{Path, PathBuf};

use p2p::display::show::{ColorLevel, Graphics, Kind, ShowOptions, show};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/samples")
        .join(name)
}

/// What is printed for a file, and the kind that it was shown as.
fn shown(path: &Path, options: &ShowOptions) -> (Kind, String) {
    let mut out = Vec::new();
    let kind = show(path, options, &mut out).unwrap();
    (kind, String::from_utf8(out).unwrap())
}

fn plain(width: u16) -> ShowOptions {
    let mut options = ShowOptions::plain();
    options.width = width;
    options
}

fn verbose() -> ShowOptions {
    let mut options = plain(80);
    options.verbose = true;
    options
}

fn colored(graphics: Graphics, color: ColorLevel) -> ShowOptions {
    let mut options = plain(80);
    options.color = color;
    options.graphics = graphics;
    options
}

/// A file of the given name and content in a directory of its own.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(name);
    std::fs::write(&path, content).unwrap();
    (home, path)
}

/// What a terminal of 80 columns shows after `text`.
fn screen(text: &str, rows: u16) -> vt100::Parser {
    let mut parser = vt100::Parser::new(rows, 80, 0);
    parser.process(text.replace('\n', "\r\n").as_bytes());
    parser
}

/// Compares what is printed for a sample with its snapshot.
fn check(name: &str, manner: &str, options: &ShowOptions) {
    let (_, text) = shown(&sample(name), options);
    insta::assert_snapshot!(format!("{name}-{manner}"), text);
}

/// Whether a terminal would obey it, or show something else than what is there.
fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
