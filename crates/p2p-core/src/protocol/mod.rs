//! What is on the wire: IDs, names, messages, headers, codes. Pure: no I/O, no clock, no secrets.
//!
//! `docs/protocol.md` tells the same as a story; this room is the authority on limits.

mod code;
mod control;
mod direct_message;
mod encoding;
mod file;
mod ids;
mod message;
mod path;
mod road;
mod text;

pub use code::Code;
pub use control::{
    CONTROL_MESSAGE_MAX, ControlError, encode_control, encode_control_within, parse_control,
    parse_length, parse_length_within,
};
pub use direct_message::DirectMessage;
pub use encoding::Base64;
pub use file::{
    CHUNK_SIZE, FILE_HEADER_LEN, FRAME_HEADER_LEN, FRAME_PAYLOAD_MAX, FileClass, FileHeader,
    FrameError, FrameHeader, FrameKind, PlanEntry, decode_plan, encode_plan,
};
pub use ids::{FileIndex, IdError, PeerId, RoomId, TransferId};
pub use message::{
    Answer, ClientToServer, DeclineReason, PeerMessage, PeerState, ServerToClient, SignedBundle,
    SignedOffer,
};
pub use path::{FileName, LinkTarget, NameError, NameProblem, PRIVATE_PREFIX, RelativePath};
pub use road::Road;
pub use text::is_printable;
pub use text::{PeerName, PeerNameError, SafeText, id_prefix};

/// The application protocol that both ends of every connection must speak (RFC 7301).
///
/// A change that an older peer could misread gets a new name here; a field or message type that
/// an older peer may ignore does not.
pub const ALPN: &[u8] = b"p2p/1";

/// The same between two peers without a relay: neither can be mistaken for the other.
pub const DIRECT_ALPN: &[u8] = b"p2p/1 direct";

/// The same between two relays of a cluster.
pub const TRUNK_ALPN: &[u8] = b"p2p-trunk/1";
