//! A client that breaks the protocol is told so and cut off, and nobody else notices.
//!
//! The relay and the honest peers are real processes; the offender speaks through the library's own
//! QUIC room, which lets it say whatever it wants, or through quinn itself.

#[path = "hostile_client/churn.rs"]
mod churn;
#[path = "hostile_client/clocks.rs"]
mod clocks;
mod common;
#[path = "hostile_client/crowds.rs"]
mod crowds;
#[path = "hostile_client/flood.rs"]
mod flood;
#[path = "hostile_client/key_exchange.rs"]
mod key_exchange;
#[path = "hostile_client/listener.rs"]
mod listener;
#[path = "hostile_client/lists.rs"]
mod lists;
#[path = "hostile_client/machine.rs"]
mod machine;
#[path = "hostile_client/member.rs"]
mod member;
#[path = "hostile_client/memory.rs"]
mod memory;
#[path = "hostile_client/names.rs"]
mod names;
#[path = "hostile_client/numbers.rs"]
mod numbers;
#[path = "hostile_client/pins.rs"]
mod pins;
#[path = "hostile_client/places.rs"]
mod places;
#[path = "hostile_client/raw.rs"]
mod raw;
#[path = "hostile_client/recipient.rs"]
mod recipient;
#[path = "hostile_client/siege.rs"]
mod siege;
#[path = "hostile_client/wire.rs"]
mod wire;

use std::{
    future::Future,
    net::UdpSocket,
    sync::Arc,
    time::{Duration, Instant},
};

use common::MIB;
use p2p::{
    identity::{Bundle, Identity, Invite},
    protocol::{ClientToServer, Code, ServerToClient},
    quic::{
        Certificate, ClientEndpoint, ConnectError, Credentials, Link, LinkError, Roads, Role,
        Tuning,
    },
};
use serde_json::{Value, json};
use siege::Siege;
use wire::{Attacker, Control};

/// Longer than every deadline that the relay has for a newcomer.
const CUT_OFF: Duration = Duration::from_secs(20);

/// Runs an offender against a relay through which honest files go all the while, and soon; the relay
/// keeps to its memory limit.
fn while_honest_peers_go_on<F: Future<Output = ()>>(offend: impl FnOnce(Invite) -> F + Send) {
    let siege = Siege::new(&["--memory-limit", "32Mi"]);
    siege.during(offend).harmless(32 * MIB);
}

/// A raw connection with a key of its own.
async fn connect(invite: &Invite) -> (ClientEndpoint, Link, Identity) {
    let identity = Identity::generate();
    let certificate = Certificate::of(&identity);
    let credentials = Arc::new(Credentials::new(
        certificate.certificate,
        certificate.private_key,
    ));
    let relay = invite.relay.as_ref().expect("it is on a relay");
    let how = (Role::Sender, Tuning::default());
    let connected = ClientEndpoint::connect(
        (relay.at.host(), relay.at.port()),
        relay.fingerprint,
        &credentials,
        how,
        &Roads::default(),
        CUT_OFF,
    )
    .await;
    let (endpoint, link) = connected.unwrap();
    (endpoint, link, identity)
}

/// The code with which the relay ends the connection.
async fn cut_off(link: &Link) -> Code {
    match tokio::time::timeout(CUT_OFF, link.closed())
        .await
        .expect("the relay cuts it off")
    {
        LinkError::Closed { code, .. } => code,
        other => panic!("ended otherwise: {other}"),
    }
}

#[test]
fn garbage_on_the_port_disturbs_nobody() {
    while_honest_peers_go_on(|invite| async move {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut noise = blake3::Hasher::new().finalize_xof();
        for length in [0, 1, 20, 1200, 1452, 9000, 60_000] {
            for _ in 0..50 {
                let mut packet = vec![0; length];
                noise.fill(&mut packet);
                socket.send_to(&packet, invite.place()).unwrap();
            }
        }
    });
}

#[test]
fn a_client_that_says_nothing_is_cut_off_in_time() {
    while_honest_peers_go_on(|invite| async move {
        let (_endpoint, link, _) = connect(&invite).await;
        let start = Instant::now();
        assert_eq!(cut_off(&link).await, Code::Timeout);
        assert!(start.elapsed() < CUT_OFF);
    });
}

