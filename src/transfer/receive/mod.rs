//! Receiving: stay in the room, decide about offers, store what comes.
//!
//! From the listener down; each file uses only those below it:
//!
//! | file | noun |
//! |---|---|
//! | `mod` | the listener's life: connect, listen, reconnect |
//! | `listener` | one connection of it |
//! | `pulse` | when an idle one looks whether its relay is still there |
//! | `queue` | who is received at once, and who waits |
//! | `jobs` | which jobs are open |
//! | `driver` | one transfer's task: decides, then feeds its receiver |
//! | `admission` | whether an offer is taken |
//! | `receiver` | one transfer as a state machine |
//! | `file` | one file's task: its stream, its frames |
//! | `lanes` | the streams by which one file comes, one after the other |
//! | `store` | the thread that writes, syncs and renames, in batches |
//! | `local_copy` | what this side has of a file already, and what it says of that |
//! | `sink` | where a file's content is written |
//! | `after` | what follows once a file is stored, now or when a listener starts again |
//! | `context` | what the files of one transfer share |
//! | `allowance`, `approvals` | how much may come; what a person has said yes to |
//! | `outcome` | what becomes of files |
//! | [`policy`](OfferPolicy) | who may send what |

mod admission;
mod after;
mod allowance;
mod approvals;
mod context;
mod driver;
mod file;
mod jobs;
mod lanes;
mod linked;
mod listener;
mod local_copy;
mod outcome;
mod policy;
mod published;
mod pulse;
mod queue;
mod receiver;
mod sink;
mod store;
mod writing;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use policy::{AcceptAll, Answer, Decision, OfferPolicy, OfferView, Refusal, TrustedOnly};
pub use sink::SharedWriter;

use self::{
    after::backlog,
    approvals::Approvals,
    jobs::Jobs,
    listener::{Ended, Listener},
    queue::Places,
};
use super::{
    Channel, EnterError, Error, ErrorKind, Event, Member, Observer, PeerRef, backoff::Backoff,
};
use crate::{
    home::KnownPeers,
    protocol::{Code, TransferId},
    sealing::OpenKeys,
    storage::{Conflict, Journal, PARTIAL_MAX_AGE, Target, Ticket},
};

/// The pause before the first attempt to reconnect, and the longest one, before jitter, which may double it:
/// whoever sends waits for a listener that a relay has lost.
///
/// An attempt at a relay that is silent lasts six seconds, so that short pauses cost it nothing.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// The longest pause, before jitter, after a relay has said that it is full.
const BACKOFF_FULL: (Duration, Duration) = (BACKOFF.0, Duration::from_secs(5));
/// A connection that lasted so long makes the next pause a short one again.
const STABLE: Duration = Duration::from_secs(5);

/// Where what arrives is put.
#[derive(Debug, Clone)]
pub enum Destination {
    /// Files, into this directory.
    Directory(Arc<Target>),
    /// One file's bytes, to this.
    Writer(SharedWriter),
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
    /// A key that is worn is replaced no more often than this, so that offers on their way still open.
    pub between_keys: Duration,
    /// Whether one transfer is enough.
    pub once: bool,
    /// Where unfinished transfers are noted.
    pub journal: PathBuf,
    /// Who may send what.
    pub policy: Arc<dyn OfferPolicy>,
    /// Whom we know.
    pub known: KnownPeers,
    /// Where each file that was stored goes next. What it has no room for comes later, where a program
    /// is run, and else not at all.
    pub after: Option<mpsc::Sender<ReceivedFile>>,
    /// Whether a program is run on each file that was stored, which is then done once for each, if
    /// need be when a listener starts again.
    pub runs_program: bool,
}

/// A file that was stored, for whatever is done with it next.
#[derive(Debug, Clone)]
pub struct ReceivedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its hash.
    pub blake3: blake3::Hash,
    /// The sender.
    pub from: PeerRef,
    /// The transfer.
    pub transfer: TransferId,
    /// How many files its transfer has, where that is known.
    pub files: Option<u64>,
    /// The right to run the program on it, where one is run and that could be noted.
    pub ticket: Option<Ticket>,
}

impl ListenConfig {
    /// The usual time between two keys.
    pub const BETWEEN_KEYS: Duration = Duration::from_secs(30);

    /// Files into a directory, from every member of the room, both kept where a name is taken.
    #[must_use]
    pub fn new(target: Target, out: PathBuf, journal: PathBuf, known: KnownPeers) -> Self {
        Self {
            destination: Destination::Directory(Arc::new(target)),
            out,
            conflict: Conflict::Rename,
            max_size: None,
            between_keys: Self::BETWEEN_KEYS,
            once: false,
            journal,
            policy: Arc::new(AcceptAll),
            known,
            after: None,
            runs_program: false,
        }
    }
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
    places: Places,
    jobs: Jobs,
    /// Whether transfers wait for a place.
    crowded: AtomicBool,
    /// Whether the program has files to run on that found no room in the queue.
    behind: Notify,
}

