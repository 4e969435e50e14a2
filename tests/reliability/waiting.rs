//! Waiting for peers, and giving up on them.

use super::common::{Lab, Signal, assert_same};

#[test]
fn a_sender_waits_for_a_recipient_that_is_not_there_yet() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    let watcher = lab.run("watcher", ["peers", "--watch"]);
    let mut sender = lab.send("sender", &["--to", "alice", "--wait", "50s"], &[&file]);
    // It is in the room, so it has looked for alice or is about to.
    watcher.wait_where("peer", 1, |e| e["state"] == "sending");
    let _alice = lab.listen("alice", &[]);
    sender.expect(0);
    assert_same(&file, &lab.out("alice").join("x.txt"));
}

#[test]
fn a_listener_whose_identity_listens_elsewhere_gives_way() {
    let (lab, _relay) = Lab::new();
    let mut first = lab.listen("alice", &[]);
    let second = lab.listen("alice", &[]);
    first.expect(1);
    assert!(first.stderr().contains("elsewhere"), "{}", first.stderr());
    assert!(second.events("disconnected").is_empty());
    second.signal(Signal::TERM);
}
