//! What arrives: offers, several at once, from wide names, and from senders that die.

use crate::{
    SMALL, USUAL,
    common::{Lab, MIB, Signal},
    joined,
};

#[test]
fn a_sender_that_dies_takes_its_question_and_its_row_along() {
    let (lab, _relay) = Lab::with_relay(&["--limit", "4Mi"]);
    let file = lab.file("big.bin", 12 * MIB);
    let mut menu = joined(&lab, USUAL);
    let mut sending = lab.send("bob", &["--to", "vera"], &[&file]);
    menu.sees("accept? y / n");
    sending.signal(Signal::INT);
    menu.loses("accept? y / n");
    sending.expect(130);

    let mut sending = lab.send("bob", &["--to", "vera"], &[&file]);
    menu.sees("accept? y / n");
    menu.press("y");
    menu.sees("MB/s");
    sending.kill();
    menu.sees("✗ ");
    menu.loses("MB/s");
    // The next one goes on where that one stopped, and nobody is asked the same twice.
    let mut sending = lab.send("bob", &["--to", "vera"], &[&file]);
    menu.sees("✓ 12.6 MB");
    sending.expect(0);
    assert_eq!(lab.stored("vera"), ["big.bin"]);
}

#[test]
fn wide_names_keep_every_column_in_its_place() {
    let (lab, _relay) = Lab::new();
    let names = [
        "李小龙",
        "e\u{301}lodie",
        "bob",
        "とても長い名前の受信者です",
    ];
    let _listeners = names.map(|name| lab.listen(name, &[]));
    let name = "写真と書類のとても長い名前🎉.txt";
    lab.file(&format!("out-vera/{name}"), 1000);
    let mut menu = joined(&lab, USUAL);
    menu.sees("● 李小龙");
    menu.sees("● とても長い");
    menu.press("b\r");
    menu.sees("delivered to all");
    // Every frame is whole: nothing pushed a border away.
    for row in 1..22 {
        let border = menu.screen().cell(row, 79).unwrap().contents().to_owned();
        assert!(
            "│┐┘".contains(&border),
            "row {row}: {border:?}\n{}",
            menu.text()
        );
        let border = menu.screen().cell(row, 25).unwrap().contents().to_owned();
        assert!(
            "│┐┘".contains(&border),
            "row {row}: {border:?}\n{}",
            menu.text()
        );
    }
    // All four rows end in the same column.
    for row in 2..6 {
        let end = menu.screen().contents_between(row, 69, row, 79);
        assert_eq!(end.trim(), "✓ 1.00 kB", "{}", menu.text());
    }
}

#[test]
fn all_that_is_offered_is_taken_where_that_was_chosen() {
    let (lab, _relay) = Lab::new();
    let mut menu = joined(&lab, SMALL);
    menu.press("r");
    menu.sees("You are asked");
    menu.press("a");
    menu.sees("is taken");
    menu.press("\x1b");
    menu.sees("Nobody else");
    let file = lab.file("x.txt", 10);
    lab.send("bob", &["--to", "vera"], &[&file]).expect(0);
    menu.sees("✓ received");
    assert_eq!(lab.stored("vera"), ["x.txt"]);
}

#[test]
fn several_offers_are_answered_one_after_the_other() {
    let (lab, _relay) = Lab::new();
    let mut menu = joined(&lab, SMALL);
    let files = ["one.txt", "two.txt"].map(|name| lab.file(name, 10));
    let mut first = lab.send("anna", &["--to", "vera"], &files[..1]);
    menu.sees("one.txt");
    let mut second = lab.send("bob", &["--to", "vera"], &files[1..]);
    menu.sees("1 of 2");
    // Other keys do nothing meanwhile: a question is not answered by accident.
    menu.press("\rsx n");
    menu.sees("two.txt");
    menu.press("y");
    menu.sees("✓ received");
    first.expect(6);
    second.expect(0);
    assert_eq!(lab.stored("vera"), ["two.txt"]);
}

#[test]
fn what_arrived_can_be_looked_at_whatever_it_is() {
    let (lab, _relay) = Lab::new();
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let files =
        ["quadrants.png", "people.csv", "order.json", "program.bin"].map(|name| samples.join(name));
    let mut menu = joined(&lab, USUAL);
    let mut sending = lab.send("bob", &["--to", "vera"], &files);
    menu.sees("4 files");
    menu.press("y");
    menu.sees("✓ received");
    sending.expect(0);
    menu.press("\t\t");
    let mut seen = Vec::new();
    for _ in files {
        let shows = [
            ("quadrants.png", "▀"),
            ("people.csv", "Grace Hopper"),
            ("order.json", "\"zebra\""),
            ("program.bin", "00000000"),
        ];
        menu.until("a preview", |screen| {
            shows.iter().any(|(name, inside)| {
                let text = screen.contents();
                text.contains(&format!("┌ {name} ")) && text.contains(inside)
            })
        });
        let text = menu.text();
        let shown = shows
            .iter()
            .find(|(name, _)| text.contains(&format!("┌ {name} ")));
        let (name, _) = shown.unwrap();
        seen.push(*name);
        menu.press("\x1b[B");
        if seen.len() < 4 {
            menu.loses(&format!("┌ {name} "));
        }
    }
    seen.sort_unstable();
    assert_eq!(
        seen,
        ["order.json", "people.csv", "program.bin", "quadrants.png"]
    );
}
