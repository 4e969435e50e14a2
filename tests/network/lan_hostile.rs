//! What strangers on a LAN send to those who search and announce there.
//!
//! A stranger is this very binary, started again inside of a machine's namespace.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use p2p::{
    identity::{BUNDLE_LIFETIME, Identity, Invite, Name, RoomSecret},
    quic::{ConnectError, Roads, Tuning},
    relay::Embedded,
    transfer::{EnterError, Member},
};

use crate::{
    common::{MIB, Proc, scaled},
    lan::Lan,
    namespace::available,
};

/// What the stranger is to do.
const ATTACK: &str = "P2P_TEST_ATTACK";
/// Where multicast DNS is spoken (RFC 6762, section 3).
const MULTICAST: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 3);
/// Memory that a search may take however much is announced, in bytes.
const MEMORY_MAX: u64 = 96 << 20;

/// Starts the stranger on machine 3 of a LAN.
fn stranger(lan: &Lan, attack: &str) -> Proc {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "lan_hostile::a_stranger",
            "--ignored",
            "--nocapture",
        ])
        .env(ATTACK, attack)
        .stdin(Stdio::null());
    Proc::start(lan.inside(3, &command))
}

#[test]
#[ignore = "it is what the other tests start"]
fn a_stranger() {
    let Ok(attack) = std::env::var(ATTACK) else {
        return;
    };
    let socket = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )
    .unwrap();
    socket.set_reuse_address(true).unwrap();
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, MULTICAST.1));
    socket.bind(&any.into()).unwrap();
    socket.set_multicast_if_v4(&STRANGER).unwrap();
    socket.join_multicast_v4(&MULTICAST.0, &STRANGER).unwrap();
    let socket = UdpSocket::from(socket);
    match attack.as_str() {
        "flood" => flood(&socket),
        "stuff" => stuff(&socket),
        "forge" => forge(&socket),
        "replay" => replay(&socket),
        other => panic!("{other}"),
    }
}

fn say(event: &str) {
    println!("{{\"event\":\"{event}\"}}");
}

