//! Sending: find the recipients, offer, send, and try again until everyone has everything.
//!
//! - [`request`](SendRequest): what was asked for
//! - [`recipient`](Recipient): one recipient over all attempts
//! - `recipients`: who is meant
//! - `payload`: what is sent
//! - `job`: what makes two sends the same
//! - `sender`: the state of one send: who is served, when, with whom
//! - `attempt`: the state of one transfer with fresh keys
//! - `ledger`: which files of it are not settled
//! - `driver`: carries out what these two ask for; `running`: one attempt of them; `clock`: time for them
//! - `producer`: finds files, seals small ones; the keys of an attempt
//! - `file`: one file's task; `lanes`: the streams by which it goes
//! - `content`: from a source into sealed frames
//! - `holdups`: what all of that waits for

mod attempt;
mod clock;
mod content;
mod driver;
mod file;
mod holdups;
mod job;
mod lanes;
mod ledger;
mod outbox;
mod payload;
mod producer;
mod recipient;
mod recipients;
mod replaced;
mod request;
mod running;
mod sender;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use recipient::{Recipient, Status, Summary};
pub use request::{SendRequest, SourceSpec, To};

use self::{
    clock::Clock, driver::Driver, payload::Payload, recipient::Patience, recipients::Recipients,
    replaced::ReplacedNames, sender::Sender,
};
use super::{Error, ErrorKind, Member, Observer, Ways};
use crate::{home::KnownPeers, protocol::Code, quic::RateLimit, sealing::Compression};

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
    let mut driver = Driver {
        member,
        observer,
        payload: Payload::prepare(request.source, request.jobs).await?,
        timeout: request.timeout,
        limit: request.limit.map(RateLimit::new).map(Arc::new),
        compression: if request.compress {
            Compression::Auto
        } else {
            Compression::Never
        },
        clock: Clock::start(),
        replaced: ReplacedNames::default(),
    };
    let (to, wait) = (&request.to, request.wait);
    let mut record = match to {
        To::Everyone => driver.payload.job.record().await,
        To::Peers(_) => None,
    };
    let beginning = async {
        let mut ways = Ways::open(member, true, observer);
        let recipients = Recipients {
            me: member.id(),
            known: known.clone(),
            to: to.clone(),
            interrupted: record
                .as_ref()
                .map_or_else(Vec::new, |record| record.interrupted()),
        };
        match Arc::new(recipients)
            .find(&mut driver, &mut ways, wait)
            .await
        {
            Ok(found) => Ok((ways, found)),
            Err(error) => {
                ways.close(Code::Done).await;
                Err(error)
            }
        }
    };
    let (ways, found) = tokio::select! {
        () = cancel.cancelled() => return Err(interrupted()),
        begun = beginning => begun?,
    };
    if let Some(record) = &mut record {
        record.begin(&found.recipients).await;
    }
    let timeout = request.timeout;
    let patience = Patience { wait, timeout };
    let mut sender = Sender::new(found.recipients, found.present, patience);
    let summary = driver.run(&mut sender, ways, cancel).await;
    if let Some(record) = record {
        record.end(&summary.recipients).await;
    }
    Ok(summary)
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted")
}
