//! What the path carries, and the window that follows from it. `docs/congestion.md` has the reasons.

use std::time::{Duration, Instant};

use super::{competition::Competition, rate::DeliveryRate};

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

/// The window in each round of a cycle, in products of rate and round trip: more than the path
/// carries, to see whether it carries more; what shows in the next round; less, so that the queue of the
/// probe goes; then what keeps the path full.
const CYCLE: [f64; 9] = [1.25, 1.1, 0.9, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1];
/// In the cycle: the probe's result shows.
const SHOWS: usize = 1;
/// In the cycle: the queue should be gone.
const DRAINED: usize = 3;

/// A round with a greater share of loss is congestion, whatever the delay.
const LOSS_MAX: f64 = 0.05;
/// With fewer packets lost, the share says nothing.
const LOSS_LEAST_PACKETS: u64 = 12;

/// See the module's head.
#[derive(Debug, Clone)]
pub(super) struct Model {
    mtu: u64,
    window: u64,
    rate: DeliveryRate,
    /// The smallest round trip lately, and when it was seen.
    base: Option<(Duration, Instant)>,
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
    smoothed: Duration,
    rotated: Instant,
    /// The last round trips that were measured.
    recent: [Duration; START_SAMPLES],
    measured: usize,
    /// Losses of packets sent until then have been answered.
    answered: Instant,
}

/// What happened in a round trip.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    least: Option<Duration>,
    acked: u64,
    lost: u64,
    peak: u64,
    /// Whether the window was what held the sender up.
    limited: bool,
}

#[derive(Debug, Clone)]
enum State {
    /// Doubles each round.
    Start { best: f64, flat: u32 },
    /// Lets go of what the start has sent too much.
    Drain,
    /// Goes through `CYCLE`.
    Cruise { phase: usize, before: f64 },
    /// Sends little for two rounds, to see whose the queue is.
    Test { rounds: u32, window: u64 },
    /// Another fills the queue.
    Compete(Competition),
}

impl Model {
    pub(super) fn new(now: Instant, mtu: u16) -> Self {
        let mtu = u64::from(mtu);
        Self {
            mtu,
            window: INITIAL_PACKETS * mtu,
            rate: DeliveryRate::new(now),
            base: None,
            state: State::START,
            cap: MOST,
            round_start: now,
            round: Round::default(),
            last: Round::default(),
            batch: None,
            in_flight: 0,
            smoothed: Duration::ZERO,
            rotated: now,
            recent: [Duration::ZERO; START_SAMPLES],
            measured: 0,
            answered: now,
        }
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
        self.rate.sent(now, self.in_flight > 0);
        self.in_flight += bytes;
        self.round.peak = self.round.peak.max(self.in_flight);
    }

