//! The messages of the control stream: one enum per direction, and what peers say to each other.
//!
//! A client says [`ClientToServer`], the relay says [`ServerToClient`]. What one peer says to
//! another travels inside as a [`PeerMessage`], so that the same words serve a direct connection.
//! Fields and message types that this version does not know are tolerated.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Base64, Code, FileIndex, PeerId, RoomId, SafeText, TransferId};

/// What a client says to the relay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientToServer {
    /// First message on the control stream: which room to enter, and as whom.
    Hello {
        /// The room; knowing its ID is what admits.
        room: RoomId,
        /// Who enters, as the other members will check it.
        bundle: SignedBundle,
        /// Whether offers may come.
        listening: bool,
    },
    /// A newer bundle in place of the one that `Hello` or an earlier `Publish` gave.
    Publish {
        /// The newer bundle.
        bundle: SignedBundle,
    },
    /// Asks who is in the room; answered by `Peer` messages and one `PeersEnd`.
    Peers {
        /// Whether every later change is to be told as well.
        watch: bool,
    },
    /// Says something to one peer about a transfer.
    Tell {
        /// The transfer that it is about.
        transfer: TransferId,
        /// For whom; `None` is every recipient that takes part in a transfer that I send.
        to: Option<PeerId>,
        /// What is said.
        message: PeerMessage,
    },
    /// The sender's word that the recipients are settled: who has accepted by now takes part.
    Begin {
        /// The transfer that begins.
        transfer: TransferId,
    },
    /// The sender needs nothing further of this transfer; the relay forgets it.
    Close {
        /// The transfer that is over.
        transfer: TransferId,
    },
    /// A message type of a later version; ignored.
    #[serde(other)]
    Unknown,
}

/// What the relay says to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerToClient {
    /// The answer to `Hello`: the client is in the room.
    Welcome {
        /// What the relay's clock says, in seconds since 1970: a hint about whose clock is wrong, and
        /// nothing that anything is decided by. Relays of earlier versions do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        now_unix: Option<u64>,
        /// How often the relay can afford that a listener from which it gets nothing else pings it, in
        /// seconds. Without it, listeners ping as seldom as keeps a NAT's mapping.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ping_secs: Option<u64>,
        /// Where clients reach the relays of this one's cluster, itself among them, as `HOST:PORT`. All show
        /// the same key. Nothing where the relay is alone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        relays: Vec<String>,
    },
    /// One peer of the room, or with `watch` one change.
    Peer {
        /// Whom the relay authenticated by TLS.
        id: PeerId,
        /// What the peer published; recipients check it, the relay's word is not enough.
        bundle: SignedBundle,
        /// What it is doing.
        state: PeerState,
        /// For how many seconds it has been there.
        since_secs: u64,
    },
    /// All peers that are there now have been told.
    PeersEnd {},
    /// A peer says something about a transfer.
    Told {
        /// The transfer.
        transfer: TransferId,
        /// Who says it, authenticated by TLS to the relay.
        from: PeerId,
        /// What is said.
        message: PeerMessage,
        /// With [`PeerMessage::Path`], from where the relay sees that peer. Relays of earlier versions do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<SocketAddr>,
    },
    /// The relay's word about a peer's part in a transfer: it has ended.
    Gone {
        /// The transfer.
        transfer: TransferId,
        /// The peer whose part ended: a recipient, or the sender.
        peer: PeerId,
        /// Why.
        code: Code,
    },
    /// The recipients of a transfer are settled; answers to `Begin`.
    Begun {
        /// The transfer.
        transfer: TransferId,
        /// How many recipients take part.
        recipients: u32,
    },
    /// From where the relay sees the client; at the beginning, and when it changes.
    Observed {
        /// The client's address, as far as a NAT shows it.
        address: SocketAddr,
    },
    /// The relay is about to end: transfers that are under way may go on for so long, and none begins.
    Draining {
        /// Seconds from now after which it ends at the latest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_secs: Option<u64>,
        /// Where clients reach the other relays of its cluster that take them, as `HOST:PORT`: a listener does best
        /// to go there as soon as it receives nothing. Relays of earlier versions do not say.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        relays: Vec<String>,
    },
    /// A message type of a later version; ignored.
    #[serde(other)]
    Unknown,
}

/// What peers say to each other about a transfer, through the relay or directly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum PeerMessage {
    /// Sender to one recipient: what is offered, sealed to it and signed.
    Offer {
        /// The offer.
        offer: SignedOffer,
    },
    /// Recipient to sender: the answer to an offer.
    Answer {
        /// Yes or no.
        answer: Answer,
    },
    /// Recipient to sender: a person is asked, which may take minutes.
    Asking {},
    /// Recipient to sender, about one file whose head has arrived: where to begin.
    ///
    /// Only from recipients that accepted with `each`.
    Start {
        /// The file.
        file: FileIndex,
        /// Sealed: what the recipient has of it (see `sealing`).
        have: Base64,
    },
    /// Recipient to sender: how many bytes of a file's content are stored so far.
    Stored {
        /// The file.
        file: FileIndex,
        /// Bytes of content.
        bytes: u64,
    },
    /// Recipient to sender: files that are verified and stored, sealed and signed.
    Receipts {
        /// The sealed batch (see `sealing`).
        batch: Base64,
    },
    /// Recipient to sender: a file that will not be stored. Sender to recipients, with
    /// [`Code::SourceChanged`]: a file that changed, of which nothing can be gone on with.
    Failed {
        /// The file; `None` is the whole transfer.
        file: Option<FileIndex>,
        /// Why.
        code: Code,
        /// Why, in the recipient's words.
        reason: SafeText,
    },
    /// Sender to recipients: no file comes after this many.
    End {
        /// Files in the transfer: their indices are 0 to `files - 1`.
        files: u64,
    },
    /// Recipient to sender: a direct connection has ended within a file. From this chunk on, send it
    /// again through the relay.
    Again {
        /// The file.
        file: FileIndex,
        /// The first chunk that is missing.
        chunk: u32,
    },
    /// Either side, after an accepted offer: where I can be reached directly, sealed to the other.
    Path {
        /// The sealed candidates (see `sealing::PathKey`).
        sealed: Base64,
    },
    /// Either side: this transfer is over for me.
    Cancel {
        /// Why.
        code: Code,
    },
    /// A message type of a later version; ignored.
    #[serde(other)]
    Unknown,
}

