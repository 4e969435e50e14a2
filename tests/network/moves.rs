//! A machine that moves to another network in the middle of a transfer.

use std::time::{Duration, Instant};

use crate::{
    common::{Lab, MIB, Proc},
    namespace::{Namespace, available},
};

/// What a listener's ping, every ten seconds, would take to tell its relay of another address.
const BY_PING: Duration = Duration::from_secs(8);

#[test]
fn a_listener_that_only_receives_is_followed_to_another_address() {
    if !available("a_listener_that_only_receives_is_followed_to_another_address") {
        return;
    }
    let (hub, end) = (Namespace::new("hub"), Namespace::new("end"));
    let device = end.connect(&hub, (&["10.8.1.2/16"], &["10.8.0.1/16"]));
    let mut lab = Lab::empty();
    let mut command = lab.command("relay");
    command.args(["--json", "server", "--bind", "10.8.0.1:4433"]);
    let relay = Proc::start(hub.inside(&command));
    let invite = relay.wait_event("ready")["invite"]
        .as_str()
        .map(str::to_owned);
    lab.use_invite(invite);
    let mut command = lab.command("alice");
    command
        .env("P2P_ROAD", "relay")
        .args(["--json", "listen", "--name", "alice", "--out"]);
    command.arg(lab.out("alice"));
    let listener = Proc::start(end.inside(&command));
    listener.wait_event("joined");

    let file = lab.file("file", 12 * MIB);
    let mut command = lab.command("sender");
    command.env("P2P_ROAD", "relay");
    command.args(["--json", "send", "--to", "alice", "--limit", "2Mi"]);
    command.arg(&file);
    let mut send = Proc::start(hub.inside(&command));
    send.wait_count("progress", 2);
    end.ip(&format!("addr del 10.8.1.2/16 dev {device}"));
    end.ip(&format!("addr add 10.8.1.3/16 dev {device}"));
    let moved = Instant::now();
    let before = send.events("progress").len();
    send.wait_count("progress", before + 3);
    let silence = moved.elapsed();
    send.expect(0);
    eprintln!("{silence:?} from the change to three reports of progress");
    assert!(silence < BY_PING, "{silence:?}");
    assert!(listener.events("disconnected").is_empty());
    assert!(send.events("retrying").is_empty());
}
