//! Who is meant, and who of them is there.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{Recipient, Status, To, driver::Driver, job::Interrupted};
use crate::{
    home::KnownPeers,
    identity::{Origin, Present, ResolveError, Verdict, resolve},
    protocol::{PeerId, PeerName, Road},
    transfer::{Error, ErrorKind, Event, Observer, PeerEvent, Presence, WayEvent, Ways, unix_now},
};

/// How long the disk may take to say whom we know.
const DISK_LIMIT: Duration = Duration::from_secs(10);

/// How long a relay may take to say who is there, before a broadcast goes to those on the LAN alone.
const RELAY_LIMIT: Duration = Duration::from_secs(3);
/// How often time limits are looked at while answers are waited for.
const LOOK: Duration = Duration::from_millis(50);
/// Peers that are left out whom people hear of.
const IGNORED_MAX: usize = 8;

/// What it takes to find recipients.
pub(super) struct Recipients {
    pub(super) me: PeerId,
    pub(super) known: KnownPeers,
    pub(super) to: To,
    /// Who was to get this job when it was interrupted.
    pub(super) interrupted: Vec<Interrupted>,
}

/// Who is meant, and who listens now.
pub(super) struct Found {
    pub(super) recipients: Vec<Recipient>,
    pub(super) present: Presence,
}

/// What is known of the room until everyone who is meant is found.
#[derive(Default)]
struct Search {
    present: Presence,
    /// Whether what is known may have changed.
    look: bool,
    is_listed: bool,
    /// Why there is no way through the relay.
    unreachable: Option<Error>,
    ignored: usize,
}

impl Recipients {
    /// Finds out who is meant; waits only where that depends on who comes.
    ///
    /// Where everyone who is named is there, that is enough; what other ways are there shows later. Where it
    /// matters who else is there, every way has its time. Every later change arrives on the ways.
    pub(super) async fn find(
        self: Arc<Self>,
        driver: &mut Driver<'_>,
        ways: &mut Ways<'_>,
        wait: Duration,
    ) -> Result<Found, Error> {
        let observer = driver.observer;
        let mut search = Search::default();
        let mut had_settled = false;
        let mut is_told = false;
        loop {
            let has_settled = self.has_settled(&search, ways);
            search.look |= has_settled && !had_settled;
            had_settled = has_settled;
            let is_named = matches!(self.to, To::Peers(_));
            if std::mem::take(&mut search.look) && (has_settled || is_named && search.is_listed) {
                let found = self.clone().look_up(&mut search, has_settled, observer);
                match found.await? {
                    Ok(recipients) => {
                        return self.found(recipients, search, ways, (wait, observer));
                    }
                    Err(error) if !has_settled => drop(error),
                    Err(error) if error.kind() != ErrorKind::NoSuchPeer || is_unclear(&error) => {
                        return Err(error);
                    }
                    Err(missing) => {
                        let left = wait.saturating_sub(driver.clock.now());
                        let silent = || {
                            let reason = "the relay does not say who is there";
                            Error::new(ErrorKind::Unreachable, reason)
                        };
                        let silent = (!ways.relay_has_answered()).then(silent);
                        let unreachable = search.unreachable.take().or(silent);
                        let failure = unreachable.unwrap_or(missing);
                        if left.is_zero() || failure.kind() == ErrorKind::NotTrusted {
                            return Err(failure);
                        }
                        if !std::mem::replace(&mut is_told, true) {
                            let text = format!("{failure:#}; waiting");
                            observer.event(Event::Notice { text });
                        }
                        search.unreachable =
                            (failure.kind() == ErrorKind::Unreachable).then_some(failure);
                    }
                }
            }
            let left = wait.saturating_sub(driver.clock.now());
            // Short, so that time in which this process was stopped is not waited for.
            let pause = match has_settled {
                true => left.min(Duration::from_secs(1)),
                false => LOOK,
            };
            match timeout(pause, ways.next()).await {
                Ok(event) => search.on_event(event, ways, (!wait.is_zero(), observer)),
                // The wait may be over.
                Err(_) => search.look |= has_settled,
            }
        }
    }