/// Announces services without end, each another one, for half a minute.
fn flood(socket: &UdpSocket) {
    let start = Instant::now();
    let mut number = 0_u64;
    while start.elapsed() < Duration::from_secs(30) {
        for _ in 0..50 {
            number += 1;
            let instance = format!("{number:026}").replace('0', "a");
            let host = format!("h{number}");
            let packet = announcement(&instance, &host, 40_000, &"A".repeat(208), STRANGER);
            let _ = socket.send_to(&packet, MULTICAST);
        }
        if number == 5000 {
            say("flooding");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Announces one service again and again, with the addresses of ever more hosts beside it.
fn stuff(socket: &UdpSocket) {
    let start = Instant::now();
    let mut number = 0_u64;
    while start.elapsed() < Duration::from_secs(30) {
        for _ in 0..10 {
            let instance = "e".repeat(26);
            let mut packet = announcement(&instance, "stuffed", 40_000, "A", STRANGER);
            for _ in 0..100 {
                number += 1;
                let host = format!("{}{number}", "h".repeat(40));
                name(&mut packet, &[&host, "local"]);
                packet.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 120, 0, 4, 10, 2, 0, 3]);
            }
            packet[6..8].copy_from_slice(&104_u16.to_be_bytes());
            let _ = socket.send_to(&packet, MULTICAST);
        }
        if number == 100_000 {
            say("flooding");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Announces what looks like listeners and is sealed by nobody.
fn forge(socket: &UdpSocket) {
    for round in 0..u64::MAX {
        for (n, txt) in [
            "",
            "A",
            &"A".repeat(208),
            &"/".repeat(208),
            &"=".repeat(250),
        ]
        .iter()
        .enumerate()
        {
            let instance = format!("{}{n}", "b".repeat(25));
            let packet = announcement(&instance, "forged", 40_000, txt, STRANGER);
            socket.send_to(&packet, MULTICAST).unwrap();
        }
        // Nothing that is a message at all.
        socket.send_to(&[0xff; 900], MULTICAST).unwrap();
        socket.send_to(&[0; 12], MULTICAST).unwrap();
        if round == 3 {
            say("forging");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Announces what a listener has announced, as another instance and at another address.
fn replay(socket: &UdpSocket) {
    let mut packet = [0; 9000];
    let mut rounds = 0;
    loop {
        // Asks, so that the listener answers.
        let _ = socket.send_to(&question(), MULTICAST);
        let Ok((len, from)) = socket.recv_from(&mut packet) else {
            continue;
        };
        let Some(txt) = sealed(&packet[..len]).filter(|_| from.ip() != STRANGER) else {
            continue;
        };
        for instance in ["c".repeat(26), "d".repeat(26)] {
            let replayed = announcement(&instance, "replayed", 40_000, &txt, STRANGER);
            socket.send_to(&replayed, MULTICAST).unwrap();
        }
        rounds += 1;
        if rounds == 2 {
            say("replaying");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The sealed announcement in a message, if there is one: 208 characters behind `a=`.
fn sealed(packet: &[u8]) -> Option<String> {
    let at = packet
        .windows(3)
        .position(|bytes| bytes == [210, b'a', b'='])?;
    let text = packet.get(at + 3..at + 3 + 208)?;
    String::from_utf8(text.to_vec()).ok()
}

fn name(out: &mut Vec<u8>, labels: &[&str]) {
    for label in labels {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
}

/// Who offers the service? (RFC 1035, section 4.1)
fn question() -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    name(&mut out, &["_p2p", "_udp", "local"]);
    out.extend_from_slice(&[0, 12, 0, 1]);
    out
}

/// A whole announcement: PTR, SRV, TXT and A.
fn announcement(instance: &str, host: &str, port: u16, txt: &str, at: Ipv4Addr) -> Vec<u8> {
    let mut out = vec![0, 0, 0x84, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let service = ["_p2p", "_udp", "local"];
    let full = [instance, "_p2p", "_udp", "local"];
    let mut record = |labels: &[&str], kind: u8, data: &[u8]| {
        name(&mut out, labels);
        out.extend_from_slice(&[0, kind, 0, 1, 0, 0, 0, 120]);
        out.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        out.extend_from_slice(data);
    };
    let mut target = Vec::new();
    name(&mut target, &full);
    record(&service, 12, &target);
    let mut srv = vec![0, 0, 0, 0];
    srv.extend_from_slice(&port.to_be_bytes());
    name(&mut srv, &[host, "local"]);
    record(&full, 33, &srv);
    let mut text = vec![3, b'v', b'=', b'1', u8::try_from(txt.len() + 2).unwrap()];
    text.extend_from_slice(b"a=");
    text.extend_from_slice(txt.as_bytes());
    record(&full, 16, &text);
    record(&[host, "local"], 1, &at.octets());
    out
}

#[test]
fn what_is_forged_or_replayed_on_a_lan_leads_nobody_astray() {
    if !available("what_is_forged_or_replayed_on_a_lan_leads_nobody_astray") {
        return;
    }
    let lan = Lan::new(3);
    let alice = lan.listen(1, "alice", &[]);
    let file = lan.lab.file("data.bin", MIB);
    for attack in ["forge", "replay"] {
        let stranger = stranger(&lan, attack);
        stranger.wait_event(match attack {
            "forge" => "forging",
            _ => "replaying",
        });
        let mut send = lan.run(2, "bob", &["send", "--to", "alice", file.to_str().unwrap()]);
        send.expect(0);
        lan.arrived(&file, "alice");
        let mut peers = lan.run(2, "bob", &["peers"]);
        peers.expect(0);
        let names: BTreeSet<_> = peers
            .events("peer")
            .iter()
            .map(|it| it["name"].to_string())
            .collect();
        assert_eq!(names.len(), 1, "{attack}: {names:?}");
        std::fs::remove_file(lan.lab.out("alice").join("data.bin")).unwrap();
    }
    drop(alice);
}

#[test]
fn a_flood_of_services_takes_a_bounded_share_of_memory() {
    if !available("a_flood_of_services_takes_a_bounded_share_of_memory") {
        return;
    }
    let lan = Lan::new(3);
    let alice = lan.listen(1, "alice", &[]);
    for attack in ["flood", "stuff"] {
        let watch = lan.run(2, "bob", &["peers", "--watch"]);
        watch.wait_where("peer", 1, |peer| peer["name"] == "alice");
        let (before, listening) = (watch.rss(), alice.rss());
        let mut stranger = stranger(&lan, attack);
        stranger.wait_event("flooding");
        let end = Instant::now() + Duration::from_secs(scaled(1, 25));
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(100));
        }
        let (searching, listened) = (watch.peak_rss(), alice.peak_rss());
        stranger.kill();
        eprintln!(
            "{attack}: the search has {} MiB instead of {}, the listener {} instead of {}",
            searching / MIB,
            before / MIB,
            listened / MIB,
            listening / MIB
        );
        assert!(searching < before + MEMORY_MAX && listened < listening + MEMORY_MAX);
    }
    // And it is over when the flood is.
    let file = lan.lab.file("data.bin", MIB);
    lan.run(2, "bob", &["send", "--to", "alice", file.to_str().unwrap()])
        .expect(0);
    lan.arrived(&file, "alice");
}

/// A stranger with a room of their own.
fn member() -> Member {
    Member {
        identity: Identity::generate().into(),
        name: Name {
            name: "eve".parse().unwrap(),
            chosen: true,
        },
        invite: Invite::lan(RoomSecret::generate()),
        tuning: Tuning::default(),
        roads: Roads::default(),
        direct: p2p::direct::Policy::Never,
        relays: std::sync::Arc::default(),
        road_notes: None,
        lan: None,
        bundle_lifetime: BUNDLE_LIFETIME,
    }
}

#[tokio::test]
async fn a_stranger_at_a_listeners_own_relay_learns_that_it_runs_and_nothing_else() {
    let room = RoomSecret::generate();
    let relay = Embedded::start(room.room_id()).unwrap();
    let at = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, relay.port))];
    let eve = member();
    let guess = eve.on_lan(Identity::generate().id(), at.clone());
    // Its key, which is another one in every run.
    let Err(EnterError::Connect(ConnectError::WrongKey { got, .. })) = guess.enter(None).await
    else {
        panic!("connected")
    };
    assert_eq!(got, relay.fingerprint);
    assert_ne!(Embedded::start(room.room_id()).unwrap().fingerprint, got);
    // With the key, and without the room.
    let refused = eve.on_lan(got, at.clone()).enter(None).await;
    assert!(
        matches!(refused, Err(EnterError::NotAdmitted)),
        "{refused:?}"
    );
    // A member gets in.
    let invite = Invite::lan(room);
    let alice = Member { invite, ..member() };
    let entered = alice.on_lan(got, at).enter(None).await.unwrap();
    entered.close(p2p::protocol::Code::Done).await;
    relay.end().await;
}