    pub(super) fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, idled: bool) {
        self.rate.acked(now, bytes);
        self.round.acked += bytes;
        self.round.limited |= !idled;
        self.batch = self.batch.max(Some(sent));
        match &mut self.state {
            State::Start { .. } => {
                // Also where the sender had less to send, or a relay's second link would begin when
                // its first is done; but not beyond what three times as much would need.
                let most = 3 * self.round.peak.max(self.last.peak) + INITIAL_PACKETS * self.mtu;
                self.window = (self.window + bytes).min(most.max(self.window));
            }
            State::Compete(competition) if !idled => {
                self.window = competition.grown(now, self.window, bytes, self.mtu, self.smoothed);
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
        self.take_rtt(now, rtt);
        if let State::Start { .. } = self.state
            && self.measured >= START_SAMPLES
            && self.recent.iter().min() > Some(&(self.base_rtt() + start_delay(self.base_rtt())))
        {
            self.leave_start(now, "delay");
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
            let window = LEAST_PACKETS * self.mtu;
            *self = Self {
                window,
                in_flight: self.in_flight,
                smoothed: self.smoothed,
                ..Self::new(now, u16::try_from(self.mtu).unwrap_or(u16::MAX))
            };
            return;
        }
        let heavy = self.heavy_loss();
        if let State::Compete(competition) = &mut self.state {
            self.window = competition.cut(now, self.window, self.smoothed, heavy);
        } else if matches!(self.state, State::Start { .. }) && heavy {
            self.leave_start(now, "loss");
        }
    }

    fn take_rtt(&mut self, now: Instant, rtt: Duration) {
        self.smoothed = match self.smoothed.is_zero() {
            true => rtt,
            false => (self.smoothed * 7 + rtt) / 8,
        };
        self.round.least = Some(self.round.least.map_or(rtt, |least| least.min(rtt)));
        self.recent[self.measured % START_SAMPLES] = rtt;
        self.measured += 1;
        match self.base {
            Some((base, _)) if rtt > base => {}
            _ => self.base = Some((rtt, now)),
        }
    }

    /// The queue in the last round and this, at its smallest, over the smallest round trip.
    fn queue(&self) -> Duration {
        let least = match (self.round.least, self.last.least) {
            (Some(this), Some(last)) => this.min(last),
            (this, last) => this.or(last).unwrap_or_default(),
        };
        least.saturating_sub(self.base_rtt())
    }

    fn base_rtt(&self) -> Duration {
        self.base.map_or(Duration::ZERO, |(base, _)| base)
    }

    /// Whether it is known that the path's round trip is at least so long.
    pub(super) fn is_farther(&self, round_trip: Duration) -> bool {
        self.measured >= START_SAMPLES && self.base_rtt() >= round_trip
    }

    /// What is under way at the path's rate without a queue, in bytes.
    fn product(&self, rate: f64) -> f64 {
        rate * self.base_rtt().as_secs_f64()
    }

    /// Whether so much is lost that it cannot be chance.
    fn heavy_loss(&self) -> bool {
        let lost = self.round.lost + self.last.lost;
        let all = lost + self.round.acked + self.last.acked;
        lost > LOSS_LEAST_PACKETS * self.mtu && lost as f64 > LOSS_MAX * all as f64
    }

    fn leave_start(&mut self, now: Instant, why: &str) {
        self.answered = now;
        let product = self.product(self.rate.highest());
        tracing::debug!(
            why,
            window = self.window,
            product,
            base = ?self.base_rtt(),
            least = ?self.round.least,
            "start is over"
        );
        self.window = (product * 0.9) as u64;
        self.state = State::Drain;
    }

    fn end_round(&mut self, now: Instant) {
        let idle = !self.round.limited;
        let heavy = self.heavy_loss();
        tracing::debug!(state = ?self.state, window = self.window, rate = self.rate.highest() * 8e-6,
            latest = self.rate.latest() * 8e-6, round = ?self.round, base = ?self.base_rtt(), "round");
        if heavy && !matches!(self.state, State::Start { .. } | State::Compete(_)) {
            self.cap = (self.window as f64 * 0.85) as u64;
            self.rate.forget();
            self.answered = now;
        } else if self.cap < MOST {
            self.cap = (self.cap + self.cap / 16 + self.mtu).min(MOST);
        }
        let state = std::mem::replace(&mut self.state, State::Drain);
        self.state = match state {
            State::Start { best, flat } => self.next_of_start(now, best, flat, idle),
            // The start may have ended early: see at once whether the path carries more.
            State::Drain => State::Cruise {
                phase: 0,
                before: self.rate.highest(),
            },
            // Nothing is learnt while there is little to send.
            cruise @ State::Cruise { .. } if idle => cruise,
            State::Cruise { phase, before } => self.next_of_cruise(phase, before),
            State::Test { rounds, window } => self.next_of_test(now, rounds, window),
            State::Compete(competition) => match competition.is_to_test(now) {
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
        if let Some((_, at)) = self.base
            && now.saturating_duration_since(at) > lifetime
            && let Some(least) = self.round.least
        {
            self.base = Some((least, now));
        }
        self.round_start = now;
        self.last = std::mem::take(&mut self.round);
        self.round.peak = self.in_flight;
    }

    fn next_of_start(&mut self, now: Instant, best: f64, flat: u32, idle: bool) -> State {
        let rate = self.rate.highest();
        if idle || rate > best * 1.25 {
            return State::Start {
                best: rate.max(best),
                flat: 0,
            };
        }
        if flat + 1 < FLAT_ROUNDS {
            return State::Start {
                best,
                flat: flat + 1,
            };
        }
        self.leave_start(now, "flat");
        State::Drain
    }

    fn next_of_cruise(&mut self, phase: usize, before: f64) -> State {
        let next = (phase + 1) % CYCLE.len();
        if phase == SHOWS && self.rate.latest() > before * 1.1 && !self.queue_stands() {
            // The path carries more: on with it.
            return State::Cruise {
                phase: 0,
                before: self.rate.latest(),
            };
        }
        if phase == DRAINED && self.queue_stands() {
            self.rate.forget();
            return State::Test {
                rounds: 0,
                window: self.window,
            };
        }
        let before = match next {
            0 => self.rate.highest(),
            _ => before,
        };
        State::Cruise {
            phase: next,
            before,
        }
    }

    fn next_of_test(&mut self, now: Instant, rounds: u32, window: u64) -> State {
        if rounds + 1 < TEST_ROUNDS {
            let rounds = rounds + 1;
            return State::Test { rounds, window };
        }
        let stands = self
            .round
            .least
            .is_some_and(|least| least > self.base_rtt() + queue_delay(self.base_rtt()));
        tracing::debug!(stands, window, least = ?self.round.least, base = ?self.base_rtt(), "test of the queue");
        if stands {
            self.window = window;
            State::Compete(Competition::new(now, window))
        } else {
            State::Cruise {
                phase: DRAINED + 1,
                before: 0.0,
            }
        }
    }

    fn queue_stands(&self) -> bool {
        self.queue() > queue_delay(self.base_rtt())
    }

    /// Sets the window that the state asks for.
    fn follow(&mut self) {
        let margin = MARGIN_PACKETS * self.mtu;
        let product = self.product(self.rate.highest()).min(MOST as f64);
        let window = match &self.state {
            State::Start { .. } | State::Compete(_) => return,
            State::Drain => (product * 0.9) as u64,
            State::Cruise { phase, .. } if *phase + 1 == DRAINED => {
                (product * CYCLE[*phase]) as u64
            }
            State::Cruise { phase, .. } => (product * CYCLE[*phase]) as u64 + margin,
            State::Test { .. } => (self.product(self.rate.latest()) * 0.6) as u64,
        };
        if product > 0.0 {
            self.window = window.min(self.cap);
        }
    }
}

impl State {
    const START: Self = Self::Start { best: 0.0, flat: 0 };
}

/// Rounds of the start without a fourth more that show that the path is full.
const FLAT_ROUNDS: u32 = 3;
/// Round trips in a row that must have grown for the start to be over.
const START_SAMPLES: usize = 16;
/// Rounds in which little is sent, to see whose the queue is.
const TEST_ROUNDS: u32 = 3;
/// While there is little to send, rates are forgotten round by round only so often.
const IDLE_ROUND: Duration = Duration::from_secs(1);

/// By how much the round trip grows where the start has filled the path.
fn start_delay(base: Duration) -> Duration {
    (base / 8).clamp(Duration::from_millis(4), Duration::from_millis(16))
}

/// A queue that is not ours, or of a path that has become slower.
fn queue_delay(base: Duration) -> Duration {
    (base / 8).clamp(Duration::from_millis(4), Duration::from_millis(20))
}