    /// Whether nobody else need be waited for.
    fn has_settled(&self, search: &Search, ways: &Ways<'_>) -> bool {
        let is_slow = ways.since() >= RELAY_LIMIT;
        let is_broadcast = matches!(self.to, To::Everyone);
        let has_some = search.present.peers().next().is_some();
        ways.has_settled() || is_slow && is_broadcast && has_some && ways.lan_has_settled()
    }

    /// Says who is left out, and who is not reached.
    fn found(
        &self,
        mut recipients: Vec<Recipient>,
        search: Search,
        ways: &Ways<'_>,
        (wait, observer): (Duration, &Arc<dyn Observer>),
    ) -> Result<Found, Error> {
        let Search {
            present,
            unreachable,
            ..
        } = search;
        match (&self.to, unreachable) {
            (To::Peers(_), Some(error)) if wait.is_zero() => {
                for recipient in &mut recipients {
                    if !present.has(recipient.id) {
                        recipient.status = Status::Failed(error.clone());
                    }
                }
                if recipients.iter().all(|recipient| !recipient.is_pending()) {
                    return Err(error);
                }
            }
            (To::Everyone, Some(error)) => observer.event(Event::Notice {
                text: format!("{error:#}: only those on this LAN get it"),
            }),
            (To::Everyone, None) if !ways.relay_has_answered() => observer.event(Event::Notice {
                text: "the relay does not answer: only those on this LAN get it".to_owned(),
            }),
            _ => {}
        }
        let is_away = |recipient: &&Recipient| recipient.is_pending() && !present.has(recipient.id);
        for recipient in recipients
            .iter()
            .filter(is_away)
            .filter(|_| !wait.is_zero())
        {
            let text = format!("{} is not listening; waiting", recipient.name);
            observer.event(Event::Notice { text });
        }
        Ok(Found {
            recipients,
            present,
        })
    }

    /// Turns what was asked for into recipients, on a thread that may wait for the disk and for whoever
    /// else holds the known peers' lock.
    ///
    /// Before everyone has had the time to answer, only where everyone who is named is there.
    async fn look_up(
        self: Arc<Self>,
        search: &mut Search,
        has_settled: bool,
        observer: &Arc<dyn Observer>,
    ) -> Result<Result<Vec<Recipient>, Error>, Error> {
        let observer = observer.clone();
        let present = std::mem::take(&mut search.present);
        let looking = tokio::task::spawn_blocking(move || {
            let all_there =
                |recipients: &[Recipient]| recipients.iter().all(|it| present.has(it.id));
            let mut recipients = self.resolve(&present, None);
            match &recipients {
                Ok(found) if has_settled || all_there(found) => {
                    recipients = self.resolve(&present, Some(&*observer));
                }
                Ok(_) => {
                    let reason = "not everyone is there yet";
                    recipients = Err(Error::new(ErrorKind::NoSuchPeer, reason));
                }
                Err(_) => {}
            }
            (present, recipients)
        });
        let looked = timeout(DISK_LIMIT, looking).await;
        let late = || {
            Error::new(
                ErrorKind::LocalFile,
                "reading the known peers takes too long",
            )
        };
        let panicked = || {
            Error::new(
                ErrorKind::Other,
                "the thread that reads known peers panicked",
            )
        };
        let (present, recipients) = looked.map_err(|_| late())?.map_err(|_| panicked())?;
        search.present = present;
        Ok(recipients)
    }

