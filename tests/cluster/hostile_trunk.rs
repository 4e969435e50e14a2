//! Whoever connects to a relay's socket for other relays, and is none, or is one and means harm.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use p2p::{
    cluster::{ClusterKey, Instance, NodeName},
    identity::{Bundle, Identity, Name},
    protocol::{Base64, Code, FileClass, PeerId, TransferId},
    quic::{
        Certificate, ControlReceiver, ControlSender, Credentials, Link, LinkError, TrunkEndpoint,
        Tuning, bind_udp,
    },
    sealing::OpenKeys,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    common::{Lab, MIB, assert_same},
    relays::{Cluster, Node},
};

/// The longest wait for what the relay does at once.
const LIMIT: Duration = Duration::from_secs(30);

type Stream = (ControlSender<Value>, ControlReceiver<Value>);

/// A key and a socket that connect as a relay does.
struct Attacker {
    identity: Identity,
    endpoint: TrunkEndpoint,
}

impl Attacker {
    fn new() -> Self {
        let identity = Identity::generate();
        let certificate = Certificate::of(&identity);
        let credentials = Credentials::new(certificate.certificate, certificate.private_key);
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let socket = bind_udp(any).unwrap();
        let endpoint = TrunkEndpoint::on(socket, credentials, Tuning::default()).unwrap();
        Self { identity, endpoint }
    }

    async fn connect(&self, to: &Node) -> Link {
        let link = self.endpoint.connect(to.trunk, to.id(), LIMIT);
        link.await.unwrap()
    }

    fn hello(&self, key: &ClusterKey, of: &Identity) -> Value {
        let name: NodeName = "mallory".parse().unwrap();
        let token = key.token(of.public_key(), &name);
        json!({"type": "hello", "token": token, "instance": Instance::from_number(0)})
    }

    /// Says hello, and waits for the answer.
    async fn greet(&self, to: &Node, hello: &Value) -> Result<Link, LinkError> {
        let link = self.connect(to).await;
        let (mut sender, mut receiver): Stream = link.open_control().await?;
        let _ = sender.send(hello).await;
        match timeout(LIMIT, receiver.receive()).await.unwrap() {
            Ok(Some(_)) => Ok(link),
            _ => Err(timeout(LIMIT, link.closed()).await.unwrap()),
        }
    }

    /// A trunk, by a real token.
    async fn admitted(&self, cluster: &Cluster, to: &Node) -> Link {
        let hello = self.hello(&cluster.key, &self.identity);
        self.greet(to, &hello).await.unwrap()
    }

    /// The stream of the cluster's room, opened with this proof or the right one.
    async fn open(&self, cluster: &Cluster, link: &Link, proof: Option<Vec<u8>>) -> Stream {
        let room = cluster.secret.room_id();
        let secret = link.export_secret(b"EXPORTER-p2p-trunk-room").unwrap();
        let right = p2p_core::crypto::mac(room.as_bytes(), &[b"dialler", &secret]).to_vec();
        let proof = Base64(proof.unwrap_or(right));
        let (mut sender, receiver): Stream = link.open_control().await.unwrap();
        let room = cluster.key.room_key(room).to_string();
        let open = json!({"type": "open", "room": room, "proof": proof});
        sender.send(&open).await.unwrap();
        (sender, receiver)
    }
}

/// Somebody of the cluster's room, and how a relay shows them to another.
fn member_of(cluster: &Cluster) -> (Identity, Value) {
    let member = Identity::generate();
    let name = Name::chosen("mallory".parse().unwrap());
    let hpke = OpenKeys::generate().current().public().clone();
    let expires = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        + 3600;
    let bundle = Bundle::new(member.public_key(), &name, Some(hpke), expires);
    let bundle = bundle.sign(&member, &cluster.secret.member_key());
    let shown = json!({
        "type": "member", "id": member.id(), "bundle": bundle, "state": "listening",
        "since_secs": 1,
    });
    (member, shown)
}

