//! TCP's congestion control, as the simulation's other senders have it.

use std::time::{Duration, Instant};

use super::{path::PACKET, rate::DeliveryRate};

const PACKET_SIZE: f64 = PACKET as f64;

/// CUBIC (RFC 9438), with slow start that ends at the first loss.
#[derive(Debug)]
pub(crate) struct Cubic {
    window: f64,
    start: bool,
    most: f64,
    epoch: Instant,
    again: f64,
    reno: f64,
    cut: Instant,
}

impl Cubic {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            window: 10.0 * PACKET_SIZE,
            start: true,
            most: 0.0,
            epoch: now,
            again: 0.0,
            reno: 0.0,
            cut: now,
        }
    }

    pub(crate) fn window(&self) -> u64 {
        self.window as u64
    }

    pub(crate) fn on_ack(&mut self, now: Instant, rtt: Duration) {
        if self.start {
            self.window += PACKET_SIZE;
            return;
        }
        let time = (now - self.epoch + rtt).as_secs_f64();
        let target = 0.4 * (time - self.again).powi(3) * PACKET_SIZE + self.most;
        self.reno += 3.0 * 0.3 / 1.7 * PACKET_SIZE * PACKET_SIZE / self.window;
        let target = target.min(1.5 * self.window);
        self.window += (target - self.window).max(0.0) * PACKET_SIZE / self.window;
        self.window = self.window.max(self.reno);
    }

    /// A packet is lost that was sent then.
    pub(crate) fn on_loss(&mut self, now: Instant, sent: Instant) {
        if sent <= self.cut {
            return;
        }
        self.most = match self.window < self.most {
            true => self.window * 0.85,
            false => self.window,
        };
        self.window = (self.window * 0.7).max(4.0 * PACKET_SIZE);
        self.reno = self.window;
        self.again = ((self.most - self.window).max(0.0) / PACKET_SIZE / 0.4).cbrt();
        (self.start, self.epoch, self.cut) = (false, now, now);
    }
}

/// BBR's first version, as Linux has it.
#[derive(Debug)]
pub(crate) struct Bbr {
    rate: DeliveryRate,
    least: Option<(Duration, Instant)>,
    state: State,
    round_start: Instant,
    batch: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Startup { best: f64, flat: u32 },
    Drain,
    Probe { phase: usize, since: Instant },
    Rtt { until: Instant },
}

/// The gain of the pace in each phase.
const GAINS: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
const HIGH: f64 = 2.885;

impl Bbr {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            rate: DeliveryRate::new(now),
            least: None,
            state: State::Startup { best: 0.0, flat: 0 },
            round_start: now,
            batch: None,
        }
    }

    fn product(&self) -> f64 {
        let (least, _) = self.least.unwrap_or((Duration::ZERO, self.round_start));
        self.rate.highest() * least.as_secs_f64()
    }

    pub(crate) fn window(&self) -> u64 {
        let gain = match self.state {
            State::Startup { .. } | State::Drain => HIGH,
            State::Probe { .. } => 2.0,
            State::Rtt { .. } => return 4 * PACKET,
        };
        ((gain * self.product()) as u64 + 3 * PACKET).max(10 * PACKET)
    }

    /// Bytes per second.
    pub(crate) fn pace(&self, rtt: Duration) -> f64 {
        let rate = match self.rate.highest() {
            0.0 => 10.0 * PACKET_SIZE / rtt.as_secs_f64(),
            rate => rate,
        };
        rate * match self.state {
            State::Startup { .. } => HIGH,
            State::Drain => 1.0 / HIGH,
            State::Probe { phase, .. } => GAINS[phase],
            State::Rtt { .. } => 1.0,
        }
    }

    pub(crate) fn on_sent(&mut self, now: Instant, in_flight: bool) {
        self.rate.sent(now, in_flight);
    }

    pub(crate) fn on_ack(&mut self, now: Instant, sent: Instant) {
        self.rate.acked(now, PACKET);
        self.batch = self.batch.max(Some(sent));
    }

    pub(crate) fn on_end_acks(&mut self, now: Instant, in_flight: u64) {
        let Some(sent) = self.batch.take() else {
            return;
        };
        self.rate.sample(now, sent, false);
        let rtt = now - sent;
        let old = self
            .least
            .is_some_and(|(_, at)| now - at > Duration::from_secs(10));
        if self.least.is_none_or(|(least, _)| rtt <= least) || old {
            self.least = Some((rtt, now));
        }
        if old && !matches!(self.state, State::Rtt { .. }) {
            let until = now + Duration::from_millis(200) + rtt;
            self.state = State::Rtt { until };
        }
        let round = sent >= self.round_start;
        if round {
            self.rate.end_round();
            self.round_start = now;
        }
        let (least, _) = self.least.expect("set above");
        let product = self.product();
        self.state = match std::mem::replace(&mut self.state, State::Drain) {
            State::Startup { best, flat } if round => {
                let rate = self.rate.highest();
                match (rate > best * 1.25, flat) {
                    (true, _) => State::Startup {
                        best: rate,
                        flat: 0,
                    },
                    (false, 2..) => State::Drain,
                    (false, flat) => State::Startup {
                        best,
                        flat: flat + 1,
                    },
                }
            }
            State::Drain if in_flight as f64 <= product => State::Probe {
                phase: 2,
                since: now,
            },
            State::Probe { phase, since } => {
                let long = now - since > least;
                let over = match phase {
                    0 => long && in_flight as f64 >= 1.25 * product * 0.98,
                    1 => long || in_flight as f64 <= product,
                    _ => long,
                };
                // Also where losses keep it from having so much under way.
                match over || now - since > 4 * least {
                    true => State::Probe {
                        phase: (phase + 1) % GAINS.len(),
                        since: now,
                    },
                    false => State::Probe { phase, since },
                }
            }
            State::Rtt { until } if now >= until => State::Probe {
                phase: 2,
                since: now,
            },
            other => other,
        };
    }
}
