//! The way into a room, and what shows others the way.

use std::{fs, io::Write};

use data_encoding::BASE64;

use crate::{
    SMALL, USUAL,
    common::{Lab, Signal},
    joined, open, open_with,
};

#[test]
fn a_pasted_invite_is_saved_only_once_its_relay_was_reached() {
    let (mut lab, relay) = Lab::new();
    let invite = lab.invite().to_owned();
    lab.use_invite(None);
    let saved = lab.home("vera").join("invite");
    let mut menu = open(&lab, SMALL);
    menu.sees("Paste an invite");

    menu.paste("p2p://nonsense\n");
    menu.sees("p2p://nonsense▏");
    menu.press("\r");
    menu.sees("not an invite");
    menu.press("\x15");
    menu.loses("nonsense▏");

    // Nobody listens at this port while the relay is stopped.
    relay.signal(Signal::STOP);
    menu.paste(&invite);
    menu.press("\r");
    menu.sees("Reaching the relay");
    menu.sees("cannot enter the room");
    assert!(!saved.exists());

    relay.signal(Signal::CONT);
    // The invite is still there.
    menu.press("\r");
    menu.sees("vera ● ");
    assert_eq!(fs::read_to_string(&saved).unwrap().trim(), invite);
}

#[test]
fn a_relay_started_here_goes_before_a_saved_invite_which_stays() {
    let (mut lab, mut relay) = Lab::new();
    let old = lab.invite().to_owned();
    lab.use_invite(None);
    lab.command("vera").args(["join", &old]).output().unwrap();
    relay.kill();
    let mut menu = open(&lab, USUAL);
    menu.sees("The room of this machine cannot be entered");
    menu.press("r");
    menu.sees("● relay here");
    // Another folder means another listener, in the same room.
    fs::create_dir(lab.out("vera").join("inbox")).unwrap();
    menu.press("finbox\t");
    menu.sees("inbox/▏");
    menu.press("\r");
    menu.sees("files go to ~/out-vera/inbox");
    menu.sees("● relay here");
    menu.press("i");
    let here = fs::read_to_string(lab.home("vera").join("relay/invite")).unwrap();
    let secret = here.trim().rsplit('#').next().unwrap().to_owned();
    menu.until("the invite of the relay here", |screen| {
        screen
            .contents()
            .replace(['\n', '│', ' '], "")
            .contains(&secret)
    });
    assert_eq!(
        fs::read_to_string(lab.home("vera").join("invite"))
            .unwrap()
            .trim(),
        old
    );
}

#[test]
fn a_relay_that_goes_away_is_said_and_found_again() {
    let (mut lab, mut relay) = Lab::new();
    let _bob = lab.listen("bob", &[]);
    let mut menu = joined(&lab, SMALL);
    menu.sees("● bob");
    relay.kill();
    menu.sees("○ relay lost");
    menu.sees("trying again");
    let _relay = lab.relay(&[]);
    menu.sees("vera ● ");
    menu.sees("● bob");
}

#[test]
fn a_relay_that_is_late_is_entered_as_soon_as_it_is_there() {
    let (mut lab, mut relay) = Lab::new();
    relay.kill();
    let mut menu = open(&lab, USUAL);
    menu.sees("Try again");
    let _relay = lab.relay(&[]);
    menu.sees("vera ● ");
    menu.sees("Nobody else is here yet");
}

#[test]
fn the_invite_is_copied_by_osc_52_and_shown_as_a_qr_code() {
    let (lab, _relay) = Lab::new();
    let mut menu = joined(&lab, USUAL);
    menu.press("i");
    menu.sees("it is a secret");
    menu.press("c");
    menu.sees("in the clipboard");
    let mut sequence = b"\x1b]52;c;".to_vec();
    sequence
        .write_all(BASE64.encode(lab.invite().as_bytes()).as_bytes())
        .unwrap();
    sequence.push(7);
    menu.hears(&sequence);

    menu.press("r");
    menu.sees("r as text");
    let code =
        qrcode::QrCode::with_error_correction_level(lab.invite(), qrcode::EcLevel::L).unwrap();
    for y in 0..code.width() {
        for x in 0..code.width() {
            let (row, column) = ((y + 2) / 2, x + 2);
            let cell = menu.screen().cell(row as u16, column as u16).unwrap();
            let upper_is_light = matches!(cell.contents(), "█" | "▀");
            let lower_is_light = matches!(cell.contents(), "█" | "▄");
            let light = if y % 2 == 0 {
                upper_is_light
            } else {
                lower_is_light
            };
            assert_eq!(
                light,
                code[(x, y)] == qrcode::Color::Light,
                "module {x}, {y}"
            );
        }
    }
    menu.resize(SMALL);
    menu.sees("The QR code needs a window of");
    menu.press("\x1b");
    menu.sees("Nobody else is here");
}

#[test]
fn an_invite_of_this_machine_only_is_called_so() {
    let (lab, _relay) = Lab::new();
    let mut menu = open_with(&lab, USUAL, |_| {});
    menu.sees("vera ● 127.0.0.1");
    menu.press("i");
    menu.sees("good on this machine only");
}

#[test]
fn a_name_that_is_set_in_the_menu_is_what_others_send_to_now_and_later() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    let mut menu = joined(&lab, SMALL);
    menu.press("r");
    menu.sees("name    vera");
    menu.press("n");
    menu.sees("Name of this machine");
    menu.press("violet\r");
    menu.sees("name    violet");
    menu.sees("p2p send --to violet");
    menu.press("a\x1b");
    lab.send("bob", &["--to", "violet", "--wait", "30s"], &[&file])
        .expect(0);
    menu.sees("✓ received");
    menu.press("q");
    assert_eq!(menu.ends(), 0);
    let id = lab.command("vera").arg("id").output().unwrap();
    assert!(id.stdout.ends_with(b"  violet\n"));
}
