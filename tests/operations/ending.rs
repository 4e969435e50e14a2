//! How a relay ends, and comes back.

use std::{
    net::UdpSocket,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{Lab, MIB, PATIENCE, Proc, Signal, assert_same, text},
    http::{get, wait_sample},
    metrics::there,
};

const METRICS: [&str; 2] = ["--metrics", "127.0.0.1:0"];

#[test]
fn sigterm_lets_a_transfer_end_and_none_begin() {
    let (lab, mut relay) = Lab::with_relay(&METRICS);
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 12 * MIB);
    let mut sender = lab.send("bob", &["--to", "alice", "--limit", "3Mi"], &[&file]);
    sender.wait_event("progress");
    relay.signal(Signal::TERM);
    wait_sample(&relay, "p2p_relay_draining", |draining| draining == 1.0);
    assert_eq!(get(&relay, "/readyz"), (503, "draining\n".to_owned()));
    assert_eq!(get(&relay, "/healthz").0, 200);
    let out = lab.out("carol");
    let carol = lab.run("carol", ["listen", "--out", out.to_str().unwrap()]);
    let waiting = carol.wait_event("waiting");
    assert!(
        text(&waiting, "reason").contains("shutting down"),
        "{waiting}"
    );
    sender.expect(0);
    assert_same(&file, &lab.out("alice").join("x.bin"));
    relay.expect(0);
    alice.wait_event("disconnected");
}

#[test]
fn a_transfer_that_takes_longer_than_the_drain_is_cut_off_and_goes_on_later() {
    let (mut lab, mut relay) = Lab::with_relay(&[&METRICS[..], &["--drain", "1s"]].concat());
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 12 * MIB);
    let mut sender = lab.send("bob", &["--to", "alice", "--limit", "2Mi"], &[&file]);
    sender.wait_event("progress");
    relay.signal(Signal::TERM);
    relay.expect(0);
    assert!(sender.events("done").is_empty());
    let _relay = lab.relay(&[]);
    sender.expect(0);
    assert_same(&file, &lab.out("alice").join("x.bin"));
}

#[test]
fn sigint_and_a_second_signal_wait_for_nothing() {
    for signals in [&[Signal::TERM, Signal::TERM][..], &[Signal::INT]] {
        let (lab, mut relay) = Lab::with_relay(&[&METRICS[..], &["--drain", "10m"]].concat());
        let alice = lab.listen("alice", &[]);
        let file = lab.file("x.bin", 512 * MIB);
        let sender = lab.send("bob", &["--to", "alice", "--limit", "1Mi"], &[&file]);
        sender.wait_event("progress");
        for (number, signal) in signals.iter().enumerate() {
            if number > 0 {
                wait_sample(&relay, "p2p_relay_draining", |draining| draining == 1.0);
            }
            relay.signal(*signal);
        }
        relay.expect(0);
        alice.wait_event("disconnected");
    }
}

#[test]
fn the_service_manager_is_told_what_the_relay_does_and_that_it_lives() {
    let mut lab = Lab::empty();
    let socket = lab.folder().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = lab.command("relay");
    command
        .args(["--json", "server", "--bind", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "6000000")
        .env_remove("WATCHDOG_PID");
    let mut relay = Proc::start(command);
    lab.use_invite(Some(text(&relay.wait_event("ready"), "invite")));
    wait_for(&manager, "READY=1");
    wait_for(&manager, "WATCHDOG=1");
    wait_for(&manager, "WATCHDOG=1");
    relay.signal(Signal::HUP);
    wait_for(&manager, "RELOADING=1");
    wait_for(&manager, "READY=1");
    let _alice = lab.listen("alice", &[]);
    relay.signal(Signal::TERM);
    wait_for(&manager, "STOPPING=1");
    relay.expect(0);
}

fn wait_for(manager: &UnixDatagram, state: &str) {
    let end = Instant::now() + PATIENCE;
    let mut buffer = [0; 4096];
    loop {
        let len = manager.recv(&mut buffer).expect(state);
        let said = String::from_utf8_lossy(&buffer[..len]);
        if said.lines().any(|line| line == state) {
            return;
        }
        assert!(Instant::now() < end, "no {state}");
    }
}

#[test]
fn behind_a_socket_a_relay_that_was_killed_is_back_at_once_and_a_transfer_goes_on() {
    let mut lab = Lab::empty();
    // What systemd holds while no relay runs.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut relay = passed(&lab, &socket);
    let ready = relay.wait_event("ready");
    let address = socket.local_addr().unwrap().to_string();
    assert_eq!(text(&ready, "address"), address);
    lab.use_invite(Some(text(&ready, "invite")));
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 24 * MIB);
    let mut sender = lab.send("bob", &["--to", "alice", "--limit", "6Mi"], &[&file]);
    sender.wait_event("progress");
    relay.kill();
    let killed = Instant::now();
    let _relay = passed(&lab, &socket).ready();
    let ready = killed.elapsed();
    alice.wait_where("joined", 2, |_| true);
    let joined = killed.elapsed();
    println!("after a kill: serving in {ready:?}, the listener back in {joined:?}");
    sender.expect(0);
    assert_same(&file, &lab.out("alice").join("x.bin"));
    let received = alice.wait_event("received");
    assert!(received["resumed_from"].as_u64() > Some(0), "{received}");
}

/// Starts a relay that is passed this socket as systemd passes it (`sd_listen_fds(3)`).
fn passed(lab: &Lab, socket: &UdpSocket) -> Proc {
    let p2p = lab.command("relay");
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"",
            "sh",
        ])
        .arg(p2p.get_program())
        .args(p2p.get_args())
        .args(["--json", "server", "--tcp", "off"])
        .env_remove("P2P_SERVER")
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
    Proc::start(command)
}

#[test]
fn systemds_own_tool_starts_a_relay_with_the_first_packet() {
    if !there("systemd-socket-activate") {
        return;
    }
    let mut lab = Lab::empty();
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let p2p = lab.command("relay");
    let mut command = Command::new("systemd-socket-activate");
    command
        .args(["--datagram", "--listen", &port.to_string()])
        .args(["--setenv=HOME"])
        .arg(p2p.get_program())
        .args(p2p.get_args())
        .args(["--json", "server", "--tcp", "off"])
        .env_remove("P2P_SERVER")
        .stdin(Stdio::null());
    let relay = Proc::start(command);
    let knocking = UdpSocket::bind("127.0.0.1:0").unwrap();
    let end = Instant::now() + PATIENCE;
    while relay.events("ready").is_empty() {
        assert!(Instant::now() < end, "{}", relay.stderr());
        let _ = knocking.send_to(b"?", port);
        thread::sleep(Duration::from_millis(50));
    }
    let ready = relay.wait_event("ready");
    assert_eq!(text(&ready, "address"), port.to_string());
    lab.use_invite(Some(text(&ready, "invite")));
    lab.listen("alice", &[]);
}

#[test]
fn systemd_takes_the_units_as_they_are() {
    if !there("systemd-analyze") {
        return;
    }
    let lab = Lab::empty();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let mut units = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.contains('@') || !(name.ends_with(".service") || name.ends_with(".socket")) {
            continue;
        }
        let unit = lab.folder().join(&name);
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("/usr/bin/p2p", env!("CARGO_BIN_EXE_p2p"));
        std::fs::write(&unit, text).unwrap();
        units.push(unit);
    }
    assert_eq!(units.len(), 3);
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&units)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
}
