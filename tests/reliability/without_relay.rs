//! A relay that is lost while a transfer goes directly from peer to peer.

use std::{fs, path::PathBuf, process::Command, time::Instant};

use crate::common::{Lab, MIB, Proc, assert_same, text};

/// `p2p --json` as `who`, which uses direct connections even where the relay is on the same machine.
fn direct(lab: &Lab, who: &str) -> Command {
    let mut command = lab.command(who);
    command.env("P2P_ROAD", "direct").arg("--json");
    command
}

fn listen(lab: &Lab, name: &str, options: &[&str]) -> Proc {
    let mut command = direct(lab, name);
    command.args(["listen", "--name", name]).args(options);
    command.arg("--out").arg(lab.out(name));
    let listener = Proc::start(command);
    listener.wait_event("joined");
    listener
}

/// A large file among many small ones, whose receipts are on their way all the time.
fn files(lab: &Lab) -> Vec<PathBuf> {
    let small = (0..120).map(|n| lab.file(&format!("small-{n}"), 20 << 10));
    let mut files: Vec<_> = small.collect();
    files.insert(60, lab.file("large.bin", 6 * MIB));
    files
}

fn send(lab: &Lab, files: &[PathBuf]) -> Proc {
    let mut command = direct(lab, "sender");
    command.args([
        "send",
        "--to",
        "alice",
        "--limit",
        "2Mi",
        "--timeout",
        "60s",
    ]);
    Proc::start({
        command.args(files);
        command
    })
}

/// Waits until files go directly and some have arrived.
fn under_way(sender: &Proc) {
    sender.wait_where("road", 1, |event| event["road"] == "direct");
    sender.wait_count("delivered", 3);
}

/// All of it has arrived in the one attempt that was made, and nothing of it twice.
fn whole_at_once(lab: &Lab, files: &[PathBuf], (sender, alice): (&Proc, &Proc)) {
    for file in files {
        let name = file.file_name().unwrap();
        assert_same(file, &lab.out("alice").join(name));
    }
    assert_eq!(sender.events("offered").len(), 1, "{}", sender.raw());
    assert!(sender.events("retrying").is_empty(), "{}", sender.raw());
    assert_eq!(sender.events("delivered").len(), files.len());
    let received = alice.events("received");
    assert_eq!(received.len(), files.len(), "{}", alice.raw());
    for event in received {
        assert_eq!(event["resumed_from"], 0, "{event}");
        assert_eq!(event["already_there"], false, "{event}");
    }
    let names: Vec<_> = fs::read_dir(lab.out("alice")).unwrap().collect();
    assert_eq!(
        names.len(),
        files.len(),
        "nothing is left behind: {names:?}"
    );
}

#[test]
fn a_direct_transfer_ends_whole_although_its_relay_was_killed() {
    let (lab, mut relay) = Lab::new();
    let mut alice = listen(&lab, "alice", &["--once"]);
    let files = files(&lab);
    let mut sender = send(&lab, &files);
    under_way(&sender);
    relay.kill();
    let killed = Instant::now();
    assert!(sender.events("delivered").len() < files.len(), "too late");
    sender.expect(0);
    println!(
        "over {:.1} s after the relay was killed",
        killed.elapsed().as_secs_f64()
    );
    // It was the one transfer that it was for.
    alice.expect(0);
    whole_at_once(&lab, &files, (&sender, &alice));
}

#[test]
fn a_listener_is_back_at_its_relay_while_a_transfer_goes_on_without_it() {
    let (mut lab, mut relay) = Lab::new();
    let alice = listen(&lab, "alice", &[]);
    let files = files(&lab);
    let mut sender = send(&lab, &files);
    under_way(&sender);
    relay.kill();
    let _relay = lab.relay(&[]);
    // Others find it meanwhile.
    let other = lab.file("other", 1000);
    lab.send("other", &["--to", "alice", "--wait", "60s"], &[&other])
        .expect(0);
    sender.expect(0);
    assert_same(&other, &lab.out("alice").join("other"));
    fs::remove_file(lab.out("alice").join("other")).unwrap();
    let transfer = text(&sender.wait_event("offered"), "transfer");
    let received = alice.events("received");
    let of_it = received
        .iter()
        .filter(|event| event["transfer"] == *transfer);
    assert_eq!(of_it.count(), files.len());
    assert!(sender.events("retrying").is_empty(), "{}", sender.raw());
}
