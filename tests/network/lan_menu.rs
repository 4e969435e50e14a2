//! The menu in a room without a relay.
#![cfg(unix)]

use crate::{common::terminal::Terminal, lan::Lan, namespace::available};

#[test]
fn the_menu_finds_others_on_the_lan_and_is_found_there() {
    if !available("the_menu_finds_others_on_the_lan_and_is_found_there") {
        return;
    }
    let lan = Lan::new(2);
    let alice = lan.listen(2, "alice", &[]);
    lan.lab.name("vera", "vera");
    let mut command = lan.lab.command("vera");
    command
        .env("HOME", lan.lab.folder())
        .current_dir(lan.lab.out("vera"));
    let file = lan.lab.file("out-vera/notes.md", 1000);
    let mut menu = Terminal::open(&lan.inside(1, &command), (80, 24));
    menu.sees("● alice");
    menu.press("b\r");
    menu.sees("notes.md: delivered");
    assert_eq!(alice.wait_event("received")["road"], "lan");
    lan.arrived(&file, "alice");
    let plan = lan.lab.file("plan.md", 1000);
    let mut send = lan.run(2, "bob", &["send", "--to", "vera", plan.to_str().unwrap()]);
    menu.sees("accept? y / n");
    menu.press("y");
    send.expect(0);
    assert_eq!(send.wait_event("delivered")["road"], "lan");
    lan.arrived(&plan, "vera");
}
