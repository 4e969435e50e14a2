//! Output that nobody reads, or that cannot be written, harms nothing and passes nowhere unnoticed.

#![cfg(unix)]

mod common;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use common::{Lab, MIB, Signal, scaled, text};
use rustix::process::{Pid, kill_process};
use serde_json::Value;

/// Commands that print an answer and end, the relay aside.
const ANSWERS: [&[&str]; 12] = [
    &["peers"],
    &["--json", "peers"],
    &["id"],
    &["id", "--qr"],
    &["--json", "id"],
    &["invite"],
    &["trust", "ls"],
    &["--json", "trust", "ls"],
    &["man"],
    &["completions", "bash"],
    &["show", "a.json"],
    &["--help"],
];

/// A laboratory with somebody listening and somebody known, so that every answer has a line.
fn answering() -> (Lab, impl Drop, impl Drop) {
    let (lab, relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let id = text(&alice.wait_event("joined"), "id");
    lab.run("bob", ["trust", "add", "alice", &id]).expect(0);
    fs::write(lab.folder().join("a.json"), "{\"a\": 1}").unwrap();
    (lab, relay, alice)
}

#[test]
fn output_that_cannot_be_written_is_exit_1_and_one_line() {
    let (lab, _relay, _alice) = answering();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let run = |mut command: Command| command.stdout(full()).output().unwrap();
    for args in ANSWERS {
        let mut command = lab.command("bob");
        command.args(args);
        let output = run(command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(said.contains("standard output: No space left"), "{said}");
    }
    for args in [&["server", "--bind", "127.0.0.1:0"][..], &["listen"]] {
        let mut command = lab.command("elsewhere");
        command.arg("--json").args(args);
        let output = run(command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("standard output: No space left"), "{said}");
    }
}

#[test]
fn what_a_relay_says_at_its_start_fits_into_80_columns() {
    let lab = Lab::empty();
    let mut command = lab.command("relay");
    command.args(["server", "--bind", "[::]:0", "--metrics", "127.0.0.1:0"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut relay = command.spawn().unwrap();
    let mut invite = String::new();
    let mut out = BufReader::new(relay.stdout.take().unwrap());
    out.read_line(&mut invite).unwrap();
    kill_process(Pid::from_child(&relay), Signal::TERM).unwrap();
    let said = relay.wait_with_output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    for start in ["relay listening on", "the line above", "metrics at"] {
        let line = said.lines().find(|line| line.starts_with(start));
        let width = line.unwrap_or_else(|| panic!("{said}")).chars().count();
        assert!(width <= 80, "{said}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (lab, _relay, _alice) = answering();
    for args in ANSWERS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = lab.command("bob");
        let output = command.args(args).stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert_eq!(said, "", "{args:?}");
    }
}

#[test]
fn a_send_whose_events_nobody_reads_any_more_still_arrives() {
    let (lab, _relay, _alice) = answering();
    let file = lab.file("x.bin", MIB);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = lab.command("bob");
    command.args(["--json", "send", "--to", "alice"]).arg(&file);
    let status = command.stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    common::assert_same(&file, &lab.out("alice").join("x.bin"));
}

/// A listener whose standard output is read when the test wants to.
struct Unread {
    child: Child,
    events: BufReader<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Unread {
    fn listen(lab: &Lab, who: &str) -> Self {
        let mut command = lab.command(who);
        command.args(["--json", "listen", "--name", who, "--out"]);
        command.arg(lab.out(who));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take();
        let mut listener = Self {
            child,
            events,
            stderr,
        };
        assert_eq!(listener.next()["event"], "joined");
        listener
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.events.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_reader_that_pauses_stops_no_transfer_and_gets_every_event_but_progress() {
    let (lab, _relay) = Lab::new();
    let mut alice = Unread::listen(&lab, "alice");
    let bob = lab.listen("bob", &[]);
    let files = scaled(1500, 6000);
    let tree = lab.folder().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..files {
        fs::write(tree.join(format!("a-file-with-a-name-{n}")), format!("{n}")).unwrap();
    }
    let before = alice.rss();
    // Far more lines than a pipe holds; and then progress for as long as the slow one takes.
    let broadcast = |options: &[&str], path: &std::path::Path| {
        let mut args = vec!["broadcast", "--timeout", "10s"];
        args.extend_from_slice(options);
        args.push(path.to_str().unwrap());
        let mut sender = lab.run("sender", args);
        sender.expect(0);
    };
    broadcast(&[], &tree);
    let seconds = scaled(5, 20);
    let slow = lab.file("slow.bin", seconds * 2_000_000);
    let began = Instant::now();
    broadcast(&["--limit", "2M"], &slow);
    assert!(began.elapsed() > Duration::from_secs(seconds - 2));
    bob.wait_where("received", 1, |e| text(e, "path").ends_with("slow.bin"));
    let grown = alice.rss().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown}");

    let (mut received, mut progress) = (0, 0);
    loop {
        let event = alice.next();
        match event["event"].as_str().unwrap() {
            "received" => received += 1,
            "progress" if event["file"] == "slow.bin" => progress += 1,
            "done" if received == files + 1 => break,
            "dropped" => panic!("{event}"),
            _ => {}
        }
    }
    assert!(progress <= 2, "{progress} of one file: not coalesced");
    alice.signal(Signal::TERM);
    assert_eq!(alice.child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_listener_whose_reader_is_away_still_ends_when_it_is_asked_to() {
    let (lab, _relay) = Lab::new();
    let mut alice = Unread::listen(&lab, "alice");
    let tree = lab.folder().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..1000 {
        fs::write(tree.join(format!("{n}")), "x").unwrap();
    }
    lab.send("sender", &["--to", "alice"], &[&tree]).expect(0);
    let asked = Instant::now();
    alice.signal(Signal::TERM);
    assert_eq!(alice.child.wait().unwrap().code(), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(10), "{asked:?}");
    drop(alice.stderr.take());
}

#[test]
fn no_control_character_of_a_message_reaches_standard_output_raw() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let hostile = "a\u{9b}31m\u{1b}[2J\u{202e}\u{7f}z";
    let mut sender = lab.run("sender", ["send", "--to", "alice", "--text", hostile]);
    sender.expect(0);
    let message = alice.wait_event("message");
    assert_eq!(message["text"], hostile);
    let raw = alice.raw();
    assert!(raw.contains("\\u009b31m"), "{raw}");
    let harmful = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!raw.contains(harmful), "{raw:?}");
}
