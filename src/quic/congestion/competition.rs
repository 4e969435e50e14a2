//! Beside others that fill the queue.

use std::time::{Duration, Instant};

/// What is left of the window after a loss, as CUBIC has it (RFC 9438, section 4.6).
const BETA: f64 = 0.7;
/// How fast the window grows, in packets per second cubed (RFC 9438, section 5).
const C: f64 = 0.4;
/// A loss is answered if the last was so many round trips ago.
///
/// Who loses packets all the time is beside one that ignores loss, such as TCP's BBR: answering would give
/// it the path. Beside CUBIC, the queue overflows once in a hundred round trips; BBR makes it overflow with each
/// of its probes, eight round trips without the queue apart. With 8 here, BBR leaves a fifth of the path,
/// with 16, it gets no more than a third.
const QUIET_ROUNDS: u32 = 12;
/// What is left of the window when more is lost than such others cause.
const HEAVY_BETA: f64 = 0.85;
/// What a TCP flow adds to its window in a round trip, in packets (RFC 9438, section 4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// No fewer packets after a loss: what a TCP flow begins with (RFC 6928). With less, it takes a timeout to
/// see a loss.
const LEAST_PACKETS: u64 = 10;
/// The growth in a round trip until the first loss, which shows how much there is to share.
const SEEK: f64 = 0.125;
/// How long until it is tested whether the others are gone.
const TEST_AFTER: Duration = Duration::from_secs(30);

/// The window as CUBIC sets it, with fewer cuts.
#[derive(Debug, Clone)]
pub(super) struct Competition {
    since: Instant,
    /// Half of what the path carried before, in bytes; or the window, if it had more.
    half: f64,
    /// Whether nothing was lost yet.
    seeks: bool,
    lost: Instant,
    cut: Instant,
    epoch: Instant,
    most: f64,
    /// Seconds from the epoch until the window is `most` again.
    again: f64,
    /// The window before a cut that is to show who causes the losses.
    trial: Option<u64>,
    /// Whether a cut has shown that the others ignore losses.
    insists: bool,
    /// What Reno would have (RFC 9438, section 4.3), in bytes.
    reno: f64,
}

impl Competition {
    /// Begins with a window that was found, on a path that `carried` so many bytes in a round trip before.
    pub(super) fn new(now: Instant, window: u64, carried: f64) -> Self {
        Self {
            since: now,
            half: carried / 2.0,
            seeks: true,
            lost: now,
            cut: now,
            epoch: now,
            most: window as f64,
            again: 0.0,
            trial: None,
            insists: false,
            reno: window as f64,
        }
    }

    /// The window after an acknowledgement of so many bytes.
    pub(super) fn grown(
        &mut self,
        now: Instant,
        window: u64,
        bytes: u64,
        mtu: u64,
        rtt: Duration,
    ) -> u64 {
        if self.seeks {
            return window + (bytes as f64 * SEEK) as u64;
        }
        let (current, mtu) = (window as f64, mtu as f64);
        let time = (now.saturating_duration_since(self.epoch) + rtt).as_secs_f64();
        let target = C * (time - self.again).powi(3) * mtu + self.most;
        let alpha = match self.reno < self.most {
            true => ALPHA,
            false => 1.0,
        };
        self.reno += alpha * mtu * bytes as f64 / current.max(mtu);
        let step = (target.min(1.5 * current) - current).max(0.0) * bytes as f64 / current.max(mtu);
        (current + step).max(self.reno).min(u64::MAX as f64 / 2.0) as u64
    }

    /// How long nothing is lost after a cut if the others have made one as well.
    ///
    /// Half of what it takes until windows are what they were, as CUBIC or Reno grow them, less what pauses between
    /// losses last anyway: with few packets BBR is not to be told from CUBIC, and has the same losses. Simulated on
    /// 100 Mbit/s beside BBR: 0.26 of it with 12 round trips always, 0.53 with this; 25 Mbit/s stay as they are.
    fn watch(&self, mtu: u64, rtt: Duration) -> Duration {
        let rtt = rtt.as_secs_f64();
        let cut = (1.0 - BETA) * self.most.max(self.half) / mtu as f64;
        let (cubic, reno) = ((cut / C).cbrt(), cut / ALPHA * rtt);
        let rounds = f64::from(QUIET_ROUNDS) * rtt;
        Duration::from_secs_f64((0.5 * cubic.min(reno) - rounds).max(rounds))
    }

    /// The window after a loss, which may be `heavy`.
    pub(super) fn cut(
        &mut self,
        now: Instant,
        window: u64,
        mtu: u64,
        (rtt, heavy): (Duration, bool),
    ) -> u64 {
        let pause = rtt * QUIET_ROUNDS;
        let watch = self.watch(mtu, rtt);
        let quiet = now.saturating_duration_since(self.lost) >= pause;
        let since_cut = now.saturating_duration_since(self.cut);
        self.lost = now;
        if let Some(before) = self.trial {
            // What was sent before the cut is lost for two more round trips.
            if since_cut < 2 * rtt {
                return window;
            }
            self.trial = None;
            self.insists = since_cut < watch;
            if self.insists {
                // As much is lost with less: the others cause it.
                self.cut = now;
                self.epoch = now;
                self.again = 0.0;
                self.most = before as f64;
                self.reno = before as f64;
                return before.max(window);
            }
        }
        let beta = if self.seeks {
            BETA
        } else if heavy && since_cut >= pause && (self.insists || !quiet) {
            HEAVY_BETA
        } else if (quiet && !self.insists) || since_cut >= 2 * watch {
            self.trial = Some(window);
            BETA
        } else {
            return window;
        };
        let before = window as f64;
        // Fast convergence (RFC 9438, section 4.7).
        self.most = match before < self.most {
            true => before * (1.0 + BETA) / 2.0,
            false => before,
        };
        self.seeks = false;
        self.cut = now;
        self.epoch = now;
        let after = (before * beta).max((LEAST_PACKETS * mtu) as f64);
        self.reno = after;
        self.again = ((self.most - after).max(0.0) / mtu as f64 / C).cbrt();
        after as u64
    }

    /// Whether it is time to test whether the others are gone.
    pub(super) fn is_to_test(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > TEST_AFTER
    }
}
