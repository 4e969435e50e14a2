//! Whatever is killed, a transfer goes on where it stopped.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use super::common::{Lab, MIB, PATIENCE, Proc, assert_same, digest, fill, scaled, text};

#[test]
fn a_killed_send_goes_on_where_it_stopped() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("r.bin", 16 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "8Mi"], &[&file]);
    stored_at_least(&alice, 8 * MIB);
    sender.kill();
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    resumed(&lab, &alice, &file, 4 * MIB);
}

#[test]
fn a_killed_listener_goes_on_where_it_stopped() {
    let (lab, _relay) = Lab::new();
    let mut alice = lab.listen("alice", &[]);
    let file = lab.file("r.bin", 16 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "8Mi"], &[&file]);
    stored_at_least(&alice, 8 * MIB);
    alice.kill();
    let alice = lab.listen("alice", &[]);
    sender.expect(0);
    resumed(&lab, &alice, &file, 4 * MIB);
}

#[test]
fn a_killed_relay_stops_nobody_for_long() {
    let (mut lab, mut relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("r.bin", 16 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "8Mi"], &[&file]);
    stored_at_least(&alice, 8 * MIB);
    relay.kill();
    let _relay = lab.relay(&[]);
    sender.expect(0);
    resumed(&lab, &alice, &file, 4 * MIB);
}

/// One kill after the other, of sender, relay and listener in turn, at points that are spread over
/// the transfer. Where the sender lives, it goes on by itself; where it was killed, the same command
/// is run again.
#[test]
fn any_side_killed_at_any_point_leaves_the_old_file_or_the_whole_new_one() {
    let kills = scaled(6, 50);
    let size = 8 * MIB;
    let (mut lab, mut relay) = Lab::new();
    let options = ["--conflict", "overwrite"];
    let mut alice = lab.listen("alice", &options);
    let stored = lab.out("alice").join("k.bin");
    fs::write(&stored, "old").unwrap();
    let mut old = digest(&stored);
    let (mut resumed, mut spared) = (0, 0);
    for kill in 0..kills {
        let side = ["sender", "listener", "relay"][usize::try_from(kill % 3).unwrap()];
        let file = lab.file("k.bin", 0);
        fill(&file, &format!("content {kill}"), size);
        let new = digest(&file);
        let limited = ["--to", "alice", "--limit", "8Mi", "--wait", "40s"];
        let mut sender = lab.send("sender", &limited, &[&file]);
        // From the first bytes to the last, which are those that wait for the name.
        let point = size * (kill + 1) / kills;
        let end = Instant::now() + PATIENCE;
        while unfinished(&lab.out("alice")) < Some(point) && digest(&stored) != new {
            assert!(Instant::now() < end, "kill {kill}: nothing moves");
            std::thread::sleep(Duration::from_millis(1));
        }
        let first = text(&sender.wait_event("offered"), "transfer");
        let seen = alice.events("received").len();
        match side {
            "sender" => sender.kill(),
            "listener" => alice.kill(),
            _ => relay.kill(),
        }
        let now = digest(&stored);
        assert!(
            now == old || now == new,
            "torn by kill {kill}, of the {side}"
        );
        let part = unfinished(&lab.out("alice"));
        let seen = match side {
            "sender" => {
                let again = ["--to", "alice", "--wait", "40s"];
                sender = lab.send("sender", &again, &[&file]);
                seen
            }
            "listener" => {
                alice = lab.listen("alice", &options);
                0
            }
            _ => {
                relay = lab.relay(&[]);
                seen
            }
        };
        sender.expect(0);
        assert_eq!(digest(&stored), new, "kill {kill}, of the {side}");
        old = new;
        // Whatever was on the disk when it happened is not sent again, but for part of a chunk.
        let received = alice.events("received");
        if let (Some(part), Some(last)) = (part, received.get(seen..).and_then(<[_]>::last)) {
            // The last bytes may have got their name after the look at the part.
            let whole = last["already_there"] == true || text(last, "transfer") == first;
            let from = match whole {
                true => size,
                false => last["resumed_from"].as_u64().unwrap(),
            };
            assert!(
                from + CHUNK > part,
                "kill {kill}, of the {side}: {part} bytes were there, sent again from {from}: {received:#?} {:#?}",
                alice.events("failed")
            );
            resumed += 1;
            spared += from;
        }
    }
    println!(
        "{kills} kills over a transfer of {size} bytes: {resumed} found a part, {spared} bytes were not sent again"
    );
    assert!(
        resumed * 2 >= kills,
        "only {resumed} of {kills} kills hit the content"
    );
}