#[test]
fn a_client_that_does_not_begin_with_hello_is_cut_off() {
    while_honest_peers_go_on(|invite| async move {
        for first in [
            json!({"type": "peers", "watch": true}),
            json!({"type": "nonsense"}),
            json!("text"),
            json!([[[[1]]]]),
            json!({"type": "hello", "room": "short", "bundle": 1, "listening": true}),
        ] {
            let (_endpoint, link, _) = connect(&invite).await;
            let (mut sender, _receiver) = link.open_control::<Value, Value>().await.unwrap();
            sender.send(&first).await.unwrap();
            assert_eq!(cut_off(&link).await, Code::Protocol, "{first}");
        }
    });
}

#[test]
fn a_bundle_of_someone_else_does_not_open_the_door() {
    while_honest_peers_go_on(|invite| async move {
        let (_endpoint, link, _) = connect(&invite).await;
        let other = Identity::generate();
        let bundle = Bundle {
            key: other.public_key(),
            name: "alice".parse().unwrap(),
            chosen: true,
            hpke: None,
            direct: false,
            hard_links: false,
            expires_unix: u64::MAX,
        };
        let bundle = bundle.sign(&other, &invite.secret.member_key());
        let (mut sender, _receiver) = link
            .open_control::<ClientToServer, ServerToClient>()
            .await
            .unwrap();
        let hello = ClientToServer::Hello {
            room: invite.secret.room_id(),
            bundle,
            listening: true,
        };
        sender.send(&hello).await.unwrap();
        assert_eq!(cut_off(&link).await, Code::Protocol);
    });
}

#[test]
fn nobody_gets_a_file_stream_before_it_has_offered_a_transfer() {
    while_honest_peers_go_on(|invite| async move {
        let (member, _control) = Attacker::member(&invite, false).await;
        let opening = member.connection.open_uni();
        let opened = tokio::time::timeout(Duration::from_secs(1), opening).await;
        assert!(opened.is_err(), "no stream was granted");
    });
}

#[test]
fn a_file_of_a_transfer_that_was_never_offered_is_stopped() {
    while_honest_peers_go_on(|invite| async move {
        let (member, _control) = with_streams(&invite).await;
        let mut stream = member.connection.open_uni().await.unwrap();
        let header = wire::file_header(wire::transfer(7), 0);
        stream.write_all(&header).await.unwrap();
        assert_eq!(stopped(&stream).await, Code::UnknownTransfer);
    });
}

#[test]
fn headers_that_are_wrong_or_never_finished_end_their_stream_and_no_other() {
    while_honest_peers_go_on(|invite| async move {
        let (member, _control) = with_streams(&invite).await;
        let mut wrong = member.connection.open_uni().await.unwrap();
        wrong.write_all(&[0xff; 25]).await.unwrap();
        let mut open = member.connection.open_uni().await.unwrap();
        open.write_all(&[0; 3]).await.unwrap();
        let mut short = member.connection.open_uni().await.unwrap();
        short.write_all(&[0; 3]).await.unwrap();
        short.finish().unwrap();
        assert_eq!(stopped(&wrong).await, Code::Protocol);
        assert_eq!(stopped(&open).await, Code::Timeout);
        let ended = member.connection.close_reason();
        assert!(
            ended.is_none(),
            "one bad stream does not end the connection"
        );
    });
}

/// A member that has offered a transfer, to nobody: it may open streams.
async fn with_streams(invite: &Invite) -> (Attacker, Control) {
    let (member, mut control) = Attacker::member(invite, false).await;
    let nobody = Identity::generate().id();
    let offer = wire::tell(wire::transfer(1), nobody, wire::garbage_offer(64));
    control.say(&offer).await;
    (member, control)
}

/// The code with which the relay stops a stream.
async fn stopped(stream: &quinn::SendStream) -> Code {
    let stopped = tokio::time::timeout(CUT_OFF, stream.stopped()).await;
    let code = stopped.expect("it is stopped").unwrap();
    Code::from_number(code.expect("it is stopped early").into_inner())
}

#[test]
fn a_relay_with_another_key_is_refused_before_anything_is_said() {
    while_honest_peers_go_on(|invite| async move {
        let certificate = Certificate::of(&Identity::generate());
        let credentials = Arc::new(Credentials::new(
            certificate.certificate,
            certificate.private_key,
        ));
        let wrong = Identity::generate().id();
        let relay = invite.relay.as_ref().unwrap();
        let at = (relay.at.host(), relay.at.port());
        let how = (Role::Sender, Tuning::default());
        let refused =
            ClientEndpoint::connect(at, wrong, &credentials, how, &Roads::default(), CUT_OFF).await;
        let Err(ConnectError::WrongKey { expected, got, .. }) = refused else {
            panic!("connected")
        };
        assert_eq!((expected, got), (wrong, relay.fingerprint));
    });
}
