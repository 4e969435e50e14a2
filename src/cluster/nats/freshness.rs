//! Which beats are new, and which relays have not been heard of for too long.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::super::Instance;

/// What was heard of each run of a relay.
#[derive(Debug, Default)]
pub(super) struct Freshness(HashMap<Instance, Run>);

#[derive(Debug)]
struct Run {
    number: u64,
    heard: Instant,
    /// Whether it counts as up.
    is_up: bool,
}

impl Freshness {
    /// Whether a beat of this number is newer than all before; to be asked before its signature is checked.
    pub(super) fn is_new(&self, instance: Instance, number: u64) -> bool {
        self.0.get(&instance).is_none_or(|run| run.number < number)
    }

    /// Notes a beat that was checked; `is_up` is false where it is the run's last.
    pub(super) fn note(&mut self, instance: Instance, number: u64, is_up: bool, now: Instant) {
        if self.0.len() >= RUNS_MAX && !self.0.contains_key(&instance) {
            self.forget_oldest();
        }
        let run = Run {
            number,
            heard: now,
            is_up,
        };
        self.0.insert(instance, run);
    }

    /// Whether it counts as up.
    pub(super) fn is_up(&self, instance: Instance) -> bool {
        self.0.get(&instance).is_some_and(|run| run.is_up)
    }

    /// The runs that count as up no more, since nothing was heard of them for [`GONE_AFTER`].
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Instance> {
        self.0.retain(|_, run| {
            // What is forgotten is too old by its own time to be believed again.
            run.is_up || now.saturating_duration_since(run.heard) < 2 * AGE_MAX
        });
        let silent = self
            .0
            .iter_mut()
            .filter(|(_, run)| run.is_up && now.saturating_duration_since(run.heard) >= GONE_AFTER);
        silent
            .map(|(instance, run)| {
                run.is_up = false;
                *instance
            })
            .collect()
    }

    /// Gives everybody time anew: while this relay was not connected, nobody could be heard.
    pub(super) fn excuse(&mut self, now: Instant) {
        for run in self.0.values_mut().filter(|run| run.is_up) {
            run.heard = now;
        }
    }

    /// Of those that are gone, if there are any.
    fn forget_oldest(&mut self) {
        let oldest = self.0.iter().min_by_key(|(_, run)| (run.is_up, run.heard));
        if let Some(instance) = oldest.map(|(instance, _)| *instance) {
            self.0.remove(&instance);
        }
    }
}

/// Three beats.
pub(super) const GONE_AFTER: Duration = Duration::from_secs(7);
/// How far the time in a beat may be from this machine's.
pub(super) const AGE_MAX: Duration = Duration::from_secs(300);
/// Runs that are remembered: those that are up, and some that were.
const RUNS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_counts_once_and_a_silent_relay_goes() {
        let (mut runs, start) = (Freshness::default(), Instant::now());
        let it = Instance::random();
        assert!(runs.is_new(it, 1));
        runs.note(it, 5, true, start);
        assert!(!runs.is_new(it, 5) && !runs.is_new(it, 4) && runs.is_new(it, 6));
        assert!(runs.expire(start + GONE_AFTER / 2).is_empty() && runs.is_up(it));
        assert_eq!(runs.expire(start + GONE_AFTER), [it]);
        assert!(!runs.is_up(it));
        // Its old beats do not bring it back.
        assert!(!runs.is_new(it, 5));
        runs.note(it, 6, true, start + GONE_AFTER);
        runs.excuse(start + 2 * GONE_AFTER);
        assert!(runs.expire(start + 2 * GONE_AFTER).is_empty());
        runs.note(it, 7, false, start);
        assert!(runs.expire(start + AGE_MAX).is_empty() && !runs.is_new(it, 7));
        runs.expire(start + 2 * AGE_MAX);
        assert!(runs.is_new(it, 7));
    }

    #[test]
    fn only_so_many_runs_are_remembered_and_those_that_are_up_last() {
        let (mut runs, start) = (Freshness::default(), Instant::now());
        let up = Instance::random();
        runs.note(up, 1, true, start);
        for i in 0..2 * RUNS_MAX as u64 {
            let instance = Instance::from_number(i);
            runs.note(instance, 1, false, start + Duration::from_millis(i));
        }
        assert_eq!(runs.0.len(), RUNS_MAX);
        assert!(runs.is_up(up));
    }
}
