//! What a sender does when others are away, full, slow, or were there before.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::common::{Lab, MIB, Proc, Signal, assert_same, scaled, text};

#[test]
fn a_sender_that_was_stopped_for_longer_than_its_timeout_goes_on() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 4 * MIB);
    let options = ["--to", "alice", "--limit", "2Mi", "--timeout", "5s"];
    let mut sender = lab.send("sender", &options, &[&file]);
    alice.wait_event("progress");
    sender.signal(Signal::STOP);
    // Until the others have noticed: its connection is lost at both ends.
    alice.wait_event("failed");
    sender.signal(Signal::CONT);
    sender.expect(0);
    assert_same(&file, &lab.out("alice").join("x.bin"));
    assert_ne!(alice.wait_event("received")["resumed_from"], 0);
}

#[test]
fn a_relay_or_a_listener_that_was_stopped_for_a_while_is_no_failure() {
    // In full for longer than any end takes silence; under the default --timeout.
    let pause = Duration::from_secs(scaled(2, 40));
    std::thread::scope(|scope| {
        for stop_relay in [true, false] {
            scope.spawn(move || {
                let (lab, relay) = Lab::new();
                let alice = lab.listen("alice", &[]);
                let file = lab.file("x.bin", 4 * MIB);
                let mut sender = lab.send("sender", &["--to", "alice", "--limit", "2Mi"], &[&file]);
                alice.wait_event("progress");
                let stopped = if stop_relay { &relay } else { &alice };
                stopped.signal(Signal::STOP);
                std::thread::sleep(pause);
                stopped.signal(Signal::CONT);
                sender.expect(0);
                assert_same(&file, &lab.out("alice").join("x.bin"));
                assert_eq!(sender.events("delivered").len(), 1);
            });
        }
    });
}

#[test]
fn listeners_are_back_soon_after_one_kill_of_the_relay_and_after_many_quick_ones() {
    let (mut lab, mut relay) = Lab::new();
    let names = [
        "alice", "bob", "carol", "dave", "eve", "frank", "grace", "heidi",
    ];
    let listeners = Listeners(names.map(|name| (name, lab.listen(name, &[]))));
    for kills in [1, scaled(3, 12)] {
        for _ in 0..kills {
            relay.kill();
            relay = lab.relay(&[]);
        }
        let start = Instant::now();
        let watching = lab.run("watcher", ["peers", "--watch"]);
        for name in names {
            let is_back = |e: &Value| e["name"] == name && e["state"] == "listening";
            watching.wait_where("peer", 1, is_back);
        }
        let took = start.elapsed();
        println!("all were back {took:.1?} after {kills} kills");
        // Five seconds where the machine is quiet; on a busy one a first attempt may fail, which takes six.
        assert!(
            took < Duration::from_secs(20),
            "{took:?} after {kills} kills"
        );
    }
    let file = lab.file("x.bin", MIB);
    let to = names.map(|name| ["--to", name]).concat();
    let options = [&to[..], &["--wait", "30s"]].concat();
    lab.send("sender", &options, &[&file]).expect(0);
    for name in names {
        assert_same(&file, &lab.out(name).join("x.bin"));
    }
    drop(listeners);
}

/// Listeners, of which it is told what they saw where a test fails: what is missing at a watcher has a cause
/// at one of them.
struct Listeners([(&'static str, Proc); 8]);

impl Drop for Listeners {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (name, listener) in &mut self.0 {
            let seen = ["joined", "disconnected", "waiting"].map(|event| listener.events(event));
            let [joined, lost, waits] = seen;
            println!(
                "{name}: joined {} times, lost {:?}, waits {:?}, ended {:?}; {}",
                joined.len(),
                lost.last(),
                waits.last(),
                listener.ended(),
                listener.stderr()
            );
        }
    }
}

#[test]
fn a_relay_that_is_away_is_waited_for_and_said_to_be() {
    let (mut lab, mut relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 8 * MIB);
    let options = ["--to", "alice", "--limit", "4Mi", "--timeout", "20s"];
    let mut sender = lab.send("sender", &options, &[&file]);
    // Each time its patience begins anew: three losses cost no more than one.
    for loss in 1..=3 {
        alice.wait_where("progress", loss, |_| true);
        relay.kill();
        let waiting = sender.wait_where("waiting", loss, |_| true);
        assert!(!text(&waiting, "reason").is_empty());
        assert!(waiting["retry_in"].as_f64().unwrap() < 5.0);
        relay = lab.relay(&[]);
        alice.wait_where("joined", loss + 1, |_| true);
    }
    sender.expect(0);
    assert_same(&file, &lab.out("alice").join("x.bin"));
    assert_eq!(sender.events("delivered").len(), 1);
}

#[test]
fn a_wait_ends_when_it_is_over() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    let mut alice = lab.listen("alice", &[]);
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    alice.signal(Signal::TERM);
    alice.expect(143);
    let start = Instant::now();
    let mut sender = lab.send("sender", &["--to", "alice", "--wait", "4s"], &[&file]);
    sender.expect(5);
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(4), "{took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn an_absence_shows_and_a_return_is_served_while_the_others_go_on() {
    let (lab, _relay) = Lab::new();
    let small = lab.file("a.txt", 10);
    let mut bob = lab.listen("bob", &[]);
    let mut carol = lab.listen("carol", &[]);
    let to = ["--to", "alice", "--to", "bob", "--to", "carol"];
    {
        let mut alice = lab.listen("alice", &[]);
        lab.send("sender", &to, &[&small]).expect(0);
        for listener in [&mut alice, &mut bob, &mut carol] {
            listener.signal(Signal::TERM);
            listener.expect(143);
        }
    }
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 12 * MIB);
    let options = [&to[..], &["--limit", "2Mi", "--wait", "3s"]].concat();
    let mut sender = lab.send("sender", &options, &[&file]);
    alice.wait_event("progress");
    // Bob comes in time, and is not left to the end; Carol does not come, which shows at once.
    let bob = lab.listen("bob", &[]);
    bob.wait_event("progress");
    let failed = sender.wait_where("failed", 1, |e| e["peer_name"] == "carol");
    assert_eq!(failed["code"], 5);
    assert!(
        sender.events("delivered").is_empty(),
        "both are still under way"
    );
    sender.expect(9);
    for name in ["alice", "bob"] {
        assert_same(&file, &lab.out(name).join("x.bin"));
    }
    assert_eq!(sender.events("failed").len(), 1);
}

