//! The main job: a relay, listeners and senders as processes, on real files.

mod common;

use std::path::Path;

use common::{Lab, MIB, PATIENCE, Signal, assert_same, digest, scaled, text};
use p2p::protocol::CHUNK_SIZE;

const CHUNK: u64 = CHUNK_SIZE as u64;

#[test]
fn files_of_every_size_around_a_chunk_arrive_identical() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let sizes = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 17];
    let files: Vec<_> = sizes
        .iter()
        .map(|size| lab.file(&format!("{size}.bin"), *size))
        .collect();
    let mut sender = lab.send("sender", &["--to", "alice"], &files);
    sender.expect(0);
    for (file, size) in files.iter().zip(sizes) {
        let name = name(file);
        let received = lab.out("alice").join(&name);
        assert_same(file, &received);
        let event = alice.wait_where("received", 1, |e| text(e, "path").ends_with(&name));
        assert_eq!(event["bytes"], size);
        assert_eq!(event["blake3"], digest(file));
        assert_eq!(event["resumed_from"], 0);
    }
    assert_eq!(lab.stored("alice").len(), files.len());
    assert_eq!(sender.events("delivered").len(), files.len());
    assert_eq!(sender.wait_event("done")["delivered"], 1);
}

#[test]
fn json_csv_and_a_picture_arrive_identical() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let files = ["order.json", "people.csv", "photo.png"].map(|name| samples.join(name));
    lab.send("sender", &["--to", "alice"], &files).expect(0);
    for file in &files {
        assert_same(file, &lab.out("alice").join(name(file)));
    }
}

#[test]
fn a_large_file_passes_through_a_small_relay() {
    let (lab, relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let size = scaled(64 * MIB, 1024 * MIB);
    let sparse = lab.sparse("large.img", size);
    let dense = lab.file("dense.bin", size / 2 + 1);
    let mut sender = lab.send(
        "sender",
        &["--to", "alice"],
        &[sparse.clone(), dense.clone()],
    );
    alice.wait_event("progress");
    sender.expect(0);
    assert_same(&sparse, &lab.out("alice").join("large.img"));
    assert_same(&dense, &lab.out("alice").join("dense.bin"));
    for (who, process) in [("relay", &relay), ("listener", &alice)] {
        let peak = process.peak_rss() / MIB;
        assert!(peak < 96, "the {who} grew to {peak} MiB");
    }
}

#[test]
fn a_broadcast_reaches_all_eight_and_not_its_sender() {
    let (lab, relay) = Lab::new();
    let names: Vec<_> = (0..8).map(|i| format!("peer{i}")).collect();
    let listeners: Vec<_> = names.iter().map(|name| lab.listen(name, &[])).collect();
    let _own = lab.listen("sender", &[]);
    let file = lab.file("data.bin", scaled(8 * MIB, 256 * MIB) + 1);
    let mut sender = lab.run("sender", [Path::new("broadcast"), &file]);
    sender.expect(0);
    for (name, listener) in names.iter().zip(&listeners) {
        assert_same(&file, &lab.out(name).join("data.bin"));
        let received = listener.wait_event("received");
        assert_eq!(received["blake3"], digest(&file));
        assert_eq!(received["from_name"], "sender");
    }
    assert!(lab.stored("sender").is_empty(), "the sender got its own");
    let delivered = sender.events("delivered");
    let peers: std::collections::HashSet<_> =
        delivered.iter().map(|e| text(e, "peer_name")).collect();
    assert_eq!(peers.len(), 8, "{peers:?}");
    assert_eq!(sender.wait_event("done")["delivered"], 8);
    let peak = relay.peak_rss() / MIB;
    assert!(peak < 96, "the relay grew to {peak} MiB");
}

#[test]
fn a_sender_that_names_itself_gets_its_own_file() {
    let (lab, _relay) = Lab::new();
    let _me = lab.listen("me", &[]);
    let file = lab.file("note.md", 1000);
    lab.send("me", &["--to", "me"], std::slice::from_ref(&file))
        .expect(0);
    assert_same(&file, &lab.out("me").join("note.md"));
}

#[test]
fn several_recipients_get_it_and_nobody_else() {
    let (lab, _relay) = Lab::new();
    let _listeners = ["alice", "bob", "carol"].map(|name| lab.listen(name, &[]));
    let file = lab.file("two.bin", 3 * CHUNK);
    let to = ["--to", "alice", "--to", "carol"];
    lab.send("sender", &to, std::slice::from_ref(&file))
        .expect(0);
    assert_same(&file, &lab.out("alice").join("two.bin"));
    assert_same(&file, &lab.out("carol").join("two.bin"));
    assert!(lab.stored("bob").is_empty());
}

#[test]
fn a_recipient_is_found_by_its_id_and_by_the_beginning_of_it() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let id = text(&alice.wait_event("joined"), "id");
    for (i, to) in [
        id.clone(),
        id.to_uppercase(),
        id.replace('-', ""),
        format!("id:{}", &id[..11]),
    ]
    .iter()
    .enumerate()
    {
        let file = lab.file(&format!("{i}.txt"), 10);
        lab.send("sender", &["--to", to], std::slice::from_ref(&file))
            .expect(0);
        assert_same(&file, &lab.out("alice").join(name(&file)));
    }
}

