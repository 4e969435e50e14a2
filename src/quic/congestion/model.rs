//! What the path carries, and the window that follows from it. `docs/congestion.md` has the reasons.

use std::time::{Duration, Instant};

use super::{
    competition::Competition,
    cycle::Cycle,
    known::PathRate,
    rate::DeliveryRate,
    round::Round,
    round_trip::RoundTrip,
    start::Start,
    state::{EMPTY_ROUNDS, HEAVY_MAX, IDLE_ROUND, SUSPICION, State, TEST_ROUNDS},
};

/// The window at the start, in packets: 93 kB, what two initial flights of TCP in one go have become
/// (RFC 6928 has 10; measured since, content networks begin with 30 to 60).
const INITIAL_PACKETS: u64 = 64;

/// Never less, in packets: loss detection needs some to be acknowledged.
const LEAST_PACKETS: u64 = 4;

/// Never more, in bytes: what a connection may hold for its peer anyway.
pub(super) const MOST: u64 = 64 << 20;

/// Packets above the product of rate and round trip: a batch that is sent in one go, and the
/// acknowledgements that are held back.
const MARGIN_PACKETS: u64 = 12;

/// How long the smallest round trip counts.
const BASE_LIFETIME: Duration = Duration::from_secs(10);

/// After so long without anything under way, a path is no more than known.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// And after so long not even that.
const KNOWN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// With less delivered, in bytes, a rate says nothing.
const MEASURED_LEAST: u64 = 1 << 20;

/// See the module's head.
#[derive(Debug, Clone)]
pub(super) struct Model {
    mtu: u64,
    window: u64,
    rate: DeliveryRate,
    trip: RoundTrip,
    state: State,
    /// No more than this, after heavy loss.
    cap: u64,
    /// A packet sent from here on ends the round when it is acknowledged.
    round_start: Instant,
    round: Round,
    last: Round,
    /// The newest packet of the batch of acknowledgements that is being taken in.
    batch: Option<Instant>,
    in_flight: u64,
    rotated: Instant,
    /// Losses of packets sent until then have been answered.
    answered: Instant,
    /// Cycles for which a queue that stands is another's.
    suspicion: u32,
    /// Rounds with heavy loss since the last cycle without.
    heavy: u32,
    /// Rounds of a competition in a row without a queue.
    empty: u32,
    /// What such a path carried lately, until the first round trip shows whether it is that one.
    known: Option<PathRate>,
    /// The highest rate of the last round that was busy.
    reached: f64,
    /// The highest rate while nobody was known to compete; fades.
    alone: f64,
    last_sent: Instant,
}

impl Model {
    /// For a path of which this much is `known`.
    pub(super) fn new(now: Instant, mtu: u16, known: Option<PathRate>) -> Self {
        let mtu = u64::from(mtu);
        Self {
            mtu,
            window: INITIAL_PACKETS * mtu,
            rate: DeliveryRate::new(now),
            trip: RoundTrip::new(),
            state: State::Start(Start::new(now)),
            cap: MOST,
            round_start: now,
            round: Round::default(),
            last: Round::default(),
            batch: None,
            in_flight: 0,
            rotated: now,
            answered: now,
            suspicion: 0,
            heavy: 0,
            empty: 0,
            known,
            reached: 0.0,
            alone: 0.0,
            last_sent: now,
        }
    }

    /// Begins anew, with what is `known`.
    pub(super) fn restart(&mut self, now: Instant, known: Option<PathRate>) {
        let mtu = u16::try_from(self.mtu).unwrap_or(u16::MAX);
        let mut trip = self.trip.clone();
        trip.restart();
        *self = Self {
            in_flight: self.in_flight,
            trip,
            ..Self::new(now, mtu, known)
        };
    }

    /// What the path carries, if enough was sent to tell.
    pub(super) fn measured(&self) -> Option<PathRate> {
        let known = PathRate {
            rate: self.reached as u64,
            round_trip: self.trip.base(),
        };
        (self.rate.delivered() >= MEASURED_LEAST && known.rate > 0).then_some(known)
    }

    /// Whether the path is what held the sender up in the last round trip.
    pub(super) fn is_full(&self) -> bool {
        self.last.is_full()
    }

    pub(super) fn window(&self) -> u64 {
        self.window.clamp(LEAST_PACKETS * self.mtu, MOST)
    }

    pub(super) fn initial_window(&self) -> u64 {
        INITIAL_PACKETS * self.mtu
    }

