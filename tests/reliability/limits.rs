//! What limits a transfer is said, by what it was seen to wait for.

use std::{
    io::{Write, pipe},
    thread,
    time::Duration,
};

use super::common::{Lab, MIB, Proc};

/// Waits until progress names what limits, which takes a quarter of a second of waiting for it.
#[track_caller]
fn wait_limited_by(sender: &Proc, what: &str) {
    sender.wait_where("progress", 1, |event| event["limited_by"] == what);
}

#[test]
fn a_rate_limit_is_named_in_progress_and_in_the_log() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.sparse("x.bin", 64 * MIB);
    let options = [
        "-v",
        "--to",
        "alice",
        "--limit",
        "2Mi",
        "--compress",
        "never",
    ];
    let sender = lab.send("sender", &options, &[&file]);
    wait_limited_by(&sender, "limit");
    let said = sender.stderr();
    assert!(said.contains("limited by --limit"), "{said}");
}

#[test]
fn a_source_that_is_slow_is_named() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let (source, mut slow) = pipe().unwrap();
    let mut command = lab.command("sender");
    command.args(["--json", "send", "--to", "alice", "--name", "x", "-"]);
    command.stdin(source);
    let sender = Proc::start(command);
    // A chunk after the other until the sender is gone.
    let writing = thread::spawn(move || {
        while slow.write_all(&[7; 256 << 10]).is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    wait_limited_by(&sender, "disk");
    drop(sender);
    writing.join().unwrap();
}

#[test]
fn a_relay_that_takes_no_more_is_named() {
    let (lab, _relay) = Lab::with_relay(&["--limit", "4Mi"]);
    let _alice = lab.listen("alice", &[]);
    let file = lab.sparse("x.bin", 256 * MIB);
    let sender = lab.send(
        "sender",
        &["--to", "alice", "--compress", "never"],
        &[&file],
    );
    wait_limited_by(&sender, "relay");
}
