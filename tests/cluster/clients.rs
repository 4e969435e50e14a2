//! Clients that know several relays of one key.

use std::time::{Duration, Instant};

use crate::common::{Lab, Proc};

/// Relays of one key on ports of their own, which admit every room, and are not connected to each other.
struct Several {
    lab: Lab,
    relays: Vec<(String, Proc)>,
}

impl Several {
    fn new(names: &[&str]) -> Self {
        let mut lab = Lab::empty();
        let certs = lab.folder().join("certs");
        let certs = certs.to_str().unwrap();
        let mut relays = Vec::new();
        let mut invite = String::new();
        for name in names {
            let args = [
                "server",
                "--bind",
                "127.0.0.1:0",
                "--open",
                "--certs",
                certs,
            ];
            let relay = lab.run(name, args);
            let ready = relay.wait_event("ready");
            invite = ready["invite"].as_str().unwrap().to_owned();
            relays.push((ready["address"].as_str().unwrap().to_owned(), relay));
        }
        let (last, _) = relays.last().unwrap();
        let places: Vec<_> = relays.iter().map(|(address, _)| address.clone()).collect();
        lab.use_invite(Some(invite.replace(last, &places.join(","))));
        Self { lab, relays }
    }

    /// The relay on which a member of the room is, by what the relays themselves say.
    fn relay_of(&mut self, names: &[&str], member: &str) -> usize {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            for (i, name) in names.iter().enumerate() {
                let mut status = self.lab.run(name, ["server", "status"]);
                // It was killed, perhaps.
                if status.wait() == 0 && status.raw().contains(member) {
                    return i;
                }
            }
            assert!(Instant::now() < deadline, "{member} is nowhere");
        }
    }
}

#[test]
fn members_meet_on_one_relay_and_on_the_next_one_when_it_is_killed() {
    let names = ["one", "two", "three"];
    let mut several = Several::new(&names);
    let listener = several.lab.listen("anna", &[]);
    let id = listener.wait_event("joined")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = several.lab.file("first", 100_000);
    several
        .lab
        .send("ben", &["--to", "anna"], &[&file])
        .expect(0);
    let at = several.relay_of(&names, &id);
    let killed = Instant::now();
    several.relays[at].1.kill();
    listener.wait_where("joined", 2, |_| true);
    let took = killed.elapsed();
    eprintln!("an idle listener was at the next relay {took:?} after its own was killed");
    // Nine seconds on a quiet machine; alone with QUIC's own patience it would be twenty and more.
    assert!(took < Duration::from_secs(18), "{took:?}");
    // Whoever comes now does not wait for the dead one, and meets her there.
    let file = several.lab.file("second", 100_000);
    let began = Instant::now();
    several
        .lab
        .send("carl", &["--to", "anna"], &[&file])
        .expect(0);
    eprintln!("a send past a dead relay took {:?}", began.elapsed());
    assert_eq!(several.lab.stored("anna"), ["first", "second"]);
}

#[test]
fn a_transfer_goes_on_at_the_next_relay_when_its_own_is_killed() {
    let names = ["one", "two"];
    let mut several = Several::new(&names);
    let listener = several.lab.listen("anna", &[]);
    let id = listener.wait_event("joined")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let at = several.relay_of(&names, &id);
    let size = 24 << 20;
    let file = several.lab.file("large", size);
    let options = ["--to", "anna", "--limit", "4M"];
    let mut sender = several.lab.send("ben", &options, &[&file]);
    sender.wait_where("progress", 1, |event| {
        event["bytes"].as_u64().is_some_and(|bytes| bytes > 4 << 20)
    });
    let killed = Instant::now();
    several.relays[at].1.kill();
    listener.wait_where("joined", 2, |_| true);
    sender.expect(0);
    let took = killed.elapsed();
    let received = listener.wait_event("received");
    let resumed = received["resumed_from"].as_u64().unwrap();
    eprintln!("whole {took:?} after the kill, resumed from {resumed} of {size} bytes");
    assert!(resumed > 2 << 20, "begun anew: {resumed}");
}

#[test]
fn a_relay_that_is_not_there_or_has_another_key_is_passed_over() {
    let mut several = Several::new(&["one"]);
    let other = several
        .lab
        .run("other", ["server", "--bind", "127.0.0.1:0", "--open"]);
    let other = other.wait_event("ready")["address"]
        .as_str()
        .unwrap()
        .to_owned();
    let (here, _) = &several.relays[0];
    let invite = several.lab.invite().to_owned();
    // Bound, and silent.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    let places = format!("{silent},{other},{here}");
    let invite = invite.replace(here.as_str(), &places);
    several.lab.use_invite(None);
    several.lab.run("anna", ["join", &invite]).expect(0);
    let saved = several.lab.run("anna", ["invite"]);
    let saved = saved.wait_where("invite", 1, |_| true);
    assert!(saved.to_string().contains(&places), "{saved}");
    several.lab.run("anna", ["peers"]).expect(0);
    // Where no place has the key, that is what is said.
    let wrong = invite.replace(&places, &format!("{other},{other}"));
    several.lab.run("ben", ["join", &wrong]).expect(4);
}
