//! What became of a file.

use crate::protocol::{Code, PeerId};

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How the sender's stream ended; an error is the code that it ended, or was stopped, with.
    pub end: Result<(), Code>,
    /// Bytes that came in.
    pub bytes_in: u64,
    /// Bytes that went through the spool.
    pub bytes_spooled: u64,
    /// What became of each recipient's part, in the order in which they ended.
    pub deliveries: Vec<Delivery>,
}

/// What became of one recipient's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The recipient.
    pub peer: PeerId,
    /// How it ended.
    pub outcome: Outcome,
    /// Bytes that its outlet has taken.
    pub bytes: u64,
    /// Whether it fell behind and got some of them from the spool.
    pub was_spooled: bool,
}

/// How a recipient's part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its outlet took everything and was finished. What was stored, only a receipt says.
    Delivered,
    /// Its outlet failed, or was reset, with this code.
    Failed(Code),
}

impl Outcome {
    /// How it ended, as a result.
    ///
    /// # Errors
    /// The code with which it failed.
    pub fn code(self) -> Result<(), Code> {
        match self {
            Self::Delivered => Ok(()),
            Self::Failed(code) => Err(code),
        }
    }
}
