//! A machine that moves to another network, or sleeps, in the middle of a transfer.

use std::time::{Duration, Instant};

use crate::{
    common::{Lab, MIB, Proc, Signal, scaled},
    namespace::{Namespace, available},
};

/// What a listener's ping, every ten seconds, would take to tell its relay of another address.
const BY_PING: Duration = Duration::from_secs(8);
/// What is sent, at 2 MiB a second.
const SIZE: u64 = 8 * MIB;
/// What may be sent again, with what headers take: what was under way, and a fifteenth.
const AGAIN_MAX: u64 = 4 * MIB;

/// A relay in one namespace, and a place elsewhere that can move.
struct Away {
    hub: Namespace,
    end: Namespace,
    device: String,
    lab: Lab,
    _relay: Proc,
}

impl Away {
    fn new() -> Self {
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
        Self {
            hub,
            end,
            device,
            lab,
            _relay: relay,
        }
    }

    fn listen(&self, place: &Namespace) -> Proc {
        let mut command = self.lab.command("alice");
        command
            .env("P2P_ROAD", "relay")
            .args(["--json", "listen", "--name", "alice", "--out"]);
        command.arg(self.lab.out("alice"));
        let listener = Proc::start(place.inside(&command));
        listener.wait_event("joined");
        listener
    }

    /// Sends, and waits until it is under way.
    fn send(&self, place: &Namespace) -> Proc {
        let file = self.lab.file("file", SIZE);
        let mut command = self.lab.command("sender");
        command.env("P2P_ROAD", "relay");
        command.args(["--json", "send", "--to", "alice", "--limit", "2Mi"]);
        command.arg(&file);
        let send = Proc::start(place.inside(&command));
        send.wait_count("progress", 2);
        send
    }

    /// Gives the place another address.
    fn moves(&self) {
        let device = &self.device;
        self.end.ip(&format!("addr del 10.8.1.2/16 dev {device}"));
        self.end.ip(&format!("addr add 10.8.1.3/16 dev {device}"));
    }

    /// Bytes that the place has sent or received.
    fn carried(&self, way: &str) -> u64 {
        let path = format!("/sys/class/net/{}/statistics/{way}_bytes", self.device);
        let output = self.end.command("cat").arg(path).output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }
}

/// How long it takes from now on until more is stored, three times.
fn silence(send: &Proc) -> Duration {
    let since = Instant::now();
    let before = send.events("progress").len();
    send.wait_count("progress", before + 3);
    let silence = since.elapsed();
    eprintln!("{silence:?} from the change to three reports of progress");
    silence
}

#[test]
fn a_listener_that_only_receives_is_followed_to_another_address() {
    if !available("a_listener_that_only_receives_is_followed_to_another_address") {
        return;
    }
    let away = Away::new();
    let listener = away.listen(&away.end);
    let mut send = away.send(&away.hub);
    away.moves();
    let silence = silence(&send);
    send.expect(0);
    assert!(silence < BY_PING, "{silence:?}");
    assert!(listener.events("disconnected").is_empty());
    assert!(send.events("retrying").is_empty());
    assert!(away.carried("rx") < SIZE + AGAIN_MAX);
}

#[test]
fn a_sender_that_moves_to_another_address_sends_nothing_anew() {
    if !available("a_sender_that_moves_to_another_address_sends_nothing_anew") {
        return;
    }
    let away = Away::new();
    let listener = away.listen(&away.hub);
    let mut send = away.send(&away.end);
    away.moves();
    let silence = silence(&send);
    send.expect(0);
    assert!(silence < BY_PING, "{silence:?}");
    assert!(send.events("retrying").is_empty());
    assert_eq!(listener.wait_event("received")["resumed_from"], 0);
    assert!(away.carried("tx") < SIZE + AGAIN_MAX);
}

/// Stops one side for two seconds, or at full scale for twenty, in which its connection ends.
fn sleeps(test: &str, sender_sleeps: bool) {
    if !available(test) {
        return;
    }
    let away = Away::new();
    let (far, near) = (&away.end, &away.hub);
    let (place_of_sender, place_of_listener) = match sender_sleeps {
        true => (far, near),
        false => (near, far),
    };
    let listener = away.listen(place_of_listener);
    let mut send = away.send(place_of_sender);
    let sleeper = if sender_sleeps { &send } else { &listener };
    sleeper.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(scaled(2, 20)));
    sleeper.signal(Signal::CONT);
    // On a machine that is busy with other tests, several times what it takes.
    let silence = silence(&send);
    assert!(silence < BY_PING, "{silence:?}");
    send.expect(0);
    let way = if sender_sleeps { "tx" } else { "rx" };
    assert!(away.carried(way) < SIZE + AGAIN_MAX);
}

#[test]
fn a_sender_that_sleeps_goes_on_where_it_was() {
    sleeps("a_sender_that_sleeps_goes_on_where_it_was", true);
}

#[test]
fn a_listener_that_sleeps_goes_on_where_it_was() {
    sleeps("a_listener_that_sleeps_goes_on_where_it_was", false);
}
