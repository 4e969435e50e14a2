//! The channel's road through a relay: the only file here that knows what is said to one.

use std::time::Duration;

use tokio::{sync::mpsc, time::timeout};

use super::{
    Channel, EnterError, Event, Member, Observer, Peer, PeerEvent,
    channel::QUEUE,
    clock::{self, Clock},
    direct::{Hub, PathMessage},
    outgoing::Outgoing,
    road::{REASON_LIMIT, RelayRoad},
};
use crate::{
    direct::Policy,
    home::PathNote,
    identity::{HpkePublicKey, MemberKey},
    protocol::{ClientToServer, Code, PeerMessage, Road, ServerToClient},
    quic::{
        Certificate, ClientEndpoint, ControlReceiver, ControlSender, Credentials, Link, LinkError,
        PathRate, Role, StreamError, network_name,
    },
};

/// From the first packet to a complete handshake, for each address of the relay.
const CONNECT_LIMIT: Duration = Duration::from_secs(6);
/// From the handshake to the relay's welcome.
const WELCOME_LIMIT: Duration = Duration::from_secs(6);

impl Member {
    /// Waits until the relay answers over UDP, which is tried from time to time.
    ///
    /// For whoever is on TCP; for ever, where UDP is not to be used. Cancel-safe.
    pub(super) async fn udp_opens(&self) {
        if !self.roads.udp {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::time::sleep(self.roads.udp_again).await;
            if is_udp_open(self).await {
                return;
            }
        }
    }

    /// Notes what the way to the relay carries, for the next time.
    pub(super) fn note_rate(&self, channel: &Channel) {
        let (Some(notes), Some(relay)) = (&self.road_notes, &self.invite.relay) else {
            return;
        };
        if let Some(found) = channel.measured() {
            let found = PathNote {
                rate: found.rate,
                round_trip: found.round_trip,
            };
            let relay = relay.at.to_string();
            notes.rates().note(&relay, &network_name(), found);
        }
    }

    /// Enters the room; as a listener when there is a key to seal to.
    ///
    /// # Errors
    /// See [`EnterError`].
    pub async fn enter(&self, hpke: Option<HpkePublicKey>) -> Result<Channel, EnterError> {
        enter(self, hpke, None).await
    }

    /// Enters the room, and asks with the same packets who is there, which saves a round trip; with
    /// `watch`, every later change arrives as well.
    ///
    /// # Errors
    /// See [`EnterError`].
    pub async fn enter_and_list(&self, watch: bool) -> Result<Channel, EnterError> {
        enter(self, None, Some(watch)).await
    }

    /// Enters the room, asks who is there where `list` says with which changes, and says so once that takes long enough to wonder about.
    ///
    /// # Errors
    /// See [`EnterError`].
    pub async fn enter_observed(
        &self,
        hpke: Option<HpkePublicKey>,
        list: Option<bool>,
        observer: &dyn Observer,
    ) -> Result<Channel, EnterError> {
        let mut entering = std::pin::pin!(enter(self, hpke, list));
        match tokio::time::timeout(SILENCE_MAX, &mut entering).await {
            Ok(entered) => entered,
            Err(_) => {
                let relay = self.place();
                observer.event(Event::Connecting { relay });
                entering.await
            }
        }
    }
}

/// How long nothing may be said while a relay is connected to.
const SILENCE_MAX: Duration = Duration::from_millis(500);

