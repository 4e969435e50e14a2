//! However the menu ends, the terminal is as it was.

use crate::{
    USUAL,
    common::{Lab, Signal, terminal::Terminal},
    joined, open, open_with,
};

#[test]
fn sigterm_leaves_the_terminal_as_it_was() {
    let lab = Lab::empty();
    let mut menu = open(&lab, USUAL);
    menu.sees("Paste an invite");
    assert!(!menu.is_cooked());
    menu.signal(Signal::TERM);
    assert_eq!(menu.ends(), 143);
    menu.assert_given_back();
}

#[test]
fn control_c_ends_it_from_anywhere_and_q_from_the_lists() {
    let (lab, _relay) = Lab::new();
    let mut menu = joined(&lab, USUAL);
    menu.press("f");
    menu.sees("Receive into");
    menu.press("\x03");
    assert_eq!(menu.ends(), 130);
    menu.assert_given_back();

    let mut menu = joined(&lab, USUAL);
    menu.press("q");
    assert_eq!(menu.ends(), 0);
    menu.assert_given_back();
}

#[test]
fn control_z_hands_the_terminal_to_the_shell_and_takes_it_back() {
    let (lab, _relay) = Lab::new();
    let mut menu = joined(&lab, USUAL);
    menu.press("\x1a");
    menu.until("the shell's screen", |screen| !screen.alternate_screen());
    menu.cooks();
    menu.assert_given_back();
    menu.signal(Signal::CONT);
    menu.until("the menu's screen", vt100::Screen::alternate_screen);
    menu.sees("vera ● ");
    assert!(!menu.is_cooked());
}

#[test]
fn without_colour_nothing_is_coloured_and_everything_is_said() {
    let (lab, _relay) = Lab::new();
    let _bob = lab.listen("bob", &[]);
    let mut menu = open_with(&lab, USUAL, |command| {
        command.env("NO_COLOR", "1");
    });
    menu.sees("● bob");
    let coloured = |menu: &Terminal| {
        let screen = menu.screen();
        let cells = (0..24).flat_map(|row| (0..80).filter_map(move |at| screen.cell(row, at)));
        cells
            .filter(|cell| {
                cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default
            })
            .count()
    };
    assert_eq!(coloured(&menu), 0);
    // The cursor is to be seen all the same.
    let cursor = menu.screen().cell(2, 2).expect("on the screen");
    assert!(cursor.inverse());
    menu.press("q");
    menu.ends();
    let mut menu = joined(&lab, USUAL);
    menu.sees("● bob");
    assert_ne!(coloured(&menu), 0);
}

#[test]
fn a_dumb_terminal_gets_an_error_and_no_escape_sequence() {
    let lab = Lab::empty();
    let mut menu = open_with(&lab, USUAL, |command| {
        command.env("TERM", "dumb");
    });
    assert_eq!(menu.ends(), 2);
    assert!(
        menu.text().contains("hint: `p2p --help`"),
        "{}",
        menu.text()
    );
    assert!(!menu.written().contains(&0x1b));
}

#[test]
fn without_a_terminal_there_is_help_and_exit_2() {
    let lab = Lab::empty();
    let output = lab.command("vera").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let help = String::from_utf8(output.stderr).unwrap();
    assert!(
        help.contains("Usage: p2p") && !help.contains('\x1b'),
        "{help}"
    );
}