/// A recipient's answer to an offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Send it.
    Accept {
        /// Whether I will say for each file, once its head has arrived, where to begin.
        ///
        /// A recipient asks for this where it holds parts of an earlier attempt, or where it
        /// wants to compare before it receives. Content waits for its [`PeerMessage::Start`].
        each: bool,
        /// Whether something is here under a name that is offered, so that it is worth hashing each
        /// file before its head is sealed: the recipient says only then what it has.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        compare: bool,
    },
    /// Do not send it.
    Decline {
        /// Why, for programs.
        reason: DeclineReason,
        /// Why, for people.
        text: SafeText,
    },
}

/// Why a recipient declines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// A person or a policy said no.
    Refused,
    /// The sender is not trusted here.
    NotTrusted,
    /// The sender's name belongs to another key here.
    KeyChanged,
    /// Larger than the recipient takes.
    TooLarge,
    /// No room on the disk.
    NoSpace,
    /// The offer cannot be opened or its signature does not hold.
    Verification,
    /// The recipient takes part in too many transfers.
    Busy,
    /// The recipient wants one transfer only and has had it.
    Finished,
    /// What the recipient keeps on its disk to receive by cannot be read or written.
    Storage,
    /// A reason of a later version.
    #[serde(other)]
    Unknown,
}

/// What a peer in the room is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// It waits for files.
    Listening,
    /// It is connected without waiting for files.
    Sending,
    /// It has left.
    Gone,
}

impl PeerState {
    /// Its name on the wire, in events, and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::Sending => "sending",
            Self::Gone => "gone",
        }
    }
}

/// A member's bundle as it travels: exact bytes, so that signature and MAC need no canonical form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedBundle {
    /// The JSON of the bundle.
    pub body: Base64,
    /// Ed25519 by the member's identity key.
    pub signature: Base64,
    /// HMAC-SHA256 under the room's member key, over body and signature.
    pub mac: Base64,
}

/// An offer to one recipient as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedOffer {
    /// The JSON of the offer's header: sender, recipient, suite, wrap, commitments.
    pub body: Base64,
    /// Ed25519 by the sender's identity key.
    pub signature: Base64,
    /// HMAC-SHA256 under the room's member key, over body and signature.
    pub mac: Base64,
    /// What the recipient decides by: names, counts and sizes, sealed.
    pub manifest: Base64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(message: &ClientToServer) {
        let text = serde_json::to_string(message).unwrap();
        assert_eq!(
            &serde_json::from_str::<ClientToServer>(&text).unwrap(),
            message,
            "{text}"
        );
    }

    #[test]
    fn messages_read_back_as_they_were_written() {
        let transfer = TransferId::from_bytes([1; 16]);
        let peer = PeerId::from_bytes([2; 32]);
        for message in [
            PeerMessage::Answer {
                answer: Answer::Accept {
                    each: true,
                    compare: true,
                },
            },
            PeerMessage::Stored {
                file: FileIndex(u64::MAX),
                bytes: u64::MAX,
            },
            PeerMessage::Failed {
                file: None,
                code: Code::Storage,
                reason: SafeText::new("disk full"),
            },
            PeerMessage::End { files: 3 },
        ] {
            round_trip(&ClientToServer::Tell {
                transfer,
                to: Some(peer),
                message,
            });
        }
    }

    #[test]
    fn the_text_of_a_message_is_fixed() {
        let message = ClientToServer::Begin {
            transfer: TransferId::from_bytes([0; 16]),
        };
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(
            text,
            r#"{"type":"begin","transfer":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}"#
        );
    }

    #[test]
    fn what_a_later_version_adds_is_tolerated() {
        let later = r#"{"type":"teleport","x":{"y":[1,2]}}"#;
        assert_eq!(
            serde_json::from_str::<ServerToClient>(later).unwrap(),
            ServerToClient::Unknown
        );
        let field = r#"{"type":"welcome","motd":"hi"}"#;
        assert_eq!(
            serde_json::from_str::<ServerToClient>(field).unwrap(),
            ServerToClient::Welcome {
                now_unix: None,
                ping_secs: None,
                relays: Vec::new(),
            }
        );
        let say = r#"{"say":"sing","song":1}"#;
        assert_eq!(
            serde_json::from_str::<PeerMessage>(say).unwrap(),
            PeerMessage::Unknown
        );
    }
}
