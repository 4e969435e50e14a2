//! A relay that stands still, as one of a machine that swaps or of a process that was stopped.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    common::{MIB, Signal, assert_same},
    real::Three,
};

#[test]
fn a_relay_that_stands_still_is_gone_for_the_others_and_back_when_it_goes_on() {
    let Some(mut three) = Three::start() else {
        return;
    };
    three.wait_until_all_know_all();
    three.lab.use_invite(three.invite_at(1));
    let _bob = three.lab.listen("bob", &[]);
    three.lab.use_invite(three.invite_at(0));
    let carl = three.lab.listen("carl", &[]);
    let watcher = three.lab.run("watcher", ["peers", "--watch"]);
    let bob = |state: &'static str| move |e: &Value| e["name"] == "bob" && e["state"] == state;
    watcher.wait_where("peer", 1, bob("listening"));
    three.relays[1].1.signal(Signal::STOP);
    let stopped = Instant::now();
    // Those of the relay that goes on do so meanwhile.
    let file = three.lab.file("meanwhile.bin", 8 * MIB);
    three.lab.send("ben", &["--to", "carl"], &[&file]).expect(0);
    carl.wait_event("received");
    assert_same(&file, &three.lab.out("carl").join("meanwhile.bin"));
    watcher.wait_where("peer", 1, bob("gone"));
    let took = stopped.elapsed();
    eprintln!("gone after {took:?}");
    // Four seconds by design; the rest is for a busy machine.
    assert!(took < Duration::from_secs(15), "{took:?}");
    three.relays[1].1.signal(Signal::CONT);
    // By the same relay or another.
    watcher.wait_where("peer", 2, bob("listening"));
    let file = three.lab.file("after.bin", MIB);
    let to_bob = ["--to", "bob", "--wait", "30s"];
    three.lab.send("ben", &to_bob, &[&file]).expect(0);
    assert_same(&file, &three.lab.out("bob").join("after.bin"));
}