    /// Turns what was asked for into recipients, for good where there is an observer. Blocking.
    fn resolve(
        &self,
        present: &Presence,
        observer: Option<&dyn Observer>,
    ) -> Result<Vec<Recipient>, Error> {
        let roster = self
            .known
            .load()
            .map_err(|e| Error::new(ErrorKind::Other, e))?;
        let mut recipients: Vec<Recipient> = Vec::new();
        match &self.to {
            To::Everyone => {
                let mut everyone: Vec<_> =
                    present.peers().filter(|peer| peer.id != self.me).collect();
                everyone.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
                for peer in everyone {
                    let mut recipient = Recipient::new(peer.id, peer.name.clone());
                    if roster.is_chosen(&peer.name)
                        && let Verdict::Changed { pinned } = roster.check(&peer.name, peer.id)
                    {
                        let (name, id) = (&peer.name, peer.id);
                        let reason = format!("{name} is {pinned} here, but {id} goes by that name");
                        recipient.status =
                            Status::Failed(Error::new(ErrorKind::NotTrusted, reason));
                    }
                    recipients.push(recipient);
                }
                for Interrupted { id, name } in &self.interrupted {
                    if !present.has(*id) {
                        let mut recipient = Recipient::new(*id, name.clone());
                        let reason = "is not listening, and has not got everything before";
                        recipient.status =
                            Status::Pending(Error::new(ErrorKind::NoSuchPeer, reason));
                        recipients.push(recipient);
                    }
                }
                if recipients.is_empty() {
                    let nobody = "nobody is listening in this room";
                    return Err(Error::new(ErrorKind::NoSuchPeer, nobody));
                }
            }
            To::Peers(texts) => {
                let present: Vec<_> = present
                    .peers()
                    .map(|p| Present {
                        id: p.id,
                        name: p.name.clone(),
                    })
                    .collect();
                for text in texts {
                    let resolved = resolve(text, &roster, &present)?;
                    if recipients
                        .iter()
                        .any(|recipient| recipient.id == resolved.id)
                    {
                        continue;
                    }
                    let name = resolved
                        .name
                        .unwrap_or_else(|| PeerName::from_lossy(&resolved.id.short()));
                    if let Some(observer) = observer
                        && let Verdict::Changed { pinned } = roster.check(&name, resolved.id)
                    {
                        observer.event(Event::Notice {
                            text: format!(
                                "this {name} is not the {name} that files came from before ({})",
                                pinned.short()
                            ),
                        });
                    }
                    // Whom a person addresses by name is from now on who has that name.
                    if let Some(observer) = observer
                        && text.trim() == name.as_str()
                    {
                        self.pin(&name, resolved.id, observer)?;
                    }
                    recipients.push(Recipient::new(resolved.id, name));
                }
            }
        }
        Ok(recipients)
    }

    /// Gives a name to whoever is addressed by it, if nobody has been since it was looked up.
    fn pin(&self, name: &PeerName, got: PeerId, observer: &dyn Observer) -> Result<(), Error> {
        match self.known.pin(name, got, Origin::SentTo, unix_now()) {
            Ok(Verdict::Changed { pinned }) => {
                let name = name.clone();
                Err(ResolveError::KeyChanged { name, pinned, got }.into())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let text = format!("known peers were not updated: {error}");
                observer.event(Event::Notice { text });
                Ok(())
            }
        }
    }
}

impl Search {
    /// Takes in what happens on the ways; says that the relay is waited for, where somebody `waits`.
    fn on_event(
        &mut self,
        event: WayEvent,
        ways: &Ways<'_>,
        (waits, observer): (bool, &Arc<dyn Observer>),
    ) {
        match event {
            WayEvent::Opened { road, .. } => {
                if road != Road::Lan {
                    self.unreachable = None;
                }
            }
            WayEvent::Brought(way, PeerEvent::Presence(peer)) => {
                self.present.on_peer(way, *peer);
                self.look |= self.is_listed;
            }
            WayEvent::Brought(_, PeerEvent::Listed) => {
                self.is_listed = true;
                self.look = true;
            }
            WayEvent::Brought(_, PeerEvent::Ignored { peer, reason }) => {
                self.ignored += 1;
                if self.ignored <= IGNORED_MAX {
                    let text = format!("peer {} is left out: {reason}", peer.short());
                    observer.event(Event::Notice { text });
                }
            }
            WayEvent::Brought(..) => {}
            WayEvent::Lost { way, reason, road } => {
                self.present.on_lost(way);
                if road != Road::Lan {
                    let error = Error::from_source(ErrorKind::Unreachable, reason);
                    self.unreachable = Some(error.context("the relay was lost"));
                }
                self.look = true;
            }
            WayEvent::Failed { error, retry_in } => {
                let error = Error::from(error);
                if let Some(retry_in) = retry_in
                    && waits
                    && !ways.is_any_open()
                {
                    let reason = format!("{error:#}");
                    observer.event(Event::Waiting { reason, retry_in });
                }
                self.unreachable = Some(error);
                self.look = true;
            }
        }
    }
}

/// Whether what was asked for could not mean one peer, whoever comes.
fn is_unclear(error: &Error) -> bool {
    let cause = error.cause::<ResolveError>();
    cause.is_some_and(|cause| !matches!(cause, ResolveError::NotFound { .. }))
}
