//! The way between peers: messages, events, and file streams, whatever carries them.
//!
//! What carries messages is a *road*: `via_relay`, which alone knows the relay's messages. It is two tasks: one
//! takes [`Outgoing`] from a bounded queue, the other puts [`PeerEvent`]s into one. Another road for messages
//! would feed the same queues, and whoever sends or receives files would see no difference. File streams may
//! take a direct connection besides ([`super::direct`]).

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::mpsc, time::timeout};

use super::{
    Member, MessageSender, Peer,
    direct::{DirectFile, Hub, PathMessage},
    outgoing::Outgoing,
    road::RelayRoad,
};
use crate::{
    identity::HostPort,
    protocol::{Code, FileClass, PeerId, PeerMessage, Road, SignedBundle, TransferId},
    quic::{FileReceiver, FileSender, Link, LinkError, PathRate, Pressure, StreamError},
};

/// Messages that wait in either direction.
pub(super) const QUEUE: usize = 256;
/// Members leave a relay that is about to end within 255 times as long of each other.
const SPREAD: Duration = Duration::from_millis(8);
/// Peers that are listed at the most.
const PEERS_MAX: usize = 20_000;
/// Peers that are left out whom people hear of.
const IGNORED_MAX: usize = 8;
/// How long it may take until all who are there are listed.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// What a channel brings.
#[derive(Debug)]
#[non_exhaustive]
pub enum PeerEvent {
    /// A peer says something about a transfer.
    Message {
        /// The transfer.
        transfer: TransferId,
        /// Who says it.
        from: PeerId,
        /// What it says.
        message: PeerMessage,
    },
    /// A peer says where it can be reached directly, in a transfer that was accepted.
    Path {
        /// The transfer.
        transfer: TransferId,
        /// Who says it.
        from: PeerId,
        /// What it says, and what the relay says of it.
        message: PathMessage,
    },
    /// A peer's part in a transfer has ended.
    Gone {
        /// The transfer.
        transfer: TransferId,
        /// Whose part.
        peer: PeerId,
        /// Why.
        code: Code,
    },
    /// A peer came, changed, or went; its bundle holds.
    Presence(Box<Peer>),
    /// A peer is there, but one of the two clocks is so wrong that its bundle does not hold.
    Ignored {
        /// Which peer.
        peer: PeerId,
        /// Whose clock is wrong, and by how much.
        reason: String,
    },
    /// All who are there now have been listed.
    Listed,
}

/// My way to the other members of the room.
#[derive(Debug)]
pub struct Channel {
    outgoing: mpsc::Sender<Outgoing>,
    events: mpsc::Receiver<PeerEvent>,
    road: RelayRoad,
    direct: Option<Hub>,
    called: Option<mpsc::Receiver<DirectFile>>,
    ignored: Vec<String>,
}

impl Channel {
    pub(super) fn new(
        outgoing: mpsc::Sender<Outgoing>,
        events: mpsc::Receiver<PeerEvent>,
        road: RelayRoad,
        direct: Option<(Hub, mpsc::Receiver<DirectFile>)>,
    ) -> Self {
        let (direct, called) = direct.unzip();
        Self {
            outgoing,
            events,
            road,
            direct,
            called,
            ignored: Vec::new(),
        }
    }

    /// Receives the next event; `None` when the channel is over.
    ///
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<PeerEvent> {
        self.events.recv().await
    }

    /// The same as a poll.
    pub(super) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<PeerEvent>> {
        self.events.poll_recv(context)
    }

    /// The way to send messages; cheap to clone, for tasks of their own.
    #[must_use]
    pub fn messages(&self) -> MessageSender {
        MessageSender::new(self.outgoing.clone(), self.road())
    }

    /// The way to open file streams through the relay; cheap to clone, for tasks of their own.
    #[must_use]
    pub fn streams(&self) -> FileStreams {
        FileStreams(self.road.link().clone())
    }

    /// The file streams that come, by whatever road. Those of direct connections come to the first
    /// that asks.
    #[must_use]
    pub fn incoming(&mut self) -> IncomingStreams {
        IncomingStreams {
            relay: self.road.link().clone(),
            direct: self.called.take(),
        }
    }

    /// Where direct connections are made, unless there are to be none.
    pub(super) fn direct(&self) -> Option<&Hub> {
        self.direct.as_ref()
    }

    /// Whether peers can connect to this one directly.
    #[must_use]
    pub fn takes_direct(&self) -> bool {
        self.direct.is_some()
    }

    /// How often the relay can afford to be pinged, if it says so.
    pub(super) fn ping_every(&self) -> Option<Duration> {
        self.road.ping_every
    }

    /// Asks the relay for a sign of life.
    pub(super) fn ping(&self) {
        self.road.link().ping();
    }

    /// Counts the relay as lost: it does not answer.
    pub(super) fn give_up(&self) {
        self.road.link().close(Code::Timeout, "no answer");
    }

    /// Packets that have come from the relay.
    pub(super) fn heard(&self) -> u64 {
        self.road.link().heard()
    }

    /// The road to the relay.
    #[must_use]
    pub fn road(&self) -> Road {
        self.road.link().road()
    }

