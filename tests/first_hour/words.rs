//! Single lines, as they are read.

use std::fs;

use super::{
    common::{Lab, Signal, terminal::Terminal, text},
    plain,
};

#[test]
fn whoever_waits_for_somebody_is_told_for_whom() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    let options = ["--to", "alice", "--wait", "60s"];
    let mut early = lab.send("bob", &options, &[&file]);
    let notice = text(&early.wait_event("notice"), "text");
    assert_eq!(notice, "no peer is called \"alice\"; waiting");
    let mut alice = lab.listen("alice", &[]);
    early.expect(0);
    alice.signal(Signal::TERM);
    alice.expect(143);
    // Known by now, and away.
    let mut known = lab.send("bob", &options, &[&file]);
    let notice = text(&known.wait_event("notice"), "text");
    assert_eq!(notice, "alice is not listening; waiting");
    let _alice = lab.listen("alice", &[]);
    known.expect(0);
}

#[test]
fn a_message_is_no_file_and_a_cause_is_said_once() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let args = ["send", "--to", "alice", "--text", "hello"];
    let (code, _, said) = plain(&lab, "bob", &args);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("offering a message to alice\n"), "{said}");
    let (_, _, said) = plain(&lab, "bob", &["send", "--to", "alice", "/dev/null"]);
    assert_eq!(said, "p2p: cannot send \"/dev/null\": it is a device\n");
}

#[test]
fn a_file_that_is_shown_is_named_above_and_a_program_that_fails_is_a_sentence() {
    let (lab, _relay) = Lab::new();
    for i in 0..30 {
        lab.file(&format!("tree/{i}.jpg"), 5000);
    }
    // The last to come: of many that come close together, only the last are shown.
    let rows = "Oslo,-3.5\n".repeat(40_000);
    fs::write(lab.folder().join("a.csv"), format!("city,temp\n{rows}")).unwrap();
    let out = lab.out("alice");
    let mut command = lab.command("alice");
    command.args(["listen", "--name", "alice", "--exec", "false", "--out"]);
    let mut alice = Terminal::open(command.arg(&out), (160, 60));
    alice.sees("listening as alice");
    lab.send("bob", &["--to", "alice"], &["tree", "a.csv"])
        .expect(0);
    alice.sees("✓ 31 files");
    alice.sees("[40,000 rows x 2 columns]");
    let name = out.join("a.csv");
    alice.sees(&format!(
        "false failed on {} (exit status: 1)",
        name.display()
    ));
    let text = alice.text();
    assert!(!text.contains("WARN"), "{text}");
    let table = text.find("city  temp").expect("the table");
    let above = text[..table].lines().last().unwrap();
    assert!(above.ends_with("out-alice/a.csv"), "{text}");
    // What is called a picture and is none is not shown, and so not named either.
    let named = text.lines().find(|line| line.ends_with(".jpg"));
    assert_eq!(named, None, "{text}");
}
