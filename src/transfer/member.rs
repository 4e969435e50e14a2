//! A member of a room, and its connection to the relay.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{Failure, FailureKind, unix_now};
use crate::{
    identity::{Bundle, HpkePublicKey, Identity, Invite, MemberKey, Name},
    protocol::{ClientToServer, Code, PeerId, PeerMessage, RoomId, ServerToClient, TransferId},
    quic::{
        Certificate, ClientEndpoint, ConnectError, Credentials, Link, LinkError, Role, StreamError,
        Tuning,
    },
};

/// From the first packet to a complete handshake, for each address of the relay.
const CONNECT_LIMIT: Duration = Duration::from_secs(6);
/// From the handshake to the relay's welcome.
const WELCOME_LIMIT: Duration = Duration::from_secs(6);
/// How long what is still to be said may take to arrive when a connection is closed.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Control messages that wait in either direction.
const QUEUE: usize = 256;

/// Who I am and which room I belong to: what it takes to connect.
#[derive(Debug)]
pub struct Member {
    /// My key.
    pub identity: Arc<Identity>,
    /// My name.
    pub name: Name,
    /// The relay and the room.
    pub invite: Invite,
    /// Transport parameters.
    pub tuning: Tuning,
    /// For how long a bundle of mine is valid.
    pub bundle_lifetime: Duration,
}

/// Why a room could not be entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// The relay could not be connected to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The relay does not admit the room.
    #[error("the relay does not admit this room")]
    NotAdmitted,
    /// The relay ended the connection before it said welcome.
    #[error("the relay turned us away: {0}")]
    TurnedAway(LinkError),
}

impl EnterError {
    /// The same in the terms of the exit codes.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let kind = match self {
            Self::Connect(ConnectError::WrongKey { .. }) | Self::NotAdmitted => {
                FailureKind::NotTrusted
            }
            Self::Connect(_) | Self::TurnedAway(_) => FailureKind::Unreachable,
        };
        Failure::new(kind, self)
    }

    /// Whether another attempt may go better.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        !matches!(
            self,
            Self::Connect(ConnectError::WrongKey { .. } | ConnectError::Config(_))
                | Self::NotAdmitted
        )
    }
}

impl Member {
    /// The room's ID.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.invite.secret.room_id()
    }

    /// The room's member key.
    #[must_use]
    pub fn member_key(&self) -> MemberKey {
        self.invite.secret.member_key()
    }

    /// My ID.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.identity.id()
    }

    /// A fresh bundle, with a key to seal to where I listen.
    #[must_use]
    pub fn bundle(&self, hpke: Option<HpkePublicKey>) -> crate::protocol::SignedBundle {
        let bundle = Bundle {
            key: self.identity.public_key(),
            name: self.name.name.clone(),
            chosen: self.name.chosen,
            hpke,
            expires_unix: unix_now() + self.bundle_lifetime.as_secs(),
        };
        bundle.sign(&self.identity, &self.member_key())
    }

    /// Connects and enters the room; as a listener when there is a key to seal to.
    ///
    /// # Errors
    /// See [`EnterError`].
    pub async fn enter(&self, hpke: Option<HpkePublicKey>) -> Result<Connection, EnterError> {
        let listening = hpke.is_some();
        let role = if listening {
            Role::Listener
        } else {
            Role::Sender
        };
        let certificate = Certificate::of(&self.identity);
        let credentials = Credentials::new(certificate.certificate, certificate.private_key);
        let relay = &self.invite.relay;
        let (endpoint, link) = ClientEndpoint::connect(
            (relay.host(), relay.port()),
            self.invite.fingerprint,
            &credentials,
            (role, self.tuning),
            CONNECT_LIMIT,
        )
        .await?;
        let hello = ClientToServer::Hello {
            room: self.room(),
            bundle: self.bundle(hpke),
            listening,
        };
        match timeout(WELCOME_LIMIT, Connection::open(link.clone(), hello)).await {
            Ok(Ok((outbox, inbox, tasks))) => Ok(Connection {
                endpoint,
                link,
                outbox,
                inbox,
                tasks,
            }),
            Ok(Err(_)) => {
                // The close may still be on its way behind the stream's end.
                let reason = timeout(Duration::from_secs(1), link.closed())
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
}

/// A member's connection to the relay, inside its room.
#[derive(Debug)]
pub struct Connection {
    endpoint: ClientEndpoint,
    link: Link,
    outbox: mpsc::Sender<ClientToServer>,
    inbox: mpsc::Receiver<ServerToClient>,
    tasks: [JoinHandle<()>; 2],
}

type Opened = (
    mpsc::Sender<ClientToServer>,
    mpsc::Receiver<ServerToClient>,
    [JoinHandle<()>; 2],
);

impl Connection {
    async fn open(link: Link, hello: ClientToServer) -> Result<Opened, StreamError> {
        let (mut sender, mut receiver) = link
            .open_control::<ClientToServer, ServerToClient>()
            .await?;
        sender.send(&hello).await?;
        match receiver.receive().await? {
            Some(ServerToClient::Welcome {}) => {}
            _ => return Err(StreamError::Malformed("no welcome".into())),
        }
        let (outbox, mut outgoing) = mpsc::channel(QUEUE);
        let (incoming, inbox) = mpsc::channel(QUEUE);
        let writing = tokio::spawn(async move {
            while let Some(message) = outgoing.recv().await {
                if sender.send(&message).await.is_err() {
                    return;
                }
            }
            sender.finish().await;
        });
        let reading = tokio::spawn(async move {
            loop {
                match receiver.receive().await {
                    Ok(Some(message)) => {
                        if incoming.send(message).await.is_err() {
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
        });
        Ok((outbox, inbox, [writing, reading]))
    }

    /// The connection itself, for file streams.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The way to say things, for tasks of their own.
    #[must_use]
    pub fn voice(&self) -> Voice {
        Voice(self.outbox.clone())
    }

    /// Waits for the relay's next message; `None` when the connection is over.
    ///
    /// Cancel-safe.
    pub async fn hear(&mut self) -> Option<ServerToClient> {
        self.inbox.recv().await
    }

    /// Why the connection ended.
    pub async fn ended(&self) -> LinkError {
        timeout(Duration::from_secs(1), self.link.closed())
            .await
            .unwrap_or(LinkError::TimedOut)
    }

    /// Sends what is still queued, then closes the connection.
    ///
    /// The relay answers the end of what is said with a close of its own. Where that comes, there
    /// is no need to wait until a close of ours must have arrived (RFC 9000, section 10.2: three
    /// times the probe timeout, some 50 ms even on the shortest path).
    pub async fn close(self, code: Code) {
        let Self {
            endpoint,
            link,
            outbox,
            inbox,
            tasks: [writing, reading],
        } = self;
        drop((outbox, inbox));
        let said = async {
            let _ = writing.await;
            link.closed().await;
        };
        if timeout(LAST_WORDS, said).await.is_err() {
            endpoint.close(code).await;
        }
        reading.abort();
    }
}

/// Says things to the relay, and through it to peers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Voice(mpsc::Sender<ClientToServer>);

impl Voice {
    /// Says something to the relay; nothing happens when the connection is over.
    pub async fn say(&self, message: ClientToServer) {
        let _ = self.0.send(message).await;
    }

    /// Says something to one peer about a transfer, or to all of its recipients.
    pub async fn tell(&self, transfer: TransferId, to: Option<PeerId>, message: PeerMessage) {
        self.say(ClientToServer::Tell {
            transfer,
            to,
            message,
        })
        .await;
    }
}
