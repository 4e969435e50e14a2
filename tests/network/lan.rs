//! Rooms without a relay, whose members find each other on their LAN.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{Lab, MIB, Proc, assert_same, text},
    namespace::{Namespace, available, installed},
};

/// What somebody runs without `--json`: exit code, standard output, standard error.
fn plain(lab: &Lab, who: &str, args: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = lab.command(who).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn an_invite_without_a_relay_is_made_joined_and_shown() {
    let lab = Lab::empty();
    let (code, invite, said) = plain(&lab, "alice", &["room", "new", "--lan"]);
    assert_eq!(code, 0, "{said}");
    let invite = invite.trim_end();
    assert!(invite.starts_with("p2p://lan#") && !invite.contains('\n'));
    let (code, out, said) = plain(&lab, "bob", &["join", invite, "--name", "bob"]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    assert!(said.contains("without a relay"), "{said}");
    let (code, saved, _) = plain(&lab, "bob", &["invite", "--qr"]);
    assert_eq!((code, saved.lines().next()), (0, Some(invite)));
    assert!(saved.lines().count() > 10, "a QR code");
    let mut rooms = lab.run("bob", ["rooms"]);
    rooms.expect(0);
    let room = rooms.wait_event("room");
    assert_eq!(
        (text(&room, "name"), text(&room, "relay")),
        ("lan".into(), "lan".into())
    );
    // A relay or none: one of them has to be said.
    for args in [&["room", "new"][..], &["room", "new", "--lan", "host:1/x"]] {
        assert_eq!(plain(&lab, "alice", args).0, 2, "{args:?}");
    }
    // And the room goes to nobody's relay.
    let (code, _, said) = plain(&lab, "alice", &["room", "new", invite]);
    assert_eq!(code, 2, "{said}");
    let secret = invite.split_once('#').unwrap().1;
    assert!(!said.contains(&secret[..12]), "{said}");
}

/// Namespaces on one switch: a LAN.
pub struct Lan {
    pub lab: Lab,
    switch: Namespace,
    machines: Vec<Namespace>,
}

impl Lan {
    /// A LAN with so many machines, numbered from 1, in a room without a relay.
    pub fn new(machines: usize) -> Self {
        let switch = Namespace::new("switch");
        switch.ip("link add br0 type bridge");
        switch.ip("link set br0 up");
        let mut lan = Self {
            lab: Lab::empty(),
            switch,
            machines: Vec::new(),
        };
        for number in 1..=machines {
            lan.plug_in(&[
                &format!("10.2.0.{number}/24"),
                &format!("fd00:2::{number}/64"),
                &format!("fe80::2:{number}/64"),
            ]);
        }
        let room = lan.lab.run("maker", ["room", "new", "--lan"]);
        let invite = text(&room.wait_event("room"), "invite");
        lan.lab.use_invite(Some(invite));
        lan
    }

    /// Another machine.
    fn plug_in(&mut self, addresses: &[&str]) {
        let machine = Namespace::new("machine");
        let (_, port) = machine.cable_to(&self.switch, (addresses, &[]));
        self.switch.ip(&format!("link set {port} master br0"));
        self.machines.push(machine);
    }

    /// `p2p --json` on the machine of this number.
    pub fn run(&self, number: usize, who: &str, args: &[&str]) -> Proc {
        self.run_with(number, who, args, &[])
    }

    fn run_with(&self, number: usize, who: &str, args: &[&str], env: &[(&str, &str)]) -> Proc {
        let mut command = self.lab.command(who);
        command.arg("--json").args(args);
        command.envs(env.iter().copied());
        Proc::start(self.inside(number, &command))
    }

    /// A command that runs on the machine of this number.
    pub fn inside(&self, number: usize, command: &Command) -> Command {
        self.machines[number - 1].inside(command)
    }

    /// A listener on the machine of this number, once it is found on the LAN.
    pub fn listen(&self, number: usize, name: &str, options: &[&str]) -> Proc {
        let out = self.lab.out(name);
        let args = [
            &["listen", "--name", name, "--out", out.to_str().unwrap()],
            options,
        ];
        let listener = self.run(number, name, &args.concat());
        listener.wait_where("joined", 1, |event| event["relay"] == "lan");
        listener
    }

    /// A relay on the machine of this number, which has the room of everybody from now on.
    fn relay(&mut self, number: usize) -> Proc {
        let args = ["server", "--public", &format!("10.2.0.{number}")];
        let relay = self.run(number, "relay", &args);
        let invite = text(&relay.wait_event("ready"), "invite");
        self.lab.use_invite(Some(invite));
        relay
    }

    pub fn arrived(&self, file: &Path, name: &str) {
        let stored = self.lab.out(name).join(file.file_name().unwrap());
        assert_same(file, &stored);
    }
}

/// From the start of the process to the first byte that is stored, or the whole of a small file.
#[track_caller]
fn first_byte(send: &Proc, start: Instant) -> Duration {
    send.wait_first(&["progress", "delivered"]);
    start.elapsed()
}

/// How quick a first byte has to be: on this machine while nothing else runs, 1.5 s.
///
/// A slow and busy machine gets more, or the test would be one of the machine.
const FIRST_BYTE: Duration = Duration::from_secs(10);

#[test]
fn two_machines_on_one_lan_need_no_relay() {
    let test = "two_machines_on_one_lan_need_no_relay";
    if !available(test) {
        return;
    }
    let lan = Lan::new(2);
    let alice = lan.listen(1, "alice", &[]);
    let file = lan.lab.file("data.bin", 20 * MIB);
    let start = Instant::now();
    let mut send = lan.run(2, "bob", &["send", "--to", "alice", file.to_str().unwrap()]);
    let first = first_byte(&send, start);
    send.expect(0);
    eprintln!("{test}: first byte after {first:?}");
    assert!(first < FIRST_BYTE, "{first:?}");
    assert_eq!(send.wait_event("delivered")["road"], "lan");
    assert_eq!(alice.wait_event("received")["road"], "lan");
    lan.arrived(&file, "alice");
    let mut peers = lan.run(2, "bob", &["peers"]);
    peers.expect(0);
    let peer = peers.wait_event("peer");
    assert_eq!(
        (text(&peer, "name"), text(&peer, "state")),
        ("alice".into(), "listening".into())
    );
    // Nobody of that name, and nobody at all once she is gone.
    drop(alice);
    let to = |who| lan.run(2, "bob", &["send", "--to", who, file.to_str().unwrap()]);
    for mut send in ["alice", "carol"].map(to) {
        send.expect(5);
    }
}

#[test]
fn a_relay_that_does_not_answer_holds_nobody_up_on_a_lan() {
    let test = "a_relay_that_does_not_answer_holds_nobody_up_on_a_lan";
    if !available(test) {
        return;
    }
    let mut lan = Lan::new(2);
    // Nobody has that address.
    let relay = lan.lab.run("maker", ["id"]);
    let relay = format!("10.2.0.99:4433/{}", text(&relay.wait_event("peer"), "id"));
    let room = lan.lab.run("maker", ["room", "new", &relay]);
    lan.lab
        .use_invite(Some(text(&room.wait_event("room"), "invite")));
    let alice = lan.listen(1, "alice", &["--lan"]);
    let file = lan.lab.file("data.bin", 10 * MIB);
    let to = |who| ["send", "--to", who, file.to_str().unwrap()];
    let start = Instant::now();
    let mut send = lan.run(2, "bob", &to("alice"));
    let first = first_byte(&send, start);
    send.expect(0);
    eprintln!("{test}: first byte after {first:?}");
    assert!(first < FIRST_BYTE, "{first:?}");
    assert_eq!(send.wait_event("delivered")["road"], "lan");
    lan.arrived(&file, "alice");
    let mut peers = lan.run(2, "bob", &["peers"]);
    peers.expect(0);
    assert_eq!(text(&peers.wait_event("peer"), "name"), "alice");
    // Where neither has the peer, it is the relay that is missing.
    drop(alice);
    let others = [
        lan.run(2, "bob", &to("carol")),
        lan.run(2, "bob", &to("alice")),
    ];
    for mut other in others.into_iter().chain([lan.run(2, "bob", &["peers"])]) {
        other.expect(3);
    }
}

#[test]
fn a_send_goes_on_over_the_lan_when_its_relay_is_gone() {
    let test = "a_send_goes_on_over_the_lan_when_its_relay_is_gone";
    if !available(test) {
        return;
    }
    let mut lan = Lan::new(3);
    let mut relay = lan.relay(3);
    let alice = lan.listen(1, "alice", &["--lan"]);
    alice.wait_where("joined", 1, |event| event["relay"] != "lan");
    let small = lan.lab.file("small.bin", 1000);
    for road in ["relay", "tcp", "lan"] {
        let to = ["send", "--to", "alice", small.to_str().unwrap()];
        let mut send = lan.run_with(2, "bob", &to, &[("P2P_ROAD", road)]);
        send.expect(0);
        assert_eq!(send.wait_event("delivered")["road"], road);
    }
    let file = lan.lab.file("data.bin", 12 * MIB);
    let to = [
        "send",
        "--limit",
        "4M",
        "--to",
        "alice",
        file.to_str().unwrap(),
    ];
    let mut send = lan.run(2, "bob", &to);
    let first = send.wait_event("progress");
    relay.kill();
    send.expect(0);
    eprintln!("{test}: began by {}", first["road"]);
    assert_eq!(send.wait_event("delivered")["road"], "lan");
    lan.arrived(&file, "alice");
}

#[test]
fn a_broadcast_reaches_some_by_the_relay_and_some_on_the_lan() {
    let test = "a_broadcast_reaches_some_by_the_relay_and_some_on_the_lan";
    if !available(test) {
        return;
    }
    let mut lan = Lan::new(4);
    let _relay = lan.relay(4);
    let listen = |number, name: &str, road| {
        let out = lan.lab.out(name);
        let args = ["listen", "--name", name, "--out", out.to_str().unwrap()];
        let listener = lan.run_with(number, name, &args, &[("P2P_ROAD", road)]);
        listener.wait_event("joined");
        listener
    };
    let _listeners = [
        listen(1, "alice", "lan"),
        listen(2, "bob", "lan"),
        listen(2, "carol", "relay"),
    ];
    let file = lan.lab.file("data.bin", 3 * MIB);
    let args = ["broadcast", file.to_str().unwrap()];
    let mut send = lan.run(3, "dave", &args);
    send.expect(0);
    let mut roads: Vec<_> = send
        .events("delivered")
        .iter()
        .map(|event| (text(event, "peer_name"), text(event, "road")))
        .collect();
    roads.sort();
    let expected = [("alice", "lan"), ("bob", "lan"), ("carol", "relay")];
    assert_eq!(
        roads,
        expected.map(|(name, road)| (name.into(), road.into()))
    );
    for name in ["alice", "bob", "carol"] {
        lan.arrived(&file, name);
    }
    // The same by name, and some who are not there at all.
    let named = [
        "send",
        "--to",
        "bob",
        "--to",
        "carol",
        file.to_str().unwrap(),
    ];
    lan.run(3, "dave", &named).expect(0);
}

#[test]
fn link_local_addresses_of_ipv6_are_enough() {
    if !available("link_local_addresses_of_ipv6_are_enough") {
        return;
    }
    let mut lan = Lan::new(0);
    lan.plug_in(&["fe80::2:1/64"]);
    lan.plug_in(&["fe80::2:2/64"]);
    let _alice = lan.listen(1, "alice", &[]);
    let file = lan.lab.file("data.bin", MIB);
    let mut send = lan.run(2, "bob", &["send", "--to", "alice", file.to_str().unwrap()]);
    send.expect(0);
    lan.arrived(&file, "alice");
}

#[test]
fn a_relay_whose_first_address_is_dead_is_reached_by_the_next() {
    if !available("a_relay_whose_first_address_is_dead_is_reached_by_the_next") {
        return;
    }
    let mut lan = Lan::new(2);
    let _relay = lan.relay(1);
    let invite = lan.lab.invite().replace("10.2.0.1:", "relay.test:");
    lan.lab.use_invite(Some(invite));
    // Files in /etc/netns/NAME lie over those in /etc for whatever runs there.
    lan.machines[1].etc("hosts", "fd00:2::dead relay.test\n10.2.0.1 relay.test\n");
    let start = Instant::now();
    let mut peers = lan.run(2, "bob", &["peers"]);
    peers.expect(0);
    let took = start.elapsed();
    eprintln!("a relay whose first address is dead was reached after {took:?}");
    // An address in turn, with 6 s for each, would take longer.
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn it_works_beside_another_program_for_multicast_dns() {
    let test = "it_works_beside_another_program_for_multicast_dns";
    if !available(test) || !installed("avahi-daemon", test) {
        return;
    }
    let lan = Lan::new(2);
    let settings = lan.lab.folder().join("avahi.conf");
    fs::write(&settings, "[server]\nenable-dbus=no\nuse-ipv6=yes\n").unwrap();
    let _daemons: Vec<_> = lan
        .machines
        .iter()
        .map(|machine| {
            let mut command = machine.command("unshare");
            // It keeps one file with its process's number, and there are two of it here.
            let script = "mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon && \
                          exec avahi-daemon --no-drop-root --no-rlimits --no-chroot -f \"$1\"";
            command
                .args(["-m", "sh", "-c", script, "sh"])
                .arg(&settings);
            Daemon::start(command, "Server startup complete")
        })
        .collect();
    let _alice = lan.listen(1, "alice", &[]);
    let file = lan.lab.file("data.bin", MIB);
    let mut send = lan.run(2, "bob", &["send", "--to", "alice", file.to_str().unwrap()]);
    send.expect(0);
    lan.arrived(&file, "alice");
}

/// Another program, killed when it is dropped.
struct Daemon(Child);

impl Daemon {
    /// Starts it, and waits until it has said this on standard error.
    fn start(mut command: Command, ready: &str) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let daemon = Self(child);
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said:?}"));
            let line = line.unwrap();
            if line.contains(ready) {
                break;
            }
            said.push(line);
        }
        // It must not block on a pipe that nobody reads.
        thread::spawn(move || lines.for_each(drop));
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
