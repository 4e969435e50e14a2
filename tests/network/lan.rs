//! Rooms without a relay, whose members find each other on their LAN.

use std::{
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use crate::{
    common::{Lab, MIB, Proc, assert_same, text},
    namespace::{Namespace, available},
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
struct Lan {
    lab: Lab,
    switch: Namespace,
    machines: Vec<Namespace>,
}

impl Lan {
    /// A LAN with so many machines, numbered from 1, in a room without a relay.
    fn new(machines: usize) -> Self {
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
    fn run(&self, number: usize, who: &str, args: &[&str]) -> Proc {
        self.run_with(number, who, args, &[])
    }

    fn run_with(&self, number: usize, who: &str, args: &[&str], env: &[(&str, &str)]) -> Proc {
        let mut command = self.lab.command(who);
        command.arg("--json").args(args);
        command.envs(env.iter().copied());
        Proc::start(self.machines[number - 1].inside(&command))
    }

    /// A listener on the machine of this number, once it is found on the LAN.
    fn listen(&self, number: usize, name: &str, options: &[&str]) -> Proc {
        let out = self.lab.out(name);
        let args = [
            &["listen", "--name", name, "--out", out.to_str().unwrap()],
            options,
        ];
        let listener = self.run(number, name, &args.concat());
        listener.wait_where("joined", 1, |event| event["relay"] == "lan");
        listener
    }

    fn arrived(&self, file: &Path, name: &str) {
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
    lan.run(2, "bob", &["send", "--to", "carol", file.to_str().unwrap()])
        .expect(5);
    drop(alice);
    lan.run(2, "bob", &["send", "--to", "alice", file.to_str().unwrap()])
        .expect(5);
}
