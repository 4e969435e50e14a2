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
use super::{Error, ErrorKind, Member, Observer};
use crate::{home::KnownPeers, quic::RateLimit, sealing::Compression};

/// Sends what was asked for, and says what became of every recipient.
///
/// Reconnects and resumes until every recipient is served, has failed for good, or has made no
/// progress for the request's timeout.
///
/// # Errors
/// When what is named cannot be sent, the room cannot be entered, or nobody who is named can be found
/// for certain; whatever happens after that is in the [`Summary`].
pub async fn send(
    member: &Member,
    known: &KnownPeers,
    request: SendRequest,
    observer: &Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<Summary, Error> {
    let wares = Wares::prepare(request.source, request.jobs).await?;
    let channel = tokio::select! {
        () = cancel.cancelled() => return Err(interrupted()),
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

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted")
}
