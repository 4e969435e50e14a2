//! Who is meant, and who of them is there.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Status, Target, To, driver::Driver, job::Interrupted};
use crate::{
    home::KnownPeers,
    identity::{Origin, Present, ResolveError, Verdict, resolve},
    protocol::{PeerId, PeerName},
    transfer::{Channel, Error, ErrorKind, Event, Member, Observer, Peer, PeerEvent, unix_now},
};

/// What it takes to find recipients.
pub(super) struct Recipients<'a> {
    pub(super) member: &'a Member,
    pub(super) known: &'a KnownPeers,
    pub(super) observer: &'a Arc<dyn Observer>,
    /// Who was to get this job when it was interrupted.
    pub(super) interrupted: Vec<Interrupted>,
}

/// Who is meant, and who listens now.
pub(super) struct Found {
    pub(super) targets: Vec<Target>,
    pub(super) present: HashMap<PeerId, Peer>,
}

impl Recipients<'_> {
    /// Finds out who is meant; waits only where that depends on who comes.
    ///
    /// That somebody is meant does not say that it is there. Every later change of who is there
    /// arrives on the channel.
    pub(super) async fn find(
        &self,
        driver: &mut Driver<'_>,
        channel: &mut Channel,
        (to, wait): (&To, Duration),
    ) -> Result<Found, Error> {
        let mut present = self.everyone(channel).await?;
        loop {
            let missing = match self.resolve(to, &present) {
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
            match tokio::time::timeout(left, channel.recv()).await {
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
                    present = self.everyone(channel).await?;
                }
            }
        }
    }

    /// Turns what was asked for into targets.
    fn resolve(&self, to: &To, present: &HashMap<PeerId, Peer>) -> Result<Vec<Target>, Error> {
        let roster = self
            .known
            .load()
            .map_err(|e| Error::new(ErrorKind::Other, e))?;
        let mut targets: Vec<Target> = Vec::new();
        match to {
            To::Everyone => {
                let me = self.member.id();
                let mut everyone: Vec<_> = present.values().filter(|peer| peer.id != me).collect();
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
                        self.observer.event(Event::Notice {
                            text: format!(
                                "this {name} is not the {name} that files came from before ({})",
                                pinned.short()
                            ),
                        });
                    }
                    // Whom a person addresses by name is from now on who has that name.
                    if text.trim() == name.as_str()
                        && let Err(error) =
                            self.known
                                .pin(&name, resolved.id, Origin::SentTo, unix_now())
                    {
                        self.observer.event(Event::Notice {
                            text: format!("known peers were not updated: {error}"),
                        });
                    }
                    targets.push(Target::new(resolved.id, name));
                }
            }
        }
        Ok(targets)
    }
}

impl Recipients<'_> {
    /// Everyone who listens now.
    async fn everyone(&self, channel: &mut Channel) -> Result<HashMap<PeerId, Peer>, Error> {
        let silent = || {
            let reason = "the relay does not say who is there";
            Error::new(ErrorKind::Unreachable, reason)
        };
        let peers = channel.peers(true).await.ok_or_else(silent)?;
        for text in channel.take_ignored() {
            self.observer.event(Event::Notice { text });
        }
        Ok(peers
            .into_iter()
            .filter(Peer::is_listening)
            .map(|peer| (peer.id, peer))
            .collect())
    }
}

/// Whether what was asked for could not mean one peer, whoever comes.
fn is_unclear(error: &Error) -> bool {
    let cause = error.cause::<ResolveError>();
    cause.is_some_and(|cause| !matches!(cause, ResolveError::NotFound { .. }))
}
