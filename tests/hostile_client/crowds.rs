//! Many connections at once, and clients that keep others out.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, UdpSocket},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use p2p::{
    identity::{Identity, RoomSecret},
    protocol::{ALPN, ClientToServer, PeerMessage, ServerToClient},
};
use quinn::{
    AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::time::timeout;

use super::{
    common::{MIB, scaled},
    siege::Siege,
    wire::{self, Attacker, bundle, garbage_offer, tell, transfer},
};

#[test]
fn strangers_do_not_take_the_members_places() {
    let siege = Siege::new(&["--max-peers", "16"]);
    let seen = siege.under(|invite| async move {
        // More than there are places; they say nothing, and come back when they are cut off.
        let mut strangers = Vec::new();
        for _ in 0..40 {
            let taken = Attacker::try_connect(&invite, Identity::generate(), &[ALPN]).await;
            strangers.extend(taken.ok());
        }
        strangers
    });
    seen.harmless(64 * MIB);
}

#[test]
fn rooms_that_are_not_admitted_take_no_places() {
    let siege = Siege::new(&["--max-peers", "16"]);
    let seen = siege.under(|invite| async move {
        let mut strangers = Vec::new();
        for _ in 0..40 {
            let Ok(stranger) = Attacker::try_connect(&invite, Identity::generate(), &[ALPN]).await
            else {
                continue;
            };
            let mut control = stranger.control().await;
            let hello = stranger.hello(&RoomSecret::generate(), true);
            let _ = control.try_say(&hello).await;
            strangers.push((stranger, control));
        }
        strangers
    });
    seen.harmless(64 * MIB);
}

#[test]
fn half_open_handshakes_keep_nobody_out() {
    // Fifteen hundred at the same address as the honest peers, and held.
    half_open_handshakes(Ipv4Addr::LOCALHOST, 1500, Duration::from_millis(500));
}

#[test]
fn half_open_handshakes_of_another_network_go_unnoticed() {
    // Without end; in full for a minute.
    let count = usize::try_from(scaled(2_000, 80_000)).unwrap();
    half_open_handshakes(Ipv4Addr::new(127, 9, 9, 9), count, Duration::ZERO);
}

fn half_open_handshakes(from: Ipv4Addr, count: usize, then: Duration) {
    let siege = Siege::new(&[]);
    let seen = siege.during(|invite| async move {
        // Each from a port of its own, as from machines behind one address.
        let endpoints: Vec<_> = (0..1500).map(|_| half_open(from)).collect();
        let mut open = VecDeque::new();
        for number in 0..count {
            let endpoint = &endpoints[number % endpoints.len()];
            let dialled = endpoint.connect(wire::address(&invite), "p2p.invalid");
            open.push_back(tokio::spawn(dialled.unwrap().into_future()));
            if open.len() > endpoints.len() {
                open.pop_front().unwrap().abort();
            }
            if number % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        }
        tokio::time::sleep(then).await;
        open.retain(|attempt| !attempt.is_finished());
        assert!(open.len() > 50, "the attack is under way: {}", open.len());
    });
    // Two seconds at most in an optimised build; this one spends most of its time on the handshakes.
    seen.harmless_within(64 * MIB, Duration::from_secs(30));
}

#[test]
fn a_flood_of_new_bundles_is_not_multiplied_by_those_who_watch() {
    let siege = Siege::new(&[]);
    siege.under(|invite| async move {
        let mut watchers = Vec::new();
        for _ in 0..10 {
            let (watcher, mut control) = Attacker::member(&invite, false).await;
            control.say(&ClientToServer::Peers { watch: true }).await;
            control
                .find(|message| matches!(message, ServerToClient::PeersEnd {}).then_some(()))
                .await;
            watchers.push((watcher, control));
        }
        let (flooder, mut control) = Attacker::member(&invite, false).await;
        let me = flooder.identity.id();
        let flood = async {
            for _ in 0..2000 {
                let signed =
                    bundle(&flooder.identity).sign(&flooder.identity, &invite.secret.member_key());
                let publish = ClientToServer::Publish { bundle: signed };
                if control.try_say(&publish).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let _ = timeout(Duration::from_secs(4), flood).await;
        for (_, control) in &mut watchers {
            let mut heard = 0;
            while let Ok(message) = timeout(Duration::from_millis(300), control.hear()).await {
                heard +=
                    usize::from(matches!(message, ServerToClient::Peer { id, .. } if id == me));
            }
            assert!(heard > 0 && heard < 20, "{heard} times in 4 s");
        }
    });
}

#[test]
fn a_flood_of_garbage_offers_is_the_flooders_loss_and_not_the_listeners() {
    let siege = Siege::new(&[]);
    siege.under(|invite| async move {
        // Honest, and too slow: it reads nothing for a while.
        let (victim, mut slow) = Attacker::member(&invite, true).await;
        let to = victim.identity.id();
        let (_flooder, mut flood) = Attacker::member(&invite, false).await;
        let flooding = async {
            for number in 0..30_000 {
                let id = transfer(number);
                let offer = tell(id, to, garbage_offer(64));
                let close = ClientToServer::Close { transfer: id };
                if flood.try_say(&offer).await.is_err() || flood.try_say(&close).await.is_err() {
                    break;
                }
            }
        };
        // A flooder may also be made to wait.
        let _ = timeout(Duration::from_secs(10), flooding).await;
        let (honest, mut control) = Attacker::member(&invite, false).await;
        let wanted = transfer(u64::MAX);
        control.say(&tell(wanted, to, garbage_offer(64))).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(victim.connection.close_reason().is_none());
        let offered = slow.find(|message| match message {
            ServerToClient::Told {
                transfer,
                from,
                message: PeerMessage::Offer { .. },
                ..
            } if from == honest.identity.id() => Some(transfer),
            _ => None,
        });
        assert_eq!(offered.await, wanted, "the honest offer came through");
        assert!(victim.connection.close_reason().is_none());
        (victim, slow)
    });
}

/// A client's endpoint whose handshakes answer a Retry and then stop.
fn half_open(from: Ipv4Addr) -> quinn::Endpoint {
    let identity = Identity::generate();
    let socket = UdpSocket::bind((from, 0)).unwrap();
    let socket = TokioRuntime.wrap_udp_socket(socket).unwrap();
    let mut endpoint = quinn::Endpoint::new_with_abstract_socket(
        quinn::EndpointConfig::default(),
        None,
        Arc::new(RetriesOnly(socket)),
        Arc::new(TokioRuntime),
    )
    .unwrap();
    endpoint.set_default_client_config(wire::client_config(
        &identity,
        &[ALPN],
        quinn::TransportConfig::default(),
    ));
    endpoint
}

/// Drops everything that arrives but Retry packets (RFC 9000, section 17.2.5).
#[derive(Debug)]
struct RetriesOnly(Arc<dyn AsyncUdpSocket>);

impl AsyncUdpSocket for RetriesOnly {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.0).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        self.0.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [io::IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.0.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = &polled {
            for (buf, meta) in bufs.iter_mut().zip(meta).take(*count) {
                if buf[0] & 0xf0 != 0xf0 {
                    // A packet that quinn ignores.
                    buf[..meta.len].fill(0);
                }
            }
        }
        polled
    }

    fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.0.max_receive_segments()
    }
}
