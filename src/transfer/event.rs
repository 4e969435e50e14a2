//! What happens during a transfer, for whoever shows it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Serialize, Serializer};

use super::{Bottleneck, Error, unix_now};
use crate::{
    protocol::{DeclineReason, PeerId, PeerName, PeerState, Road, TransferId},
    storage::Ticket,
};

/// Receives every event; called on the network's thread, so it must not block.
pub trait Observer: Send + Sync {
    /// One thing happened.
    fn event(&self, event: Event);

    /// Whether it calls [`Event::claim`] itself, right before it passes an event on. Otherwise that is
    /// done before it hears of the event.
    fn claims(&self) -> bool {
        false
    }
}

/// A peer, as events name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct PeerRef {
    /// Its ID.
    pub id: PeerId,
    /// Its name.
    pub name: PeerName,
}

impl PeerRef {
    /// The peer of this ID and name.
    #[must_use]
    pub fn new(id: PeerId, name: PeerName) -> Self {
        Self { id, name }
    }
}

/// One thing that happened.
///
/// Serialized, it is the JSON object that `--json` prints: the field `event`, then the variant's own.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// This peer is in its room.
    Joined {
        /// Me.
        #[serde(flatten)]
        me: PeerRef,
        /// The relay's host and port.
        relay: String,
    },
    /// The relay has not answered for a moment; it is still being connected to.
    Connecting {
        /// The relay's host and port.
        relay: String,
    },
    /// The relay was lost.
    Disconnected {
        /// Why.
        reason: String,
        /// When the next attempt is made.
        #[serde(serialize_with = "as_seconds")]
        retry_in: Duration,
    },
    /// The relay cannot be reached yet; it is tried again.
    Waiting {
        /// Why.
        reason: String,
        /// When the next attempt is made.
        #[serde(serialize_with = "as_seconds")]
        retry_in: Duration,
    },
    /// A peer came, changed, or went.
    Peer {
        /// Who.
        #[serde(flatten)]
        peer: PeerRef,
        /// What it does.
        #[serde(serialize_with = "state_word")]
        state: PeerState,
        /// For how long it has been there; in JSON, since when, in seconds since 1970.
        #[serde(serialize_with = "unix_since")]
        since: Duration,
    },
    /// Someone offers files to me.
    Offer {
        /// The transfer.
        transfer: TransferId,
        /// The sender.
        #[serde(flatten, serialize_with = "sender")]
        from: PeerRef,
        /// How many files, where the sender knows.
        files: Option<u64>,
        /// How many bytes, where the sender knows.
        bytes: Option<u64>,
        /// Whether it is a message to show, and no file.
        text: bool,
        /// Whether a person is asked about it.
        #[serde(skip)]
        asks: bool,
    },
    /// A transfer of mine was offered; files begin to move once recipients answer.
    Offered {
        /// The transfer.
        transfer: TransferId,
        /// To whom; in JSON, how many.
        #[serde(rename = "recipients", serialize_with = "number_of")]
        to: Vec<PeerRef>,
        /// How many files, where it is known.
        files: Option<u64>,
        /// How many bytes, where it is known.
        bytes: Option<u64>,
        /// Whether it is a message to show, and no file.
        text: bool,
    },
    /// A recipient has stored more of a file.
    Progress {
        /// The transfer.
        transfer: TransferId,
        /// The peer at the other end.
        #[serde(flatten, serialize_with = "far_end")]
        peer: PeerRef,
        /// The file's path within the transfer.
        file: String,
        /// Bytes stored so far.
        bytes: u64,
        /// Bytes of the whole, where it is known.
        total: Option<u64>,
        /// Bytes that an earlier attempt had stored already.
        resumed_from: u64,
        /// The road that it took.
        road: Road,
        /// At a sender, what it waited for most lately, once that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        limited_by: Option<Bottleneck>,
    },
    /// A file is verified and stored here.
    Received {
        /// The transfer.
        transfer: TransferId,
        /// Where it is.
        #[serde(serialize_with = "lossy_path")]
        path: PathBuf,
        /// Its path within the transfer, which may differ where a name was taken.
        file: String,
        /// Its length.
        bytes: u64,
        /// Its hash.
        #[serde(serialize_with = "as_hex")]
        blake3: blake3::Hash,
        /// The sender.
        #[serde(flatten, serialize_with = "sender")]
        from: PeerRef,
        /// Bytes that an earlier attempt had stored already.
        resumed_from: u64,
        /// It was there already, with the same content.
        already_there: bool,
        /// The road that it took.
        road: Road,
        /// The right to tell this, which no two listeners have: see [`Event::claim`].
        #[serde(skip)]
        ticket: Option<Ticket>,
    },
    /// A message instead of a file.
    Message {
        /// The transfer.
        transfer: TransferId,
        /// The sender.
        #[serde(flatten, serialize_with = "sender")]
        from: PeerRef,
        /// The text as it came: escape it before it is printed.
        text: String,
    },
    /// A recipient has verified and stored a file, and signed for it.
    Delivered {
        /// The transfer.
        transfer: TransferId,
        /// The recipient.
        #[serde(flatten, serialize_with = "far_end")]
        peer: PeerRef,
        /// The file's path within the transfer.
        file: String,
        /// Its length.
        bytes: u64,
        /// Its hash.
        #[serde(serialize_with = "as_hex")]
        blake3: blake3::Hash,
        /// Bytes that an earlier attempt had brought already, as far as this end knows.
        resumed_from: u64,
        /// The recipient had it already.
        already_there: bool,
        /// The recipient has it under another name: its own was taken, or cannot be held there.
        renamed: bool,
        /// The road that it took.
        road: Road,
    },
    /// A file, or a recipient's whole part, failed.
    Failed {
        /// The transfer.
        transfer: TransferId,
        /// The peer at the other end, if it concerns one.
        #[serde(flatten, serialize_with = "some_far_end")]
        peer: Option<PeerRef>,
        /// The file's path, if it concerns one.
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Why.
        #[serde(flatten, serialize_with = "code_and_reason")]
        failure: Error,
    },
    /// This side declined an offer; for programs, one more that failed.
    #[serde(rename = "failed")]
    Declined {
        /// The transfer.
        transfer: TransferId,
        /// The sender.
        #[serde(flatten, serialize_with = "far_end")]
        peer: PeerRef,
        /// Why.
        #[serde(skip)]
        reason: DeclineReason,
        /// The same in words, as the sender reads it.
        #[serde(flatten, serialize_with = "code_and_reason")]
        failure: Error,
    },
    /// Something was lost and is being tried again.
    Retrying {
        /// Whom it concerns.
        #[serde(flatten, serialize_with = "some_far_end")]
        peer: Option<PeerRef>,
        /// Why.
        reason: String,
    },
    /// Files take another road from now on.
    Road {
        /// The transfer.
        transfer: TransferId,
        /// The peer at the other end.
        #[serde(flatten, serialize_with = "far_end")]
        peer: PeerRef,
        /// The road.
        road: Road,
        /// Why.
        reason: String,
    },
    /// A transfer is over.
    Done {
        /// The transfer.
        transfer: TransferId,
        /// Files that arrived, each counted once.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// How long it took.
        #[serde(rename = "seconds", serialize_with = "as_seconds")]
        elapsed: Duration,
        /// Recipients that have everything.
        delivered: u64,
        /// Recipients that have not.
        failed: u64,
    },
    /// Something that people should know, and that stops nothing.
    Notice {
        /// What.
        text: String,
    },
    /// Whoever reads the events was too slow, so that some were dropped.
    Dropped {
        /// How many.
        events: u64,
    },
}

