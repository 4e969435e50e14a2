//! One room's line to another relay: what is said there, and the files that go there.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    budget::Share,
    outbox::{Full, Outbox},
    trunk_message::RoomMessage,
};
use crate::{
    protocol::{Code, FileClass, PeerId, ServerToClient, TransferId},
    quic::{FileSender, Link},
};

/// Tells a line apart from every other that this relay ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LineId(pub(super) u64);

/// One room's line to another relay with members of it.
#[derive(Debug)]
pub(super) struct Line {
    id: LineId,
    /// The hash of the other relay's own key.
    node: PeerId,
    /// The number of its stream, by which files say of which room they are.
    stream: u64,
    link: Link,
    outbox: Outbox,
    /// What waits of this relay's own messages counts as the other relay's.
    share: Share,
    files: Arc<Semaphore>,
    /// Files that wait for a place among those.
    waiting: AtomicUsize,
    end: CancellationToken,
}

impl Line {
    pub(super) fn new(id: LineId, (link, stream): (Link, u64), share: Share) -> Self {
        Self {
            id,
            node: link.peer(),
            stream,
            link,
            outbox: Outbox::of_many(),
            share,
            files: Arc::new(Semaphore::new(FILES_MAX)),
            waiting: AtomicUsize::new(0),
            end: CancellationToken::new(),
        }
    }

    pub(super) fn id(&self) -> LineId {
        self.id
    }

    /// The other relay.
    pub(super) fn node(&self) -> PeerId {
        self.node
    }

    /// The number of its stream.
    pub(super) fn stream(&self) -> u64 {
        self.stream
    }

    /// What waits for the other relay.
    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// No member of the room is left here: what was said already is all.
    pub(super) fn hang_up(&self) {
        self.outbox.end();
        self.end.cancel();
    }

    /// Completes when it is hung up here.
    ///
    /// Cancel-safe.
    pub(super) async fn hung_up(&self) {
        self.end.cancelled().await;
    }

    /// Says something of the relay's own to a member there, or to all of a transfer's recipients there.
    pub(super) fn send(&self, to: Option<PeerId>, message: ServerToClient) {
        self.say(&RoomMessage::Pass { to, message });
    }

    /// Passes on what a member here says to one there, or to all of a transfer's recipients there.
    ///
    /// # Errors
    /// As for [`Mailbox::pass`](super::mailbox::Mailbox::pass).
    pub(super) fn pass(
        &self,
        to: Option<PeerId>,
        (from, share): (PeerId, &Share),
        message: ServerToClient,
    ) -> Result<(), Code> {
        let message = RoomMessage::Pass { to, message };
        let encoded = message.encode().map_err(|_| Code::TooLarge)?;
        self.outbox
            .push_from(from, &encoded, share)
            .map_err(|Full| Code::Behind)
    }

    /// Says who takes part in a transfer that begins.
    pub(super) fn begin(&self, transfer: TransferId, peers: &[PeerId]) {
        let last = peers.chunks(BEGIN_PEERS).len().max(1);
        for number in 1..=last {
            let from = (number - 1) * BEGIN_PEERS;
            let peers = peers.iter().skip(from).take(BEGIN_PEERS);
            self.say(&RoomMessage::Begin {
                transfer,
                peers: peers.copied().collect(),
                more: number < last,
            });
        }
    }

    /// Says something of the relay's own; another relay that reads none of it loses the line.
    pub(super) fn say(&self, message: &RoomMessage) {
        match message.encode() {
            Ok(encoded) => self.outbox.push(encoded, &self.share),
            Err(error) => warn!(%error, "a message to another relay is not sent"),
        }
    }

    /// Counts a file that is to go there; nothing where too many wait for that.
    pub(super) fn file(self: &Arc<Self>) -> Option<WaitingFile> {
        let before = self.waiting.fetch_add(1, Relaxed);
        let waiting = WaitingFile(self.clone());
        (before < FILES_WAITING_MAX).then_some(waiting)
    }
}

/// A file that is to go to another relay.
pub(super) struct WaitingFile(Arc<Line>);

impl WaitingFile {
    /// Opens a stream for it, once the room has fewer files under way than it may.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(super) async fn open(self, class: FileClass) -> Result<FarFile, Code> {
        let line = &self.0;
        let place = line.files.clone().acquire_owned();
        let place = place.await.map_err(|_| Code::PeerGone)?;
        let stream = line.link.open_file(class).await;
        Ok(FarFile {
            stream: stream.map_err(|_| Code::PeerGone)?,
            line: line.stream,
            place,
        })
    }
}

impl Drop for WaitingFile {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// A file that goes to another relay.
pub(super) struct FarFile {
    /// Its stream, on which nothing was written yet.
    pub(super) stream: FileSender,
    /// What the stream begins with.
    pub(super) line: u64,
    /// Held until the file has gone.
    pub(super) place: OwnedSemaphorePermit,
}

/// Files of one room that are under way to one relay.
const FILES_MAX: usize = 64;
/// Files of one room that may wait for that, over all senders.
const FILES_WAITING_MAX: usize = 4096;
/// Peers that one message names.
const BEGIN_PEERS: usize = 512;