    pub(super) fn on_mtu(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu);
    }

    pub(super) fn on_sent(&mut self, now: Instant, bytes: u64) {
        let idle = now.saturating_duration_since(self.last_sent);
        if self.in_flight == 0 && idle > IDLE_MAX {
            let known = self.measured().filter(|_| idle < KNOWN_LIFETIME);
            self.restart(now, known);
        }
        self.last_sent = now;
        self.rate.sent(now, self.in_flight > 0);
        self.in_flight += bytes;
        self.round.peak = self.round.peak.max(self.in_flight);
    }

    pub(super) fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, idled: bool) {
        self.rate.acked(now, bytes);
        self.round.acked += bytes;
        self.round.held += if idled { 0 } else { bytes };
        self.batch = self.batch.max(Some(sent));
        match &mut self.state {
            State::Start(start) => {
                let peak = self.round.peak.max(self.last.peak);
                self.window = start.grown(
                    (now, sent),
                    (self.window, bytes, peak, self.mtu),
                    self.trip.base(),
                    INITIAL_PACKETS * self.mtu,
                );
            }
            State::Compete(competition) if !idled => {
                self.window =
                    competition.grown(now, self.window, bytes, self.mtu, self.trip.smoothed());
            }
            _ => {}
        }
    }

    pub(super) fn on_end_acks(&mut self, now: Instant, in_flight: u64, idled: bool) {
        self.in_flight = in_flight;
        let Some(sent) = self.batch.take() else {
            return;
        };
        let rtt = now.saturating_duration_since(sent);
        self.rate.sample(now, sent, idled);
        self.trip.take(now, rtt);
        self.round.take_rtt(rtt);
        if let Some(known) = self.known.take() {
            let first = known.first_window(self.trip.base());
            tracing::debug!(?known, first, "this path may be known");
            self.window = self.window.max(first.unwrap_or(0));
        }
        if let State::Start(_) = self.state
            && self.trip.has_grown()
        {
            self.leave_start(now, "delay");
        }
        if let State::Drain = self.state {
            // What the start has sent last arrives now, and shows more than it has known.
            self.follow();
        }
        if sent >= self.round_start {
            self.end_round(now);
        }
    }

    /// Packets are lost.
    pub(super) fn on_loss(&mut self, now: Instant, sent: Instant, bytes: u64, persistent: bool) {
        if sent > self.answered {
            self.round.lost += bytes;
        }
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if persistent {
            // Nothing came through for long: what was known of the path is old.
            self.restart(now, None);
            self.window = LEAST_PACKETS * self.mtu;
            return;
        }
        let heavy = self.round.is_heavy(&self.last, self.mtu);
        if let State::Compete(competition) = &mut self.state {
            self.window =
                competition.cut(now, self.window, self.mtu, (self.trip.smoothed(), heavy));
        } else if matches!(self.state, State::Start(_)) && heavy {
            self.leave_start(now, "loss");
        }
    }

    /// Whether it is known that the path's round trip is at least so long.
    pub(super) fn is_farther(&self, round_trip: Duration) -> bool {
        self.trip.is_at_least(round_trip)
    }

    /// What is under way at the path's rate without a queue, in bytes.
    fn product(&self, rate: f64) -> f64 {
        rate * self.trip.base().as_secs_f64()
    }

    /// What the path holds with its queue, as far as it was seen without others, in bytes.
    fn carried(&self) -> f64 {
        self.alone * self.trip.smoothed().as_secs_f64()
    }

    fn leave_start(&mut self, now: Instant, why: &str) {
        self.answered = now;
        let product = self.product(self.rate.highest());
        tracing::debug!(
            why,
            window = self.window,
            product,
            base = ?self.trip.base(),
            least = ?self.round.least,
            "start is over"
        );
        self.window = (product * 0.9) as u64;
        self.state = State::Drain;
    }

    fn end_round(&mut self, now: Instant) {
        let idle = self.round.is_idle();
        let heavy = self.round.is_heavy(&self.last, self.mtu);
        tracing::debug!(state = ?self.state, window = self.window, rate = self.rate.highest() * 8e-6,
            latest = self.rate.latest() * 8e-6, round = ?self.round, base = ?self.trip.base(), "round");
        if heavy && !matches!(self.state, State::Start(_) | State::Compete(_)) {
            self.cap = (self.window as f64 * 0.85) as u64;
            self.rate.forget();
            self.answered = now;
            self.heavy += 1;
            if self.heavy >= HEAVY_MAX {
                // Less is sent, and as much is lost: it is others who send too much.
                self.heavy = 0;
                self.cap = MOST;
                self.state = State::Compete(Competition::new(now, self.window, self.carried()));
            }
        } else if self.cap < MOST {
            self.cap = (self.cap + self.cap / 16 + self.mtu).min(MOST);
        }
        if !idle {
            self.reached = self.rate.highest();
            if !matches!(self.state, State::Compete(_)) {
                self.alone = self.reached.max(self.alone * 0.97);
            }
        }
        if !heavy && !idle && matches!(self.state, State::Cruise(cycle) if cycle.is_drained()) {
            self.heavy = 0;
        }
        let state = std::mem::replace(&mut self.state, State::Drain);
        self.state = match state {
            State::Start(mut start) => match start.is_full(self.rate.highest(), idle) {
                true => {
                    self.leave_start(now, "flat");
                    State::Drain
                }
                false => State::Start(start),
            },
            // The start may have ended early: see at once whether the path carries more.
            State::Drain => State::Cruise(Cycle::probe(self.rate.highest())),
            // Nothing is learnt while there is little to send.
            cruise @ State::Cruise(_) if idle => cruise,
            State::Cruise(cycle) => self.next_of_cruise(now, cycle),
            State::Test { rounds, window } => self.next_of_test(now, rounds, window),
            State::Compete(competition) => match competition.is_to_test(now) {
                _ if self.is_empty_for_long() => State::Cruise(Cycle::without_queue()),
                true => State::Test {
                    rounds: 0,
                    window: self.window,
                },
                false => State::Compete(competition),
            },
        };
        if !idle || now.saturating_duration_since(self.rotated) > IDLE_ROUND {
            self.rate.end_round();
            self.rotated = now;
        }
        self.follow();
        let lifetime = match self.state {
            // What is measured then is another's queue.
            State::Compete(_) | State::Test { .. } => 6 * BASE_LIFETIME,
            _ => BASE_LIFETIME,
        };
        self.trip.expire(now, lifetime, self.round.least);
        self.round_start = now;
        self.last = std::mem::take(&mut self.round);
        self.round.peak = self.in_flight;
    }

    fn next_of_cruise(&mut self, now: Instant, cycle: Cycle) -> State {
        let stands = self.queue_stands();
        if cycle.is_drained() {
            if stands && self.suspicion > 0 {
                // It was gone when it was tested, and is back: nobody but another can have filled it.
                self.suspicion = 0;
                return State::Compete(Competition::new(now, self.window, self.carried()));
            }
            self.suspicion = self.suspicion.saturating_sub(1);
            if stands {
                self.suspicion = SUSPICION;
                self.rate.forget();
                return State::Test {
                    rounds: 0,
                    window: self.window,
                };
            }
        }
        State::Cruise(cycle.next(self.rate.latest(), self.rate.highest(), stands))
    }

    fn next_of_test(&mut self, now: Instant, rounds: u32, window: u64) -> State {
        if rounds + 1 < TEST_ROUNDS {
            let rounds = rounds + 1;
            return State::Test { rounds, window };
        }
        let stands = self.trip.shows_queue(self.round.least.unwrap_or_default());
        tracing::debug!(stands, window, least = ?self.round.least, base = ?self.trip.base(), "test of the queue");
        if stands {
            self.window = window;
            State::Compete(Competition::new(now, window, self.carried()))
        } else {
            State::Cruise(Cycle::without_queue())
        }
    }

    /// Whether a competition has had no queue for so long that nobody else can be there.
    fn is_empty_for_long(&mut self) -> bool {
        let least = self.round.least.unwrap_or_default();
        // Where something is lost there is one, and the smallest round trip was never without.
        self.empty = match self.trip.shows_queue(least) || self.round.lost > 0 {
            true => 0,
            false => self.empty + 1,
        };
        if self.empty < EMPTY_ROUNDS {
            return false;
        }
        self.empty = 0;
        true
    }

    fn queue_stands(&self) -> bool {
        self.trip.shows_queue(self.round.least_of(&self.last))
    }

    /// Sets the window that the state asks for.
    fn follow(&mut self) {
        let margin = MARGIN_PACKETS * self.mtu;
        let product = self.product(self.rate.highest()).min(MOST as f64);
        let window = match &self.state {
            State::Start(_) | State::Compete(_) => return,
            State::Drain => (product * 0.9) as u64,
            State::Cruise(cycle) => cycle.window(product, margin),
            State::Test { .. } => (self.product(self.rate.latest()) * 0.6) as u64,
        };
        if product > 0.0 {
            self.window = window.min(self.cap);
        }
    }
}
