//! Direct paths: a relay or a member that names addresses of others, and strangers at a listener's port.

use std::{
    net::{SocketAddr, UdpSocket},
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use p2p::{
    direct::{Candidates, Policy, Reach},
    protocol::{Answer, PeerId, PeerMessage, Road, ServerToClient, TransferId},
    quic::{Certificate, ClientEndpoint, ConnectError, Credentials, Roads, Role, Tuning},
    sealing::{JobId, Manifest, NewTransfer, PathEnd, PathKey, Suite, TransferSealer},
    transfer::{Channel, Event, PeerEvent},
};
use tokio::time::timeout;

use super::stage::{Listening, Peer, Stage, assert_delivered};

const LIMIT: Duration = Duration::from_secs(30);
/// What one conversation may have sent to addresses that never answer.
const PROBES_MAX: usize = 60;

/// Somebody who takes and makes direct connections, on this machine too.
pub fn direct_peer(stage: &Stage, name: &str) -> Peer {
    let mut peer = stage.peer(name);
    let member = Arc::get_mut(&mut peer.member).expect("nobody else has it yet");
    member.direct = Policy::Only;
    peer
}

/// Sockets of somebody who has nothing to do with all this.
struct Victim(Vec<UdpSocket>);

impl Victim {
    fn new(ports: usize) -> Self {
        let sockets = (0..ports).map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        });
        Self(sockets.collect())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.0.iter().map(|socket| socket.local_addr().unwrap());
        addresses.collect()
    }

    /// How many packets have come since the last call; each must be a probe.
    fn count(&self) -> usize {
        let mut count = 0;
        for socket in &self.0 {
            let mut packet = [0; 2048];
            while let Ok((len, _)) = socket.recv_from(&mut packet) {
                assert_eq!(len, 64, "nothing but probes");
                count += 1;
            }
        }
        count
    }
}

async fn came_directly(bob: &Listening) {
    let directly = |event: &Event| {
        matches!(
            event,
            Event::Received {
                road: Road::Direct,
                ..
            }
        )
    };
    bob.events.wait_for(directly).await;
}

#[tokio::test]
async fn a_relay_that_forges_addresses_and_repeats_messages_gains_a_few_probes() {
    let stage = Stage::new();
    let (alice, bob) = (direct_peer(&stage, "alice"), direct_peer(&stage, "bob"));
    let victim = Victim::new(1);
    let address = victim.addresses()[0];
    stage.liar.on_messages(move |_, message| match message {
        ServerToClient::Observed { .. } => vec![ServerToClient::Observed { address }],
        ServerToClient::Told {
            message: PeerMessage::Path { .. },
            ..
        } => vec![message; 5],
        message => vec![message],
    });
    let bob = bob.listen().await;
    let (path, content) = stage.file("plan.bin", 3_000_000);
    assert_delivered(alice.send(&["bob"], &[&path]).await);
    came_directly(&bob).await;
    assert_eq!(bob.received(), [("plan.bin".to_owned(), content)]);
    let count = victim.count();
    assert!(count <= 2 * PROBES_MAX, "{count} packets");
}

/// A member who makes offers to say something about paths.
pub struct Mallory {
    channel: Channel,
    victim: PeerId,
    transfer: TransferId,
    key: PathKey,
}

impl Mallory {
    /// Makes an offer that is accepted.
    async fn accepted(stage: &Stage) -> Self {
        Self::accepted_as(stage, "mallory").await
    }

    /// The same under a name of its own: each is another identity.
    pub async fn accepted_as(stage: &Stage, name: &str) -> Self {
        let member = direct_peer(stage, name).member;
        let mut channel = member.enter(None).await.unwrap();
        let peers = channel.peers(false).await.unwrap();
        let bundle = &peers
            .iter()
            .find(|peer| peer.bundle.hpke.is_some())
            .unwrap()
            .bundle;
        assert!(bundle.direct, "it says that it takes direct connections");
        let sealer = TransferSealer::new(&NewTransfer {
            identity: &member.identity,
            name: &member.name,
            room: member.room(),
            member_key: &member.member_key(),
            suite: Suite::preferred(),
            recipients: NonZeroU32::MIN,
            manifest: &Manifest::new(JobId::generate()),
        });
        let (offer, key) = sealer.offer_and_path(bundle).unwrap();
        let (victim, transfer) = (bundle.key.peer_id(), sealer.transfer());
        let offer = PeerMessage::Offer { offer };
        channel.messages().send(Some(victim), transfer, offer).await;
        let mut mallory = Self {
            channel,
            victim,
            transfer,
            key,
        };
        let yes = |message: &PeerMessage| {
            let accept = Answer::Accept {
                each: false,
                compare: false,
            };
            *message == PeerMessage::Answer { answer: accept }
        };
        mallory.hear(yes).await;
        mallory
    }