/// A cluster with one relay, at which somebody listens.
fn with_listener(attack: impl AsyncFnOnce(&Cluster, &Node)) {
    let cluster = Cluster::new();
    let node = cluster.node("one");
    let mut lab = Lab::empty();
    lab.use_invite(node.invite());
    let bob = lab.listen("bob", &[]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(attack(&cluster, &node));
    // Whatever it was: who is here goes on.
    let file = lab.file("after.bin", MIB);
    lab.send("alice", &["--to", "bob"], &[&file]).expect(0);
    bob.wait_event("received");
    assert_same(&file, &lab.out("bob").join("after.bin"));
}

fn closed_with(error: &LinkError) -> Option<Code> {
    match error {
        LinkError::Closed { code, .. } => Some(*code),
        _ => None,
    }
}

#[test]
fn a_forged_or_stolen_token_admits_nobody() {
    with_listener(async |cluster, node| {
        let attacker = Attacker::new();
        let other = ClusterKey::new(Identity::generate());
        let forged = attacker.hello(&other, &attacker.identity);
        // A token that is right, and that of another node.
        let stolen = attacker.hello(&cluster.key, &Identity::generate());
        for hello in [forged, stolen] {
            let refused = attacker.greet(node, &hello).await.unwrap_err();
            assert_eq!(closed_with(&refused), Some(Code::NotAdmitted), "{refused}");
        }
        assert!(node.handle.trunks().is_empty());
    });
}

#[test]
fn who_has_shown_no_token_may_open_no_room_and_send_no_file_and_is_soon_cut_off() {
    with_listener(async |_, node| {
        let attacker = Attacker::new();
        let link = attacker.connect(node).await;
        let file = timeout(Duration::from_millis(500), link.open_file(FileClass::Bulk)).await;
        assert!(file.is_err(), "a stream for a file");
        let _first: Stream = link.open_control().await.unwrap();
        let second = link.open_control::<Value, Value>();
        assert!(timeout(Duration::from_millis(500), second).await.is_err());
        let ended = timeout(LIMIT, link.closed()).await.unwrap();
        assert_eq!(closed_with(&ended), Some(Code::Timeout), "{ended}");
    });
}

#[test]
fn a_relay_that_does_not_know_the_room_learns_nothing_of_it() {
    with_listener(async |cluster, node| {
        let attacker = Attacker::new();
        let link = attacker.admitted(cluster, node).await;
        for proof in [vec![7; 32], Vec::new()] {
            let (_sender, mut receiver) = attacker.open(cluster, &link, Some(proof)).await;
            let heard = timeout(LIMIT, receiver.receive()).await.unwrap();
            let code = heard.expect_err("nothing is said").code();
            assert_eq!(code, Code::NotAdmitted);
        }
        // With the right one it is told who is there.
        let (_sender, mut receiver) = attacker.open(cluster, &link, None).await;
        let opened = timeout(LIMIT, receiver.receive()).await.unwrap().unwrap();
        assert_eq!(opened.unwrap()["type"], "opened");
        let member = timeout(LIMIT, receiver.receive()).await.unwrap().unwrap();
        assert_eq!(member.unwrap()["type"], "member");
    });
}

#[test]
fn what_is_too_long_or_no_message_ends_the_rooms_stream_alone() {
    with_listener(async |cluster, node| {
        let attacker = Attacker::new();
        let link = attacker.admitted(cluster, node).await;
        let nobody = PeerId::from_bytes([7; 32]);
        let bundle = json!({"body": "AAAA", "signature": "AAAA", "mac": "AAAA"});
        let unsigned = json!({
            "type": "member", "id": nobody, "bundle": bundle, "state": "listening", "since_secs": 1,
        });
        let unsigned = serde_json::to_vec(&unsigned).unwrap();
        let framed = [
            &u32::try_from(unsigned.len()).unwrap().to_be_bytes()[..],
            &unsigned,
        ]
        .concat();
        for bytes in [
            u32::MAX.to_be_bytes().to_vec(),
            b"\x00\x01\x10\x01".to_vec(),
            b"\x00\x00\x00\x02{]".to_vec(),
            framed,
        ] {
            let (mut sender, mut receiver) = attacker.open(cluster, &link, None).await;
            sender.send_encoded(Bytes::from(bytes)).await.unwrap();
            let ending = async {
                loop {
                    if let Err(error) = receiver.receive().await {
                        return error.code();
                    }
                }
            };
            assert_eq!(timeout(LIMIT, ending).await.unwrap(), Code::Protocol);
        }
        assert!(link.close_reason().is_none(), "{:?}", link.close_reason());
    });
}

#[test]
fn thousands_of_streams_are_a_bounded_number_and_what_they_are_not_for_is_stopped() {
    with_listener(async |cluster, node| {
        let attacker = Attacker::new();
        let link = attacker.admitted(cluster, node).await;
        let (_sender, _receiver) = attacker.open(cluster, &link, None).await;
        // Silent ones: as many as the relay grants, and no more.
        let mut silent = Vec::new();
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            let open = timeout(Duration::from_millis(300), link.open_file(FileClass::Bulk));
            match open.await {
                Ok(Ok(mut stream)) => {
                    stream.write(Bytes::from_static(b"x")).await.unwrap();
                    silent.push(stream);
                }
                Ok(Err(error)) => panic!("{error}"),
                Err(_) => break,
            }
        }
        assert!((1..=512).contains(&silent.len()), "{}", silent.len());
        drop(silent);
        // One that is of no transfer is stopped at once.
        let opening = timeout(LIMIT, link.open_file(FileClass::Bulk));
        let mut stream = opening.await.unwrap().unwrap();
        let header = [&u64::MAX.to_be_bytes()[..], &[0; 25]].concat();
        stream.write(header.into()).await.unwrap();
        let stopped = timeout(LIMIT, stream.stopped()).await.unwrap();
        assert_eq!(stopped, Some(Code::UnknownTransfer));
        assert!(node.handle.status().memory_used < 32 << 20);
    });
}