/// A file is sent again from the last whole chunk.
const CHUNK: u64 = 256 * 1024;

/// How long the one unfinished file in a directory is.
fn unfinished(out: &Path) -> Option<u64> {
    let parts = fs::read_dir(out).unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let part = name.starts_with(".p2p-") && name.ends_with(".part");
        // It may get its final name between the two looks.
        part.then(|| entry.metadata().ok().map(|m| m.len()))
            .flatten()
    });
    parts.max()
}

#[test]
fn a_source_that_changed_meanwhile_is_sent_anew() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("r.bin", 8 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "8Mi"], &[&file]);
    stored_at_least(&alice, 4 * MIB);
    sender.kill();
    // Size and time are as before: only the content tells.
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    fill(&file, "other content", 8 * MIB);
    let changed = fs::File::options().write(true).open(&file).unwrap();
    changed.set_modified(before).unwrap();
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    let received = alice.wait_event("received");
    assert_eq!(received["resumed_from"], 0);
    assert_same(&file, &lab.out("alice").join("r.bin"));
}

#[test]
fn in_a_broadcast_everyone_resumes_from_where_it_is_itself() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("r.bin", 8 * MIB);
    let limited = ["--to", "alice", "--limit", "8Mi"];
    let mut sender = lab.send("sender", &limited, &[&file]);
    stored_at_least(&alice, 4 * MIB);
    sender.kill();
    // The job is the same: it names the same file.
    let bob = lab.listen("bob", &[]);
    let mut sender = lab.run("sender", [Path::new("broadcast"), &file]);
    sender.expect(0);
    let from = |listener: &Proc| listener.wait_event("received")["resumed_from"].as_u64();
    assert!(from(&alice) >= Some(4 * MIB - CHUNK), "{:?}", from(&alice));
    assert_eq!(from(&bob), Some(0));
    for name in ["alice", "bob"] {
        assert_same(&file, &lab.out(name).join("r.bin"));
    }
}

#[test]
fn an_unfinished_file_is_removed_after_a_week_and_not_before() {
    let (lab, _relay) = Lab::new();
    let mut alice = lab.listen("alice", &[]);
    let file = lab.file("r.bin", 8 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "8Mi"], &[&file]);
    stored_at_least(&alice, MIB);
    sender.kill();
    alice.wait_event("done");
    alice.kill();
    let out = lab.out("alice");
    assert!(unfinished(&out).is_some());
    for (days, kept) in [(6, true), (8, false)] {
        let old = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        let journal = walkdir::WalkDir::new(lab.home("alice"));
        for entry in journal.into_iter().chain(walkdir::WalkDir::new(&out)) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let file = fs::File::options().append(true).open(entry.path());
                file.unwrap().set_modified(old).unwrap();
            }
        }
        let mut alice = lab.listen("alice", &[]);
        if kept {
            // It cleans in its own time: that it has kept it shows when it resumes.
            assert!(unfinished(&out).is_some());
        } else {
            let end = Instant::now() + PATIENCE;
            while unfinished(&out).is_some() {
                assert!(Instant::now() < end, "it stays");
                std::thread::yield_now();
            }
        }
        alice.kill();
    }
}

/// Waits until a listener tells that so much of a file is stored.
#[track_caller]
fn stored_at_least(listener: &Proc, bytes: u64) {
    listener.wait_where("progress", 1, |e| e["bytes"].as_u64() >= Some(bytes));
}

/// Asserts that a file arrived whole, and that at least so much of it was not sent again.
#[track_caller]
fn resumed(lab: &Lab, listener: &Proc, file: &Path, least: u64) {
    let received = listener.wait_event("received");
    assert_same(file, &lab.out("alice").join(file.file_name().unwrap()));
    assert!(
        received["resumed_from"].as_u64() >= Some(least),
        "{received}"
    );
}
