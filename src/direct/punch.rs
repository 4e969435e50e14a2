//! Opening a way between two ends, each of which may be behind a NAT.
//!
//! Both ends send pings to every address that the other has named. The first ping out of a NAT makes it
//! let the other end's in. Clocks need not agree: each begins when it hears of the other.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{
    Candidates, Probe, ProbeKind, Reach,
    candidates::{canonical, is_acceptable},
};
use crate::sealing::PathEnd;

/// When pings go out, counted from when an address became known. The first three are close together: one
/// of them opens this end's NAT, and may be lost at the other's.
const SCHEDULE: [u64; 11] = [0, 30, 60, 120, 240, 480, 960, 2_000, 3_000, 4_000, 5_000];
/// How long the other end is waited for.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long a better way than the first that opens may take.
const GRACE: Duration = Duration::from_millis(50);
/// Pings in all, and answers to pings: what a hostile member can have sent to somebody else.
const PROBES_MAX: usize = 60;
/// Further pings to addresses from which the other end was heard: the others must not use up what may lead to it.
const HEARD_MAX: usize = 24;
/// Addresses that are probed at once: those that were named, and those from which the other end was heard.
const ADDRESSES_MAX: usize = 12;

/// A way that is open in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The other end's address.
    pub remote: SocketAddr,
    /// From a ping to its pong.
    pub rtt: Duration,
}

/// One attempt to open a way to the other end.
#[derive(Debug)]
pub struct Punch {
    me: PathEnd,
    began: Instant,
    targets: Vec<Target>,
    pings: VecDeque<Ping>,
    outgoing: VecDeque<(Probe, SocketAddr)>,
    open: Vec<Path>,
    first: Option<Instant>,
    sent: Sent,
    reach: Reach,
    fresh_id: fn() -> [u8; Probe::ID_LEN],
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    since: Instant,
    /// How many of the schedule's pings have been sent.
    step: usize,
    /// Whether the other end was heard from there.
    heard: bool,
}

/// What was sent.
#[derive(Debug, Default)]
struct Sent {
    /// Pings to addresses that were named.
    named: usize,
    /// Pings to those from which the other end was heard.
    heard: usize,
    pongs: usize,
}

impl Sent {
    fn may_ping(&self, heard: bool) -> bool {
        self.named < PROBES_MAX || (heard && self.heard < HEARD_MAX)
    }

    fn ping(&mut self, heard: bool) {
        match heard && self.heard < HEARD_MAX {
            true => self.heard += 1,
            false => self.named += 1,
        }
    }
}

/// A ping that has not been answered.
#[derive(Debug)]
struct Ping {
    id: [u8; Probe::ID_LEN],
    to: SocketAddr,
    sent: Instant,
}

impl Punch {
    /// Begins at `now`. IDs must be unpredictable: `fresh_id` makes them.
    #[must_use]
    pub fn new(
        (me, reach): (PathEnd, Reach),
        now: Instant,
        fresh_id: fn() -> [u8; Probe::ID_LEN],
    ) -> Self {
        Self {
            me,
            began: now,
            targets: Vec::new(),
            pings: VecDeque::new(),
            outgoing: VecDeque::new(),
            open: Vec::new(),
            first: None,
            sent: Sent::default(),
            reach,
            fresh_id,
        }
    }

    /// The other end has named addresses.
    pub fn named(&mut self, candidates: &Candidates, now: Instant) {
        for address in &candidates.addresses {
            self.add(*address, now, false);
        }
    }

    /// This end has another socket from now on, at which the other was heard from this address: what was found out
    /// with the first says nothing any more.
    pub fn moved(&mut self, heard_from: SocketAddr, now: Instant) {
        self.targets.clear();
        self.pings.clear();
        self.open.clear();
        self.first = None;
        self.add(heard_from, now, true);
    }