/// Listens until `cancel`, reconnecting whenever the relay is lost.
///
/// # Errors
/// As of [`listen_at`].
pub async fn listen(
    member: Arc<Member>,
    config: ListenConfig,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<Listened, Error> {
    listen_at(vec![member], config, observer, cancel).await
}

/// Listens at several relays at once, as the same member of the same room, until `cancel`.
///
/// Each relay that is lost is reconnected to by itself.
///
/// # Errors
/// When the room cannot be entered for a reason that will not pass: a changed key, a room that is
/// not admitted, another listener with the same identity.
///
/// # Panics
/// Without any relay.
pub async fn listen_at(
    seats: Vec<Arc<Member>>,
    config: ListenConfig,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<Listened, Error> {
    clean_journal(config.journal.clone());
    let member = seats.first().expect("a listener has a relay").clone();
    let shared = Arc::new(Shared {
        member,
        config,
        observer,
        approvals: Approvals::default(),
        places: Places::default(),
        jobs: Jobs::default(),
        crowded: AtomicBool::new(false),
        behind: Notify::new(),
    });
    let _backlog = AbortOnDropHandle::new(tokio::spawn(backlog(shared.clone())));
    let cancel = cancel.child_token();
    let stays = seats.iter().map(|seat| stay(&shared, seat, &cancel));
    let mut stays: FuturesUnordered<_> = stays.collect();
    let first = stays.next().await.expect("there is a seat");
    // One that is over ends the listener; the others put away what they have open.
    cancel.cancel();
    while stays.next().await.is_some() {}
    first
}

/// Listens at one relay.
async fn stay(
    shared: &Arc<Shared>,
    seat: &Member,
    cancel: &CancellationToken,
) -> Result<Listened, Error> {
    let mut backoff = Backoff::new(BACKOFF);
    let mut refusals = Backoff::new(BACKOFF_FULL);
    let (mut first, mut lost) = (true, false);
    let mut before: Option<Box<Channel>> = None;
    loop {
        let keys = OpenKeys::generate();
        let (key, observer) = (keys.current().public().clone(), &*shared.observer);
        let entering = tokio::select! {
            () = cancel.cancelled() => return Ok(Listened { failure: None }),
            entering = seat.enter_observed(Some(key), None, observer) => entering,
        };
        let (reason, pauses) = match entering {
            Ok(channel) => {
                let since = Instant::now();
                shared.observer.event(Event::Joined {
                    me: PeerRef::new(seat.id(), seat.name.name.clone()),
                    relay: seat.place(),
                });
                first = false;
                // Only now, so that there is no moment in which nobody listens.
                if let Some(before) = before.take() {
                    tokio::spawn(Channel::close(*before, Code::Done));
                }
                let listener = Listener::new((shared, seat), (channel, lost), keys);
                let ended = listener.run(cancel).await;
                if since.elapsed() > STABLE {
                    backoff = Backoff::new(BACKOFF);
                }
                refusals = Backoff::new(BACKOFF_FULL);
                lost = matches!(ended, Ended::Lost(_));
                match ended {
                    Ended::Lost(failure) if failure.kind() == ErrorKind::NotTrusted => {
                        return Err(failure);
                    }
                    Ended::Lost(failure) => (failure.to_string(), &mut backoff),
                    Ended::Replaced => {
                        let reason = "the same identity now listens elsewhere";
                        return Err(Error::new(ErrorKind::Other, reason));
                    }
                    Ended::Moving(channel) => {
                        before = Some(channel);
                        continue;
                    }
                    Ended::Finished(failure) => {
                        tokio::select! {
                            () = cancel.cancelled() => {}
                            () = shared.catch_up() => {}
                        }
                        return Ok(Listened { failure });
                    }
                }
            }
            Err(error) if !error.is_passing() => return Err(error.into()),
            Err(error) => {
                let pauses = match &error {
                    EnterError::TurnedAway(reason) if reason.code() == Code::Busy => &mut refusals,
                    _ => &mut backoff,
                };
                (format!("{:#}", Error::from(error)), pauses)
            }
        };
        before = None;
        let retry_in = pauses.next();
        shared.observer.event(match first {
            // It may have been started before its relay.
            true => Event::Waiting { reason, retry_in },
            false => Event::Disconnected { reason, retry_in },
        });
        tokio::select! {
            () = cancel.cancelled() => return Ok(Listened { failure: None }),
            () = tokio::time::sleep(retry_in) => {}
        }
    }
}

fn clean_journal(journal: PathBuf) {
    std::thread::spawn(move || {
        if let Err(error) = Journal::clean(&journal, PARTIAL_MAX_AGE) {
            tracing::debug!(%error, "the journal of unfinished transfers was not cleaned");
        }
    });
}
