//! A network that drops UDP, made of namespaces.

use std::{process::Stdio, time::Instant};

use crate::{
    common::{Lab, MIB, Proc, assert_same, text},
    namespace::{Namespace, available},
};

/// Rules that drop all UDP that is passed on or arrives.
const NO_UDP: &str = "table inet blocked {
    chain in { type filter hook input priority 0; meta l4proto udp drop; }
    chain out { type filter hook output priority 0; meta l4proto udp drop; }
}
";

/// A relay in one namespace, reached from another that UDP does not leave.
struct Blocked {
    lab: Lab,
    office: Namespace,
    _outside: Namespace,
    _relay: Proc,
}

impl Blocked {
    fn new(public: &str) -> Self {
        let (office, outside) = (Namespace::new("office"), Namespace::new("outside"));
        let interface = office.connect(
            &outside,
            (
                &["10.1.0.1/24", "fd00:1::1/64", "fe80::1:1/64"],
                &["10.1.0.2/24", "fd00:1::2/64", "fe80::1:2/64"],
            ),
        );
        office.nft(NO_UDP);
        let mut lab = Lab::empty();
        let mut command = lab.command("relay");
        command.args([
            "--json",
            "server",
            "--bind",
            "[::]:4433",
            "--public",
            "relay",
        ]);
        let relay = Proc::start(outside.inside(&command));
        let ready = relay.wait_event("ready");
        let host = public.replace("INTERFACE", &interface);
        let invite = text(&ready, "invite").replace("relay", &host);
        lab.use_invite(Some(invite));
        Self {
            lab,
            office,
            _outside: outside,
            _relay: relay,
        }
    }

    fn run(&self, who: &str, args: &[&str]) -> Proc {
        let mut command = self.lab.command(who);
        command.arg("--json").args(args);
        let mut command = self.office.inside(&command);
        command.stdin(Stdio::null());
        Proc::start(command)
    }
}

#[test]
fn where_udp_is_dropped_everything_works_over_tcp_whatever_the_address() {
    if !available("where_udp_is_dropped_everything_works_over_tcp_whatever_the_address") {
        return;
    }
    for public in ["10.1.0.2", "[fd00:1::2]", "[fe80::1:2%INTERFACE]"] {
        let net = Blocked::new(public);
        let out = net.lab.out("alice");
        let start = Instant::now();
        let alice = net.run(
            "alice",
            &["listen", "--name", "alice", "--out", out.to_str().unwrap()],
        );
        alice.wait_event("joined");
        eprintln!("{public}: joined over TCP after {:?}", start.elapsed());
        let file = net.lab.file("data.bin", 30 * MIB);
        let mut send = net.run("sender", &["send", "--to", "alice", file.to_str().unwrap()]);
        send.expect(0);
        assert_eq!(send.wait_event("delivered")["road"], "tcp");
        assert_eq!(alice.wait_event("received")["road"], "tcp");
        assert_same(&file, &out.join("data.bin"));
        let mut forced = net.lab.command("sender");
        forced.args(["--json", "peers"]).env("P2P_ROAD", "relay");
        Proc::start(net.office.inside(&forced)).expect(3);
    }
}
