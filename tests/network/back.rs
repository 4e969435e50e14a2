//! A listener that is on TCP comes back to UDP.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use p2p::{
    home::KnownPeers,
    identity::{Identity, Invite, Name},
    protocol::Road,
    quic::Roads,
    storage::Target,
    transfer::{
        Event, Member, Observer,
        receive::{ListenConfig, listen},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    common::{Lab, PATIENCE},
    tcp::{lab_without_udp, tcp_address},
};

/// Passes every event on.
struct Told(mpsc::Sender<Event>);

impl Observer for Told {
    fn event(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

#[test]
fn a_listener_on_tcp_comes_back_to_udp_without_a_moment_in_which_it_is_away() {
    let (lab, relay) = lab_without_udp();
    let (told, events) = mpsc::channel();
    let end = CancellationToken::new();
    let listening = start(&lab, Told(told), end.clone());
    let next = |wanted: fn(&Event) -> bool| loop {
        let event = events.recv_timeout(PATIENCE).expect("an event");
        let lost = matches!(event, Event::Disconnected { .. });
        assert!(!lost, "it was away: {event:?}");
        if wanted(&event) {
            return event;
        }
    };
    next(|event| matches!(event, Event::Joined { .. }));
    let path = lab.file("by-tcp", 1000);
    lab.send("sender", &["--to", "alice"], &[&path]).expect(0);
    let received = next(|event| matches!(event, Event::Received { .. }));
    assert!(matches!(
        received,
        Event::Received {
            road: Road::Tcp,
            ..
        }
    ));

    open_udp(tcp_address(&relay), lab.address().parse().unwrap());
    next(|event| matches!(event, Event::Joined { .. }));
    let path = lab.file("by-udp", 1000);
    lab.send("sender", &["--to", "alice"], &[&path]).expect(0);
    let received = next(|event| matches!(event, Event::Received { .. }));
    assert!(matches!(
        received,
        Event::Received {
            road: Road::Relay,
            ..
        }
    ));
    end.cancel();
    listening.join().unwrap();
}

fn start(lab: &Lab, observer: Told, end: CancellationToken) -> thread::JoinHandle<()> {
    let invite: Invite = lab.invite().parse().unwrap();
    let (out, home) = (lab.out("alice"), lab.home("alice"));
    let known = KnownPeers::new(home.join("known-peers.json"), invite.secret.room_id());
    let member = Member {
        roads: Roads {
            udp_again: Duration::from_millis(100),
            ..Roads::default()
        },
        ..Member::new(
            Arc::new(Identity::generate()),
            Name::chosen("alice".parse().unwrap()),
            invite,
        )
    };
    let target = Target::open(&out).unwrap();
    let config = ListenConfig::new(target, out, home.join("journal"), known);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let listening = listen(Arc::new(member), config, Arc::new(observer), end);
        runtime.block_on(listening).unwrap();
    })
}

/// Opens UDP at `here`: what arrives is passed on to the relay, and back.
fn open_udp(here: SocketAddr, relay: SocketAddr) {
    let front = UdpSocket::bind(here).unwrap();
    thread::spawn(move || {
        let mut ways = HashMap::new();
        let mut packet = vec![0; 65_536];
        while let Ok((len, client)) = front.recv_from(&mut packet) {
            let way = ways.entry(client).or_insert_with(|| {
                let way = UdpSocket::bind("127.0.0.1:0").unwrap();
                way.connect(relay).unwrap();
                let (back, front) = (way.try_clone().unwrap(), front.try_clone().unwrap());
                thread::spawn(move || {
                    let mut packet = vec![0; 65_536];
                    while let Ok(len) = back.recv(&mut packet) {
                        let _ = front.send_to(&packet[..len], client);
                    }
                });
                way
            });
            let _ = way.send(&packet[..len]);
        }
    });
}
