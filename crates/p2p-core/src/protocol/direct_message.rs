//! The messages of a direct connection's control stream.
//!
//! While the relay is there it carries what peers say to each other, and this stream says no more than that it is
//! open. When the relay is lost in the middle of a transfer, both ends go on here.

use serde::{Deserialize, Serialize};

use super::PeerMessage;

/// What two peers say on the control stream of a direct connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DirectMessage {
    /// The first message of whoever has opened the stream: it can be used.
    Ready {},
    /// From here on this end says everything on this stream, and takes nothing of the transfer from the relay.
    Takeover {
        /// How many messages that count ([`PeerMessage::counts`]) have come to this end through the relay. What the
        /// other end has sent after them is lost, and to be repeated here.
        received: u64,
    },
    /// What would have gone through the relay; only after `Takeover`.
    Tell {
        /// What is said.
        message: PeerMessage,
    },
    /// A message type of a later version; ignored.
    #[serde(other)]
    Unknown,
}

impl PeerMessage {
    /// Whether a transfer cannot go on without this message, so that both ends count it and it is repeated where it
    /// was lost with a relay.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(
            self,
            Self::Start { .. }
                | Self::Receipts { .. }
                | Self::Failed { .. }
                | Self::End { .. }
                | Self::Cancel { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_message_is_fixed_and_what_a_later_version_adds_is_tolerated() {
        let text = |message: &DirectMessage| serde_json::to_string(message).unwrap();
        let takeover = DirectMessage::Takeover { received: 7 };
        assert_eq!(text(&takeover), r#"{"type":"takeover","received":7}"#);
        assert_eq!(text(&DirectMessage::Ready {}), r#"{"type":"ready"}"#);
        let message = PeerMessage::End { files: 1 };
        let tell = r#"{"type":"tell","message":{"say":"end","files":1}}"#;
        assert_eq!(text(&DirectMessage::Tell { message }), tell);
        for (later, read) in [
            (r#"{"type":"ready","more":[1]}"#, DirectMessage::Ready {}),
            (r#"{"type":"sing","song":1}"#, DirectMessage::Unknown),
        ] {
            assert_eq!(serde_json::from_str::<DirectMessage>(later).unwrap(), read);
        }
    }
}
