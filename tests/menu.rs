//! The menu as a person sees it: in a pseudo-terminal, with a model of the screen.

#![cfg(unix)]

mod common;
#[path = "menu/joining.rs"]
mod joining;
#[path = "menu/leaving.rs"]
mod leaving;
#[path = "menu/receiving.rs"]
mod receiving;
#[path = "menu/sending.rs"]
mod sending;
#[path = "menu/session.rs"]
mod session;

use common::{Lab, terminal::Terminal};

/// The usual window, and the smallest that is supported.
const USUAL: (u16, u16) = (80, 24);
const SMALL: (u16, u16) = (40, 12);

/// Opens the menu of vera, who has `out-vera` for her files.
fn open(lab: &Lab, size: (u16, u16)) -> Terminal {
    open_with(lab, size, |_| {})
}

/// The same, with something changed about how it is started.
fn open_with(
    lab: &Lab,
    size: (u16, u16),
    change: impl FnOnce(&mut std::process::Command),
) -> Terminal {
    lab.name("vera", "vera");
    let mut command = lab.command("vera");
    command
        .env("HOME", lab.folder())
        .current_dir(lab.out("vera"));
    change(&mut command);
    Terminal::open(&command, size)
}

/// Opens the menu, and waits until it is in its room.
fn joined(lab: &Lab, size: (u16, u16)) -> Terminal {
    let mut menu = open(lab, size);
    menu.sees("vera ● ");
    menu
}