impl Event {
    /// Marks the event as told, where that is noted; whether it was not told before.
    ///
    /// A listener that was killed and is started again tells what is not marked, so whoever passes
    /// events on calls this as late as possible. Blocking, but short.
    #[must_use]
    pub fn claim(&self) -> bool {
        match self {
            Self::Received {
                ticket: Some(ticket),
                ..
            } => ticket.claim(),
            _ => true,
        }
    }
}

/// A peer at the other end, by the field names of most events.
#[derive(Serialize)]
struct Peer<'a> {
    peer: &'a PeerId,
    peer_name: &'a PeerName,
}

/// A sender, by the field names of what it sent.
#[derive(Serialize)]
struct From<'a> {
    from: &'a PeerId,
    from_name: &'a PeerName,
}

/// A failure, by the fields that scripts read.
#[derive(Serialize)]
struct Reason<'a> {
    code: u8,
    reason: &'a str,
}

fn far_end<S: Serializer>(peer: &PeerRef, out: S) -> Result<S::Ok, S::Error> {
    let PeerRef { id, name } = peer;
    let (peer, peer_name) = (id, name);
    Peer { peer, peer_name }.serialize(out)
}

fn some_far_end<S: Serializer>(peer: &Option<PeerRef>, out: S) -> Result<S::Ok, S::Error> {
    match peer {
        Some(peer) => far_end(peer, out),
        None => out.serialize_none(),
    }
}

fn sender<S: Serializer>(peer: &PeerRef, out: S) -> Result<S::Ok, S::Error> {
    let (from, from_name) = (&peer.id, &peer.name);
    From { from, from_name }.serialize(out)
}

fn code_and_reason<S: Serializer>(failure: &Error, out: S) -> Result<S::Ok, S::Error> {
    let code = failure.kind().exit_code();
    let reason = &format!("{failure:#}");
    Reason { code, reason }.serialize(out)
}

fn as_seconds<S: Serializer>(time: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(time.as_secs_f64())
}

fn unix_since<S: Serializer>(ago: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(unix_now().saturating_sub(ago.as_secs()))
}

fn state_word<S: Serializer>(state: &PeerState, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(state.as_str())
}

fn number_of<S: Serializer>(peers: &[PeerRef], out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(peers.len() as u64)
}

fn lossy_path<S: Serializer>(path: &Path, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&path.to_string_lossy())
}

fn as_hex<S: Serializer>(hash: &blake3::Hash, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(hash.to_hex().as_str())
}
