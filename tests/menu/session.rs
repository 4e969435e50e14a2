//! A whole session: a relay is started here, something sent, offers accepted and declined.

use crate::{SMALL, USUAL, common::Lab, open};

fn a_session((columns, rows): (u16, u16)) {
    let mut lab = Lab::empty();
    let mut menu = open(&lab, (columns, rows));
    menu.sees("Paste an invite");
    menu.press("r");
    menu.sees("● relay here");
    let invite = std::fs::read_to_string(lab.home("vera").join("relay/invite")).unwrap();
    lab.use_invite(Some(invite.trim().to_owned()));

    menu.sees("Nobody else is here");
    let _bob = lab.listen("bob", &[]);
    menu.sees("● bob");

    std::fs::write(lab.out("vera").join("letter.txt"), "hello").unwrap();
    menu.press("s");
    menu.sees("Send to bob");
    menu.sees("letter.txt");
    menu.press("let\t");
    menu.sees("letter.txt▏");
    menu.press("\r");
    menu.sees("✓ letter.txt: delivered");
    assert_eq!(
        std::fs::read(lab.out("bob").join("letter.txt")).unwrap(),
        b"hello"
    );

    let offered = lab.folder().join("numbers.json");
    std::fs::write(&offered, "{\"answer\": 42}").unwrap();
    let mut sending = lab.send("bob", &["--to", "vera"], &[&offered]);
    menu.sees("accept? y / n");
    menu.sees("numbers.json");
    menu.press("y");
    menu.sees("✓ received");
    sending.expect(0);
    menu.press("\t\t\r");
    menu.sees("\"answer\": 42");
    menu.press("\x1b");
    menu.sees("Arrived 1");

    let mut sending = lab.send("bob", &["--to", "vera"], &[&offered]);
    menu.sees("accept? y / n");
    menu.press("n");
    menu.sees("declined what bob offered");
    sending.expect(6);
    assert_eq!(lab.stored("vera"), ["letter.txt", "numbers.json"]);

    menu.resize((columns + 10, rows + 3));
    menu.until("the keys in the new last row", |screen| {
        let last = screen.contents_between(rows + 2, 0, rows + 2, columns);
        last.contains("send") && last.contains("quit")
    });
    menu.press("q");
    menu.sees("The relay of this room ends with the menu");
    menu.press("y");
    assert_eq!(menu.ends(), 0);
    menu.assert_given_back();
}

#[test]
fn a_whole_session_works_at_80_by_24() {
    a_session(USUAL);
}

#[test]
fn a_whole_session_works_at_40_by_12() {
    a_session(SMALL);
}
