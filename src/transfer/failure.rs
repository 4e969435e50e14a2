//! Why something did not arrive, in the terms of the command line's exit codes.

use crate::protocol::{Code, DeclineReason, SafeText};

/// The kinds of failure that scripts can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// Anything that is none of the others.
    Other,
    /// The relay does not answer.
    Unreachable,
    /// The relay's or a peer's key is not the expected one, or the relay does not admit the room.
    NotTrusted,
    /// No such peer, or it is not listening.
    NoSuchPeer,
    /// The recipient declined.
    Declined,
    /// A file is missing, unreadable, changed while it was sent, or could not be stored.
    LocalFile,
    /// What arrived is not what was sent.
    Verification,
    /// Some recipients have it, some have not.
    Partial,
    /// Nothing moved for too long.
    TimedOut,
    /// A person or program stopped it.
    Interrupted,
}

impl FailureKind {
    /// The process's exit code for it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Unreachable => 3,
            Self::NotTrusted => 4,
            Self::NoSuchPeer => 5,
            Self::Declined => 6,
            Self::LocalFile => 7,
            Self::Verification => 8,
            Self::Partial => 9,
            Self::TimedOut => 10,
            Self::Interrupted => 130,
        }
    }
}

/// One failure: its kind, and a sentence's end for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// Why, safe to print on one line.
    pub reason: SafeText,
}

impl Failure {
    /// A failure for this reason, which is made safe to print.
    #[must_use]
    pub fn new(kind: FailureKind, reason: impl std::fmt::Display) -> Self {
        Self {
            kind,
            reason: SafeText::new(&reason.to_string()),
        }
    }

    /// What a code from the wire means to the end that hears it.
    #[must_use]
    pub fn from_code(code: Code) -> Self {
        let kind = match code {
            Code::NotAdmitted => FailureKind::NotTrusted,
            Code::PeerGone | Code::Replaced => FailureKind::NoSuchPeer,
            Code::Declined => FailureKind::Declined,
            Code::SourceChanged | Code::Source | Code::Storage => FailureKind::LocalFile,
            Code::Verification => FailureKind::Verification,
            Code::Timeout | Code::Behind => FailureKind::TimedOut,
            Code::Cancelled => FailureKind::Interrupted,
            _ => FailureKind::Other,
        };
        Self::new(kind, code.reason())
    }

    /// What a recipient's decline means to the sender.
    #[must_use]
    pub fn from_decline(reason: DeclineReason, text: &SafeText) -> Self {
        let kind = match reason {
            DeclineReason::Verification => FailureKind::Verification,
            DeclineReason::KeyChanged => FailureKind::NotTrusted,
            _ => FailureKind::Declined,
        };
        Self::new(kind, text)
    }
}
