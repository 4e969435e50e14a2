//! The way between peers: messages, events, and file streams, whatever carries them.
//!
//! What carries them is a *road*. Today there is one, `via_relay`, which alone knows the
//! relay's messages. A road is two tasks: one takes [`Outgoing`] from a bounded queue, the other puts
//! [`PeerEvent`]s into one. So another road (a direct connection, a LAN) can feed the same channel beside the
//! first, and whoever sends or receives files sees no difference and needs no type parameter.

use tokio::{sync::mpsc, time::timeout};

use super::{Peer, road::RelayRoad};
use crate::{
    protocol::{Code, FileClass, PeerId, PeerMessage, Road, SignedBundle, TransferId},
    quic::{FileReceiver, FileSender, Link, LinkError, PathRate, StreamError},
};

/// Messages that wait in either direction.
pub(super) const QUEUE: usize = 256;
/// Peers that are listed at the most.
const PEERS_MAX: usize = 20_000;
/// Peers that are left out whom people hear of.
const IGNORED_MAX: usize = 8;
/// How long it may take until all who are there are listed.
const LIST_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

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

/// What a channel takes.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A message to one peer about a transfer, or to all of its recipients.
    Message {
        to: Option<PeerId>,
        transfer: TransferId,
        message: PeerMessage,
    },
    /// Who has accepted by now takes part.
    Begin(TransferId),
    /// The sender needs nothing further of this transfer.
    Close(TransferId),
    /// A newer bundle of mine.
    Publish(SignedBundle),
    /// Asks who is there, and with `watch` for every later change.
    List { watch: bool },
}

/// My way to the other members of the room.
#[derive(Debug)]
pub struct Channel {
    outgoing: mpsc::Sender<Outgoing>,
    events: mpsc::Receiver<PeerEvent>,
    road: RelayRoad,
    ignored: Vec<String>,
    /// Whether the list was asked for with the greeting.
    is_listing: bool,
}

impl Channel {
    pub(super) fn new(
        outgoing: mpsc::Sender<Outgoing>,
        events: mpsc::Receiver<PeerEvent>,
        road: RelayRoad,
        is_listing: bool,
    ) -> Self {
        Self {
            outgoing,
            events,
            road,
            ignored: Vec::new(),
            is_listing,
        }
    }

    /// Receives the next event; `None` when the channel is over.
    ///
    /// Cancel-safe.
    pub async fn recv(&mut self) -> Option<PeerEvent> {
        self.events.recv().await
    }

    /// The way to send messages; cheap to clone, for tasks of their own.
    #[must_use]
    pub fn messages(&self) -> MessageSender {
        MessageSender {
            outgoing: self.outgoing.clone(),
            road: self.road(),
        }
    }

    /// The way to open and accept file streams; cheap to clone, for tasks of their own.
    #[must_use]
    pub fn streams(&self) -> FileStreams {
        FileStreams(self.road.link().clone())
    }

    /// The road on which files travel.
    #[must_use]
    pub fn road(&self) -> Road {
        self.road.link().road()
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
    pub async fn ask_who_is_there(&mut self, watch: bool) {
        if !std::mem::take(&mut self.is_listing) {
            self.messages().put(Outgoing::List { watch }).await;
        }
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
        drop((self.outgoing, self.events));
        self.road.close(code).await;
    }
}

/// Sends messages to peers; cheap to clone.
#[derive(Debug, Clone)]
pub struct MessageSender {
    outgoing: mpsc::Sender<Outgoing>,
    road: Road,
}

impl MessageSender {
    /// Sends a message about a transfer to one peer, or to all of its recipients.
    ///
    /// Waits while too many messages wait; does nothing when the channel is over.
    pub async fn send(&self, to: Option<PeerId>, transfer: TransferId, message: PeerMessage) {
        let message = Outgoing::Message {
            to,
            transfer,
            message,
        };
        self.put(message).await;
    }

    /// The road on which files travel.
    #[must_use]
    pub fn road(&self) -> Road {
        self.road
    }

    /// Says that this side needs nothing further of a transfer that it sends.
    pub async fn close(&self, transfer: TransferId) {
        self.put(Outgoing::Close(transfer)).await;
    }

    /// The same without waiting: gives the message back where too many wait.
    pub(super) fn try_send(
        &self,
        to: Option<PeerId>,
        transfer: TransferId,
        message: PeerMessage,
    ) -> Option<PeerMessage> {
        let message = Outgoing::Message {
            to,
            transfer,
            message,
        };
        match self.outgoing.try_send(message) {
            Err(mpsc::error::TrySendError::Full(Outgoing::Message { message, .. })) => {
                Some(message)
            }
            _ => None,
        }
    }

    /// [`Channel::begin`] without waiting; whether there was room.
    pub(super) fn try_begin(&self, transfer: TransferId) -> bool {
        self.try_put(Outgoing::Begin(transfer))
    }

    /// [`MessageSender::close`] without waiting; whether there was room.
    pub(super) fn try_close(&self, transfer: TransferId) -> bool {
        self.try_put(Outgoing::Close(transfer))
    }

    /// Waits until a message can be sent without waiting, or the channel is over.
    ///
    /// Cancel-safe.
    pub(super) async fn has_room(&self) {
        let _ = self.outgoing.reserve().await;
    }

    fn try_put(&self, outgoing: Outgoing) -> bool {
        !matches!(
            self.outgoing.try_send(outgoing),
            Err(mpsc::error::TrySendError::Full(_))
        )
    }

    async fn put(&self, outgoing: Outgoing) {
        // A channel that is over says so where it is received from.
        let _ = self.outgoing.send(outgoing).await;
    }
}

/// Opens and accepts file streams; cheap to clone.
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

    /// Waits for the stream of the next file.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// When the channel is over.
    pub async fn accept_stream(&self) -> Result<FileReceiver, LinkError> {
        self.0.accept_file().await
    }
}
