//! The channel's road through a relay: the only file here that knows what is said to one.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Channel, EnterError, Event, Member, Observer, Peer, PeerEvent, Relays,
    channel::QUEUE,
    clock_skew::{self, ClockSkew},
    connecting::Connected,
    direct::{Hub, PathMessage},
    outgoing::Outgoing,
    road::{Leaving, REASON_LIMIT, RelayRoad},
    vigil,
};
use crate::{
    direct::Policy,
    identity::{HostPort, HpkePublicKey, MemberKey, RelayAddress},
    protocol::{ClientToServer, Code, PeerMessage, ServerToClient},
    quic::{ControlReceiver, ControlSender, Link, LinkError, Role, StreamError},
};

/// From the handshake to the relay's welcome.
const WELCOME_LIMIT: Duration = Duration::from_secs(6);

impl Member {
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

/// Connects to one of the member's relays and enters the room; as a listener when there is a key to seal
/// to. A relay of a cluster that does not let anybody in leaves the others to be tried.
async fn enter(
    member: &Member,
    hpke: Option<HpkePublicKey>,
    list: Option<bool>,
) -> Result<Channel, EnterError> {
    let relay = member.invite.relay.as_ref().ok_or(EnterError::NoRelay)?;
    let mut places = member.relays.order(relay, member.room());
    let role = role(hpke.is_some());
    let mut turned_away = None;
    loop {
        let connected = match member.connect(relay, &places, role).await {
            Ok(connected) => connected,
            Err(error) => return Err(turned_away.unwrap_or(EnterError::Connect(error))),
        };
        let place = connected.place.clone();
        match enter_at(member, relay, connected, (hpke.clone(), list)).await {
            Ok(channel) => return Ok(channel),
            Err(error) => {
                member.relays.failed(&place);
                places.retain(|other| *other != place);
                if places.is_empty() {
                    return Err(error);
                }
                turned_away = Some(error);
            }
        }
    }
}

const fn role(listening: bool) -> Role {
    match listening {
        true => Role::Listener,
        false => Role::Sender,
    }
}

/// Enters the room at a relay that was reached.
async fn enter_at(
    member: &Member,
    relay: &RelayAddress,
    connected: Connected,
    (hpke, list): (Option<HpkePublicKey>, Option<bool>),
) -> Result<Channel, EnterError> {
    let listening = hpke.is_some();
    let role = role(listening);
    let Connected {
        place,
        mut endpoint,
        link,
    } = connected;
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
            member.relays.refresh(relay, &welcome.relays);
            let (outgoing, queue) = mpsc::channel(QUEUE);
            let (events, received) = mpsc::channel(QUEUE);
            let direct_hub = direct.as_ref().map(|(hub, _)| hub.clone());
            let clock = welcome.now_unix.map(ClockSkew::against);
            let leaving = Leaving::new(member, relay, &place);
            let moves = leaving.moves.clone();
            let reading = read(
                receiver,
                events,
                (link.clone(), direct_hub),
                (member.member_key(), clock),
                leaving,
            );
            let ping_every = welcome.ping_secs.map(Duration::from_secs);
            let has_others = member.relays.order(relay, member.room()).len() > 1;
            let vigil = has_others.then(|| {
                let watch = vigil::watch(link.clone(), role, ping_every);
                AbortOnDropHandle::new(tokio::spawn(watch))
            });
            let road = RelayRoad {
                endpoint,
                link: link.clone(),
                writing: tokio::spawn(write(queue, sender)),
                reading: tokio::spawn(note_end(
                    reading,
                    link,
                    (member.relays.clone(), place.clone()),
                )),
                place,
                moves,
                _vigil: vigil,
                ping_every,
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

/// Reads until the end, and notes a relay that was lost, so that another one is tried first.
async fn note_end(
    reading: impl Future<Output = ()>,
    link: Link,
    (relays, place): (Arc<Relays>, HostPort),
) {
    reading.await;
    let reason = timeout(REASON_LIMIT, link.closed()).await;
    if !reason.is_ok_and(|reason| reason.code() == Code::Done) {
        relays.failed(&place);
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

/// What a relay says with its welcome.
struct Welcome {
    now_unix: Option<u64>,
    ping_secs: Option<u64>,
    relays: Vec<String>,
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
            relays,
        }) => {
            let welcome = Welcome {
                now_unix,
                ping_secs,
                relays,
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
    (member_key, clock): (MemberKey, Option<ClockSkew>),
    leaving: Leaving,
) {
    loop {
        match receiver.receive().await {
            Ok(Some(ServerToClient::Observed { address })) => {
                if let Some(direct) = &direct {
                    direct.observed(address);
                }
            }
            Ok(Some(ServerToClient::Draining {
                within_secs,
                relays,
            })) => {
                tracing::info!(
                    within_secs,
                    "the relay is about to end, and takes no more transfers"
                );
                leaving.on_draining(&relays);
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
    clock: Option<ClockSkew>,
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
                    reason: clock_skew::whose(&error, clock)?,
                }
            }
        },
        ServerToClient::PeersEnd {} => PeerEvent::Listed,
        ServerToClient::Welcome { .. }
        | ServerToClient::Observed { .. }
        | ServerToClient::Draining { .. }
        | ServerToClient::Begun { .. }
        | ServerToClient::Unknown => {
            return None;
        }
    })
}