/// Connects to the member's relay and enters the room; as a listener when there is a key to seal to.
async fn enter(
    member: &Member,
    hpke: Option<HpkePublicKey>,
    list: Option<bool>,
) -> Result<Channel, EnterError> {
    let listening = hpke.is_some();
    let role = if listening {
        Role::Listener
    } else {
        Role::Sender
    };
    let certificate = Certificate::of(&member.identity);
    let credentials = Credentials::new(certificate.certificate, certificate.private_key);
    let credentials = std::sync::Arc::new(credentials);
    let relay = member.invite.relay.as_ref().ok_or(EnterError::NoRelay)?;
    let (named, network) = (relay.at.to_string(), network_name());
    let mut roads = member.roads.clone();
    if let Some(notes) = &member.road_notes
        && notes.is_udp_blocked(&named, &network)
    {
        roads.tcp_after = Duration::ZERO;
    }
    let mut tuning = member.tuning;
    if let Some(notes) = member.road_notes.as_ref().filter(|_| !listening) {
        let note = notes.rates().recall(&named, &network);
        tuning.known = note.map(|note| PathRate {
            rate: note.rate,
            round_trip: note.round_trip,
        });
    }
    let (mut endpoint, link) = ClientEndpoint::connect(
        (relay.at.host(), relay.at.port()),
        relay.fingerprint,
        &credentials,
        (role, tuning),
        &roads,
        CONNECT_LIMIT,
    )
    .await?;
    if let Some(notes) = &member.road_notes
        && roads.udp
    {
        notes.note(&named, &network, link.road() == Road::Tcp);
    }
    let direct = endpoint
        .take_direct()
        .filter(|_| is_direct_of_use(member.direct, &link))
        .map(|socket| Hub::start(socket, member.direct, listening));
    let hello = ClientToServer::Hello {
        room: member.room(),
        bundle: member.bundle_with(hpke, direct.is_some()),
        listening,
    };
    match timeout(WELCOME_LIMIT, greet(&link, hello, list)).await {
        Ok(Ok((sender, receiver, welcome))) => {
            let (outgoing, queue) = mpsc::channel(QUEUE);
            let (events, received) = mpsc::channel(QUEUE);
            let road = RelayRoad {
                endpoint,
                link: link.clone(),
                writing: tokio::spawn(write(queue, sender)),
                reading: tokio::spawn(read(
                    receiver,
                    events,
                    (link, direct.as_ref().map(|(hub, _)| hub.clone())),
                    (member.member_key(), welcome.now_unix.map(Clock::against)),
                )),
                ping_every: welcome.ping_secs.map(Duration::from_secs),
            };
            Ok(Channel::new(outgoing, received, road, direct))
        }
        Ok(Err(_)) => {
            // The close may still be on its way behind the stream's end.
            let reason = timeout(REASON_LIMIT, link.closed())
                .await
                .unwrap_or(LinkError::TimedOut);
            Err(match reason.code() {
                Code::NotAdmitted => EnterError::NotAdmitted,
                _ => EnterError::TurnedAway(reason),
            })
        }
        Err(_) => Err(EnterError::TurnedAway(LinkError::TimedOut)),
    }
}

/// Whether direct paths may be of use to a member who reaches its relay on this link.
///
/// Where the relay is on this machine, a path to another member leads where the relay's does.
fn is_direct_of_use(policy: Policy, link: &Link) -> bool {
    match policy {
        Policy::Never => false,
        Policy::Only => true,
        Policy::Auto | Policy::Lan => !link.remote().ip().is_loopback(),
    }
}

/// Whether the relay answers over UDP at this moment.
async fn is_udp_open(member: &Member) -> bool {
    let certificate = Certificate::of(&member.identity);
    let credentials = Credentials::new(certificate.certificate, certificate.private_key);
    let credentials = std::sync::Arc::new(credentials);
    let Some(relay) = &member.invite.relay else {
        return false;
    };
    let roads = member.roads.clone().only(Road::Relay);
    let connecting = ClientEndpoint::connect(
        (relay.at.host(), relay.at.port()),
        relay.fingerprint,
        &credentials,
        (Role::Sender, member.tuning),
        &roads,
        CONNECT_LIMIT,
    );
    match connecting.await {
        Ok((endpoint, _)) => {
            endpoint.close(Code::Done).await;
            true
        }
        Err(_) => false,
    }
}

/// What a relay says with its welcome.
struct Welcome {
    now_unix: Option<u64>,
    ping_secs: Option<u64>,
}

/// Says hello, and what else need not wait for the answer; then waits for the welcome.
async fn greet(
    link: &Link,
    hello: ClientToServer,
    list: Option<bool>,
) -> Result<
    (
        ControlSender<ClientToServer>,
        ControlReceiver<ServerToClient>,
        Welcome,
    ),
    StreamError,
