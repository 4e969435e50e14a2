//! Settings that change while a relay runs, and the quotas among them.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crate::common::{Lab, MIB, PATIENCE, Proc, Signal, assert_same, text};

/// A relay with a file of settings, and where that is.
fn with_settings(settings: &str) -> (Lab, Proc, PathBuf) {
    let mut lab = Lab::empty();
    let file = lab.folder().join("relay.toml");
    fs::write(&file, settings).unwrap();
    let relay = lab.relay(&["--config", file.to_str().unwrap()]);
    (lab, relay, file)
}

/// Waits until the relay has said so.
fn wait_said(relay: &Proc, what: &str, times: usize) {
    let end = Instant::now() + PATIENCE;
    while relay.stderr().matches(what).count() < times {
        assert!(Instant::now() < end, "no {what}: {}", relay.stderr());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn sighup_admits_a_room_and_takes_another_log_level_and_drops_nobody() {
    let (mut lab, relay, file) = with_settings("");
    let alice = lab.listen("alice", &[]);
    let own = lab.invite().to_owned();
    let (address, _) = own.trim_start_matches("p2p://").split_once('#').unwrap();
    let made = lab.run("mallory", ["room", "new", address]);
    let made = made.wait_event("room");
    lab.use_invite(Some(text(&made, "invite")));
    lab.run("mallory", ["peers"]).expect(4);

    let room = text(&made, "room");
    fs::write(&file, "admit = [\"nonsense\"]\n").unwrap();
    relay.signal(Signal::HUP);
    wait_said(&relay, "the settings stay as they were", 1);
    lab.run("mallory", ["peers"]).expect(4);
    let settings = format!("admit = [\"{room}\"]\nlog-level = \"info\"\nmemory-limit = \"8Mi\"\n");
    fs::write(&file, settings).unwrap();
    relay.signal(Signal::HUP);
    wait_said(&relay, "the settings were read anew", 1);
    assert!(
        relay
            .stderr()
            .contains("memory-limit has changed: that needs a restart")
    );
    lab.run("mallory", ["peers"]).expect(0);
    wait_said(&relay, "joined", 1);

    // A room goes when neither the file nor what was remembered names it.
    fs::write(&file, "log-level = \"info\"\n").unwrap();
    let remembered = lab.home("relay").join("relay/rooms");
    let rooms = fs::read_to_string(&remembered).unwrap();
    let rest: String = rooms
        .lines()
        .filter(|line| *line != room)
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(rooms, rest);
    fs::write(&remembered, rest).unwrap();
    relay.signal(Signal::HUP);
    wait_said(&relay, "the settings were read anew", 2);
    lab.run("mallory", ["peers"]).expect(4);

    lab.use_invite(Some(own));
    let sent = lab.file("x.txt", 1000);
    lab.send("bob", &["--to", "alice"], &[&sent]).expect(0);
    assert!(alice.events("disconnected").is_empty());
}

#[test]
fn a_room_has_as_many_members_as_its_quota_and_more_once_that_is_raised() {
    let (lab, relay, file) = with_settings("[room]\nmembers = 1\n");
    let alice = lab.listen("alice", &[]);
    let out = lab.out("carol");
    let carol = lab.run("carol", ["listen", "--out", out.to_str().unwrap()]);
    let waiting = carol.wait_event("waiting");
    assert!(text(&waiting, "reason").contains("full"), "{waiting}");
    fs::write(&file, "log-level = \"info\"\n[room]\nmembers = 2\n").unwrap();
    relay.signal(Signal::HUP);
    carol.wait_event("joined");
    assert!(alice.events("disconnected").is_empty());
}

#[test]
fn one_network_has_as_many_connections_as_it_may() {
    let (lab, relay, file) = with_settings("[network]\nconnections = 1\nhandshakes = 1000\n");
    let _alice = lab.listen("alice", &[]);
    lab.run("bob", ["peers"]).expect(3);
    fs::write(&file, "log-level = \"info\"\n[network]\nconnections = 2\n").unwrap();
    relay.signal(Signal::HUP);
    wait_said(&relay, "the settings were read anew", 1);
    lab.run("bob", ["peers"]).expect(0);
}

/// What waits is not read, and must not use up what its sender may send before it is.
#[test]
fn files_that_wait_do_not_hold_up_the_one_that_is_passed_on() {
    let (lab, _relay, _) = with_settings("[room]\nfiles = 1\n");
    let _alice = lab.listen("alice", &[]);
    let files: Vec<_> = (0..4)
        .map(|n| lab.file(&format!("{n}.bin"), 12 * MIB))
        .collect();
    lab.send("bob", &["--to", "alice"], &files).expect(0);
    for file in files {
        assert_same(&file, &lab.out("alice").join(file.file_name().unwrap()));
    }
}

#[test]
fn a_rooms_rate_and_files_at_once_hold_until_they_are_lifted() {
    // At this rate, the test would end long before the transfer.
    let (lab, relay, file) =
        with_settings("[room]\nlimit = \"100k\"\nfiles = 1\nspool = \"1Mi\"\n");
    let _alice = lab.listen("alice", &[]);
    let files: Vec<_> = (0..4)
        .map(|n| lab.file(&format!("{n}.bin"), 8 * MIB))
        .collect();
    let mut sender = lab.send("bob", &["--to", "alice", "--timeout", "5m"], &files);
    sender.wait_where("progress", 3, |_| true);
    let status = lab.run("relay", ["server", "status"]).wait_event("status");
    assert_eq!(status["files_active"], 1, "{status}");
    assert!(sender.events("delivered").is_empty());
    fs::write(&file, "").unwrap();
    relay.signal(Signal::HUP);
    sender.expect(0);
    for file in files {
        assert_same(&file, &lab.out("alice").join(file.file_name().unwrap()));
    }
}
