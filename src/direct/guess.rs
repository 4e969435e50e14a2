//! Guessing ports, where one end's NAT gives out another one for each destination.
//!
//! That end (the *hard* one) opens many sockets to the other's address, which is known: each gets a port of its NAT
//! that nobody knows. The other end probes ports of that NAT at random: with 256 sockets, each of them is one
//! behind which somebody listens with a chance of 1 in 252, so that 1,024 probes find one in 98 of 100 cases and
//! 2,048 nearly always. What was probed lets the other end in besides: it does not matter who comes first.
//!
//! Whoever can have probes sent to a thousand ports could have them sent to somebody else. So guesses go only to
//! the address at which *both* the other end and the relay say that it is.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{Candidates, Reach, is_acceptable};

/// Sockets that the hard end opens.
pub const GUESS_SOCKETS: usize = 256;
/// Ports that the other end probes, in all.
const PORTS_MAX: u32 = 2_048;
/// Probes in one second: 51 KB. As many at once could fill the table of a NAT for others behind it.
const RATE: u32 = 800;
/// How long the addresses that were named may take to answer before any is guessed.
const AFTER: Duration = Duration::from_secs(1);
/// When the hard end's sockets send, counted from the first time: a packet may be lost, and NATs forget.
const ROUNDS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(900),
    Duration::from_millis(2_700),
];
/// The ports that a NAT gives out.
const PORTS: std::ops::Range<u32> = 1_024..65_536;
/// From one port that is probed to the next: the golden section of all of them. So they lie evenly wherever one
/// stops, and a block of 256 that a NAT has given out one after the other is found within a second.
const STRIDE: u32 = 39_869;

/// What one end guesses about the other.
#[derive(Debug)]
pub struct Guess {
    began: Instant,
    /// The other's address, where this end is the hard one, and how often it was sent to.
    towards: Option<(SocketAddr, usize)>,
    /// The other's NAT, where the other end is the hard one, and how many of its ports were probed.
    ports_of: Option<(IpAddr, u32)>,
    offset: u32,
}

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuessSend {
    /// One probe, to a port that may be the right one.
    Port(SocketAddr),
    /// One probe from each of many sockets.
    FromMany(SocketAddr),
}

impl Guess {
    /// What there is to be guessed; `None` if neither end is hard, or if nobody vouches for the other's address.
    ///
    /// `seen_at` is where the relay sees the other end, `named` what that end says itself. `offset` is random.
    #[must_use]
    pub fn new(
        own_hard: bool,
        (named, seen_at): (&Candidates, SocketAddr),
        (now, offset): (Instant, u32),
    ) -> Option<Self> {
        let seen_at = super::candidates::canonical(seen_at);
        let both_say_so = named.addresses.iter().any(|it| it.ip() == seen_at.ip());
        if !both_say_so || !is_acceptable(seen_at, Reach::Network) || !(own_hard || named.hard) {
            return None;
        }
        Some(Self {
            began: now + AFTER,
            towards: own_hard.then_some((seen_at, 0)),
            ports_of: named.hard.then_some((seen_at.ip(), 0)),
            offset,
        })
    }

    /// What is due.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<GuessSend> {
        if let Some((to, round)) = &mut self.towards
            && ROUNDS
                .get(*round)
                .is_some_and(|after| now >= self.began + *after)
        {
            *round += 1;
            return Some(GuessSend::FromMany(*to));
        }
        let (ip, sent) = self.ports_of.as_mut()?;
        if *sent >= PORTS_MAX || now < self.began + due(*sent) {
            return None;
        }
        let place = (u64::from(self.offset) + u64::from(*sent) * u64::from(STRIDE))
            % u64::from(PORTS.end - PORTS.start);
        *sent += 1;
        let port = u64::from(PORTS.start) + place;
        Some(GuessSend::Port(SocketAddr::new(
            *ip,
            u16::try_from(port).expect("below the end of the ports"),
        )))
    }

    /// When something will be due; `None` once all is sent.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let round = self.towards.and_then(|(_, round)| ROUNDS.get(round));
        let port = self.ports_of.filter(|(_, sent)| *sent < PORTS_MAX);
        let port = port.map(|(_, sent)| due(sent));
        round
            .copied()
            .into_iter()
            .chain(port)
            .min()
            .map(|after| self.began + after)
    }

    /// Whether many sockets send there, so that the answer to one of them may come from there.
    #[must_use]
    pub fn is_towards(&self, address: SocketAddr) -> bool {
        let address = super::candidates::canonical(address);
        self.towards.is_some_and(|(to, _)| to == address)
    }
}

/// When the probe of this number is due: they go out in bursts of eight.
fn due(number: u32) -> Duration {
    Duration::from_secs(1) * (number - number % 8) / RATE
}

#[cfg(test)]
mod tests;
