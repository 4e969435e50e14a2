//! What can go wrong on a connection or a stream, free of quinn's types.

use std::io;

use crate::protocol::{Code, ControlError, PeerId, SafeText};

/// Why a relay could not be connected to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host name has no address.
    #[error("cannot find the address of {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No local socket could be made.
    #[error("cannot open a socket: {0}")]
    Socket(#[from] io::Error),
    /// Nobody answered, or not with this protocol.
    #[error("cannot connect to {address}: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        reason: String,
    },
    /// The relay has another key than the one that the invite pins.
    #[error("{address} has the key {got}, where the invite expects {expected}")]
    WrongKey {
        /// Host and port.
        address: String,
        /// The key's fingerprint in the invite.
        expected: PeerId,
        /// The fingerprint that was presented.
        got: PeerId,
    },
    /// The credentials or limits do not make a configuration.
    #[error("cannot set up TLS: {0}")]
    Config(String),
}

/// Why a connection ended, or never began.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The other end closed it, and said why.
    #[error("{reason}")]
    Closed {
        /// From the table of codes.
        code: Code,
        /// The other end's words, or the code's where it gave none.
        reason: SafeText,
    },
    /// Nothing was heard for the idle time.
    #[error("no answer")]
    TimedOut,
    /// The other end has forgotten the connection: it restarted.
    #[error("the other end restarted")]
    Reset,
    /// This end closed it.
    #[error("the connection is closed")]
    Local,
    /// Anything else that ends a connection, such as a failed handshake.
    #[error("{0}")]
    Transport(String),
}

impl LinkError {
    /// The code that says most nearly the same.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Closed { code, .. } => *code,
            Self::TimedOut => Code::Timeout,
            Self::Local => Code::Cancelled,
            Self::Reset | Self::Transport(_) => Code::PeerGone,
        }
    }
}

impl From<quinn::ConnectionError> for LinkError {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as E;
        match error {
            E::ApplicationClosed(close) => {
                let code = Code::from_number(close.error_code.into_inner());
                let words = String::from_utf8_lossy(&close.reason);
                let reason = if words.is_empty() {
                    code.reason()
                } else {
                    &*words
                };
                Self::Closed {
                    code,
                    reason: SafeText::new(reason),
                }
            }
            // Before any handshake: the relay takes no more connections, or ends.
            E::ConnectionClosed(close)
                if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED =>
            {
                Self::Closed {
                    code: Code::Busy,
                    reason: SafeText::new("the relay is full or shutting down"),
                }
            }
            E::TimedOut => Self::TimedOut,
            E::Reset => Self::Reset,
            E::LocallyClosed => Self::Local,
            other => Self::Transport(SafeText::new(&other.to_string()).to_string()),
        }
    }
}

/// Why a stream ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The other end reset it or asked to stop.
    #[error("the stream was ended: {0}")]
    Ended(Code),
    /// The stream ended inside a message, header or frame.
    #[error("the stream ended too early")]
    Truncated,
    /// What arrived is no message, header or frame.
    #[error("{0}")]
    Malformed(String),
    /// The connection under it is gone.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl StreamError {
    /// The code to report, or to pass on to whoever else takes part.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Ended(code) => *code,
            Self::Truncated | Self::Malformed(_) => Code::Protocol,
            Self::Link(LinkError::Closed { .. } | LinkError::Local) | Self::Link(_) => {
                Code::PeerGone
            }
        }
    }
}

impl From<ControlError> for StreamError {
    fn from(error: ControlError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<crate::protocol::FrameError> for StreamError {
    fn from(error: crate::protocol::FrameError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<quinn::ReadError> for StreamError {
    fn from(error: quinn::ReadError) -> Self {
        match error {
            quinn::ReadError::Reset(code) => Self::Ended(Code::from_number(code.into_inner())),
            quinn::ReadError::ConnectionLost(error) => Self::Link(error.into()),
            other => Self::Malformed(other.to_string()),
        }
    }
}

impl From<quinn::ReadExactError> for StreamError {
    fn from(error: quinn::ReadExactError) -> Self {
        match error {
            quinn::ReadExactError::FinishedEarly(_) => Self::Truncated,
            quinn::ReadExactError::ReadError(error) => error.into(),
        }
    }
}

impl From<quinn::WriteError> for StreamError {
    fn from(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::Stopped(code) => Self::Ended(Code::from_number(code.into_inner())),
            quinn::WriteError::ConnectionLost(error) => Self::Link(error.into()),
            other => Self::Malformed(other.to_string()),
        }
    }
}
