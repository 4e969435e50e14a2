//! What is there already takes long to hash, as on a slow disk.

use std::time::{Duration, Instant};

use super::common::{Lab, MIB, Proc, assert_same, scaled};

#[test]
fn hashing_that_takes_longer_than_the_timeout_at_both_ends_is_progress() {
    let (lab, _relay) = Lab::new();
    // Of 3 MiB there are twelve pieces, each end reads them once, and each piece keeps its disk busy
    // for less than the timeout, all together for longer.
    let pause = scaled(220, 700);
    let slow = |who: &str| {
        let mut command = lab.command(who);
        command
            .env("P2P_TEST_SLOW_DISK", pause.to_string())
            .arg("--json");
        command
    };
    let mut command = slow("alice");
    command
        .args(["listen", "--name", "alice", "--out"])
        .arg(lab.out("alice"));
    let alice = Proc::start(command);
    alice.wait_event("joined");
    let file = lab.file("r.bin", 4 * MIB);
    let options = ["--to", "alice", "--limit", "2Mi"];
    let mut first = lab.send("sender", &options, &[&file]);
    alice.wait_where("progress", 1, |e| e["bytes"].as_u64() >= Some(3 * MIB));
    first.kill();
    let mut command = slow("sender");
    command
        .args(["send", "--to", "alice", "--timeout", "2s"])
        .arg(&file);
    let start = Instant::now();
    Proc::start(command).expect(0);
    let took = start.elapsed();
    println!("a prefix that took {pause} ms a piece to hash: sent in {took:.1?}");
    assert!(took > Duration::from_secs(4), "both ends hashed: {took:?}");
    assert_same(&file, &lab.out("alice").join("r.bin"));
    let received = alice.wait_event("received");
    assert!(
        received["resumed_from"].as_u64() >= Some(3 * MIB - MIB / 2),
        "{received}"
    );
    assert!(
        alice.events("failed").len() <= 1,
        "one attempt was enough: {:?}",
        alice.events("failed")
    );
}
