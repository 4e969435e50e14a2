//! IPv4, IPv6, one as the other, and addresses that are nothing without their interface.

use crate::{
    common::{Lab, Proc, assert_same, text},
    namespace::{Namespace, available},
};

/// The invite of a relay that was started with `--public relay`, as it is reached at this host.
fn invite_at(ready: &serde_json::Value, host: &str) -> String {
    text(ready, "invite").replace("relay", host)
}

#[test]
fn a_relay_on_both_families_is_reached_by_either_and_by_one_as_the_other() {
    let mut lab = Lab::empty();
    let relay = lab.run("relay", ["server", "--bind", "[::]:0", "--public", "relay"]);
    let ready = relay.wait_event("ready");
    let file = lab.file("data.bin", 100_000);
    let hosts = ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"];
    for (number, host) in hosts.into_iter().enumerate() {
        lab.use_invite(Some(invite_at(&ready, host)));
        let name = format!("alice{number}");
        let alice = lab.listen(&name, &[]);
        for (turn, from) in hosts.into_iter().enumerate() {
            lab.use_invite(Some(invite_at(&ready, from)));
            // Over UDP alone, or TCP could hide that it does not work.
            let mut command = lab.command("sender");
            command.env("P2P_ROAD", "relay");
            command.args(["--json", "send", "--to", &name]).arg(&file);
            let mut send = Proc::start(command);
            send.expect(0);
            assert_eq!(send.wait_event("delivered")["road"], "relay", "{from}");
            alice.wait_count("received", turn + 1);
        }
        assert_same(&file, &lab.out(&name).join("data.bin"));
    }
}

#[test]
fn a_link_local_address_with_its_interface_leads_to_a_relay() {
    if !available("a_link_local_address_with_its_interface_leads_to_a_relay") {
        return;
    }
    let (here, there) = (Namespace::new("here"), Namespace::new("there"));
    let interface = here.connect(&there, (&["fe80::1:1/64"], &["fe80::1:2/64"]));
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
    let relay = Proc::start(there.inside(&command));
    let ready = relay.wait_event("ready");
    lab.use_invite(Some(invite_at(&ready, &format!("[fe80::1:2%{interface}]"))));
    let run = |who: &str, args: &[&str]| {
        let mut command = lab.command(who);
        command.env("P2P_ROAD", "relay").arg("--json").args(args);
        Proc::start(here.inside(&command))
    };
    let out = lab.out("alice");
    let alice = run(
        "alice",
        &["listen", "--name", "alice", "--out", out.to_str().unwrap()],
    );
    alice.wait_event("joined");
    let file = lab.file("data.bin", 100_000);
    let mut send = run("sender", &["send", "--to", "alice", file.to_str().unwrap()]);
    send.expect(0);
    assert_same(&file, &out.join("data.bin"));
}