    /// Where the relay is that it leads to.
    #[must_use]
    pub fn place(&self) -> &HostPort {
        &self.road.place
    }

    /// Waits until it is better to connect anew, and then to let go of this channel: UDP has opened to whoever is on
    /// TCP, or the relay is about to end and there are others.
    ///
    /// Cancel-safe.
    pub(super) fn moves<'a>(
        &self,
        member: &'a Member,
    ) -> impl Future<Output = ()> + Send + use<'a> {
        let (on_tcp, moves) = (self.road() == Road::Tcp, self.road.moves.clone());
        async move {
            tokio::select! {
                () = member.udp_opens(), if on_tcp => {}
                () = moves.cancelled() => {
                    // Not all of a room at once.
                    let mut random = [0];
                    p2p_core::crypto::random(&mut random);
                    tokio::time::sleep(SPREAD * random[0].into()).await;
                }
            }
        }
    }

    /// What the way to the relay carries, where it is long, over UDP, and was in use.
    pub(super) fn measured(&self) -> Option<PathRate> {
        self.road.link().measured()
    }

    /// Settles who takes part in a transfer of mine: who has accepted by now.
    pub async fn begin(&self, transfer: TransferId) {
        self.messages().put(Outgoing::Begin(transfer)).await;
    }

    /// Puts a newer bundle in place of mine.
    pub async fn publish(&self, bundle: SignedBundle) {
        self.messages().put(Outgoing::Publish(bundle)).await;
    }

    /// Asks who is there; with `watch`, every later change arrives as [`PeerEvent::Presence`].
    ///
    /// Whom it leaves out for a wrong clock, [`Channel::take_ignored`] tells.
    /// `None` when the channel ends or no list comes. Drops what else arrives meanwhile: ask before
    /// the first transfer, or use [`Channel::ask_who_is_there`].
    pub async fn peers(&mut self, watch: bool) -> Option<Vec<Peer>> {
        self.ask_who_is_there(watch).await;
        let listing = async {
            let mut peers = Vec::new();
            loop {
                match self.recv().await? {
                    PeerEvent::Listed => return Some(peers),
                    PeerEvent::Presence(peer) if peers.len() < PEERS_MAX => peers.push(*peer),
                    PeerEvent::Ignored { peer, reason } if self.ignored.len() < IGNORED_MAX => {
                        let peer = peer.short();
                        self.ignored
                            .push(format!("peer {peer} is left out: {reason}"));
                    }
                    _ => {}
                }
            }
        };
        timeout(LIST_LIMIT, listing).await.ok().flatten()
    }

    /// Who was left out of the list, and why: a sentence for each, eight at most.
    pub fn take_ignored(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ignored)
    }

    /// Asks for a [`PeerEvent::Presence`] for everyone who is there, and then one [`PeerEvent::Listed`].
    pub async fn ask_who_is_there(&self, watch: bool) {
        self.messages().put(Outgoing::List { watch }).await;
    }

    /// Whether the channel is over; its last events may not have been received yet.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.road.link().close_reason().is_some()
    }

    /// Why the channel ended, once [`Channel::recv`] has said that it did.
    pub async fn ended(&self) -> LinkError {
        self.road.ended().await
    }

    /// Sends what still waits, then ends the channel.
    pub async fn close(self, code: Code) {
        if let Some(direct) = self.direct {
            direct.close();
        }
        drop((self.outgoing, self.events));
        self.road.close(code).await;
    }
}

/// Opens file streams through the relay; cheap to clone.
#[derive(Debug, Clone)]
pub struct FileStreams(Link);

impl FileStreams {
    /// Opens a stream for one file; waits while the other end takes no more streams.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// When the channel is over.
    pub async fn open_stream(&self, class: FileClass) -> Result<FileSender, StreamError> {
        Ok(self.0.open_file(class).await?)
    }

    /// What a sender on it is up against.
    pub(super) fn pressure(&self) -> Pressure {
        self.0.pressure()
    }
}

/// A file's stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// It came through the relay, which vouches for nobody; its header comes first.
    Relay(FileReceiver),
    /// It came on a connection of the peer's own.
    Direct(DirectFile),
}

/// Accepts file streams.
#[derive(Debug)]
pub struct IncomingStreams {
    relay: Link,
    direct: Option<mpsc::Receiver<DirectFile>>,
}

impl IncomingStreams {
    /// Waits for the stream of the next file.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// When the channel is over.
    pub async fn accept(&mut self) -> Result<Incoming, LinkError> {
        let relay = self.relay.clone();
        tokio::select! {
            stream = relay.accept_file() => Ok(Incoming::Relay(stream?)),
            file = self.accept_direct() => Ok(Incoming::Direct(file)),
        }
    }

    /// The same on direct connections alone; never, where there are to be none.
    ///
    /// Cancel-safe.
    pub(super) async fn accept_direct(&mut self) -> DirectFile {
        let file = match &mut self.direct {
            Some(direct) => direct.recv().await,
            None => None,
        };
        match file {
            Some(file) => file,
            // The relay's connection says how the channel ended.
            None => std::future::pending().await,
        }
    }
}