    /// Whether the other end was heard at all.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.targets.iter().any(|target| target.heard)
    }

    /// A probe of the other end has arrived.
    pub fn received(&mut self, probe: &Probe, from: SocketAddr, now: Instant) {
        let from = canonical(from);
        if probe.from == self.me {
            return; // Reflected.
        }
        match probe.kind {
            ProbeKind::Ping => {
                let id = probe.id;
                let pong = Probe {
                    kind: ProbeKind::Pong,
                    from: self.me,
                    id,
                };
                if self.sent.pongs < PROBES_MAX {
                    self.sent.pongs += 1;
                    self.outgoing.push_back((pong, from));
                }
                // An address that nobody could name: a NAT has given it out for this path.
                self.add(from, now, true);
            }
            ProbeKind::Pong => {
                let Some(at) = self.pings.iter().position(|ping| ping.id == probe.id) else {
                    return;
                };
                let ping = self.pings.remove(at).expect("found above");
                // Whoever answers from elsewhere than it was asked shows no way to there.
                if ping.to != from {
                    return;
                }
                let rtt = now.saturating_duration_since(ping.sent);
                self.first.get_or_insert(now);
                match self.open.iter_mut().find(|path| path.remote == from) {
                    Some(path) => path.rtt = path.rtt.min(rtt),
                    None => self.open.push(Path { remote: from, rtt }),
                }
            }
        }
    }

    /// The next probe that is due, and to whom it goes.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<(Probe, SocketAddr)> {
        if let Some(probe) = self.outgoing.pop_front() {
            return Some(probe);
        }
        if self.is_over(now) {
            return None;
        }
        let sent = &mut self.sent;
        let due = self.targets.iter_mut().find_map(|target| {
            let at = target.next()?;
            (at <= now && sent.may_ping(target.heard)).then(|| {
                target.step += 1;
                sent.ping(target.heard);
                target.address
            })
        })?;
        let ping = Probe {
            kind: ProbeKind::Ping,
            from: self.me,
            id: (self.fresh_id)(),
        };
        self.pings.push_back(Ping {
            id: ping.id,
            to: due,
            sent: now,
        });
        Some((ping, due))
    }

    /// When [`Punch::poll_transmit`] or [`Punch::path`] will have something new; `None` for never.
    #[must_use]
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        if self.is_over(now) {
            return None;
        }
        let targets = self.targets.iter();
        let pings = targets.filter(|target| self.sent.may_ping(target.heard));
        let pings = pings.filter_map(Target::next);
        let grace = self.first.map(|first| first + GRACE);
        pings
            .chain(grace.filter(|at| *at > now))
            .chain([self.began + PATIENCE])
            .min()
    }

    /// The way to take, once it is known: the best of those that were open soon after the first.
    #[must_use]
    pub fn path(&self, now: Instant) -> Option<Path> {
        let best = self.open.iter().min_by_key(|path| rank(path)).copied()?;
        // Nothing better than the local network can follow.
        let is_settled = rank(&best).0 == LOCAL || now >= self.first? + GRACE;
        is_settled.then_some(best)
    }

    /// Whether nothing more will come of it.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.began + PATIENCE
    }

    fn add(&mut self, address: SocketAddr, now: Instant, heard: bool) {
        let address = canonical(address);
        let mut targets = self.targets.iter_mut();
        if let Some(known) = targets.find(|target| target.address == address) {
            known.heard |= heard;
        } else if is_acceptable(address, self.reach) && self.targets.len() < ADDRESSES_MAX {
            self.targets.push(Target {
                address,
                since: now,
                step: 0,
                heard,
            });
        }
    }
}

impl Target {
    fn next(&self) -> Option<Instant> {
        let after = SCHEDULE.get(self.step)?;
        Some(self.since + Duration::from_millis(*after))
    }
}

/// The rank of what is as near as it gets.
const LOCAL: u8 = 0;

/// The local network first, then IPv6, which seldom has a NAT, then IPv4; the nearer of two.
fn rank(path: &Path) -> (u8, Duration) {
    let kind = match path.remote.ip() {
        ip if ip.is_loopback() => LOCAL,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => LOCAL,
        IpAddr::V6(ip) if ip.is_unique_local() => LOCAL,
        IpAddr::V6(_) => 1,
        IpAddr::V4(_) => 2,
    };
    (kind, path.rtt)
}

#[cfg(test)]
mod tests;
