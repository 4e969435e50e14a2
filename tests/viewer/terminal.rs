//! The program itself, on a terminal.

#![cfg(unix)]

use std::process::Command;

use super::{
    common::{Lab, terminal::Terminal},
    sample,
};

/// `p2p show` of a sample, with these variables, in a window of 60 by 20.
fn open(name: &str, variables: &[(&str, &str)]) -> Terminal {
    let lab = Lab::empty();
    let mut command: Command = lab.command("vera");
    for name in [
        "TMUX",
        "TERM_PROGRAM",
        "KITTY_WINDOW_ID",
        "LC_TERMINAL",
        "KONSOLE_VERSION",
    ] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command.arg("show").arg(sample(name));
    Terminal::open(&command, (60, 20))
}

#[test]
fn a_terminal_that_says_so_gets_sixels() {
    let mut terminal = open("quadrants.png", &[]);
    terminal.hears(b"\x1b[c");
    terminal.press("\x1b[?62;4;22c");
    terminal.hears(b"\x1bP");
    assert_eq!(terminal.ends(), 0);
    // The answer was read, and is not on the screen as if it had been typed.
    assert!(!terminal.text().contains("62;4"), "{}", terminal.text());
}

#[test]
fn a_terminal_that_says_otherwise_or_nothing_gets_half_blocks() {
    for answer in ["\x1b[?62;22c", ""] {
        let mut terminal = open("quadrants.png", &[]);
        terminal.hears(b"\x1b[c");
        terminal.press(answer);
        terminal.sees("▀▀▀▀▀▀▀▀▀▀▀▀");
        assert_eq!(terminal.ends(), 0);
    }
}

#[test]
fn kitty_and_iterm_are_known_by_their_variables_and_not_asked() {
    for (variable, start) in [
        (("KITTY_WINDOW_ID", "1"), &b"\x1b_Ga=T,f=100,"[..]),
        (("TERM_PROGRAM", "iTerm.app"), b"\x1b]1337;File=inline=1;"),
    ] {
        let mut terminal = open("quadrants.png", &[variable]);
        terminal.hears(start);
        assert_eq!(terminal.ends(), 0);
        let asked = terminal.written().windows(3).any(|it| it == b"\x1b[c");
        assert!(!asked, "{variable:?}");
    }
}

#[test]
fn only_a_picture_is_worth_a_question() {
    let mut terminal = open("people.csv", &[]);
    terminal.sees("[3 rows x 4 columns]");
    assert_eq!(terminal.ends(), 0);
    let asked = terminal.written().windows(3).any(|it| it == b"\x1b[c");
    assert!(!asked);
}