#[test]
fn a_broadcast_that_is_run_again_names_those_that_it_has_not_reached() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let mut bob = lab.listen("bob", &[]);
    let file = lab.file("x.bin", 8 * MIB);
    let broadcast = |options: &[&str]| {
        let mut args = vec![Path::new("broadcast")];
        args.extend(options.iter().map(Path::new));
        args.push(&file);
        lab.run("sender", args)
    };
    let mut first = broadcast(&["--limit", "4Mi"]);
    alice.wait_event("progress");
    first.kill();
    bob.signal(Signal::TERM);
    bob.expect(143);
    let mut again = broadcast(&[]);
    again.expect(9);
    let failed = again.wait_where("failed", 1, |e| e["peer_name"] == "bob");
    assert_eq!(failed["code"], 5);
    assert_same(&file, &lab.out("alice").join("x.bin"));
    // It waits for those within --wait, doubles nothing at the others, and then knows of nobody more.
    let mut last = broadcast(&["--wait", "40s"]);
    last.wait_event("offered");
    let mut bob = lab.listen("bob", &[]);
    last.expect(0);
    bob.wait_event("received");
    assert_same(&file, &lab.out("bob").join("x.bin"));
    assert_eq!(lab.stored("alice"), ["x.bin"]);
    bob.signal(Signal::TERM);
    bob.expect(143);
    broadcast(&[]).expect(0);
}

#[test]
fn after_a_failure_at_one_recipient_the_others_have_one_copy_and_one_event() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let _bob = lab.listen("bob", &["--max-size", "1k"]);
    let file = lab.file("big.bin", 2 * MIB);
    for _ in 0..2 {
        let mut sender = lab.run("sender", [Path::new("broadcast"), &file]);
        sender.expect(9);
        let delivered = sender.events("delivered");
        assert_eq!(delivered.len(), 1, "{delivered:?}");
    }
    assert_eq!(lab.stored("alice"), ["big.bin"]);
}

#[test]
fn a_hundred_senders_wait_their_turn_at_one_listener() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let files: Vec<_> = (0..100)
        .map(|i| lab.file(&format!("f{i}"), 300_000))
        .collect();
    let senders: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(i, file)| {
            lab.send(
                &format!("s{i}"),
                &["--to", "alice", "--limit", "200k"],
                &[file],
            )
        })
        .collect();
    for mut sender in senders {
        sender.expect(0);
    }
    assert_eq!(lab.stored("alice").len(), 100);
}

#[test]
fn each_file_of_a_tree_is_delivered_once_however_often_the_listener_is_killed() {
    let (lab, _relay) = Lab::new();
    let tree = lab.folder().join("tree");
    for i in 0..60 {
        lab.file(&format!("tree/f{i}"), 100_000);
    }
    let listen = || lab.listen("alice", &[]);
    let mut alice = listen();
    let options = ["--to", "alice", "--limit", "1500k"];
    let mut sender = lab.send("sender", &options, &[&tree]);
    for kill in 1..=3 {
        delivered_at_least(&sender, kill * 12);
        alice.kill();
        alice = listen();
    }
    sender.expect(0);
    let mut delivered: Vec<_> = sender
        .events("delivered")
        .iter()
        .map(|e| text(e, "file"))
        .collect();
    assert_eq!(delivered.len(), 60);
    delivered.sort();
    delivered.dedup();
    assert_eq!(delivered.len(), 60);
    assert_eq!(sender.wait_event("done")["files"], 60);
}

fn delivered_at_least(sender: &Proc, count: usize) {
    sender.wait_count("delivered", count);
}
