//! A program that knows only the events.

use std::{collections::HashSet, path::Path};

use super::common::{Lab, MIB, digest, text};

#[test]
fn a_whole_broadcast_can_be_driven_by_events_alone() {
    let (lab, _relay) = Lab::new();
    let listeners = ["a", "b", "c"].map(|name| lab.listen(name, &[]));
    let mut peers = lab.run("sender", ["peers"]);
    peers.expect(0);
    let listening: HashSet<_> = peers
        .events("peer")
        .iter()
        .filter(|e| e["state"] == "listening")
        .map(|e| text(e, "id"))
        .collect();
    assert_eq!(listening.len(), 3);
    let file = lab.file("x.bin", 4 * MIB);
    let options = ["broadcast", "--limit", "4Mi"];
    let mut sender = lab.run("sender", options.iter().map(Path::new).chain([&*file]));
    sender.expect(0);
    assert_eq!(sender.stderr(), "");
    assert!(sender.events("NOT JSON").is_empty());
    let delivered = sender.events("delivered");
    let ids: HashSet<_> = delivered.iter().map(|e| text(e, "peer")).collect();
    assert_eq!(ids, listening);
    for event in &delivered {
        assert_eq!(
            (&event["bytes"], &event["file"]),
            (&(4 * MIB).into(), &"x.bin".into())
        );
        assert_eq!(event["blake3"], digest(&file));
    }
    let progress = sender.events("progress");
    assert!(
        !progress.is_empty() && progress.len() < 40,
        "{}",
        progress.len()
    );
    let done = sender.wait_event("done");
    assert_eq!(
        (&done["files"], &done["delivered"], &done["failed"]),
        (&1.into(), &3.into(), &0.into())
    );
    for listener in &listeners {
        let offer = listener.wait_event("offer");
        let received = listener.wait_event("received");
        assert_eq!(
            (&offer["files"], &offer["bytes"]),
            (&1.into(), &(4 * MIB).into())
        );
        assert_eq!(
            (&offer["transfer"], &offer["from"]),
            (&received["transfer"], &received["from"])
        );
    }
}

#[test]
fn a_listener_that_also_sends_stays_a_listener_for_all_who_watch() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let _bob = lab.listen("bob", &[]);
    let watcher = lab.run("watcher", ["peers", "--watch"]);
    let of_alice = |e: &serde_json::Value| e["name"] == "alice";
    watcher.wait_where("peer", 1, of_alice);
    let file = lab.file("x.txt", 10);
    lab.send("alice", &["--to", "bob"], &[&file]).expect(0);
    // Whatever was told of alice's send was told before this.
    let _carol = lab.listen("carol", &[]);
    watcher.wait_where("peer", 1, |e| e["name"] == "carol");
    let told = watcher.events("peer");
    let told: Vec<_> = told.iter().filter(|e| of_alice(e)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["state"], "listening");
}
