//! The road over TCP, on loopback.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::common::{Lab, MIB, Proc, Signal, assert_same, text};

/// The relay's TCP address, which is not its UDP address here.
pub fn tcp_address(relay: &Proc) -> SocketAddr {
    text(&relay.wait_event("ready"), "tcp").parse().unwrap()
}

/// A laboratory whose invite names a port on which the relay listens over TCP only.
pub fn lab_without_udp() -> (Lab, Proc) {
    let (mut lab, relay) = Lab::with_relay(&["--tcp", "127.0.0.1:0"]);
    let tcp = tcp_address(&relay).to_string();
    let invite = lab.invite().replace(&lab.address().to_owned(), &tcp);
    lab.use_invite(Some(invite));
    (lab, relay)
}

/// `p2p --json send` with this variable.
pub fn send_with(lab: &Lab, variable: (&str, &str), options: &[&str]) -> Proc {
    let mut command = lab.command("sender");
    command.arg("--json").arg("send").args(options);
    command.env(variable.0, variable.1);
    Proc::start(command)
}

fn listen_with(lab: &Lab, name: &str, variable: (&str, &str)) -> Proc {
    let mut command = lab.command(name);
    command.args(["--json", "listen", "--name", name, "--out"]);
    command.arg(lab.out(name)).env(variable.0, variable.1);
    let listener = Proc::start(command);
    listener.wait_event("joined");
    listener
}

#[test]
fn either_end_may_be_on_tcp_and_events_say_so() {
    let (lab, _relay) = Lab::new();
    let alice = listen_with(&lab, "alice", ("P2P_ROAD", "tcp"));
    let bob = listen_with(&lab, "bob", ("P2P_ROAD", "relay"));
    for road in ["tcp", "relay"] {
        let file = lab.file(&format!("by-{road}"), 20 * MIB);
        let path = file.to_str().unwrap();
        let to = ["--to", "alice", "--to", "bob", path];
        let mut send = send_with(&lab, ("P2P_ROAD", road), &to);
        send.expect(0);
        assert_eq!(send.events("delivered").len(), 2);
        for event in ["delivered", "progress"] {
            let events = send.events(event);
            assert!(events.iter().all(|e| e["road"] == road), "{events:?}");
        }
        for who in ["alice", "bob"] {
            assert_same(&file, &lab.out(who).join(format!("by-{road}")));
        }
    }
    assert_eq!(alice.wait_event("received")["road"], "tcp");
    assert_eq!(bob.wait_event("received")["road"], "relay");
}

#[test]
fn a_relay_that_udp_does_not_reach_is_reached_over_tcp_and_the_second_time_at_once() {
    let (lab, _relay) = lab_without_udp();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("data.bin", MIB);
    let path = file.to_str().unwrap();
    let mut times = Vec::new();
    for _ in 0..2 {
        let start = Instant::now();
        let mut send = send_with(&lab, ("X", ""), &["--to", "alice", path]);
        let delivered = send.wait_event("delivered");
        times.push(start.elapsed());
        assert_eq!(delivered["road"], "tcp");
        send.expect(0);
    }
    assert_same(&file, &lab.out("alice").join("data.bin"));
    drop(alice);
    assert!(
        times[0] >= Duration::from_millis(600),
        "UDP goes first: {times:?}"
    );
    assert!(
        times[1] + Duration::from_millis(300) < times[0],
        "it is remembered: {times:?}"
    );
    let noted = std::fs::read_to_string(lab.home("sender").join("roads.json")).unwrap();
    assert!(noted.contains("127.0.0.1"), "{noted}");
}

#[test]
fn where_udp_works_tcp_is_not_taken_and_no_longer_remembered() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let path = lab.file("data.bin", 1000);
    let mut send = lab.send("sender", &["--to", "alice"], &[&path]);
    assert_eq!(send.wait_event("delivered")["road"], "relay");
    send.expect(0);
    assert!(!lab.home("sender").join("roads.json").exists());
}

#[test]
fn without_tcp_a_blocked_relay_is_unreachable_and_the_message_names_both_roads() {
    let (mut lab, relay) = Lab::with_relay(&["--tcp", "off"]);
    assert!(relay.wait_event("ready")["tcp"].is_null());
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = other.local_addr().unwrap().to_string();
    drop(other);
    let invite = lab.invite().replace(&lab.address().to_owned(), &closed);
    lab.use_invite(Some(invite));
    let path = lab.file("data.bin", 1000);
    let mut send = lab.send("sender", &["--to", "alice"], &[&path]);
    send.expect(3);
    let said = send.stderr();
    assert!(said.contains("no answer within 6 s; over TCP: "), "{said}");
}

#[test]
fn a_road_that_does_not_exist_is_a_usage_error() {
    let (lab, _relay) = Lab::new();
    let mut send = send_with(&lab, ("P2P_ROAD", "carrier-pigeon"), &["--to", "a", "b"]);
    send.expect(2);
    assert!(
        send.stderr().contains("expected relay, tcp"),
        "{}",
        send.stderr()
    );
}

#[test]
fn a_relay_that_stops_says_so_on_tcp_and_a_restarted_one_is_found_again() {
    let (mut lab, mut relay) = Lab::with_relay(&[]);
    let alice = listen_with(&lab, "alice", ("P2P_ROAD", "tcp"));
    let start = Instant::now();
    relay.signal(Signal::TERM);
    let gone = alice.wait_event("disconnected");
    assert!(text(&gone, "reason").contains("shut"), "{gone}");
    relay.expect(0);
    assert!(start.elapsed() < Duration::from_secs(5));
    let mut relay = lab.relay(&[]);
    alice.wait_where("joined", 2, |_| true);
    // A power cut: TCP says so at once, QUIC's idle time need not pass.
    let start = Instant::now();
    relay.kill();
    // Attempts that found nobody while it was away are told as well.
    alice.wait_where("disconnected", 1, |event| {
        text(event, "reason").contains("TCP connection ended")
    });
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_listener_on_tcp_that_dies_is_gone_for_others_at_once() {
    let (lab, _relay) = Lab::new();
    let mut alice = listen_with(&lab, "alice", ("P2P_ROAD", "tcp"));
    let watch = lab.run("watcher", ["peers", "--watch"]);
    watch.wait_where("peer", 1, |e| {
        e["name"] == "alice" && e["state"] == "listening"
    });
    let start = Instant::now();
    alice.kill();
    watch.wait_where("peer", 1, |e| e["name"] == "alice" && e["state"] == "gone");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}
