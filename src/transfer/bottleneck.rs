//! What limits a transfer.

use std::fmt;

use serde::Serialize;

/// What a sender waits for most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Bottleneck {
    /// The network between this machine and the far end of the connection.
    Link,
    /// The relay takes no more: it is limited itself, or waits for a recipient.
    Relay,
    /// The recipient at the other end of a direct connection takes no more.
    Recipient,
    /// The source: reading, hashing and sealing what is sent.
    Disk,
    /// `--limit`.
    Limit,
    /// What may be under way unread or unacknowledged: the path would carry more.
    Window,
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "the link",
            Self::Relay => "the relay, or who it waits for",
            Self::Recipient => "the recipient",
            Self::Disk => "reading what is sent",
            Self::Limit => "--limit",
            Self::Window => "the window",
        })
    }
}
