//! Why something did not arrive, from the disk or the wire up to the line that people read.

use std::{error::Error as StdError, fmt, sync::Arc};

use super::EnterError;
use crate::{
    identity::ResolveError,
    protocol::{Code, DeclineReason, SafeText, is_printable},
    quic::ConnectError,
    storage::StorageError,
};

/// The kinds of errors that scripts can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
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

impl ErrorKind {
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

/// An error of a transfer: its kind, what failed, and what caused it.
///
/// `{}` is what failed, `{:#}` adds every cause that does not stand there already. Both are one line
/// and safe to print, and neither is cut: an ID or a path that is not whole is of no use. Only
/// [`Error::for_the_wire`] is bounded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    /// What failed; where there is nothing to add, the source says it.
    message: Option<Arc<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that begins here.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: Some(message.to_string().into()),
            source: None,
        }
    }

    /// An error of another room, as it is.
    #[must_use]
    pub fn from_source(kind: ErrorKind, source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind,
            message: None,
            source: Some(Arc::new(source)),
        }
    }

    /// The same error as the cause of a larger failure of the same kind.
    #[must_use]
    pub fn context(self, message: impl fmt::Display) -> Self {
        let kind = self.kind;
        self.context_of(kind, message)
    }

    /// The same error as the cause of a failure of another kind.
    #[must_use]
    pub fn context_of(self, kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: Some(message.to_string().into()),
            source: Some(Arc::new(self)),
        }
    }

    /// What a code from the wire means to the end that receives it.
    #[must_use]
    pub fn from_code(code: Code) -> Self {
        Self::new(Self::kind_of(code), code.reason())
    }

    /// The kind of failure that a code from the wire stands for.
    #[must_use]
    pub fn kind_of(code: Code) -> ErrorKind {
        match code {
            Code::NotAdmitted => ErrorKind::NotTrusted,
            Code::PeerGone | Code::Replaced => ErrorKind::NoSuchPeer,
            Code::Declined => ErrorKind::Declined,
            Code::SourceChanged | Code::Source | Code::Storage => ErrorKind::LocalFile,
            Code::Verification => ErrorKind::Verification,
            Code::Timeout | Code::Behind => ErrorKind::TimedOut,
            Code::Cancelled => ErrorKind::Interrupted,
            _ => ErrorKind::Other,
        }
    }

    /// What a recipient's decline means to the sender.
    #[must_use]
    pub fn from_decline(reason: DeclineReason, text: &SafeText) -> Self {
        let kind = match reason {
            DeclineReason::Verification => ErrorKind::Verification,
            DeclineReason::KeyChanged => ErrorKind::NotTrusted,
            DeclineReason::Storage => ErrorKind::LocalFile,
            _ => ErrorKind::Declined,
        };
        Self::new(kind, text)
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The first cause of this type, itself included: what hints are chosen by.
    #[must_use]
    pub fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        // What is wrapped without a message of its own is not its own source.
        let mut cause: Option<&(dyn StdError + 'static)> = match &self.source {
            Some(source) => Some(&**source),
            None => None,
        };
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<E>() {
                return Some(found);
            }
            cause = match error.downcast_ref::<Self>() {
                Some(Self {
                    source: Some(source),
                    ..
                }) => Some(&**source),
                _ => error.source(),
            };
        }
        None
    }

    /// Everything that there is to say, bounded and safe, for a message to the far end.
    #[must_use]
    pub fn for_the_wire(&self) -> SafeText {
        SafeText::new(&format!("{self:#}"))
    }

    fn write_chain(&self, text: &mut String) {
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            // Most errors say their cause themselves.
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = match (&self.message, &self.source) {
            (Some(message), _) => message.to_string(),
            (None, Some(source)) => source.to_string(),
            (None, None) => String::new(),
        };
        if f.alternate() {
            self.write_chain(&mut text);
        }
        let safe = |c| if is_printable(c) { c } else { '\u{fffd}' };
        let line: String = text.chars().map(safe).collect();
        f.write_str(&line)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.source.as_deref()?;
        match self.message {
            Some(_) => Some(source),
            None => source.source(),
        }
    }
}

/// Two errors are equal when scripts and people cannot tell them apart.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && format!("{self:#}") == format!("{other:#}")
    }
}

impl Eq for Error {}

impl From<EnterError> for Error {
    fn from(error: EnterError) -> Self {
        let kind = match &error {
            EnterError::Connect(ConnectError::WrongKey { .. }) | EnterError::NotAdmitted => {
                ErrorKind::NotTrusted
            }
            EnterError::Connect(_) | EnterError::NoRelay | EnterError::TurnedAway(_) => {
                ErrorKind::Unreachable
            }
        };
        Self::from_source(kind, error)
    }
}

impl From<ResolveError> for Error {
    fn from(error: ResolveError) -> Self {
        let kind = match error {
            ResolveError::KeyChanged { .. } => ErrorKind::NotTrusted,
            _ => ErrorKind::NoSuchPeer,
        };
        Self::from_source(kind, error)
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        Self::from_source(ErrorKind::LocalFile, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PeerId;

    #[test]
    fn two_ids_in_one_message_arrive_whole() {
        let ids = [PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32])];
        let path = "x".repeat(300);
        let message = format!("{path} belongs to {}, not to {}", ids[0], ids[1]);
        let error = Error::new(ErrorKind::NotTrusted, &message).context("cannot send");
        assert_eq!(error.to_string(), "cannot send");
        assert_eq!(format!("{error:#}"), format!("cannot send: {message}"));
        assert_eq!(
            error.for_the_wire().as_str().chars().count(),
            SafeText::MAX_CHARS
        );
    }

    #[test]
    fn every_code_that_has_an_exit_code_of_its_own_keeps_it() {
        let exit = |code| Error::from_code(code).kind().exit_code();
        for (code, expected) in [
            (Code::Protocol, 1),
            (Code::NotAdmitted, 4),
            (Code::PeerGone, 5),
            (Code::Replaced, 5),
            (Code::Declined, 6),
            (Code::Source, 7),
            (Code::SourceChanged, 7),
            (Code::Storage, 7),
            (Code::Verification, 8),
            (Code::Timeout, 10),
            (Code::Behind, 10),
            (Code::Cancelled, 130),
        ] {
            assert_eq!(exit(code), expected, "{code:?}");
        }
    }

    #[test]
    fn a_cause_is_said_once_and_found_by_its_type() {
        let no = std::io::Error::new(std::io::ErrorKind::PermissionDenied, "permission denied");
        let error = Error::from_source(ErrorKind::LocalFile, no);
        assert_eq!(format!("{error:#}"), "permission denied");
        let outer = error.context("cannot read a: permission denied");
        assert_eq!(format!("{outer:#}"), "cannot read a: permission denied");
        let outermost = outer.context_of(ErrorKind::Partial, "1 of 2 recipients failed");
        assert_eq!(outermost.kind(), ErrorKind::Partial);
        let found = outermost
            .cause::<std::io::Error>()
            .map(std::io::Error::kind);
        assert_eq!(found, Some(std::io::ErrorKind::PermissionDenied));
        assert!(outermost.cause::<std::fmt::Error>().is_none());
        assert!(outermost.source().unwrap().source().is_some());
    }

    #[test]
    fn nothing_that_is_printed_carries_an_escape_sequence_or_a_second_line() {
        let error = Error::new(ErrorKind::Other, "a\u{1b}[2Jb\nc");
        let printed = format!("{:#}", error.context("x\u{9b}y"));
        assert!(printed.chars().all(is_printable), "{printed:?}");
    }
}
