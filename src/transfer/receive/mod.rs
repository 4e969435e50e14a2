//! Receiving: stay in the room, decide about offers, store what comes.
//!
//! - `mod`: the listener's life: connect, listen, reconnect
//! - `listener`: one connection of it
//! - [`gate`](Gate): who may send what
//! - `incoming`: one transfer
//! - `decision`: whether it is taken
//! - `approvals`: what a person has said yes to
//! - `allowance`: how much may still come
//! - `context`: what its files share
//! - `file`: one file of it: its stream, its frames
//! - `here`: what this side has of a file already
//! - `settlement`: what becomes of files
//! - `store`: the thread that writes, syncs and renames, in batches

mod allowance;
mod approvals;
mod context;
mod decision;
mod file;
mod gate;
mod here;
mod incoming;
mod listener;
mod report;
mod settlement;
mod store;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

pub use gate::{AcceptAll, Decision, Gate, OfferView, Refusal};

use self::{
    approvals::Approvals,
    listener::{Ended, Listener},
};
use super::{Channel, Error, ErrorKind, Event, Member, Observer, PeerRef};
use crate::{
    home::KnownPeers,
    protocol::Code,
    sealing::OpenKeys,
    storage::{Conflict, Journal, PARTIAL_MAX_AGE, Target},
};

/// The pause before the first attempt to reconnect, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// A connection that lasted so long makes the next pause a short one again.
const STABLE: Duration = Duration::from_secs(20);

/// Where what arrives is put.
#[derive(Debug, Clone)]
pub enum Destination {
    /// Files, into this directory.
    Directory(Arc<Target>),
    /// One file's bytes, to standard output.
    Stdout,
}

/// What a listener is told at its start.
pub struct ListenConfig {
    /// Where to.
    pub destination: Destination,
    /// The directory as it was named, for events.
    pub out: PathBuf,
    /// What to do about a name that is taken.
    pub conflict: Conflict,
    /// The largest transfer to take, in bytes.
    pub max_size: Option<u64>,
    /// Whether one transfer is enough.
    pub once: bool,
    /// Where unfinished transfers are noted.
    pub journal: PathBuf,
    /// Who may send what.
    pub gate: Arc<dyn Gate>,
    /// Whom we know.
    pub known: KnownPeers,
}

/// How a listener ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listened {
    /// What failed, where `once` was asked for and the one transfer failed.
    pub failure: Option<Error>,
}

/// What every transfer of one listener shares.
pub(super) struct Shared {
    pub(super) member: Arc<Member>,
    pub(super) config: ListenConfig,
    pub(super) observer: Arc<dyn Observer>,
    approvals: Approvals,
}

/// Listens until `cancel`, reconnecting whenever the relay is lost.
///
/// # Errors
/// When the room cannot be entered for a reason that will not pass: a changed key, a room that is
/// not admitted, another listener with the same identity.
pub async fn listen(
    member: Arc<Member>,
    config: ListenConfig,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<Listened, Error> {
    clean_journal(config.journal.clone());
    let shared = Arc::new(Shared {
        member,
        config,
        observer,
        approvals: Approvals::default(),
    });
    let mut backoff = new_backoff();
    let mut first = true;
    let mut before: Option<Box<Channel>> = None;
    loop {
        let keys = OpenKeys::generate();
        let entering = tokio::select! {
            () = cancel.cancelled() => return Ok(Listened { failure: None }),
            entering = shared.member.enter(Some(keys.current().public().clone())) => entering,
        };
        let reason = match entering {
            Ok(channel) => {
                let since = Instant::now();
                shared.observer.event(Event::Joined {
                    me: PeerRef::new(shared.member.id(), shared.member.name.name.clone()),
                    relay: shared.member.invite.relay.to_string(),
                });
                first = false;
                // Only now, so that there is no moment in which nobody listens.
                if let Some(before) = before.take() {
                    tokio::spawn(Channel::close(*before, Code::Done));
                }
                let ended = Listener::new(&shared, channel, keys).run(&cancel).await;
                if since.elapsed() > STABLE {
                    backoff = new_backoff();
                }
                match ended {
                    Ended::Lost(failure) if failure.kind() == ErrorKind::NotTrusted => {
                        return Err(failure);
                    }
                    Ended::Lost(failure) => failure.to_string(),
                    Ended::Replaced => {
                        let reason = "the same identity now listens elsewhere";
                        return Err(Error::new(ErrorKind::Other, reason));
                    }
                    Ended::Moving(channel) => {
                        before = Some(channel);
                        continue;
                    }
                    Ended::Finished(failure) => return Ok(Listened { failure }),
                }
            }
            Err(error) if !error.is_passing() => return Err(error.into()),
            Err(error) => format!("{:#}", Error::from(error)),
        };
        before = None;
        let pause = backoff.next().unwrap_or(BACKOFF.1);
        let retry_in = pause;
        shared.observer.event(match first {
            // It may have been started before its relay.
            true => Event::Waiting { reason, retry_in },
            false => Event::Disconnected { reason, retry_in },
        });
        tokio::select! {
            () = cancel.cancelled() => return Ok(Listened { failure: None }),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn new_backoff() -> backon::ExponentialBackoff {
    // Jitter, so that a relay's restart does not bring all its peers at one moment.
    ExponentialBuilder::new()
        .with_min_delay(BACKOFF.0)
        .with_max_delay(BACKOFF.1)
        .with_jitter()
        .without_max_times()
        .build()
}

fn clean_journal(journal: PathBuf) {
    std::thread::spawn(move || {
        if let Err(error) = Journal::clean(&journal, PARTIAL_MAX_AGE) {
            tracing::debug!(%error, "the journal of unfinished transfers was not cleaned");
        }
    });
}
