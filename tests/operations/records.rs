//! The log for machines, and the audit.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::common::{Lab, MIB, PATIENCE, Signal, text};

#[test]
fn a_log_in_json_is_an_object_on_each_line() {
    let (lab, mut relay) = Lab::with_relay(&["-v", "--log", "json"]);
    let mut alice = lab.listen("alice", &[]);
    alice.signal(Signal::TERM);
    alice.expect(143);
    let end = Instant::now() + PATIENCE;
    while !relay.stderr().contains("\"left\"") {
        assert!(Instant::now() < end, "{}", relay.stderr());
        thread::sleep(Duration::from_millis(50));
    }
    relay.signal(Signal::TERM);
    relay.expect(0);
    let log = relay.stderr();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let joined = lines
        .iter()
        .find(|line| line["message"] == "joined")
        .unwrap();
    assert_eq!(joined["level"], "INFO");
    assert!(
        joined["timestamp"].is_string() && joined["remote"].is_string(),
        "{joined}"
    );
    // Without a file of their own, audit records are part of the log.
    assert!(
        lines
            .iter()
            .any(|line| line["target"] == "p2p::audit" && line["event"] == "admitted")
    );
}

#[test]
fn the_audit_says_who_came_and_who_sent_how_much_to_whom_and_no_file_is_named() {
    let mut lab = Lab::empty();
    let audit = lab.folder().join("audit.jsonl");
    let relay = lab.relay(&["--audit", audit.to_str().unwrap()]);
    let alice = lab.listen("alice", &[]);
    let alice = text(&alice.wait_event("joined"), "id");
    let bob = text(&lab.run("bob", ["id"]).wait_event("peer"), "id");
    let file = lab.file("secret-name.bin", MIB);
    lab.send("bob", &["--to", "alice"], &[&file]).expect(0);
    let invite = lab.invite().to_owned();
    let (relay_part, _) = invite.split_once('#').unwrap();
    let relay_part = relay_part.trim_start_matches("p2p://");
    let made = lab.run("mallory", ["room", "new", relay_part]);
    let strange = text(&made.wait_event("room"), "invite");
    lab.use_invite(Some(strange));
    lab.run("mallory", ["peers"]).expect(4);
    let records = wait_records(
        &audit,
        &["admitted", "transfer", "delivery", "refused", "left"],
    );
    let find = |event: &str| records.iter().find(|r| r["event"] == event).unwrap();
    let transfer = find("transfer");
    assert_eq!(transfer["sender"], bob.as_str());
    assert_eq!(transfer["files"], 1);
    assert!(transfer["bytes"].as_u64() >= Some(MIB));
    let delivery = find("delivery");
    assert_eq!(delivery["recipient"], alice.as_str());
    assert_eq!(delivery["files"], 1);
    assert_eq!(delivery["transfer"], transfer["transfer"]);
    assert!(delivery["timestamp"].is_string());
    assert_eq!(find("refused")["code"], "not_admitted");
    let text = fs::read_to_string(&audit).unwrap();
    assert!(
        !text.contains("secret-name") && !text.contains("\"alice\""),
        "{text}"
    );
    assert_eq!(
        fs::metadata(&audit).unwrap().permissions().mode() & 0o777,
        0o600
    );

    // As logrotate does it.
    let old = lab.folder().join("audit.1");
    fs::rename(&audit, &old).unwrap();
    relay.signal(Signal::HUP);
    let end = Instant::now() + PATIENCE;
    while !audit.exists() {
        assert!(
            Instant::now() < end,
            "the file is not made anew: {}",
            relay.stderr()
        );
        thread::sleep(Duration::from_millis(20));
    }
    lab.use_invite(Some(invite));
    lab.run("bob", ["peers"]).expect(0);
    wait_records(&audit, &["admitted"]);
}

/// The records in a file, once there is one of each of these.
fn wait_records(path: &Path, events: &[&str]) -> Vec<Value> {
    let end = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let records: Vec<Value> = whole
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let there = |event: &&str| records.iter().any(|record| record["event"] == *event);
        if events.iter().all(there) {
            return records;
        }
        assert!(Instant::now() < end, "not all of {events:?}: {text}");
        thread::sleep(Duration::from_millis(50));
    }
}
