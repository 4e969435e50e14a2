//! What happens during a transfer, as told to whoever shows it.

use std::{path::PathBuf, time::Duration};

use super::Error;
use crate::protocol::{PeerId, PeerName, PeerState, TransferId};

/// Hears of everything that happens; called on the network's thread, so it must return soon.
pub trait Observer: Send + Sync {
    /// One thing happened.
    fn event(&self, event: Event);
}

/// One thing that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// This peer is in its room.
    Joined {
        /// My ID.
        id: PeerId,
        /// My name.
        name: PeerName,
        /// The relay's host and port.
        relay: String,
    },
    /// The relay was lost.
    Disconnected {
        /// Why.
        reason: String,
        /// When the next attempt is made.
        retry_in: Duration,
    },
    /// A peer came, changed, or went.
    Peer {
        /// Who.
        id: PeerId,
        /// Its name.
        name: PeerName,
        /// What it does.
        state: PeerState,
        /// For how long it has been there.
        since: Duration,
    },
    /// Someone offers files to me.
    Offer {
        /// The transfer.
        transfer: TransferId,
        /// The sender.
        from: PeerId,
        /// Its name.
        from_name: PeerName,
        /// How many files, where the sender knows.
        files: Option<u64>,
        /// How many bytes, where the sender knows.
        bytes: Option<u64>,
    },
    /// A transfer of mine was offered; files begin to move once recipients answer.
    Offered {
        /// The transfer.
        transfer: TransferId,
        /// To whom.
        to: Vec<(PeerId, PeerName)>,
        /// How many files, where it is known.
        files: Option<u64>,
        /// How many bytes, where it is known.
        bytes: Option<u64>,
    },
    /// A recipient has stored more of a file.
    Progress {
        /// The transfer.
        transfer: TransferId,
        /// The peer at the other end.
        peer: PeerId,
        /// Its name.
        peer_name: PeerName,
        /// The file's path within the transfer.
        file: String,
        /// Bytes stored so far.
        bytes: u64,
        /// Bytes of the whole, where it is known.
        total: Option<u64>,
        /// Bytes that an earlier attempt had stored already.
        resumed_from: u64,
    },
    /// A file is verified and stored here.
    Received {
        /// The transfer.
        transfer: TransferId,
        /// Where it is.
        path: PathBuf,
        /// Its path within the transfer, which may differ where a name was taken.
        file: String,
        /// Its length.
        bytes: u64,
        /// Its hash.
        blake3: blake3::Hash,
        /// The sender.
        from: PeerId,
        /// Its name.
        from_name: PeerName,
        /// Bytes that an earlier attempt had stored already.
        resumed_from: u64,
        /// It was there already, with the same content.
        already_there: bool,
    },
    /// A message instead of a file.
    Message {
        /// The transfer.
        transfer: TransferId,
        /// The sender.
        from: PeerId,
        /// Its name.
        from_name: PeerName,
        /// The text as it came: escape it before it is printed.
        text: String,
    },
    /// A recipient has verified and stored a file, and signed for it.
    Delivered {
        /// The transfer.
        transfer: TransferId,
        /// The recipient.
        peer: PeerId,
        /// Its name.
        peer_name: PeerName,
        /// The file's path within the transfer.
        file: String,
        /// Its length.
        bytes: u64,
        /// Its hash.
        blake3: blake3::Hash,
        /// Bytes that an earlier attempt had brought already, as far as this end has heard of them.
        resumed_from: u64,
        /// The recipient had it already.
        already_there: bool,
    },
    /// A file, or a recipient's whole part, failed.
    Failed {
        /// The transfer.
        transfer: TransferId,
        /// The peer at the other end, if it concerns one.
        peer: Option<(PeerId, PeerName)>,
        /// The file's path, if it concerns one.
        file: Option<String>,
        /// Why.
        failure: Error,
    },
    /// Something was lost and is being tried again.
    Retrying {
        /// Whom it concerns.
        peer: Option<(PeerId, PeerName)>,
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
        elapsed: Duration,
        /// Recipients that have everything.
        delivered: u64,
        /// Recipients that have not.
        failed: u64,
    },
    /// Something that people should know, and that stops nothing.
    Notice(String),
}
