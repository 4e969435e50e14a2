//! Sending: find the recipients, offer, send, and try again until everyone has everything.
//!
//! - `mod`: the whole send: who, how often, how long
//! - [`request`](SendRequest): what was asked for
//! - [`target`](Target): one recipient over all rounds
//! - `round`: one transfer with fresh keys
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
mod request;
mod round;
mod shared;
mod target;

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use globset::GlobSet;
use tokio_util::sync::CancellationToken;

pub use request::{SendRequest, SourceSpec, To};
pub use target::{Status, Summary, Target};

use self::{
    job::Job,
    producer::Producible,
    round::{Offer, Round, RoundEnd, RoundPlan},
    shared::RoundKeys,
};
use super::{Connection, Event, Failure, FailureKind, Member, Observer, Peer, Presence, unix_now};
use crate::{
    identity::{KnownPeers, Origin, Present, ResolveError, Verdict, resolve},
    protocol::{Code, PeerId, PeerName, PeerState, SafeText},
    quic::RateLimit,
    sealing::{Compression, Manifest, ManifestEntry, NewTransfer, Suite, TransferSealer},
    storage::{EntryKind, Source, SourceError},
};

/// Entries, and time, that counting what is to be sent may take before sending begins.
const COUNT_LIMIT: (u64, Duration) = (200_000, Duration::from_millis(500));
/// The pause before the first attempt to reconnect, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

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
    let connection = tokio::select! {
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
        presence: Presence::new(member.member_key()),
        present: HashMap::new(),
        targets: Vec::new(),
        unread: Vec::new(),
    };
    sender
        .run(connection, &request.to, request.wait, cancel)
        .await
}

fn interrupted() -> Failure {
    Failure::new(FailureKind::Interrupted, "interrupted")
}

/// What is sent, in a form that can be sent again.
struct Wares {
    kind: WaresKind,
    job: Job,
    files: Option<u64>,
    bytes: Option<u64>,
    names: Vec<ManifestEntry>,
    text: bool,
}

enum WaresKind {
    Paths(Source),
    Text(bytes::Bytes),
    Pipe(Option<(crate::protocol::FileName, Box<dyn std::io::Read + Send>)>),
}

impl Wares {
    async fn prepare(source: SourceSpec, jobs: std::path::PathBuf) -> Result<Self, SendError> {
        Ok(match source {
            SourceSpec::Paths { roots, exclude } => {
                let walking =
                    tokio::task::spawn_blocking(move || Self::of_paths(&roots, exclude, &jobs));
                walking
                    .await
                    .map_err(|e| Failure::new(FailureKind::Other, e))??
            }
            SourceSpec::Text(text) => Self {
                files: Some(1),
                bytes: Some(text.len() as u64),
                names: vec![],
                job: Job::unique(),
                text: true,
                kind: WaresKind::Text(text.into()),
            },
            SourceSpec::Pipe { name, reader } => Self {
                files: Some(1),
                bytes: None,
                names: vec![ManifestEntry {
                    path: SafeText::new(name.as_str()),
                    size: None,
                }],
                job: Job::unique(),
                text: false,
                kind: WaresKind::Pipe(Some((name, reader))),
            },
        })
    }

    fn of_paths(
        roots: &[std::path::PathBuf],
        exclude: GlobSet,
        jobs: &std::path::Path,
    ) -> Result<Self, SendError> {
        let source = Source::new(roots, exclude)?;
        // A file that was named and cannot be read is found before anyone is bothered.
        for root in roots.iter().filter(|root| root.is_file()) {
            std::fs::File::open(root).map_err(|error| {
                Failure::new(
                    FailureKind::LocalFile,
                    format!("cannot read {}: {error}", root.display()),
                )
            })?;
        }
        let totals = source.totals(COUNT_LIMIT.0, Instant::now() + COUNT_LIMIT.1);
        let names = source
            .walk()
            .filter_map(Result::ok)
            .filter_map(|entry| match entry.kind {
                EntryKind::File { size } => Some(ManifestEntry {
                    path: SafeText::new(entry.path.as_str()),
                    size: Some(size),
                }),
                _ => None,
            });
        Ok(Self {
            names: names.take(Manifest::NAMES_MAX).collect(),
            files: totals.complete.then_some(totals.files),
            bytes: totals.complete.then_some(totals.bytes),
            job: Job::of(roots, jobs),
            text: false,
            kind: WaresKind::Paths(source),
        })
    }

