//! One search for a path: to the addresses that the other end names and, where a NAT hides its port or this
//! end's, to guessed ones.

use std::{net::SocketAddr, time::Instant};

use super::{Conversation, Hub, PathMessage, hub::Place};
use crate::{
    direct::{Candidates, GUESS_SOCKETS, Guess, GuessSend, Path, Probe, ProbeKind, Punch},
    quic::{ManySockets, is_internet},
    sealing::PathEnd,
};

/// What has arrived at one of many sockets.
type Arrival = (usize, SocketAddr, [u8; crate::direct::PROBE_LEN]);

/// One search for a path.
pub(super) struct Search<'a> {
    hub: &'a Hub,
    conversation: &'a Conversation,
    me: PathEnd,
    /// Whether a NAT seems to give out other ports than this end's own.
    hard: bool,
    punch: Punch,
    guess: Option<Guess>,
    /// From which this end guesses, once it does.
    many: Option<ManySockets>,
}

impl<'a> Search<'a> {
    /// Begins one, and says where this end can be reached.
    pub(super) async fn begin(
        (hub, conversation): (&'a Hub, &'a Conversation),
        me: PathEnd,
        place: &mut Place,
    ) -> Self {
        place.reset();
        let own = hub.candidates();
        conversation.say_path(&own, me).await;
        let ends = (me, hub.policy().reach());
        Self {
            hub,
            conversation,
            me,
            hard: own.hard,
            punch: Punch::new(ends, Instant::now(), Probe::fresh_id),
            guess: None,
            many: None,
        }
    }

    /// The other end says where it can be reached.
    pub(super) fn on_path(&mut self, named: &Candidates, message: &PathMessage) {
        let now = Instant::now();
        self.punch.named(named, now);
        // Ports of machines on somebody's own network are nobody's to try.
        let seen_at = message.seen_at.filter(|it| is_internet(it.ip()));
        if let Some(seen_at) = seen_at
            && self.guess.is_none()
            && self.hub.policy().guesses()
        {
            let [a, b, c, d, ..] = Probe::fresh_id();
            let random = u32::from_be_bytes([a, b, c, d]);
            self.guess = Guess::new(self.hard, (named, seen_at), (now, random));
        }
    }

    /// A probe of the other end has arrived.
    pub(super) fn on_probe(&mut self, (probe, from): (Probe, SocketAddr)) {
        self.punch.received(&probe, from, Instant::now());
    }

    /// Waits for what arrives at sockets that were opened to guess.
    ///
    /// Cancel-safe.
    pub(super) async fn arrival(&self) -> Arrival {
        match &self.many {
            Some(many) => many.recv().await,
            None => std::future::pending().await,
        }
    }

    /// Something has: if the other end has found one of those sockets, that is the one from now on.
    pub(super) fn on_arrival(&mut self, (index, from, datagram): Arrival, place: &mut Place) {
        let Some(probe) = Probe::decode(&datagram, &self.conversation.key) else {
            return;
        };
        let is_expected = self.guess.as_ref().is_some_and(|it| it.is_towards(from));
        if probe.from == self.me || !is_expected {
            return;
        }
        let Some(many) = self.many.take() else { return };
        self.guess = None;
        match place.take(many, index, from) {
            Ok(()) => {
                tracing::debug!(%from, "a guess has met another");
                let now = Instant::now();
                self.punch.moved(from, now);
                self.punch.received(&probe, from, now);
            }
            Err(error) => tracing::debug!(%error, "a socket that was guessed is of no use"),
        }
    }

    /// Sends what is due; when there will be more, or `None` at the end of the search.
    pub(super) fn send(&mut self, place: &mut Place) -> Option<Instant> {
        let now = Instant::now();
        while let Some((probe, to)) = self.punch.poll_transmit(now) {
            place.send(&probe.encode(&self.conversation.key), to);
        }
        let until = self.punch.next_timeout(now)?;
        if self.punch.has_heard() {
            (self.guess, self.many) = (None, None);
        }
        self.send_guesses(place, now);
        let guess = self.guess.as_ref().and_then(Guess::next_timeout);
        Some(guess.map_or(until, |guess| guess.min(until)))
    }

    /// The path to take, once it is known.
    pub(super) fn path(&self) -> Option<Path> {
        self.punch.path(Instant::now())
    }

    fn send_guesses(&mut self, place: &mut Place, now: Instant) {
        let Some(guess) = &mut self.guess else { return };
        while let Some(send) = guess.poll_transmit(now) {
            if !place.may_guess() {
                self.guess = None;
                return;
            }
            let (key, from) = (&self.conversation.key, self.me);
            let ping = || {
                let probe = Probe {
                    kind: ProbeKind::Ping,
                    from,
                    id: Probe::fresh_id(),
                };
                probe.encode(key)
            };
            match send {
                GuessSend::Port(to) => place.send(&ping(), to),
                GuessSend::FromMany(to) => {
                    if self.many.is_none() {
                        let many = ManySockets::towards(to, GUESS_SOCKETS);
                        let failed = |error: &std::io::Error| {
                            tracing::debug!(%error, "no sockets to guess from");
                        };
                        self.many = many.inspect_err(failed).ok();
                    }
                    if let Some(many) = &self.many {
                        many.send(to, ping);
                    }
                }
            }
        }
    }
}
