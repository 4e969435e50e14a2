//! Relays as they are run: processes of the real binary that find each other over a real `nats-server`.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    common::{Lab, Proc, Signal, scaled},
    nats::Nats,
};

/// Three relays of one cluster.
pub struct Three {
    pub lab: Lab,
    nats: Nats,
    /// Address of clients, that of other relays, and the process.
    pub relays: Vec<(String, Proc)>,
    invite: String,
}

const NAMES: [&str; 3] = ["one", "two", "three"];

impl Three {
    pub fn start() -> Option<Self> {
        let nats = Nats::start()?;
        let lab = Lab::empty();
        let mut three = Self {
            lab,
            nats,
            relays: Vec::new(),
            invite: String::new(),
        };
        for name in NAMES {
            let (relay, ready) = three.relay(name, "127.0.0.1:0");
            let address = ready["address"].as_str().unwrap().to_owned();
            three.invite = ready["invite"].as_str().unwrap().to_owned();
            three.relays.push((address, relay));
        }
        Some(three)
    }

    fn relay(&self, name: &str, bind: &str) -> (Proc, Value) {
        let folder = self.lab.folder();
        let (certs, key) = (folder.join("certs"), folder.join("cluster.pem"));
        let url = self.nats.url();
        let args = [
            "server",
            "--bind",
            bind,
            "--trunk",
            "127.0.0.1:0",
            "--certs",
            certs.to_str().unwrap(),
            "--cluster",
            &url,
            "--cluster-key",
            key.to_str().unwrap(),
            "--node",
            name,
        ];
        let relay = self.lab.run(name, args);
        let ready = relay.wait_event("ready");
        (relay, ready)
    }

    /// An invite that names this relay alone.
    pub fn invite_at(&self, which: usize) -> Option<String> {
        let last = &self.relays.last().unwrap().0;
        Some(self.invite.replace(last, &self.relays[which].0))
    }

    fn status(&self, name: &str) -> Value {
        let status = self.lab.run(name, ["server", "status"]);
        status.wait_event("status")
    }

    /// Waits until every relay that runs knows of both others.
    pub fn wait_until_all_know_all(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        for name in NAMES {
            while self.status(name)["cluster"]["relays"]
                .as_array()
                .is_none_or(|relays| relays.len() < 2)
            {
                assert!(Instant::now() < deadline, "{}", self.status(name));
            }
        }
    }
}

#[test]
fn members_at_three_relays_reach_each_other_and_learn_of_all_of_them() {
    let Some(mut three) = Three::start() else {
        return;
    };
    three.wait_until_all_know_all();
    let status = three.status("two");
    assert_eq!(status["cluster"]["name"], "two");
    assert_eq!(status["cluster"]["nats"], true);
    three.lab.use_invite(three.invite_at(0));
    let anna = three.lab.listen("anna", &[]);
    three.lab.use_invite(three.invite_at(1));
    let carl = three.lab.listen("carl", &[]);
    three.lab.use_invite(three.invite_at(2));
    let file = three.lab.file("one", 3 << 20);
    let to_both = ["--to", "anna", "--to", "carl", "--wait", "60s"];
    three.lab.send("ben", &to_both, &[&file]).expect(0);
    anna.wait_event("received");
    carl.wait_event("received");
    // What ben was told: where the others are, for the next time.
    let known = fs::read_to_string(three.lab.home("ben").join("relays.json")).unwrap();
    for (address, _) in &three.relays {
        assert!(known.contains(address.as_str()), "{known}");
    }
    // Whoever has it can run a relay of the cluster.
    let key = fs::metadata(three.lab.folder().join("cluster.pem")).unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    // Without NATS all of that goes on.
    three.nats.kill();
    let file = three.lab.file("two", 3 << 20);
    three.lab.send("ben", &to_both, &[&file]).expect(0);
    assert_eq!(three.lab.stored("anna"), ["one", "two"]);
    assert_eq!(three.lab.stored("carl"), ["one", "two"]);
}

