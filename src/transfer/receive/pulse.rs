//! When an idle listener looks whether its relay is still the one that it knows.

use std::time::{Duration, Instant};

/// Between two looks where the relay does not say how often it can afford them: never, beside the ping that
/// QUIC itself sends.
const NEVER: Duration = Duration::MAX;
/// The shortest pause that a relay may ask for.
const SHORTEST: Duration = Duration::from_secs(2);
/// The pause after the relay was lost: what was restarted once is often restarted again.
const AFTER_LOSS: Duration = Duration::from_secs(2);
/// For how long a loss makes looks more frequent.
const ALERT: Duration = Duration::from_secs(60);

/// A look that comes a little early must not make the pause longer by a whole one: looks are a second apart.
const SLACK: Duration = Duration::from_millis(500);

/// When to ping a relay from which nothing comes.
///
/// A relay that was killed says nothing, and one that is back answers only what it gets. So the loss is
/// noticed by a ping: by the next one after the relay's return. One that is not answered is repeated at
/// each look, since QUIC repeats what is lost at intervals that double.
#[derive(Debug)]
pub(super) struct Pulse {
    every: Duration,
    alert_until: Option<Instant>,
    /// What had come when something new came last.
    heard: u64,
    at: Instant,
    /// When the ping was sent that has no answer yet, and each time it was repeated.
    asked: Option<Instant>,
}

impl Pulse {
    /// Of a connection that begins `now`: `every` is what its relay asks for, `after_loss` whether the one
    /// before was lost.
    pub(super) fn new(every: Option<Duration>, after_loss: bool, now: Instant) -> Self {
        Self {
            every: every.map_or(NEVER, |every| every.max(SHORTEST)),
            alert_until: after_loss.then(|| now + ALERT),
            heard: 0,
            at: now,
            asked: None,
        }
    }

    /// Whether to ping now, where `heard` packets have come so far.
    ///
    /// Asked about once a second.
    pub(super) fn is_due(&mut self, now: Instant, heard: u64) -> bool {
        if heard != self.heard {
            // An answer came at once, only it is seen now.
            self.at = self.asked.take().unwrap_or(now);
            self.heard = heard;
        }
        let pause = match self.alert_until {
            _ if self.asked.is_some() => Duration::ZERO,
            Some(until) if now < until => self.every.min(AFTER_LOSS),
            _ => self.every,
        };
        let is_due = now.duration_since(self.at).saturating_add(SLACK) >= pause;
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds at which a relay is pinged that answers as long as `answers` says so.
    fn pings(mut pulse: Pulse, start: Instant, answers: impl Fn(u64) -> bool) -> Vec<u64> {
        let (mut heard, mut pings) = (0, Vec::new());
        for second in 1..=90 {
            // Looks are never quite on time.
            let early = Duration::from_millis(second % 3);
            let now = start + Duration::from_secs(second) - early;
            if pulse.is_due(now, heard) {
                pings.push(second);
                heard += u64::from(answers(second));
            }
        }
        pings
    }

    #[test]
    fn an_idle_relay_is_pinged_as_often_as_it_asks_for_and_never_more_than_it_can_bear() {
        let start = Instant::now();
        let every = |seconds| Pulse::new(Some(SECOND * seconds), false, start);
        assert_eq!(pings(every(4), start, |_| true)[..3], [4, 8, 12]);
        assert_eq!(pings(every(0), start, |_| true)[..3], [2, 4, 6]);
        let silent = Pulse::new(None, false, start);
        assert!(pings(silent, start, |_| true).is_empty());
    }

    #[test]
    fn a_ping_that_is_not_answered_is_repeated_at_each_look() {
        let start = Instant::now();
        let pulse = Pulse::new(Some(SECOND * 4), false, start);
        let pings = pings(pulse, start, |second| second > 10);
        assert_eq!(pings[..9], [4, 5, 6, 7, 8, 9, 10, 11, 15]);
    }

    #[test]
    fn after_a_loss_looks_are_frequent_for_a_minute_whatever_the_relay_asks_for() {
        let start = Instant::now();
        for every in [None, Some(SECOND * 30)] {
            let pings = pings(Pulse::new(every, true, start), start, |_| true);
            assert_eq!(pings[..3], [2, 4, 6]);
            assert_eq!(
                pings.iter().filter(|second| **second > 62).count(),
                usize::from(every.is_some())
            );
        }
    }
}