    async fn hear(&mut self, expected: impl Fn(&PeerMessage) -> bool) {
        let hearing = async {
            loop {
                if let PeerEvent::Message { message, .. } = self.channel.recv().await.unwrap()
                    && expected(&message)
                {
                    return;
                }
            }
        };
        timeout(LIMIT, hearing).await.expect("it is said");
    }

    async fn name(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        self.say(Candidates::new(addresses, Reach::Machine)).await;
    }

    /// The same, behind a NAT that gives out other ports.
    pub async fn name_hard(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let named = Candidates::new(addresses, Reach::Machine);
        self.say(named.hard(true)).await;
    }

    async fn say(&self, candidates: Candidates) {
        let sealed = candidates.seal(&self.key, PathEnd::Sender).into();
        let message = PeerMessage::Path { sealed };
        let messages = self.channel.messages();
        messages
            .send(Some(self.victim), self.transfer, message)
            .await;
    }

    /// Where the other says that it can be reached.
    pub async fn answered(&mut self) -> Vec<SocketAddr> {
        let hearing = async {
            loop {
                if let PeerEvent::Path { message, .. } = self.channel.recv().await.unwrap() {
                    return message.sealed;
                }
            }
        };
        let sealed = timeout(LIMIT, hearing).await.expect("it is said");
        let opened = Candidates::open(&self.key, PathEnd::Recipient, &sealed, Reach::Machine);
        opened.unwrap().addresses
    }
}

#[tokio::test]
async fn a_member_that_names_others_addresses_has_few_packets_sent_to_them() {
    let stage = Stage::new();
    let _bob = direct_peer(&stage, "bob").listen().await;
    let mut mallory = Mallory::accepted(&stage).await;
    let victim = Victim::new(8);
    for _ in 0..20 {
        mallory.name(victim.addresses()).await;
    }
    mallory.answered().await;
    let (mut count, began) = (0, Instant::now());
    // Of the ninth round of pings, two seconds after the first, half is over the limit.
    while count < PROBES_MAX && began.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(20)).await;
        count += victim.count();
    }
    // The tenth would come a second later.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(count + victim.count(), PROBES_MAX);
}

#[tokio::test]
async fn strangers_at_a_listeners_port_hear_nothing_and_keep_nobody_out() {
    let stage = Stage::new();
    let bob = direct_peer(&stage, "bob").listen().await;
    let mut mallory = Mallory::accepted(&stage).await;
    mallory.name([]).await;
    let addresses = mallory.answered().await;
    let door = *addresses
        .iter()
        .find(|a| a.ip().is_loopback() && a.is_ipv4())
        .unwrap();
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    flood.set_nonblocking(true).unwrap();
    let mut probe = [0x21; 64];
    for n in 0..20_000_u32 {
        probe[8..12].copy_from_slice(&n.to_be_bytes());
        // The tag of a conversation that there is, too, which an eavesdropper knows.
        if n % 2 == 0 {
            probe[8..16].copy_from_slice(&mallory.key.tag());
        }
        let _ = flood.send_to(&probe, door);
        if n % 500 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let certificate = Certificate::of(&direct_peer(&stage, "eve").member.identity);
    let credentials = Credentials::new(certificate.certificate, certificate.private_key);
    let (credentials, roads) = (Arc::new(credentials), Roads::default().only(Road::Relay));
    let connected = ClientEndpoint::connect(
        ("127.0.0.1", door.port()),
        bob.id,
        &credentials,
        (Role::Sender, Tuning::default()),
        &roads,
        Duration::from_millis(800),
    );
    let Err(ConnectError::Unreachable { reason, .. }) = connected.await.map(|_| ()) else {
        panic!("somebody has answered");
    };
    assert!(reason.starts_with("no answer"), "{reason}");
    assert!(flood.recv_from(&mut probe).is_err(), "not one answer");
    let (path, content) = stage.file("plan.bin", 3_000_000);
    assert_delivered(direct_peer(&stage, "alice").send(&["bob"], &[&path]).await);
    came_directly(&bob).await;
    assert_eq!(bob.received(), [("plan.bin".to_owned(), content)]);
}
