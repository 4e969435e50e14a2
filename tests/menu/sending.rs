//! Sends: to one, to several, to all; files, folders and messages.

use std::fs;

use crate::{
    SMALL, USUAL,
    common::{Lab, MIB, Signal},
    joined,
};

#[test]
fn only_the_marked_peers_are_sent_to() {
    let (lab, _relay) = Lab::new();
    let _listeners = ["anna", "bob", "carol"].map(|name| lab.listen(name, &[]));
    lab.file("out-vera/data.bin", 1000);
    let mut menu = joined(&lab, USUAL);
    for name in ["● anna", "● bob", "● carol"] {
        menu.sees(name);
    }
    // A mark moves on to the next: anna and bob, and then bob no longer, but carol.
    menu.press("  ");
    menu.sees("2 marked");
    menu.press("k \x1b[B ");
    menu.sees("✓● anna");
    menu.sees("✓● carol");
    menu.press("s");
    menu.sees("Send to anna, carol");
    menu.press("data\r");
    menu.sees("delivered to all");
    assert_eq!(lab.stored("anna"), ["data.bin"]);
    assert_eq!(lab.stored("bob"), [""; 0]);
    assert_eq!(lab.stored("carol"), ["data.bin"]);
    menu.loses("✓● anna");
}

#[test]
fn a_folder_is_broadcast_to_everyone_and_each_has_a_row() {
    let (lab, _relay) = Lab::new();
    let names = ["anna", "bob", "carol"];
    let _listeners = names.map(|name| lab.listen(name, &[]));
    for name in ["a", "b", "deep/er/c"] {
        lab.file(&format!("out-vera/tree/{name}"), 1000);
    }
    let mut menu = joined(&lab, SMALL);
    menu.sees("● carol");
    menu.press("b");
    menu.sees("Send to everyone");
    menu.sees("tree/");
    menu.press("tree \r");
    menu.sees("✓ tree: delivered to all");
    for name in names {
        assert_eq!(lab.stored(name), ["tree/a", "tree/b", "tree/deep/er/c"]);
    }
    menu.press("\t");
    for name in names {
        menu.sees(&format!("↑ {name}"));
    }
    menu.sees("✓ 3.00 kB");
}

#[test]
fn a_folder_is_opened_by_enter_and_paths_lead_to_where_they_are() {
    let (lab, _relay) = Lab::new();
    let _bob = lab.listen("bob", &[]);
    lab.file("out-vera/asrc/no.txt", 100);
    lab.file("out-vera/src/main.rs", 100);
    lab.file("elsewhere/a b.txt", 100);
    lab.file("notes/list.txt", 100);
    let mut menu = joined(&lab, USUAL);
    menu.sees("● bob");
    // What is called exactly so is meant, although another comes first.
    menu.press("s");
    menu.sees("asrc/");
    menu.press("src\r");
    menu.sees("src/▏");
    menu.sees("main.rs");
    menu.press("\r");
    menu.sees("✓ main.rs: delivered");
    let pasted = |path: &str| format!("\x1b[200~{path}\x1b[201~");
    let elsewhere = lab.folder().join("elsewhere/a b.txt");
    let elsewhere = elsewhere.to_str().unwrap();
    menu.press("s");
    menu.sees("Send to bob");
    menu.press(&pasted(&format!("'{elsewhere}'")));
    menu.sees("elsewhere/a b.txt▏");
    menu.press("\r");
    menu.sees("✓ a b.txt: delivered");
    menu.press("s");
    menu.sees("Send to bob");
    menu.press("~/notes/li\t");
    menu.sees("~/notes/list.txt▏");
    menu.press("\r");
    menu.sees("✓ list.txt: delivered");
    assert_eq!(lab.stored("bob"), ["a b.txt", "list.txt", "main.rs"]);
}

#[test]
fn a_message_reaches_the_other_screen_and_moves_nothing_there() {
    let (lab, _relay) = Lab::new();
    let bob = lab.listen("bob", &[]);
    let mut menu = joined(&lab, SMALL);
    menu.sees("● bob");
    menu.press("m");
    menu.sees("Message to bob");
    menu.press("see you at 5? \u{1F44B}");
    menu.sees("at 5? \u{1F44B}▏");
    menu.press("\r");
    menu.sees("✓ a message: delivered");
    assert_eq!(bob.wait_event("message")["text"], "see you at 5? \u{1F44B}");

    let mut sending = lab.send(
        "bob",
        &[
            "--to",
            "vera",
            "--text",
            "red \x1b[31malert\x1b[2J\nnext line",
        ],
        &[""; 0],
    );
    menu.sees("bob (");
    menu.sees("offers a message");
    menu.press("y");
    sending.expect(0);
    menu.press("\t\t\r");
    menu.sees("bob says");
    menu.sees(r"red \u001b[31malert\u001b[2J");
    menu.sees("next line");
}

#[test]
fn a_resize_while_something_moves_leaves_a_whole_screen() {
    let (lab, relay) = Lab::with_relay(&["--limit", "4Mi"]);
    let _bob = lab.listen("bob", &[]);
    lab.file("out-vera/big.bin", 24 * MIB);
    let mut menu = joined(&lab, USUAL);
    menu.sees("● bob");
    menu.press("sbig\r");
    menu.sees("MB/s");
    menu.sees("━");
    for size in [(40, 12), (120, 40), (64, 16), (81, 25), (80, 24)] {
        menu.resize(size);
        let (columns, rows) = size;
        menu.until("the whole frame", |screen| {
            let corner = |row, column| screen.cell(row, column).unwrap().contents().to_owned();
            let foot = screen.contents_between(rows - 1, 0, rows - 1, columns);
            corner(1, 0) == "┌"
                && corner(1, columns - 1) == "┐"
                && corner(rows - 3, 0) == "└"
                && corner(rows - 3, columns - 1) == "┘"
                && foot.contains("quit")
        });
    }
    menu.sees("MB/s");
    // What is under way is not lost without a question.
    menu.press("q");
    menu.sees("Something still moves");
    menu.press("n");
    // x stops it.
    menu.press("\tx");
    menu.sees("✗ ");
    assert!(!lab.out("bob").join("big.bin").exists());
    drop(relay);
}

#[test]
fn a_recipient_that_dies_is_named_with_the_reason_in_full() {
    let (lab, _relay) = Lab::with_relay(&["--limit", "4Mi"]);
    let mut bob = lab.listen("bob", &[]);
    let _anna = lab.listen("anna", &[]);
    lab.file("out-vera/big.bin", 8 * MIB);
    let mut menu = joined(&lab, SMALL);
    menu.sees("● bob");
    menu.sees("● anna");
    menu.press("bbig\r\t");
    menu.sees("%");
    // Its connection ends with it, as when its machine shuts down; it never comes back.
    bob.signal(Signal::TERM);
    bob.wait();
    menu.sees("✓ 8.39 MB");
    menu.sees("bob:");
    let _ = fs::metadata(lab.out("anna").join("big.bin")).unwrap();
}
