//! `--limit`, at both ends.

use std::time::Instant;

use super::common::{Lab, MIB, Proc};

/// Bytes a second that the tests limit to.
const RATE: u64 = 4 * MIB;

#[test]
fn a_sender_keeps_to_its_rate_within_a_tenth() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 16 * MIB);
    let options = ["--to", "alice", "--limit", "4Mi", "--compress", "never"];
    let mut sender = lab.send("sender", &options, &[&file]);
    assert_within_a_tenth(rate(&sender));
    sender.expect(0);
    // And from end to end, where a burst at the beginning would show.
    let seconds = sender.wait_event("done")["seconds"].as_f64().unwrap();
    assert!(
        (3.6..4.5).contains(&seconds),
        "{seconds} s where 4 were due"
    );
}

#[test]
fn many_small_files_keep_to_the_rate_as_well() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    for i in 0..200 {
        lab.file(&format!("tree/{i}"), 64 * 1024);
    }
    let options = ["--to", "alice", "--limit", "4Mi", "--compress", "never"];
    let mut sender = lab.send("sender", &options, &[lab.folder().join("tree")]);
    sender.expect(0);
    let seconds = sender.wait_event("done")["seconds"].as_f64().unwrap();
    let due = 200.0 * 64.0 / 4096.0;
    assert!(
        (due * 0.9..due * 1.2).contains(&seconds),
        "{seconds} s where {due} were due"
    );
}

#[test]
fn a_relay_keeps_each_peer_to_its_rate_within_a_tenth() {
    let (lab, _relay) = Lab::with_relay(&["--limit", "4Mi"]);
    let listeners = ["alice", "bob"].map(|name| (name, lab.listen(name, &[])));
    // Two at once: the limit is each one's own.
    let senders = listeners.each_ref().map(|(name, _)| {
        let file = lab.file(&format!("{name}.bin"), 16 * MIB);
        let options = ["--to", name, "--compress", "never"];
        lab.send(&format!("to-{name}"), &options, &[&file])
    });
    let rates = std::thread::scope(|scope| {
        let threads = senders
            .each_ref()
            .map(|sender| scope.spawn(|| rate(sender)));
        threads.map(|thread| thread.join().unwrap())
    });
    for rate in rates {
        assert_within_a_tenth(rate);
    }
    for mut sender in senders {
        sender.expect(0);
    }
}

/// Bytes a second of a transfer under way, without its beginning and end.
fn rate(sender: &Proc) -> f64 {
    let stored = |at_least: u64| {
        let event = sender.wait_where("progress", 1, |e| e["bytes"].as_u64() >= Some(at_least));
        (event["bytes"].as_u64().unwrap(), Instant::now())
    };
    let ((first, start), (last, end)) = (stored(2 * MIB), stored(12 * MIB));
    (last - first) as f64 / end.duration_since(start).as_secs_f64()
}

#[track_caller]
fn assert_within_a_tenth(rate: f64) {
    let share = rate / RATE as f64;
    println!("{share:.3} of the rate");
    assert!((0.9..1.1).contains(&share), "{share} of the rate");
}
