//! All ways to the other members of the room: a channel through its relay, and one to each of its
//! listeners on this LAN.
//!
//! Both are tried from the start, and tried again when they fail. Each listener on the LAN runs a relay of
//! its own, so that each is a channel of its own; nobody but that listener is looked for there.

mod on_lan;
mod presence;

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};

pub use presence::Presence;

use self::on_lan::LanListeners;
use super::{Channel, EnterError, Member, Observer, PeerEvent, backoff::Backoff};
use crate::{
    lan::Found,
    protocol::{Code, PeerId, Road},
    quic::LinkError,
};

/// The pause before the relay is tried again, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// How long the relay may take to say who is there.
const LIST_LIMIT: Duration = Duration::from_secs(10);
/// Tells ways apart, also those that are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WayId(u32);

#[cfg(test)]
impl WayId {
    /// The way of this number.
    pub(super) const fn numbered(number: u32) -> Self {
        Self(number)
    }
}

/// What happens on the ways to the others.
#[derive(Debug)]
#[non_exhaustive]
pub enum WayEvent {
    /// A way is open; who is there is asked.
    Opened {
        /// Which.
        way: WayId,
        /// The road that it takes.
        road: Road,
    },
    /// A way brings something.
    Brought(WayId, PeerEvent),
    /// A way is lost.
    Lost {
        /// Which.
        way: WayId,
        /// The road that it took.
        road: Road,
        /// Why.
        reason: LinkError,
    },
    /// The relay cannot be entered.
    Failed {
        /// Why.
        error: EnterError,
        /// When it is tried again; `None` where that would not help.
        retry_in: Option<Duration>,
    },
}

/// Every way to the others, open or being opened.
pub struct Ways<'a> {
    member: &'a Member,
    /// Whether every change is to be told, or only who is there.
    watch: bool,
    begun: Instant,
    open: Vec<Way>,
    next: u32,
    lan: LanListeners,
    relay: Relay,
    tasks: FuturesUnordered<Task<'a>>,
    told: VecDeque<WayEvent>,
}

/// A way that is open.
struct Way {
    id: WayId,
    channel: Channel,
    /// The only listener that is looked for there, and its relay's key.
    owner: Option<(PeerId, PeerId)>,
}

/// How it stands with the relay.
struct Relay {
    backoff: Backoff,
    /// Whether it has said who is there, or failed to, or there is none.
    has_answered: bool,
    /// Since when it has been connected to.
    open_since: Option<Instant>,
}

type Task<'a> = Pin<Box<dyn Future<Output = Done> + Send + 'a>>;

/// What a task has come to.
enum Done {
    Relay(Result<Channel, EnterError>),
    Lan(PeerId, Result<Channel, EnterError>),
    Ended(WayId, Road, LinkError),
}

impl<'a> Ways<'a> {
    /// Begins to open every way that there is. Call it inside a tokio runtime.
    ///
    /// Who is there is asked on each; with `watch`, every later change arrives as well. The observer is
    /// told when the relay takes long to answer.
    #[must_use]
    pub fn open(member: &'a Member, watch: bool, observer: &'a Arc<dyn Observer>) -> Self {
        let search = member
            .lan
            .map(|mdns| mdns.search(member.invite.secret.lan_key()));
        let ways = Self {
            member,
            watch,
            begun: Instant::now(),
            open: Vec::new(),
            next: 0,
            lan: LanListeners::new(search),
            relay: Relay {
                backoff: Backoff::new(BACKOFF),
                has_answered: !member.has_relay(),
                open_since: None,
            },
            tasks: FuturesUnordered::new(),
            told: VecDeque::new(),
        };
        if member.has_relay() {
            ways.tasks.push(Box::pin(async move {
                Done::Relay(member.enter_observed(None, Some(watch), &**observer).await)
            }));
        }
        ways
    }

    /// What happens next; never, where there is no way and none can come.
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> WayEvent {
        loop {
            if let Some(event) = self.told.pop_front() {
                return event;
            }
            let open = &mut self.open;
            tokio::select! {
                Some(done) = self.tasks.next(), if !self.tasks.is_empty() => self.on_done(done),
                (id, event) = poll_fn(|context| poll_any(open, context)) => self.on_event(id, event),
                found = self.lan.next() => self.on_found(found),
            }
        }
    }

    /// The channel of a way, while it is open.
    #[must_use]
    pub fn channel(&self, id: WayId) -> Option<&Channel> {
        let way = self.open.iter().find(|way| way.id == id)?;
        Some(&way.channel)
    }

    /// Every way that is open.
    pub fn channels(&self) -> impl Iterator<Item = (WayId, &Channel)> {
        self.open.iter().map(|way| (way.id, &way.channel))
    }

    /// The road that a way takes, while it is open.
    #[must_use]
    pub fn road(&self, id: WayId) -> Option<Road> {
        self.channel(id).map(Channel::road)
    }

