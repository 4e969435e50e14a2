//! `--limit`, at both ends.

use super::common::{Lab, MIB};

#[test]
fn a_rate_is_kept_within_a_tenth() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 12 * MIB);
    let options = ["--to", "alice", "--limit", "4Mi", "--compress", "never"];
    let mut sender = lab.send("sender", &options, &[&file]);
    sender.expect(0);
    let seconds = sender.wait_event("done")["seconds"].as_f64().unwrap();
    assert!(
        (2.7..3.3).contains(&seconds),
        "{seconds} s where 3 were due"
    );
}

#[test]
fn a_relay_keeps_each_peer_to_its_rate_within_a_tenth() {
    let (lab, _relay) = Lab::with_relay(&["--limit", "4Mi"]);
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 12 * MIB);
    let mut sender = lab.send(
        "sender",
        &["--to", "alice", "--compress", "never"],
        &[&file],
    );
    sender.expect(0);
    let seconds = sender.wait_event("done")["seconds"].as_f64().unwrap();
    assert!(
        (2.7..3.3).contains(&seconds),
        "{seconds} s where 3 were due"
    );
}
