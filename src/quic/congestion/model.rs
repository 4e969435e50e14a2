//! What the path carries, and the window that follows from it. `docs/congestion.md` has the reasons.

use std::time::{Duration, Instant};

use super::{PathRate, competition::Competition, rate::DeliveryRate};

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
/// What a start may begin with, at most, where the path is known: 8 ms of a gigabit each 20 ms, or 80 Mbit/s
/// over a second.
const KNOWN_MOST: u64 = 4 << 20;
/// The share of what a path carried that a start begins with: others may have come meanwhile.
const KNOWN_SHARE: f64 = 0.5;
/// By how much the round trip may differ from what is known, or it is another path.
const SAME_PATH: u32 = 2;
/// After so long without anything under way, a path is no more than known.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// And after so long not even that.
const KNOWN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// With less delivered, in bytes, a rate says nothing.
const MEASURED_LEAST: u64 = 1 << 20;

/// What the start adds to the window for each byte that is acknowledged.
///
/// quinn's pace is 1.25 windows in a round trip, and the window grows meanwhile: with 1, what is under way
/// grows by three fourths in a round trip instead of doubling.
const START_GROWTH: f64 = 1.5;

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
    last_sent: Instant,
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
    /// For a path of which this much is `known`.
    pub(super) fn new(now: Instant, mtu: u16, known: Option<PathRate>) -> Self {
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
            suspicion: 0,
            heavy: 0,
            empty: 0,
            known,
            reached: 0.0,
            last_sent: now,
        }
    }

    /// Begins anew, with what is `known`.
    pub(super) fn restart(&mut self, now: Instant, known: Option<PathRate>) {
        let mtu = u16::try_from(self.mtu).unwrap_or(u16::MAX);
        *self = Self {
            in_flight: self.in_flight,
            smoothed: self.smoothed,
            ..Self::new(now, mtu, known)
        };
    }

    /// What it believes, in a line.
    #[cfg(test)]
    pub(super) fn describe(&self) -> String {
        format!(
            "{:?} window {} rate {:.1} Mbit/s base {:?} round {:?}",
            self.state,
            self.window,
            self.rate.highest() * 8e-6,
            self.base_rtt(),
            self.last
        )
    }

    /// What the path carries, if enough was sent to tell.
    pub(super) fn measured(&self) -> Option<PathRate> {
        let known = PathRate {
            rate: self.reached as u64,
            round_trip: self.base_rtt(),
        };
        (self.rate.delivered() >= MEASURED_LEAST && known.rate > 0).then_some(known)
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
        self.round.limited |= !idled;
        self.batch = self.batch.max(Some(sent));
        match &mut self.state {
            State::Start { .. } => {
                // Also where the sender had less to send, or a relay's second link would begin when
                // its first is done; but not beyond what three times as much would need.
                let most = 3 * self.round.peak.max(self.last.peak) + INITIAL_PACKETS * self.mtu;
                let grown = self.window + (bytes as f64 * START_GROWTH) as u64;
                self.window = grown.min(most.max(self.window));
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
        if let Some(known) = self.known.take() {
            self.begin_with(known);
        }
        if let State::Start { .. } = self.state
            && self.measured >= START_SAMPLES
            && self.recent.iter().min() > Some(&(self.base_rtt() + start_delay(self.base_rtt())))
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
        let heavy = self.heavy_loss();
        if let State::Compete(competition) = &mut self.state {
            self.window = competition.cut(now, self.window, self.mtu, (self.smoothed, heavy));
        } else if matches!(self.state, State::Start { .. }) && heavy {
            self.leave_start(now, "loss");
        }
    }

    /// Starts with a share of what the path carried lately, if it is that path by its round trip
    /// (RFC 9959). The start ends at the first sign that it is too much, as ever.
    fn begin_with(&mut self, known: PathRate) {
        let base = self.base_rtt();
        if base < known.round_trip / SAME_PATH || base > known.round_trip * SAME_PATH {
            return;
        }
        let share = self.product(known.rate as f64) * KNOWN_SHARE;
        tracing::debug!(?known, ?base, share, "this path is known");
        self.window = self.window.max((share as u64).min(KNOWN_MOST));
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
            self.heavy += 1;
            if self.heavy >= HEAVY_MAX {
                // Less is sent, and as much is lost: it is others who send too much.
                self.heavy = 0;
                self.cap = MOST;
                self.state = State::Compete(Competition::new(now, self.window));
            }
        } else if self.cap < MOST {
            self.cap = (self.cap + self.cap / 16 + self.mtu).min(MOST);
        }
        if !idle {
            self.reached = self.rate.highest();
        }
        if !heavy && !idle && matches!(self.state, State::Cruise { phase: DRAINED, .. }) {
            self.heavy = 0;
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
            State::Cruise { phase, before } => self.next_of_cruise(now, phase, before),
            State::Test { rounds, window } => self.next_of_test(now, rounds, window),
            State::Compete(competition) => match competition.is_to_test(now) {
                _ if self.is_empty_for_long() => State::Cruise {
                    phase: DRAINED + 1,
                    before: 0.0,
                },
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

    fn next_of_cruise(&mut self, now: Instant, phase: usize, before: f64) -> State {
        let next = (phase + 1) % CYCLE.len();
        if phase == SHOWS && self.rate.latest() > before * 1.1 && !self.queue_stands() {
            // The path carries more: on with it.
            return State::Cruise {
                phase: 0,
                before: self.rate.latest(),
            };
        }
        if phase == DRAINED {
            let stands = self.queue_stands();
            if stands && self.suspicion > 0 {
                // It was gone when it was tested, and is back: nobody but another can have filled it.
                self.suspicion = 0;
                return State::Compete(Competition::new(now, self.window));
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

    /// Whether a competition has had no queue for so long that nobody else can be there.
    fn is_empty_for_long(&mut self) -> bool {
        let least = self.round.least.unwrap_or_default();
        // Where something is lost there is one, and the smallest round trip was never without.
        let queue = least > self.base_rtt() + queue_delay(self.base_rtt());
        self.empty = match queue || self.round.lost > 0 {
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
/// Cycles for which it is remembered that a queue stood.
const SUSPICION: u32 = 3;
/// Rounds with heavy loss, with less sent after each, that show that others cause it.
const HEAVY_MAX: u32 = 3;
/// Rounds of a competition in a row without a queue that end it.
const EMPTY_ROUNDS: u32 = 16;
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
