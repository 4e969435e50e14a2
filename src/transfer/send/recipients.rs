//! Who is meant, and who of them is there.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{Status, Target, To, driver::Driver, job::Interrupted};
use crate::{
    home::KnownPeers,
    identity::{Origin, Present, ResolveError, Verdict, resolve},
    protocol::{PeerId, PeerName},
    transfer::{Channel, Error, ErrorKind, Event, Observer, Peer, PeerEvent, unix_now},
};

/// How long the disk may take to say whom we know.
const DISK_LIMIT: Duration = Duration::from_secs(10);

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
    pub(super) targets: Vec<Target>,
    pub(super) present: HashMap<PeerId, Peer>,
}

impl Recipients {
    /// Finds out who is meant; waits only where that depends on who comes.
    ///
    /// That somebody is meant does not say that it is there. Every later change of who is there
    /// arrives on the channel.
    pub(super) async fn find(
        self: Arc<Self>,
        driver: &mut Driver<'_>,
        channel: &mut Channel,
        wait: Duration,
    ) -> Result<Found, Error> {
        let observer = driver.observer;
        let mut present = everyone(channel, observer).await?;
        loop {
            let (found, resolved) = self.clone().look_up(present, observer).await?;
            present = found;
            let missing = match resolved {
                Ok(targets) => return Ok(Found { targets, present }),
                Err(error) if error.kind() == ErrorKind::NoSuchPeer && !is_unclear(&error) => error,
                Err(error) => return Err(error),
            };
            let left = wait.saturating_sub(driver.clock.now());
            if left.is_zero() {
                return Err(missing);
            }
            // Short, so that time in which this process was stopped is not waited for.
            let left = left.min(Duration::from_secs(1));
            match timeout(left, channel.recv()).await {
                Ok(Some(PeerEvent::Presence(peer))) if peer.is_listening() => {
                    present.insert(peer.id, *peer);
                }
                Ok(Some(PeerEvent::Presence(peer))) => {
                    present.remove(&peer.id);
                }
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => {
                    let error = Error::from_source(ErrorKind::Unreachable, channel.ended().await);
                    let patience = driver.timeout;
                    *channel = driver.reconnect(error, patience).await?;
                    present = everyone(channel, observer).await?;
                }
            }
        }
    }

    /// Turns what was asked for into targets, on a thread that may wait for the disk and for whoever
    /// else holds the known peers' lock.
    async fn look_up(
        self: Arc<Self>,
        present: HashMap<PeerId, Peer>,
        observer: &Arc<dyn Observer>,
    ) -> Result<(HashMap<PeerId, Peer>, Result<Vec<Target>, Error>), Error> {
        let observer = observer.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let targets = self.resolve(&present, &*observer);
            (present, targets)
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
        looked.map_err(|_| late())?.map_err(|_| panicked())
    }

    /// Turns what was asked for into targets. Blocking.
    fn resolve(
        &self,
        present: &HashMap<PeerId, Peer>,
        observer: &dyn Observer,
    ) -> Result<Vec<Target>, Error> {
        let roster = self
            .known
            .load()
            .map_err(|e| Error::new(ErrorKind::Other, e))?;
        let mut targets: Vec<Target> = Vec::new();
        match &self.to {
            To::Everyone => {
                let mut everyone: Vec<_> =
                    present.values().filter(|peer| peer.id != self.me).collect();
                everyone.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
                for peer in everyone {
                    let mut target = Target::new(peer.id, peer.name.clone());
                    if roster.is_chosen(&peer.name)
                        && let Verdict::Changed { pinned } = roster.check(&peer.name, peer.id)
                    {
                        let (name, id) = (&peer.name, peer.id);
                        let reason = format!("{name} is {pinned} here, but {id} goes by that name");
                        target.status = Status::Failed(Error::new(ErrorKind::NotTrusted, reason));
                    }
                    targets.push(target);
                }
                for Interrupted { id, name } in &self.interrupted {
                    if !present.contains_key(id) {
                        let mut target = Target::new(*id, name.clone());
                        let reason = "is not listening, and has not got everything before";
                        target.status = Status::Pending(Error::new(ErrorKind::NoSuchPeer, reason));
                        targets.push(target);
                    }
                }
                if targets.is_empty() {
                    let nobody = "nobody is listening in this room";
                    return Err(Error::new(ErrorKind::NoSuchPeer, nobody));
                }
            }
            To::Peers(texts) => {
                let present: Vec<_> = present
                    .values()
                    .map(|p| Present {
                        id: p.id,
                        name: p.name.clone(),
                    })
                    .collect();
                for text in texts {
                    let resolved = resolve(text, &roster, &present)?;
                    if targets.iter().any(|target| target.id == resolved.id) {
                        continue;
                    }
                    let name = resolved
                        .name
                        .unwrap_or_else(|| PeerName::from_lossy(&resolved.id.short()));
                    if let Verdict::Changed { pinned } = roster.check(&name, resolved.id) {
                        observer.event(Event::Notice {
                            text: format!(
                                "this {name} is not the {name} that files came from before ({})",
                                pinned.short()
                            ),
                        });
                    }
                    // Whom a person addresses by name is from now on who has that name.
                    if text.trim() == name.as_str() {
                        self.pin(&name, resolved.id, observer)?;
                    }
                    targets.push(Target::new(resolved.id, name));
                }
            }
        }
        Ok(targets)
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

/// Everyone who listens now.
async fn everyone(
    channel: &mut Channel,
    observer: &Arc<dyn Observer>,
) -> Result<HashMap<PeerId, Peer>, Error> {
    let silent = || {
        let reason = "the relay does not say who is there";
        Error::new(ErrorKind::Unreachable, reason)
    };
    let peers = channel.peers(true).await.ok_or_else(silent)?;
    for text in channel.take_ignored() {
        observer.event(Event::Notice { text });
    }
    Ok(peers
        .into_iter()
        .filter(Peer::is_listening)
        .map(|peer| (peer.id, peer))
        .collect())
}

/// Whether what was asked for could not mean one peer, whoever comes.
fn is_unclear(error: &Error) -> bool {
    let cause = error.cause::<ResolveError>();
    cause.is_some_and(|cause| !matches!(cause, ResolveError::NotFound { .. }))
}
