//! Names that others take: who has which, and what people see of names that look alike.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::common::{Lab, PATIENCE, person::Person, text};

/// Cyrillic and Latin letters that look like Latin ones.
const POSER: &str = "p\u{430}ul";
const CAUTION: &str = "(letters of several scripts)";

#[test]
fn of_two_who_come_by_one_name_while_a_person_is_asked_the_first_yes_has_it() {
    let (lab, _relay) = Lab::new();
    for who in ["one", "two"] {
        lab.name(who, "carol");
        lab.file(&format!("{who}.txt"), 10);
    }
    let mut alice = Person::listen(&lab, "alice");
    let send = |who: &str| {
        let file = lab.folder().join(format!("{who}.txt"));
        lab.send(who, &["--to", "alice"], &[file])
    };
    // Nobody has the name when both are looked at.
    let mut one = send("one");
    alice.sees("one.txt");
    alice.sees("accept? [y/N]");
    // Notes on a job are begun at the end of that look.
    let notes = || {
        fs::read_dir(lab.home("alice").join("journal"))
            .unwrap()
            .count()
    };
    let (before, end) = (notes(), Instant::now() + PATIENCE);
    let mut two = send("two");
    while notes() == before {
        assert!(Instant::now() < end, "the second offer is not looked at");
        std::thread::sleep(Duration::from_millis(10));
    }
    alice.types("y\n");
    one.expect(0);
    alice.sees("two.txt");
    alice.sees("accept? [y/N]");
    alice.types("y\n");
    two.expect(4);
    let said = two.stderr();
    assert!(said.contains("the name carol belongs to"), "{said}");
    assert_eq!(lab.stored("alice"), ["one.txt"]);
    let mut known = lab.run("alice", ["trust", "ls"]);
    known.expect(0);
    let first = text(&lab.run("one", ["id"]).wait_event("peer"), "id");
    assert!(known.raw().contains(&first), "{}", known.raw());
}

#[test]
fn one_peer_that_goes_by_many_names_takes_none_from_those_who_come_by_them_later() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("x.txt", 10);
    let send = |who: &str, name: &str, code| {
        lab.name(who, name);
        lab.send(who, &["--to", "alice"], &[&file]).expect(code);
    };
    for name in ["mallory", "bob", "carol"] {
        send("mallory", name, 0);
    }
    let mut known = lab.run("alice", ["trust", "ls"]);
    known.expect(0);
    assert_eq!(known.raw().lines().count(), 1, "{}", known.raw());
    send("bob", "bob", 0);
    send("carol", "carol", 0);
    // What is theirs now is nobody else's.
    send("mallory", "bob", 4);
    send("bob", "mallory", 4);
}

#[test]
fn a_name_of_several_scripts_is_pointed_out_wherever_people_meet_it() {
    let (lab, _relay) = Lab::new();
    lab.name("sender", POSER);
    let file = lab.file("x.txt", 10);
    let shown = format!("{POSER} {CAUTION}");
    // The question.
    let mut alice = Person::listen(&lab, "alice");
    let mut sender = lab.send("sender", &["--to", "alice"], &[&file]);
    let asked = alice.sees("accept? [y/N]");
    assert!(asked.contains(&shown), "{asked}");
    alice.types("n\n");
    sender.expect(6);
    // The list, and what a sender reads.
    let _poser = lab.listen(POSER, &[]);
    let said = |args: &[&str]| {
        let mut command = lab.command("reader");
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let listed = said(&["peers"]);
    let line_of = |name: &str| {
        let line = listed.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {listed}"))
            .contains(CAUTION)
    };
    assert!(line_of(POSER) && !line_of("alice"), "{listed}");
    let sent = said(&["send", "--to", POSER, file.to_str().unwrap()]);
    assert!(sent.contains(&format!("to {shown}")), "{sent}");
}