#[test]
fn idle_listeners_leave_a_relay_that_drains_and_transfers_there_are_finished() {
    let Some(mut three) = Three::start() else {
        return;
    };
    three.wait_until_all_know_all();
    // It names one relay; of the others that one tells.
    three.lab.use_invite(three.invite_at(0));
    let anna = three.lab.listen("anna", &[]);
    let carl = three.lab.listen("carl", &[]);
    let [before, busy] = [&anna, &carl].map(|it| it.wait_event("joined")["relay"].clone());
    assert_eq!(before, busy);
    let file = three.lab.file("large", 24 << 20);
    let options = ["--to", "carl", "--limit", "4M"];
    let mut sender = three.lab.send("ben", &options, &[&file]);
    sender.wait_where("progress", 1, |event| {
        event["bytes"].as_u64() > Some(1 << 20)
    });
    three.relays[0].1.signal(Signal::TERM);
    anna.wait_where("joined", 2, |_| true);
    assert!(
        anna.events("disconnected").is_empty(),
        "she had a relay all the time"
    );
    assert!(
        carl.events("received").is_empty(),
        "the transfer was to take longer"
    );
    assert!(carl.events("disconnected").is_empty());
    sender.expect(0);
    carl.wait_event("received");
    let received = &carl.events("received")[0];
    assert_eq!(received["resumed_from"], 0, "{received}");
    three.relays[0].1.expect(0);
    carl.wait_where("joined", 2, |_| true);
    // Everybody meets again.
    three.lab.use_invite(three.invite_at(1));
    let file = three.lab.file("small", 1000);
    let to_both = ["--to", "anna", "--to", "carl", "--wait", "60s"];
    three.lab.send("dora", &to_both, &[&file]).expect(0);
}

/// Once, and with `P2P_TEST_SCALE` at 100 fifty times.
#[test]
fn whichever_of_three_relays_is_killed_transfers_resume_at_the_others() {
    let Some(mut three) = Three::start() else {
        return;
    };
    three.wait_until_all_know_all();
    three.lab.use_invite(three.invite_at(0));
    let anna = three.lab.listen("anna", &[]);
    three.lab.use_invite(three.invite_at(1));
    let carl = three.lab.listen("carl", &[]);
    let size = 12_u64 << 20;
    let mut longest = Duration::ZERO;
    for round in 0..scaled(1, 50) {
        let killed = usize::try_from(round).unwrap() % 3;
        three.lab.use_invite(three.invite_at((killed + 1) % 3));
        let name = format!("file-{round}");
        let file = three.lab.file(&name, size);
        let to_both = [
            "--to", "anna", "--to", "carl", "--wait", "60s", "--limit", "4M",
        ];
        let sender = format!("ben-{round}");
        let mut sender = three.lab.send(&sender, &to_both, &[&file]);
        let is_under_way = |event: &Value| event["bytes"].as_u64() > Some(2 << 20);
        sender.wait_where("progress", 2, is_under_way);
        let at = Instant::now();
        three.relays[killed].1.kill();
        sender.expect(0);
        let took = at.elapsed();
        longest = longest.max(took);
        for listener in [&anna, &carl] {
            listener.wait_where("received", 1, |event| {
                event["path"]
                    .as_str()
                    .is_some_and(|path| path.ends_with(&name))
            });
        }
        eprintln!(
            "round {round}: whole {took:?} after the kill of {}",
            NAMES[killed]
        );
        let address = three.relays[killed].0.clone();
        let (relay, _) = three.relay(NAMES[killed], &address);
        three.relays[killed].1 = relay;
        three.wait_until_all_know_all();
    }
    for listener in [&anna, &carl] {
        for received in listener.events("received") {
            let resumed = received["resumed_from"].as_u64().unwrap();
            eprintln!("{} resumed from {resumed}", received["path"]);
            assert!(resumed == 0 || resumed > 1 << 20, "{received}");
        }
    }
    eprintln!("the longest took {longest:?} to be whole after a kill");
}
