//! What crosses between two relays: presence, files, trees, broadcasts.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    common::{Lab, MIB, PATIENCE, Proc, Signal, assert_same, scaled},
    relays::{Cluster, Node},
};

/// Two relays of one cluster, and who is where.
pub struct Pair {
    pub lab: Lab,
    cluster: Cluster,
    one: Option<Node>,
    two: Option<Node>,
}

impl Pair {
    pub fn new() -> Self {
        let cluster = Cluster::new();
        Self {
            lab: Lab::empty(),
            one: Some(cluster.node("one")),
            two: Some(cluster.node("two")),
            cluster,
        }
    }

    pub fn one(&self) -> &Node {
        self.one.as_ref().expect("it runs")
    }

    pub fn two(&self) -> &Node {
        self.two.as_ref().expect("it runs")
    }

    /// Kills the first relay, and starts another at its address.
    pub fn crash_one(&mut self) {
        self.one = self.one.take().map(|it| self.cluster.again(it));
    }

    /// Kills the second one, and starts another at its address.
    pub fn crash_two(&mut self) {
        self.two = self.two.take().map(|it| self.cluster.again(it));
    }

    /// Kills the second one.
    pub fn end_two(&mut self) {
        self.two.take().expect("it runs").crash();
    }

    /// From here on everybody comes to the first relay.
    pub fn at_one(&mut self) -> &Lab {
        self.lab.use_invite(self.one().invite());
        &self.lab
    }

    pub fn at_two(&mut self) -> &Lab {
        self.lab.use_invite(self.two().invite());
        &self.lab
    }
}

#[test]
fn a_file_goes_to_a_listener_at_another_relay() {
    let mut pair = Pair::new();
    let bob = pair.at_two().listen("bob", &[]);
    let lab = pair.at_one();
    let file = lab.file("report.bin", 3 * MIB);
    lab.send("alice", &["--to", "bob"], &[&file]).expect(0);
    bob.wait_event("received");
    assert_same(&file, &lab.out("bob").join("report.bin"));
}

#[test]
fn who_comes_changes_and_goes_at_one_relay_is_seen_at_the_other() {
    let mut pair = Pair::new();
    let mut bob = pair.at_two().listen("bob", &[]);
    let lab = pair.at_one();
    let watcher = lab.run("watcher", ["peers", "--watch"]);
    let is = |name: &'static str, state: &'static str| {
        move |e: &Value| e["name"] == name && e["state"] == state
    };
    watcher.wait_where("peer", 1, is("bob", "listening"));
    let carol = pair.at_two().listen("carol", &[]);
    watcher.wait_where("peer", 1, is("carol", "listening"));
    bob.kill();
    // Known to the relay when its connection has been idle for long enough: not so with a signal.
    carol.signal(crate::common::Signal::TERM);
    watcher.wait_where("peer", 1, is("carol", "gone"));
    // And everything that is there is listed at once to whoever comes first.
    let mut peers = pair.at_one().run("other", ["peers"]);
    peers.expect(0);
    let listed = peers.events("peer");
    assert!(listed.iter().all(|e| e["name"] != "carol"), "{listed:?}");
}

#[test]
fn senders_that_come_and_go_one_after_the_other_are_each_served() {
    let mut pair = Pair::new();
    let bob = pair.at_two().listen("bob", &[]);
    for n in 0..4 {
        // The last of the room at its relay, each time: the line is hung up, and opened again.
        let lab = pair.at_one();
        let file = lab.file(&format!("r{n}.bin"), MIB);
        lab.send("alice", &["--to", "bob"], &[&file]).expect(0);
        // What its sender said last was heard: that everything is settled.
        let done = bob.wait_where("done", n + 1, |_| true);
        assert_eq!(done["failed"], 0, "{done}");
    }
}

#[test]
fn a_tree_crosses_and_its_many_small_files_each_once() {
    let mut pair = Pair::new();
    let bob = pair.at_two().listen("bob", &[]);
    let lab = pair.at_one();
    let tree = lab.folder().join("tree");
    let count = scaled(150, 10_000);
    for n in 0..count {
        let folder = tree.join(format!("d{}", n % 7));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("f{n}.txt")), format!("content {n}")).unwrap();
    }
    lab.send("alice", &["--to", "bob"], &[&tree]).expect(0);
    let done = bob.wait_event("done");
    assert_eq!(done["files"], count, "{done}");
    for n in [0, count / 2, count - 1] {
        let path = format!("tree/d{}/f{n}.txt", n % 7);
        let got = fs::read_to_string(lab.out("bob").join(path)).unwrap();
        assert_eq!(got, format!("content {n}"));
    }
}

