//! What a listener takes, and what it does when there is no room.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::common::{Lab, MIB, Proc, assert_same, person::Person};

#[test]
fn a_transfer_that_is_too_large_is_declined_with_the_reason() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &["--max-size", "1Mi"]);
    for name in ["a", "b", "c"] {
        lab.file(&format!("tree/{name}"), MIB / 2);
    }
    // Each file is small enough; all of them are not.
    let mut sender = lab.send("sender", &["--to", "alice"], &[lab.folder().join("tree")]);
    sender.expect(6);
    assert!(
        sender
            .stderr()
            .contains("takes at most 1.05 MB (--max-size)"),
        "{}",
        sender.stderr()
    );
    assert!(lab.stored("alice").is_empty());
    assert_eq!(alice.wait_event("failed")["code"], 6);
}

#[test]
fn a_pipe_ends_where_the_limit_is_and_leaves_nothing() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &["--max-size", "1Mi"]);
    let file = lab.file("in.bin", 3 * MIB);
    let mut sender = pipe(&lab, &file);
    sender.expect(6);
    assert!(
        sender
            .stderr()
            .contains("takes at most 1.05 MB (--max-size)"),
        "{}",
        sender.stderr()
    );
    let failed = alice.wait_event("failed");
    assert_eq!(
        (&failed["code"], &failed["file"]),
        (&6.into(), &"piped".into())
    );
    alice.wait_event("done");
    assert_eq!(
        fs::read_dir(lab.out("alice")).unwrap().count(),
        0,
        "not even a part"
    );
    // The listener goes on.
    let small = lab.file("small", 10);
    lab.send("sender", &["--to", "alice"], &[&small]).expect(0);
}

#[test]
fn a_full_disk_is_declined_beforehand_or_ends_the_transfer_with_the_reason() {
    let (lab, _relay) = Lab::new();
    let Some(_disk) = SmallDisk::mount(&lab.out("alice"), "4m") else {
        println!("skipped: only root can mount a small disk");
        return;
    };
    let alice = lab.listen("alice", &[]);
    let known = lab.file("known.bin", 6 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice"], &[&known]);
    sender.expect(6);
    assert!(
        sender.stderr().contains("free; this is 6.29 MB"),
        "{}",
        sender.stderr()
    );

    // Of a pipe nobody knows beforehand how long it is.
    let mut sender = pipe(&lab, &known);
    sender.expect(7);
    assert!(
        sender.stderr().contains("no space is left"),
        "{}",
        sender.stderr()
    );
    alice.wait_where("failed", 1, |e| {
        e["code"] == 7 && e["reason"].as_str().is_some_and(|r| r.contains("no space"))
    });
    assert!(lab.stored("alice").is_empty());
    alice.wait_event("done");

    // Nobody can send the rest of a pipe: what was cut off is gone, and the next file has room.
    assert_eq!(fs::read_dir(lab.out("alice")).unwrap().count(), 0);
    let small = lab.file("small.bin", MIB);
    lab.send("sender", &["--to", "alice"], &[&small]).expect(0);
    assert_same(&small, &lab.out("alice").join("small.bin"));
}

#[test]
fn what_an_interrupted_attempt_left_needs_no_room_again() {
    let (lab, _relay) = Lab::new();
    let Some(_disk) = SmallDisk::mount(&lab.out("alice"), "12m") else {
        println!("skipped: only root can mount a small disk");
        return;
    };
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 8 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "3Mi"], &[&file]);
    alice.wait_where("progress", 1, |e| e["bytes"].as_u64() >= Some(5 * MIB));
    sender.kill();
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    assert_same(&file, &lab.out("alice").join("x.bin"));
    assert!(alice.wait_event("received")["resumed_from"].as_u64() > Some(4 * MIB));
}

#[test]
fn a_yes_and_a_no_are_heard_from_one_and_from_several() {
    let (lab, _relay) = Lab::new();
    let mut alice = Person::listen(&lab, "alice");
    let file = lab.file("x.txt", 100);
    let mut sender = lab.send("sender", &["--to", "alice"], &[&file]);
    alice.sees("x.txt");
    alice.sees("accept? [y/N]");
    alice.types("n\n");
    sender.expect(6);
    assert!(sender.stderr().contains("declined"), "{}", sender.stderr());
    assert!(lab.stored("alice").is_empty());

    let mut sender = lab.send("sender", &["--to", "alice"], &[&file]);
    let asked = alice.sees("accept? [y/N]");
    assert_eq!(asked.matches("offers").count(), 1, "{asked}");
    alice.types("y\n");
    sender.expect(0);
    assert_same(&file, &lab.out("alice").join("x.txt"));

    // What was complete is asked about again.
    let bob = lab.listen("bob", &[]);
    let mut sender = lab.send("sender", &["--to", "alice", "--to", "bob"], &[&file]);
    alice.sees("accept? [y/N]");
    // The other one does not wait for a person to make up her mind.
    bob.wait_event("received");
    alice.types("yes\n");
    sender.expect(0);
    assert_eq!(
        lab.stored("alice"),
        ["x.txt"],
        "what is there is not doubled"
    );
    assert_eq!(
        alice.questions(),
        3,
        "nobody is asked twice about one offer"
    );
    assert_eq!(sender.events("delivered").len(), 2);
}

#[test]
fn a_yes_outlives_the_connection_on_which_it_was_given() {
    let (mut lab, mut relay) = Lab::new();
    let mut alice = Person::listen(&lab, "alice");
    let file = lab.file("x.bin", 8 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "4Mi"], &[&file]);
    alice.sees("accept? [y/N]");
    alice.types("y\n");
    sender.wait_where("progress", 1, |e| e["bytes"].as_u64() >= Some(MIB));
    relay.kill();
    let _relay = lab.relay(&[]);
    sender.expect(0);
    assert_same(&file, &lab.out("alice").join("x.bin"));
    assert_eq!(alice.questions(), 1);
}

#[test]
fn an_answer_to_an_offer_that_was_taken_back_is_not_taken_for_the_next() {
    let (lab, _relay) = Lab::new();
    let mut alice = Person::listen(&lab, "alice");
    let (first, second) = (lab.file("first.txt", 10), lab.file("second.txt", 10));
    let mut sender = lab.send("sender", &["--to", "alice"], &[&first]);
    alice.sees("accept? [y/N]");
    sender.kill();
    alice.sees("taken back");
    // It was meant for the first, and comes when nobody asks any more: whole, and without its end.
    for late in ["y\n", "y"] {
        alice.types(late);
        let start = Instant::now();
        let mut sender = lab.send("sender", &["--to", "alice"], &[&second]);
        alice.sees("second.txt");
        alice.sees("accept? [y/N]");
        // What is typed in this time is no answer yet.
        let asked = start.elapsed();
        assert!(asked >= Duration::from_millis(500), "{asked:?}");
        // Enter alone is a no; behind a `y` that was kept, it would be a yes.
        alice.types("\n");
        sender.expect(6);
        assert!(lab.stored("alice").is_empty(), "{:?}", lab.stored("alice"));
    }
    let mut sender = lab.send("sender", &["--to", "alice"], &[&second]);
    alice.sees("accept? [y/N]");
    alice.types("y\n");
    sender.expect(0);
}

/// Sends a file as standard input, by the name `piped`.
fn pipe(lab: &Lab, file: &Path) -> Proc {
    let mut command = lab.command("sender");
    command.args(["--json", "send", "--to", "alice", "--name", "piped", "-"]);
    command.stdin(fs::File::open(file).unwrap());
    Proc::start(command)
}

/// A disk that is soon full, and gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Nothing where only root may.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        let option = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
