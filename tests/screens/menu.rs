//! The menu's screens.

use super::{
    capture,
    common::{Lab, terminal::Terminal},
};

#[test]
#[ignore = "writes docs/screens"]
fn menu_first_run() {
    let lab = Lab::empty();
    let folder = lab.folder().to_str().unwrap().to_owned();
    lab.name("vera", "vera");
    let mut menu = Terminal::open(&lab.command("vera"), (80, 24));
    menu.sees("Paste an invite");
    capture("menu-first-run", &menu, &[(&folder, "~")]);
}
