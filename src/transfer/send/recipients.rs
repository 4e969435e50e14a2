//! Who is meant, and who of them is there.

use std::time::{Duration, Instant};

use super::{Status, Target, To, sender::Sender};
use crate::{
    identity::{Origin, Present, ResolveError, Verdict, resolve},
    protocol::PeerName,
    transfer::{Channel, Error, ErrorKind, Event, Peer, PeerEvent, unix_now},
};

impl Sender<'_> {
    /// Finds everyone who is meant, waiting for those who are not there yet.
    pub(super) async fn find(
        &mut self,
        channel: &mut Channel,
        to: &To,
        wait: Duration,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + wait;
        self.look_around(channel, !wait.is_zero()).await?;
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
                Err(error) if error.kind() == ErrorKind::NoSuchPeer && !is_unclear(&error) => {
                    Some(error)
                }
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                // Those who are there are served; the others have failed.
                return missing.map_or(Ok(()), Err);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, channel.recv()).await {
                Ok(Some(event)) => self.note(event),
                Ok(None) => {
                    *channel = self.member.enter(None).await?;
                    self.look_around(channel, true).await?;
                }
                Err(_) => {}
            }
        }
    }

    /// Asks who is there.
    pub(super) async fn look_around(
        &mut self,
        channel: &mut Channel,
        watch: bool,
    ) -> Result<(), Error> {
        let lost = || {
            Error::new(
                ErrorKind::Unreachable,
                "the relay does not say who is there",
            )
        };
        let peers = channel.peers(watch).await.ok_or_else(lost)?;
        for text in channel.take_ignored() {
            self.observer.event(Event::Notice { text });
        }
        self.present = peers
            .into_iter()
            .filter(Peer::is_listening)
            .map(|peer| (peer.id, peer))
            .collect();
        Ok(())
    }

    fn note(&mut self, event: PeerEvent) {
        if let PeerEvent::Presence(peer) = event {
            if peer.is_listening() {
                self.present.insert(peer.id, *peer);
            } else {
                self.present.remove(&peer.id);
            }
        }
    }

    /// Turns what was asked for into targets.
    fn resolve(&mut self, to: &To) -> Result<(), Error> {
        let roster = self
            .known
            .load()
            .map_err(|e| Error::new(ErrorKind::Other, e))?;
        self.targets.clear();
        match to {
            To::Everyone => {
                let me = self.member.id();
                let mut everyone: Vec<_> =
                    self.present.values().filter(|peer| peer.id != me).collect();
                everyone.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
                if everyone.is_empty() {
                    return Err(Error::new(
                        ErrorKind::NoSuchPeer,
                        "nobody is listening in this room",
                    ));
                }
                for peer in everyone {
                    let mut target = Target::new(peer.id, peer.name.clone());
                    if roster.is_chosen(&peer.name)
                        && let Verdict::Changed { pinned } = roster.check(&peer.name, peer.id)
                    {
                        let (name, id) = (&peer.name, peer.id);
                        let reason = format!("{name} is {pinned} here, but {id} goes by that name");
                        target.status = Status::Failed(Error::new(ErrorKind::NotTrusted, reason));
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
                    self.targets.push(Target::new(resolved.id, name));
                }
            }
        }
        Ok(())
    }
}

/// Whether what was asked for could not mean one peer, whoever comes.
fn is_unclear(error: &Error) -> bool {
    let cause = error.cause::<ResolveError>();
    cause.is_some_and(|cause| !matches!(cause, ResolveError::NotFound { .. }))
}