    fn manifest(&self) -> Manifest {
        Manifest {
            job: self.job.id,
            files: self.files,
            bytes: self.bytes,
            names: self.names.clone(),
            text: self.text,
        }
    }

    /// What one round sends; a pipe can be read once.
    fn take(&mut self) -> Option<Producible> {
        match &mut self.kind {
            WaresKind::Paths(source) => Some(Producible::Paths(source.clone())),
            WaresKind::Text(text) => Some(Producible::Text(text.clone())),
            WaresKind::Pipe(pipe) => pipe
                .take()
                .map(|(name, reader)| Producible::Pipe(name, reader)),
        }
    }

    fn can_be_sent_again(&self) -> bool {
        !matches!(self.kind, WaresKind::Pipe(None))
    }
}

struct Sender<'a> {
    member: &'a Member,
    known: &'a KnownPeers,
    observer: &'a Arc<dyn Observer>,
    wares: Wares,
    timeout: Duration,
    limit: Option<Arc<RateLimit>>,
    compression: Compression,
    presence: Presence,
    /// Who listens now.
    present: HashMap<PeerId, Peer>,
    targets: Vec<Target>,
    unread: Vec<(String, Failure)>,
}

impl Sender<'_> {
    async fn run(
        &mut self,
        mut connection: Connection,
        to: &To,
        wait: Duration,
        cancel: &CancellationToken,
    ) -> Result<Summary, SendError> {
        let found = tokio::select! {
            () = cancel.cancelled() => Err(interrupted().into()),
            found = self.find(&mut connection, to, wait) => found,
        };
        if let Err(error) = found {
            connection.close(Code::Done).await;
            return Err(error);
        }
        let started = Instant::now();
        let mut transfer = None;
        let mut backoff = new_backoff();
        loop {
            let (end, id) = self.round(&mut connection, cancel).await;
            transfer = transfer.or(id);
            match end {
                Some(RoundEnd::Cancelled) => {
                    for target in self.targets.iter_mut().filter(|t| t.is_pending()) {
                        target.status = Status::Failed(interrupted());
                    }
                }
                Some(RoundEnd::Over) | None => {}
                Some(RoundEnd::Disconnected) => {}
            }
            self.give_up(wait);
            if !self.targets.iter().any(Target::is_pending) {
                break;
            }
            self.tell_retries();
            let pause = backoff.next().unwrap_or(BACKOFF.1);
            let again = tokio::select! {
                () = cancel.cancelled() => Err(interrupted()),
                again = self.come_back(connection, pause) => again,
            };
            connection = match again {
                Ok(connection) => connection,
                Err(failure) => {
                    for target in self.targets.iter_mut().filter(|t| t.is_pending()) {
                        target.status = Status::Failed(failure.clone());
                    }
                    return Ok(self.summary(transfer, started));
                }
            };
        }
        connection.close(Code::Done).await;
        Ok(self.summary(transfer, started))
    }

    /// Finds everyone who is meant, waiting for those who are not there yet.
    async fn find(
        &mut self,
        connection: &mut Connection,
        to: &To,
        wait: Duration,
    ) -> Result<(), SendError> {
        let deadline = Instant::now() + wait;
        self.look_around(connection, !wait.is_zero()).await?;
        loop {
            let missing = match self.resolve(to) {
                Ok(())
                    if self
                        .targets
                        .iter()
                        .all(|t| self.present.contains_key(&t.id)) =>
                {
                    return Ok(());
                }
                Ok(()) => None,
                Err(
                    error @ (SendError::Resolve(ResolveError::NotFound { .. }) | SendError::Nobody),
                ) => Some(error),
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                // Those who are there are served; the others have failed.
                return missing.map_or(Ok(()), Err);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, connection.hear()).await {
                Ok(Some(message)) => self.note(message),
                Ok(None) => {
                    *connection = self.member.enter(None).await?;
                    self.look_around(connection, true).await?;
                }
                Err(_) => {}
            }
        }
    }

    /// Asks who is there.
    async fn look_around(
        &mut self,
        connection: &mut Connection,
        watch: bool,
    ) -> Result<(), Failure> {
        let lost = || {
            Failure::new(
                FailureKind::Unreachable,
                "the relay does not say who is there",
            )
        };
        let peers = self
            .presence
            .list(connection, watch)
            .await
            .ok_or_else(lost)?;
        self.present = peers
            .into_iter()
            .filter(listens)
            .map(|peer| (peer.id, peer))
            .collect();
        Ok(())
    }

    fn note(&mut self, message: crate::protocol::ServerToClient) {
        if let Some(peer) = self.presence.hear(message) {
            if listens(&peer) {
                self.present.insert(peer.id, peer);
            } else {
                self.present.remove(&peer.id);
            }
        }
    }

    /// Turns what was asked for into targets.
    fn resolve(&mut self, to: &To) -> Result<(), SendError> {
        let roster = self
            .known
            .load()
            .map_err(|e| Failure::new(FailureKind::Other, e))?;
        self.targets.clear();
        match to {
            To::Everyone => {
                let me = self.member.id();
                let mut everyone: Vec<_> =
                    self.present.values().filter(|peer| peer.id != me).collect();
                everyone.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
                if everyone.is_empty() {
                    return Err(SendError::Nobody);
                }
                for peer in everyone {
                    let mut target = Target::new(peer.id, peer.name.clone());
                    if let Verdict::Changed { pinned } = roster.check(&peer.name, peer.id) {
                        let (name, id) = (&peer.name, peer.id);
                        let reason = format!("{name} is {pinned} here, but {id} goes by that name");
                        target.status =
                            Status::Failed(Failure::new(FailureKind::NotTrusted, reason));
                    }
                    self.targets.push(target);
                }
            }
            To::Peers(texts) => {
                let present: Vec<_> = self
                    .present
                    .values()
                    .map(|p| Present {
                        id: p.id,
                        name: p.name.clone(),
                    })
                    .collect();
                for text in texts {
                    let resolved = resolve(text, &roster, &present)?;
                    if self.targets.iter().any(|target| target.id == resolved.id) {
                        continue;
                    }
                    let name = resolved
                        .name
                        .unwrap_or_else(|| PeerName::from_lossy(&resolved.id.short()));
                    // Whom a person addresses by name is from now on who has that name.
                    if text.trim() == name.as_str()
                        && let Err(error) =
                            self.known
                                .pin(&name, resolved.id, Origin::SentTo, unix_now())
                    {
                        self.observer.event(Event::Notice(format!(
                            "known peers were not updated: {error}"
                        )));
                    }
                    self.targets.push(Target::new(resolved.id, name));
                }
            }
        }
        Ok(())
    }

    /// Offers to all who are pending and present, and sends to all who accept.
    async fn round(
        &mut self,
        connection: &mut Connection,
        cancel: &CancellationToken,
    ) -> (Option<RoundEnd>, Option<crate::protocol::TransferId>) {
        let present =
            |target: &Target| self.present.get(&target.id).filter(|_| target.is_pending());
        let places: Vec<_> = (0..self.targets.len())
            .filter(|i| present(&self.targets[*i]).is_some())
            .collect();
        let Some(recipients) = u32::try_from(places.len()).ok().and_then(NonZeroU32::new) else {
            return (None, None);
        };
        let Some(source) = self.wares.take() else {
            return (None, None);
        };
        let sealer = TransferSealer::new(&NewTransfer {
            identity: &self.member.identity,
            name: &self.member.name,
            room: self.member.room(),
            member_key: &self.member.member_key(),
            suite: Suite::preferred(),
            recipients,
            manifest: &self.wares.manifest(),
        });
        let mut offers = Vec::with_capacity(places.len());
        for place in places {
            let bundle = &self.present[&self.targets[place].id].bundle;
            match sealer.offer_to(bundle) {
                Ok(offer) => offers.push(Offer {
                    target: place,
                    offer,
                    receipts: sealer.receipts(bundle.key),
                }),
                Err(error) => tracing::debug!(%error, "not offered"),
            }
        }
        let keys = Arc::new(RoundKeys {
            sealer,
            compression: self.compression,
        });
        let transfer = keys.transfer();
        self.observer.event(Event::Offered {
            transfer,
            to: offers
                .iter()
                .map(|offer| &self.targets[offer.target])
                .map(|target| (target.id, target.name.clone()))
                .collect(),
            files: self.wares.files,
            bytes: self.wares.bytes,
        });
        let plan = RoundPlan {
            keys,
            source,
            timeout: self.timeout,
            limit: self.limit.clone(),
        };
        let round = Round::new(&plan, &mut self.targets, &mut self.unread, self.observer);
        (
            Some(round.run(connection, plan, offers, cancel).await),
            Some(transfer),
        )
    }

    /// Fails those who cannot be served any more.
    fn give_up(&mut self, wait: Duration) {
        let again = self.wares.can_be_sent_again();
        for target in &mut self.targets {
            let Status::Pending(failure) = &target.status else {
                continue;
            };
            let quiet = target.last_progress.elapsed();
            let absent =
                failure.kind == FailureKind::NoSuchPeer && !target.answered && quiet >= wait;
            if absent {
                let failure = Failure::new(FailureKind::NoSuchPeer, "is not listening");
                target.status = Status::Failed(failure);
            } else if !again {
                let failure = Failure::new(
                    failure.kind,
                    format!("{failure}; standard input cannot be sent again"),
                );
                target.status = Status::Failed(failure);
            } else if quiet >= self.timeout.max(wait) {
                let seconds = self.timeout.as_secs();
                let failure = Failure::new(
                    FailureKind::TimedOut,
                    format!("no progress for {seconds} s: {failure}"),
                );
                target.status = Status::Failed(failure);
            }
        }
    }

    fn tell_retries(&mut self) {
        for target in &mut self.targets {
            if let Status::Pending(failure) = &target.status
                && !std::mem::replace(&mut target.is_told, true)
            {
                let peer = Some((target.id, target.name.clone()));
                self.observer.event(Event::Retrying {
                    peer,
                    reason: failure.reason.to_string(),
                });
            }
        }
    }

    /// Waits a little, reconnects where that is needed, and looks who is there.
    async fn come_back(
        &mut self,
        connection: Connection,
        pause: Duration,
    ) -> Result<Connection, Failure> {
        tokio::time::sleep(pause).await;
        let mut connection = Some(connection).filter(|c| c.link().close_reason().is_none());
        let mut backoff = new_backoff();
        loop {
            let attempt = match connection.take() {
                Some(connection) => Ok(connection),
                None => self.member.enter(None).await,
            };
            let failure = match attempt {
                Ok(mut fresh) => match self.look_around(&mut fresh, false).await {
                    Ok(()) => return Ok(fresh),
                    Err(failure) => failure,
                },
                Err(error) if error.is_passing() => error.failure(),
                Err(error) => return Err(error.failure()),
            };
            let moved = self
                .targets
                .iter()
                .filter(|t| t.is_pending())
                .map(|t| t.last_progress)
                .max();
            if moved.is_none_or(|at| at.elapsed() >= self.timeout) {
                return Err(failure);
            }
            tokio::time::sleep(backoff.next().unwrap_or(BACKOFF.1)).await;
        }
    }

    fn summary(
        &mut self,
        transfer: Option<crate::protocol::TransferId>,
        started: Instant,
    ) -> Summary {
        let targets = std::mem::take(&mut self.targets);
        let transfer = transfer.unwrap_or(crate::protocol::TransferId::from_bytes([0; 16]));
        for target in &targets {
            if let Status::Failed(failure) = &target.status {
                self.observer.event(Event::Failed {
                    transfer,
                    peer: Some((target.id, target.name.clone())),
                    file: None,
                    failure: failure.clone(),
                });
            }
        }
        let failed = targets.iter().filter(|t| t.failure().is_some()).count() as u64;
        self.observer.event(Event::Done {
            transfer,
            files: targets.iter().map(|t| t.files).max().unwrap_or(0),
            bytes: targets.iter().map(|t| t.bytes).max().unwrap_or(0),
            elapsed: started.elapsed(),
            delivered: targets.len() as u64 - failed,
            failed,
        });
        Summary {
            targets,
            unread: std::mem::take(&mut self.unread),
        }
    }
}

fn listens(peer: &Peer) -> bool {
    peer.state == PeerState::Listening && peer.bundle.hpke.is_some()
}

fn new_backoff() -> backon::ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(BACKOFF.0)
        .with_max_delay(BACKOFF.1)
        .with_jitter()
        .without_max_times()
        .build()
}