    /// How long they have been tried.
    #[must_use]
    pub fn since(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether the relay has said who is there, or cannot be reached, or there is none.
    #[must_use]
    pub fn relay_has_answered(&self) -> bool {
        self.relay.has_answered
    }

    /// Whether any way is open.
    #[must_use]
    pub fn is_any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether everyone who is there by now has been told of: the relay has answered, or has failed to,
    /// and whoever is on the LAN has had time to answer.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        let since = self.relay.open_since.map(|since| since.elapsed());
        let is_silent = since.is_some_and(|since| since > LIST_LIMIT);
        (self.relay.has_answered || is_silent) && self.lan_has_settled()
    }

    /// Whether whoever is on the LAN has had time to answer.
    #[must_use]
    pub fn lan_has_settled(&self) -> bool {
        let relay_is_open = self.relay.open_since.is_some();
        self.lan.have_settled(self.begun.elapsed(), relay_is_open)
    }

    /// Sends what still waits, then ends every way.
    pub async fn close(self, code: Code) {
        for way in self.open.iter().filter(|way| way.owner.is_none()) {
            self.member.note_rate(&way.channel);
        }
        let closing = self.open.into_iter().map(|way| way.channel.close(code));
        let mut closing: FuturesUnordered<_> = closing.collect();
        while closing.next().await.is_some() {}
    }

    fn dial_relay(&mut self, pause: Duration) {
        let (member, watch) = (self.member, self.watch);
        self.tasks.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            Done::Relay(member.enter_and_list(watch).await)
        }));
    }

    fn dial_lan(&mut self, relay: PeerId) {
        let Some((pause, addresses)) = self.lan.on_dial(relay) else {
            return;
        };
        let member = self.member.on_lan(relay, addresses);
        let watch = self.watch;
        self.tasks.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            Done::Lan(relay, member.enter_and_list(watch).await)
        }));
    }

    fn on_found(&mut self, found: Found) {
        let relay = found.announcement.relay;
        if self.lan.on_found(found) {
            self.dial_lan(relay);
        }
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Relay(Ok(channel)) => {
                self.relay.open_since = Some(Instant::now());
                self.relay.backoff = Backoff::new(BACKOFF);
                self.add(channel, None);
            }
            Done::Relay(Err(error)) => {
                self.relay.has_answered = true;
                let retry_in = error.is_passing().then(|| self.relay.backoff.next());
                if let Some(pause) = retry_in {
                    self.dial_relay(pause);
                }
                self.told.push_back(WayEvent::Failed { error, retry_in });
            }
            Done::Lan(relay, Ok(channel)) => {
                if let Some(owner) = self.lan.on_open(relay) {
                    self.add(channel, Some((owner, relay)));
                }
            }
            Done::Lan(relay, Err(error)) => {
                tracing::debug!(%error, "a listener on the LAN cannot be reached");
                self.again_on_lan(relay);
            }
            Done::Ended(way, road, reason) => {
                self.told.push_back(WayEvent::Lost { way, road, reason });
            }
        }
    }

    fn again_on_lan(&mut self, relay: PeerId) {
        if self.lan.on_lost(relay) {
            self.dial_lan(relay);
        }
    }

    fn add(&mut self, channel: Channel, owner: Option<(PeerId, PeerId)>) {
        let id = WayId(self.next);
        self.next += 1;
        let road = channel.road();
        self.open.push(Way { id, channel, owner });
        self.told.push_back(WayEvent::Opened { way: id, road });
    }

    fn on_event(&mut self, id: WayId, event: Option<PeerEvent>) {
        let Some(place) = self.open.iter().position(|way| way.id == id) else {
            return;
        };
        let Some(event) = event else {
            let way = self.open.swap_remove(place);
            match way.owner {
                Some((_, relay)) => self.again_on_lan(relay),
                None => {
                    self.relay.open_since = None;
                    self.relay.has_answered = true;
                    let pause = self.relay.backoff.next();
                    self.dial_relay(pause);
                }
            }
            self.tasks.push(Box::pin(async move {
                let road = way.channel.road();
                Done::Ended(id, road, way.channel.ended().await)
            }));
            return;
        };
        match (&event, self.open[place].owner) {
            (PeerEvent::Listed, None) => self.relay.has_answered = true,
            // Who else is said to be there is no business of that listener's relay.
            (PeerEvent::Presence(peer), Some((owner, _))) if peer.id != owner => return,
            (PeerEvent::Presence(_) | PeerEvent::Listed, Some((_, relay))) => {
                self.lan.on_answer(relay);
            }
            _ => {}
        }
        self.told.push_back(WayEvent::Brought(id, event));
    }
}

/// The next event of any way; those behind it come first the next time.
fn poll_any(open: &mut [Way], context: &mut Context<'_>) -> Poll<(WayId, Option<PeerEvent>)> {
    for place in 0..open.len() {
        if let Poll::Ready(event) = open[place].channel.poll_recv(context) {
            let id = open[place].id;
            open[place..].rotate_left(1);
            return Poll::Ready((id, event));
        }
    }
    Poll::Pending
}
