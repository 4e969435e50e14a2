//! One send from its first offer to its last receipt, over as many rounds as it takes.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    Status, Summary, Target, To, interrupted,
    round::{Offer, Round, RoundEnd, RoundPlan},
    shared::RoundKeys,
    wares::Wares,
};
use crate::{
    home::KnownPeers,
    protocol::{Code, PeerId},
    quic::{LinkError, RateLimit},
    sealing::{Compression, NewTransfer, Suite, TransferSealer},
    transfer::{Channel, EnterError, Error, ErrorKind, Event, Member, Observer, Peer},
};

/// The pause before the first attempt to reconnect, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

pub(super) struct Sender<'a> {
    pub(super) member: &'a Member,
    pub(super) known: &'a KnownPeers,
    pub(super) observer: &'a Arc<dyn Observer>,
    pub(super) wares: Wares,
    pub(super) timeout: Duration,
    pub(super) limit: Option<Arc<RateLimit>>,
    pub(super) compression: Compression,
    /// Who listens now.
    pub(super) present: HashMap<PeerId, Peer>,
    pub(super) targets: Vec<Target>,
    pub(super) unread: Vec<(String, Error)>,
}

impl Sender<'_> {
    pub(super) async fn run(
        &mut self,
        mut channel: Channel,
        to: &To,
        wait: Duration,
        cancel: &CancellationToken,
    ) -> Result<Summary, Error> {
        let found = tokio::select! {
            () = cancel.cancelled() => Err(interrupted()),
            found = self.find(&mut channel, to, wait) => found,
        };
        if let Err(error) = found {
            channel.close(Code::Done).await;
            return Err(error);
        }
        let started = Instant::now();
        let mut transfer = None;
        let mut backoff = new_backoff();
        loop {
            let (end, id) = self.round(&mut channel, cancel).await;
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
            let pause = backoff.next().unwrap_or(BACKOFF.1).min(self.patience(wait));
            let again = tokio::select! {
                () = cancel.cancelled() => Err(interrupted()),
                again = self.come_back(channel, pause) => again,
            };
            channel = match again {
                Ok(channel) => channel,
                Err(failure) => {
                    for target in self.targets.iter_mut().filter(|t| t.is_pending()) {
                        target.status = Status::Failed(failure.clone());
                    }
                    return Ok(self.summary(transfer, started));
                }
            };
        }
        channel.close(Code::Done).await;
        Ok(self.summary(transfer, started))
    }

    /// Offers to all who are pending and present, and sends to all who accept.
    async fn round(
        &mut self,
        channel: &mut Channel,
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
                .map(Target::peer)
                .collect(),
            files: self.wares.files,
            bytes: self.wares.bytes,
        });
        let plan = RoundPlan {
            keys,
            source,
            timeout: self.timeout,
            limit: self.limit.clone(),
            road: channel.road(),
        };
        let round = Round::new(&plan, &mut self.targets, &mut self.unread, self.observer);
        (
            Some(round.run(channel, plan, offers, cancel).await),
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
                failure.kind() == ErrorKind::NoSuchPeer && !target.answered && quiet >= wait;
            if absent {
                let failure = Error::new(ErrorKind::NoSuchPeer, "is not listening");
                target.status = Status::Failed(failure);
            } else if !again {
                let failure = Error::new(
                    failure.kind(),
                    format!("{failure}; standard input cannot be sent again"),
                );
                target.status = Status::Failed(failure);
            } else if quiet >= self.timeout.max(wait) {
                let seconds = self.timeout.as_secs();
                let failure = Error::new(
                    ErrorKind::TimedOut,
                    format!("no progress for {seconds} s: {failure}"),
                );
                target.status = Status::Failed(failure);
            }
        }
    }

    /// How long the most patient of those who are pending is waited for: `--timeout` is kept to the
    /// moment, whatever is tried meanwhile.
    fn patience(&self, wait: Duration) -> Duration {
        let pending = self.targets.iter().filter(|target| target.is_pending());
        let quiet = pending.map(|target| target.last_progress.elapsed()).min();
        quiet.map_or(Duration::ZERO, |quiet| {
            self.timeout.max(wait).saturating_sub(quiet)
        })
    }

    fn tell_retries(&mut self) {
        for target in &mut self.targets {
            if let Status::Pending(failure) = &target.status
                && !std::mem::replace(&mut target.is_told, true)
            {
                let peer = Some(target.peer());
                self.observer.event(Event::Retrying {
                    peer,
                    reason: failure.to_string(),
                });
            }
        }
    }

    /// Waits a little, reconnects where that is needed, and looks who is there.
    async fn come_back(&mut self, channel: Channel, pause: Duration) -> Result<Channel, Error> {
        tokio::time::sleep(pause).await;
        let mut channel = Some(channel).filter(|c| !c.is_over());
        let mut backoff = new_backoff();
        loop {
            let attempt = match channel.take() {
                Some(channel) => Ok(channel),
                None => {
                    let patience = self.patience(Duration::ZERO);
                    timeout(patience, self.member.enter(None))
                        .await
                        .unwrap_or(Err(EnterError::TurnedAway(LinkError::TimedOut)))
                }
            };
            let failure = match attempt {
                Ok(mut fresh) => match self.look_around(&mut fresh, false).await {
                    Ok(()) => return Ok(fresh),
                    Err(failure) => failure,
                },
                Err(error) if error.is_passing() => error.into(),
                Err(error) => return Err(error.into()),
            };
            let patience = self.patience(Duration::ZERO);
            if patience.is_zero() {
                return Err(failure);
            }
            tokio::time::sleep(backoff.next().unwrap_or(BACKOFF.1).min(patience)).await;
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
                    peer: Some(target.peer()),
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

fn new_backoff() -> backon::ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(BACKOFF.0)
        .with_max_delay(BACKOFF.1)
        .with_jitter()
        .without_max_times()
        .build()
}
