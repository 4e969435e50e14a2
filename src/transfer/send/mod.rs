//! Sending: find the recipients, offer, send, and try again until everyone has everything.
//!
//! - `mod`: the whole send: who, how often, how long
//! - [`request`](SendRequest): what was asked for
//! - [`target`](Target): one recipient over all rounds
//! - `round`: one transfer with fresh keys
//! - `sender`: one send over all rounds
//! - `recipients`: who is meant, and who is there
//! - `wares`: what is sent
//! - `job`: what makes two sends the same
//! - `ledger`: which files of it are not settled
//! - `producer`: finds files, seals small ones
//! - `file`: one file's stream
//! - `content`: from a source into sealed frames

mod content;
mod file;
mod job;
mod ledger;
mod producer;
mod recipients;
mod request;
mod round;
mod sender;
mod shared;
mod target;
mod wares;

use std::{collections::HashMap, sync::Arc};

use tokio_util::sync::CancellationToken;

pub use request::{SendRequest, SourceSpec, To};
pub use target::{Status, Summary, Target};

use self::{sender::Sender, wares::Wares};
use super::{Failure, FailureKind, Member, Observer};
use crate::{
    home::KnownPeers, identity::ResolveError, quic::RateLimit, sealing::Compression,
    storage::SourceError,
};

/// Why a send did not begin, or ended as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A file that was named cannot be sent.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The room could not be entered.
    #[error(transparent)]
    Enter(#[from] super::EnterError),
    /// Somebody who was named cannot be found for certain.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Nobody listens.
    #[error("nobody is listening in this room")]
    Nobody,
    /// Anything else.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl SendError {
    /// The same in the terms of the exit codes.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let kind = match self {
            Self::Source(_) => FailureKind::LocalFile,
            Self::Enter(error) => return error.failure(),
            Self::Resolve(ResolveError::KeyChanged { .. }) => FailureKind::NotTrusted,
            Self::Resolve(_) | Self::Nobody => FailureKind::NoSuchPeer,
            Self::Failure(failure) => return failure.clone(),
        };
        Failure::new(kind, self)
    }
}

/// Sends what was asked for, and says what became of every recipient.
///
/// Reconnects and resumes until every recipient is served, has failed for good, or has made no
/// progress for the request's timeout.
///
/// # Errors
/// See [`SendError`]; whatever happens after the recipients are known is in the [`Summary`].
pub async fn send(
    member: &Member,
    known: &KnownPeers,
    request: SendRequest,
    observer: &Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<Summary, SendError> {
    let wares = Wares::prepare(request.source, request.jobs).await?;
    let channel = tokio::select! {
        () = cancel.cancelled() => return Err(interrupted().into()),
        entered = member.enter(None) => entered?,
    };
    let mut sender = Sender {
        member,
        known,
        observer,
        wares,
        timeout: request.timeout,
        limit: request.limit.map(RateLimit::new).map(Arc::new),
        compression: if request.compress {
            Compression::Auto
        } else {
            Compression::Never
        },
        present: HashMap::new(),
        targets: Vec::new(),
        unread: Vec::new(),
    };
    sender.run(channel, &request.to, request.wait, cancel).await
}

fn interrupted() -> Failure {
    Failure::new(FailureKind::Interrupted, "interrupted")
}