#[test]
fn what_a_relay_sends_without_being_read_counts_as_memory_and_is_bounded() {
    with_listener(async |cluster, node| {
        let attacker = Attacker::new();
        let link = attacker.admitted(cluster, node).await;
        let (mut sender, mut receiver) = attacker.open(cluster, &link, None).await;
        let (member, shown) = member_of(cluster);
        sender.send(&shown).await.unwrap();
        sender.send(&json!({"type": "members_end"})).await.unwrap();
        let finding = async {
            loop {
                let message = receiver.receive().await.unwrap().expect("who is there");
                if message["type"] == "member" {
                    return message["id"].clone();
                }
            }
        };
        let bob = timeout(LIMIT, finding).await.unwrap();
        // Files of a transfer that is offered and does not begin: they wait, and are not read meanwhile.
        let transfer = TransferId::from_bytes([0; 16]);
        let offer = json!({"body": "AAAA", "signature": "AAAA", "mac": "AAAA", "manifest": "AAAA"});
        let told = json!({
            "type": "told", "transfer": transfer, "from": member.id(),
            "message": {"say": "offer", "offer": offer},
        });
        let pass = json!({"type": "pass", "to": bob, "message": told});
        sender.send(&pass).await.unwrap();
        let header = [&sender.number().to_be_bytes()[..], &[0; 24], &[1]].concat();
        let (mut sent, mut streams, mut stopped) = (0, Vec::new(), 0);
        let flooding = async {
            loop {
                let mut stream = link.open_file(FileClass::Bulk).await.unwrap();
                stream.write(header.clone().into()).await.unwrap();
                for _ in 0..160 {
                    if stream.write(vec![0; 16 << 10].into()).await.is_err() {
                        stopped += 1;
                        break;
                    }
                    sent += 16 << 10;
                }
                streams.push(stream);
                assert!(
                    sent < 256 << 20,
                    "it takes whatever comes, and stopped {stopped}"
                );
            }
        };
        let ended = timeout(Duration::from_secs(3), flooding).await;
        assert!(ended.is_err(), "it cannot go on for ever");
        let status = node.handle.status();
        let counted = status.memory_used;
        eprintln!("{sent} bytes taken, {stopped} files stopped, {counted} counted");
        // Beyond its window, what this end keeps itself until it is acknowledged.
        assert!(stopped == 0 && sent < 32 << 20, "{sent}");
        assert!(counted >= 1 << 20 && counted < status.memory_limit);
        drop(streams);
    });
}

#[test]
fn a_relay_that_takes_a_file_and_never_reads_it_holds_up_nobody() {
    let cluster = Cluster::new();
    let node = cluster.node("one");
    let mut lab = Lab::empty();
    lab.use_invite(node.invite());
    let bob = lab.listen("bob", &[]);
    let file = lab.file("all.bin", 32 * MIB);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let waiting = async {
        let attacker = Attacker::new();
        let link = attacker.admitted(&cluster, &node).await;
        let (mut sender, mut receiver) = attacker.open(&cluster, &link, None).await;
        let (member, shown) = member_of(&cluster);
        sender.send(&shown).await.unwrap();
        sender.send(&json!({"type": "members_end"})).await.unwrap();
        let mut alice = lab.run("alice", [Path::new("broadcast"), &file]);
        // It says yes to whatever is offered.
        let offered = async {
            loop {
                let message = receiver.receive().await.unwrap().expect("an offer");
                let told = &message["message"];
                if told["message"]["say"] == "offer" {
                    return (told["transfer"].clone(), told["from"].clone());
                }
            }
        };
        let (transfer, from) = timeout(LIMIT, offered).await.unwrap();
        let yes = json!({"say": "answer", "answer": {"answer": "accept", "each": false}});
        let told = json!({
            "type": "told", "transfer": transfer, "from": member.id(), "message": yes,
        });
        let yes = json!({"type": "pass", "to": from, "message": told});
        sender.send(&yes).await.unwrap();
        let waiting = tokio::task::spawn_blocking(move || {
            bob.wait_event("received");
            bob
        });
        let _bob = waiting.await.unwrap();
        assert!(node.handle.status().memory_used < 64 << 20);
        alice.kill();
        drop(link);
    };
    runtime.block_on(waiting);
    assert_same(&file, &lab.out("bob").join("all.bin"));
}
