//! What goes on when a relay dies, a trunk is cut, or somebody far away stands still.

use std::path::Path;

use crate::{
    across::Pair,
    common::{MIB, Proc, Signal, assert_same},
};

fn stored_at_least(listener: &Proc, bytes: u64) {
    listener.wait_where("progress", 1, |e| e["bytes"].as_u64() >= Some(bytes));
}

/// A transfer under way from the first relay to the second.
fn under_way(pair: &mut Pair) -> (Proc, Proc, std::path::PathBuf) {
    let bob = pair.at_two().listen("bob", &[]);
    let lab = pair.at_one();
    let file = lab.file("r.bin", 16 * MIB);
    let sender = lab.send("alice", &["--to", "bob", "--limit", "8Mi"], &[&file]);
    stored_at_least(&bob, 8 * MIB);
    (bob, sender, file)
}

fn whole_and_resumed(pair: &Pair, (bob, mut sender, file): (Proc, Proc, std::path::PathBuf)) {
    sender.expect(0);
    let received = bob.wait_event("received");
    assert_same(&file, &pair.lab.out("bob").join("r.bin"));
    let from = received["resumed_from"].as_u64();
    assert!(from >= Some(4 * MIB), "{received}");
}

#[test]
fn the_recipients_relay_dies_and_the_transfer_goes_on_when_it_is_back() {
    let mut pair = Pair::new();
    let going = under_way(&mut pair);
    pair.crash_two();
    whole_and_resumed(&pair, going);
}

#[test]
fn the_senders_relay_dies_and_the_transfer_goes_on_when_it_is_back() {
    let mut pair = Pair::new();
    let going = under_way(&mut pair);
    pair.crash_one();
    whole_and_resumed(&pair, going);
}

#[test]
fn one_that_stands_still_far_away_holds_up_nobody_and_gets_the_rest_later() {
    let mut pair = Pair::new();
    let listeners = [("near", true), ("far", false), ("still", false)].map(|(name, here)| {
        let lab = if here { pair.at_one() } else { pair.at_two() };
        lab.listen(name, &[])
    });
    let [near, far, still] = &listeners;
    let lab = pair.at_one();
    let file = lab.file("all.bin", 48 * MIB);
    let options = ["broadcast", "--limit", "24Mi"].map(Path::new);
    let mut sender = lab.run("alice", options.into_iter().chain([&*file]));
    stored_at_least(still, MIB);
    still.signal(Signal::STOP);
    near.wait_event("received");
    far.wait_event("received");
    assert!(still.events("received").is_empty());
    still.signal(Signal::CONT);
    sender.expect(0);
    still.wait_event("received");
    for name in ["near", "far", "still"] {
        assert_same(&file, &lab.out(name).join("all.bin"));
    }
}

#[test]
fn whose_relay_has_died_is_gone_for_everybody_else() {
    let mut pair = Pair::new();
    let _bob = pair.at_two().listen("bob", &[]);
    let watcher = pair.at_one().run("watcher", ["peers", "--watch"]);
    let is = |state: &'static str| {
        move |e: &serde_json::Value| e["name"] == "bob" && e["state"] == state
    };
    watcher.wait_where("peer", 1, is("listening"));
    let began = std::time::Instant::now();
    pair.end_two();
    watcher.wait_where("peer", 1, is("gone"));
    // Four seconds by design; the rest is for a busy machine.
    let took = began.elapsed();
    assert!(took < std::time::Duration::from_secs(12), "{took:?}");
}
