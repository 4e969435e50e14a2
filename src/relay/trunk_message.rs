//! What relays say to each other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::{Instance, NodeToken},
    protocol::{
        Base64, CONTROL_MESSAGE_MAX, ControlError, PeerId, PeerState, ServerToClient, SignedBundle,
        TransferId, encode_control_within,
    },
};

/// The first message of each end, on the first stream of a trunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum TrunkMessage {
    /// Who this is.
    Hello {
        /// The cluster's word on the key that this end has shown.
        token: NodeToken,
        /// Which run of the node it is.
        instance: Instance,
    },
    /// A message type of a later version; ignored.
    #[serde(other)]
    Unknown,
}

/// What is said on the stream of one room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum RoomMessage {
    /// The first message, of the end that connected: a room that both have members of.
    Open {
        /// The room, as only relays of the cluster can name it.
        room: String,
        /// That this end knows its ID.
        proof: Base64,
    },
    /// The answer to it.
    Opened {
        /// That this end knows the room's ID as well.
        proof: Base64,
    },
    /// A member at this end: one that is there, has come, has changed, or has gone.
    Member {
        /// Who it is.
        id: PeerId,
        /// What it published.
        bundle: SignedBundle,
        /// What it is doing.
        state: PeerState,
        /// For how many seconds it has been there.
        since_secs: u64,
    },
    /// All members that were there when the stream was opened have been shown.
    MembersEnd {},
    /// What a client at the other end would be told of a transfer, were it here.
    Pass {
        /// For whom: a sender or a recipient at the other end; `None` is every recipient there.
        to: Option<PeerId>,
        /// What it is told.
        message: ServerToClient,
    },
    /// A transfer of this end's begins.
    Begin {
        /// Which.
        transfer: TransferId,
        /// Who takes part in it at the other end.
        peers: Vec<PeerId>,
        /// Whether another message names more of them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
    /// A transfer of this end's is over.
    Close {
        /// Which.
        transfer: TransferId,
    },
    /// A message type of a later version; ignored.
    #[serde(other)]
    Unknown,
}

impl RoomMessage {
    /// As it goes on the wire.
    pub(super) fn encode(&self) -> Result<Bytes, ControlError> {
        encode_control_within(self, ROOM_MESSAGE_MAX).map(Bytes::from)
    }
}

/// The longest message on a room's stream, in bytes: one of a client's, and for whom it is.
pub(super) const ROOM_MESSAGE_MAX: usize = CONTROL_MESSAGE_MAX + 1024;
