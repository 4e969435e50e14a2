//! Waiting for peers, and giving up on them.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use super::common::{Lab, MIB, Proc, Signal, assert_same};

/// The default of `--timeout`, and time for a busy machine.
const IN_TIME: Duration = Duration::from_secs(30 + 4);
/// After how much silence a relay counts as lost, and a listener at the relay. From then on whoever is
/// lost has `--timeout` to come back.
const LOST: [Duration; 2] = [Duration::from_secs(12), Duration::from_secs(20)];

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
    // The same key in another home, as after a machine was copied.
    let (home, copy) = (lab.home("alice"), lab.home("copy of alice"));
    std::fs::copy(home.join("identity.pem"), copy.join("identity.pem")).unwrap();
    let second = lab.listen("copy of alice", &[]);
    first.expect(1);
    assert!(first.stderr().contains("elsewhere"), "{}", first.stderr());
    assert!(second.events("disconnected").is_empty());
    second.signal(Signal::TERM);
}

#[test]
fn every_failure_is_reported_in_time_by_default() {
    // Each in a laboratory of its own, all at once: they only wait.
    let reports: [(&str, fn()); 4] = [
        ("a network that swallows everything", nothing_answers),
        ("a relay that hangs", || the_relay_hangs(false)),
        ("a relay that hangs under way", || the_relay_hangs(true)),
        ("a listener that hangs", a_listener_hangs),
    ];
    std::thread::scope(|scope| {
        let running = reports.map(|(what, report)| (what, scope.spawn(report)));
        for (what, report) in running {
            assert!(report.join().is_ok(), "{what}");
        }
    });
}

fn nothing_answers() {
    let (mut lab, relay) = Lab::new();
    let (silent, invite) = (
        UdpSocket::bind("127.0.0.1:0").unwrap(),
        lab.invite().to_owned(),
    );
    drop(relay);
    let silence = silent.local_addr().unwrap().to_string();
    lab.use_invite(Some(invite.replace(lab.address(), &silence)));
    let file = lab.file("x.txt", 10);
    in_time(
        lab.send("sender", &["--to", "alice"], &[&file]),
        &[3],
        IN_TIME,
    );
}

fn the_relay_hangs(under_way: bool) {
    let (lab, relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 64 * MIB);
    let send = || lab.send("sender", &["--to", "alice", "--limit", "1Mi"], &[&file]);
    let early = under_way.then(send);
    if early.is_some() {
        alice.wait_event("progress");
    }
    relay.signal(Signal::STOP);
    let limit = if under_way {
        IN_TIME + LOST[0]
    } else {
        IN_TIME
    };
    in_time(early.unwrap_or_else(send), &[3, 10], limit);
    assert!(lab.stored("alice").is_empty());
}

fn a_listener_hangs() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 64 * MIB);
    let sender = lab.send("sender", &["--to", "alice", "--limit", "1Mi"], &[&file]);
    alice.wait_event("progress");
    alice.signal(Signal::STOP);
    in_time(sender, &[5, 10], IN_TIME + LOST[1]);
}

/// Asserts that a send fails with one of these codes, and soon enough.
#[track_caller]
fn in_time(mut sender: Proc, codes: &[i32], limit: Duration) {
    let start = Instant::now();
    let code = sender.wait();
    let took = start.elapsed();
    println!("exit {code} after {took:.1?}: {}", sender.stderr().trim());
    assert!(codes.contains(&code), "{code}: {}", sender.stderr());
    assert!(took < limit, "{took:?}");
    assert!(sender.stderr().starts_with("p2p: "), "{}", sender.stderr());
}