> {
    let (mut sender, mut receiver) = link.open_control().await?;
    sender.send(&hello).await?;
    if let Some(watch) = list {
        sender.send(&ClientToServer::Peers { watch }).await?;
    }
    match receiver.receive().await? {
        Some(ServerToClient::Welcome {
            now_unix,
            ping_secs,
        }) => {
            let welcome = Welcome {
                now_unix,
                ping_secs,
            };
            Ok((sender, receiver, welcome))
        }
        _ => Err(StreamError::Malformed("no welcome".into())),
    }
}

async fn write(mut queue: mpsc::Receiver<Outgoing>, mut sender: ControlSender<ClientToServer>) {
    while let Some(outgoing) = queue.recv().await {
        if sender.send(&to_relay(outgoing)).await.is_err() {
            return;
        }
    }
    sender.finish().await;
}

fn to_relay(outgoing: Outgoing) -> ClientToServer {
    match outgoing {
        Outgoing::Message {
            to,
            transfer,
            message,
        } => ClientToServer::Tell {
            transfer,
            to,
            message,
        },
        Outgoing::Begin(transfer) => ClientToServer::Begin { transfer },
        Outgoing::Close(transfer) => ClientToServer::Close { transfer },
        Outgoing::Publish(bundle) => ClientToServer::Publish { bundle },
        Outgoing::List { watch } => ClientToServer::Peers { watch },
    }
}

async fn read(
    mut receiver: ControlReceiver<ServerToClient>,
    events: mpsc::Sender<PeerEvent>,
    (link, direct): (Link, Option<Hub>),
    (member_key, clock): (MemberKey, Option<Clock>),
) {
    loop {
        match receiver.receive().await {
            Ok(Some(ServerToClient::Observed { address })) => {
                if let Some(direct) = &direct {
                    direct.observed(address);
                }
            }
            Ok(Some(message)) => {
                if let Some(event) = from_relay(message, &member_key, clock)
                    && events.send(event).await.is_err()
                {
                    return;
                }
            }
            Ok(None) => return,
            // A relay that speaks nonsense is no relay to stay with.
            Err(error @ (StreamError::Malformed(_) | StreamError::Truncated)) => {
                link.close(error.code(), "unreadable control message");
                return;
            }
            Err(_) => return,
        }
    }
}

/// What a message means to a member; nothing, where it means nothing or no member has made it.
fn from_relay(
    message: ServerToClient,
    member_key: &MemberKey,
    clock: Option<Clock>,
) -> Option<PeerEvent> {
    Some(match message {
        ServerToClient::Told {
            transfer,
            from,
            message: PeerMessage::Path { sealed },
            at,
        } => PeerEvent::Path {
            transfer,
            from,
            message: PathMessage {
                sealed: sealed.0,
                seen_at: at,
            },
        },
        ServerToClient::Told {
            transfer,
            from,
            message,
            ..
        } => PeerEvent::Message {
            transfer,
            from,
            message,
        },
        ServerToClient::Gone {
            transfer,
            peer,
            code,
        } => PeerEvent::Gone {
            transfer,
            peer,
            code,
        },
        ServerToClient::Peer {
            id,
            bundle,
            state,
            since_secs,
        } => match Peer::checked(
            id,
            &bundle,
            state,
            Duration::from_secs(since_secs),
            member_key,
        ) {
            Ok(peer) => PeerEvent::Presence(Box::new(peer)),
            Err(error) => {
                tracing::debug!(peer = id.short(), %error, "ignored");
                PeerEvent::Ignored {
                    peer: id,
                    reason: clock::whose(&error, clock)?,
                }
            }
        },
        ServerToClient::PeersEnd {} => PeerEvent::Listed,
        ServerToClient::Draining { within_secs } => {
            tracing::info!(
                within_secs,
                "the relay is about to end, and takes no more transfers"
            );
            return None;
        }
        ServerToClient::Welcome { .. }
        | ServerToClient::Observed { .. }
        | ServerToClient::Begun { .. }
        | ServerToClient::Unknown => {
            return None;
        }
    })
}