#[test]
fn three_senders_at_once_are_all_served() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let files: Vec<_> = (0..3)
        .map(|i| lab.file(&format!("from{i}.bin"), scaled(8 * MIB, 128 * MIB)))
        .collect();
    let mut senders: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(i, file)| {
            let who = format!("sender{i}");
            lab.send(&who, &["--to", "alice"], std::slice::from_ref(file))
        })
        .collect();
    for sender in &mut senders {
        sender.expect(0);
    }
    for file in &files {
        assert_same(file, &lab.out("alice").join(name(file)));
    }
}

#[test]
fn a_small_file_overtakes_a_large_one_from_another_sender() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let large = lab.file("large.bin", 64 * MIB);
    let slow = lab.send("slow", &["--to", "alice", "--limit", "512Ki"], &[large]);
    alice.wait_event("progress");
    let small = lab.file("small.txt", 1024);
    lab.send("quick", &["--to", "alice"], std::slice::from_ref(&small))
        .expect(0);
    assert_same(&small, &lab.out("alice").join("small.txt"));
    assert!(slow.events("done").is_empty(), "the large one was not slow");
    assert_eq!(lab.stored("alice"), ["small.txt"]);
}

#[test]
fn a_small_file_overtakes_a_large_one_of_the_same_transfer() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let large = lab.file("a-large.bin", 6 * MIB);
    let small = lab.file("b-small.txt", 1024);
    lab.send(
        "sender",
        &["--to", "alice", "--limit", "3Mi"],
        &[large, small],
    )
    .expect(0);
    alice.wait_where("received", 2, |_| true);
    let order: Vec<_> = alice
        .events("received")
        .iter()
        .map(|e| text(e, "path"))
        .collect();
    assert!(order[0].ends_with("b-small.txt"), "{order:?}");
}

#[test]
fn two_rooms_on_one_relay_never_see_each_other() {
    let (mut lab, _relay) = Lab::with_relay(&["--open"]);
    let (first, address) = (
        lab.invite().to_owned(),
        lab.invite()
            .split_once('#')
            .unwrap()
            .0
            .replace("p2p://", ""),
    );
    let mut made = lab.run("maker", ["room", "new", &address]);
    made.expect(0);
    let second = made.any_string("invite");
    let in_first = lab.listen("alice", &[]);
    lab.use_invite(Some(second.clone()));
    let in_second = lab.listen("bob", &[]);

    for (invite, own, other) in [(&first, "alice", "bob"), (&second, "bob", "alice")] {
        lab.use_invite(Some(invite.clone()));
        let mut peers = lab.run("looker", ["peers"]);
        peers.expect(0);
        let names: Vec<_> = peers
            .events("peer")
            .iter()
            .map(|e| text(e, "name"))
            .collect();
        assert!(names.iter().any(|n| n == own), "{names:?}");
        assert!(!names.iter().any(|n| n == other), "{names:?}");
        let file = lab.file(&format!("for-{own}.txt"), 100);
        let files = std::slice::from_ref(&file);
        lab.send("looker", &["--to", other], files).expect(5);
        let id = text(
            &if other == "bob" {
                &in_second
            } else {
                &in_first
            }
            .wait_event("joined"),
            "id",
        );
        lab.send("looker", &["--to", &id], files).expect(5);
        let mut broadcast = lab.run("looker", [Path::new("broadcast"), &file]);
        broadcast.expect(0);
        assert_eq!(lab.stored(own), [name(&file)]);
    }
}

#[test]
fn without_any_invite_one_home_is_enough() {
    let mut lab = Lab::empty();
    let _relay = lab.run("one", ["server", "--bind", "127.0.0.1:0"]).ready();
    lab.use_invite(None);
    let out = lab.out("one");
    let listener = lab.run(
        "one",
        ["listen", "--name", "here", "--out", out.to_str().unwrap()],
    );
    listener.wait_event("joined");
    let file = lab.file("hello.txt", 12);
    lab.send("one", &["--to", "here"], std::slice::from_ref(&file))
        .expect(0);
    assert_same(&file, &out.join("hello.txt"));
}

#[test]
fn the_demo_succeeds() {
    let lab = Lab::empty();
    let mut demo = lab.run("demo", ["demo"]);
    demo.expect(0);
    assert_eq!(demo.events("shown").len(), 3);
}

#[test]
fn a_relay_ends_cleanly_and_its_listeners_return_to_the_next_one() {
    let (mut lab, mut relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    for (round, signal) in [Signal::TERM, Signal::INT].into_iter().enumerate() {
        let asked = std::time::Instant::now();
        relay.signal(signal);
        relay.expect(0);
        assert!(asked.elapsed() < PATIENCE / 12, "{:?}", asked.elapsed());
        let lost = alice.wait_where("disconnected", 1, |_| true);
        let reason = text(&lost, "reason");
        assert!(reason.contains("shutting down"), "{reason}");
        relay = lab.relay(&[]);
        alice.wait_where("joined", round + 2, |_| true);
        let file = lab.file(&format!("after{round}.txt"), 100);
        lab.send("sender", &["--to", "alice"], std::slice::from_ref(&file))
            .expect(0);
        assert_same(&file, &lab.out("alice").join(name(&file)));
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}