#[test]
fn a_broadcast_crosses_between_two_relays_once() {
    let mut pair = Pair::new();
    let each = scaled(3, 8);
    let name = |side: &str, n: u64| format!("{side}{n}");
    let mut listeners: Vec<(String, Proc)> = Vec::new();
    for n in 0..each {
        let here = name("here", n);
        listeners.push((here.clone(), pair.at_one().listen(&here, &[])));
        let there = name("there", n);
        listeners.push((there.clone(), pair.at_two().listen(&there, &[])));
    }
    let lab = pair.at_one();
    let size = scaled(24, 256) * MIB;
    let file = lab.file("all.bin", size);
    let mut sender = lab.run("alice", [Path::new("broadcast"), &file]);
    sender.expect(0);
    assert_eq!(sender.events("delivered").len(), listeners.len());
    for (name, listener) in &listeners {
        listener.wait_event("received");
        assert_same(&file, &lab.out(name).join("all.bin"));
    }
    let trunks = pair.one().handle.trunks();
    assert_eq!(trunks.len(), 1, "{trunks:?}");
    let ratio = trunks[0].sent as f64 / size as f64;
    println!("bytes on the trunk / size: {ratio:.4}");
    assert!((1.0..1.03).contains(&ratio), "{ratio}");
}

#[test]
fn what_one_recipient_there_has_already_crosses_only_for_the_others() {
    let mut pair = Pair::new();
    let bob = pair.at_two().listen("bob", &[]);
    let lab = pair.at_one();
    let file = lab.file("r.bin", 8 * MIB);
    let limited = ["--to", "bob", "--limit", "8Mi"];
    let mut sender = lab.send("alice", &limited, &[&file]);
    bob.wait_where("progress", 1, |e| e["bytes"].as_u64() >= Some(4 * MIB));
    sender.kill();
    // The same job, for two: each gets what it does not have, and the trunk all that either needs.
    let carol = pair.at_two().listen("carol", &[]);
    let lab = pair.at_one();
    lab.run("alice", [Path::new("broadcast"), &file]).expect(0);
    let from = |listener: &Proc| listener.wait_event("received")["resumed_from"].as_u64();
    assert!(from(&bob) >= Some(3 * MIB), "{:?}", from(&bob));
    assert_eq!(from(&carol), Some(0));
    for name in ["bob", "carol"] {
        assert_same(&file, &lab.out(name).join("r.bin"));
    }
}

#[test]
fn who_has_come_back_by_another_relay_is_sent_to_there() {
    let mut pair = Pair::new();
    let before = pair.at_one().listen("bob", &[]);
    // Nobody hears of it that its connection is dead, and the relay not before 20 s have passed.
    let end = Instant::now() + PATIENCE;
    let age = |pair: &Pair| pair.one().handle.status().rooms[0].peers[0].since_secs;
    while age(&pair) < 4 {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(50));
    }
    before.signal(Signal::STOP);
    let lab = pair.at_two();
    for file in walkdir::WalkDir::new(lab.home("bob")) {
        let file = file.unwrap();
        let to = lab
            .home("again")
            .join(file.path().strip_prefix(lab.home("bob")).unwrap());
        match file.file_type().is_dir() {
            true => fs::create_dir_all(to).unwrap(),
            false => drop(fs::copy(file.path(), to).unwrap()),
        }
    }
    let out = lab.out("again");
    let args = ["listen", "--name", "bob", "--out", out.to_str().unwrap()];
    let again = lab.run("again", args);
    again.wait_event("joined");
    let lab = pair.at_one();
    let file = lab.file("r.bin", MIB);
    lab.send("alice", &["--to", "bob"], &[&file]).expect(0);
    assert_same(&file, &out.join("r.bin"));
}

#[test]
fn relays_connect_for_a_room_that_both_have_and_for_nothing_else() {
    let mut pair = Pair::new();
    let _bob = pair.at_two().listen("bob", &[]);
    assert!(pair.two().handle.trunks().is_empty());
    pair.at_one().run("alice", ["peers"]).expect(0);
    let trunks = pair.two().handle.trunks();
    assert_eq!(trunks.len(), 1, "{trunks:?}");
    assert_eq!(trunks[0].name, "one");
}
