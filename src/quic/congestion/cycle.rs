//! The rounds in which a window goes up and down to see what the path carries.

/// The window in each round, in products of rate and round trip: more than the path
/// carries, to see whether it carries more; what shows in the next round; less, so that the queue of the
/// probe goes; then what keeps the path full.
const GAINS: [f64; 9] = [1.25, 1.1, 0.95, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1];
/// The probe's result shows.
const SHOWS: usize = 1;
/// The queue should be gone.
const DRAINED: usize = 3;

/// A place in the cycle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cycle {
    phase: usize,
    /// The rate before the probe, in bytes per second.
    before: f64,
}

impl Cycle {
    /// Begins with a probe.
    pub(super) fn probe(before: f64) -> Self {
        Self { phase: 0, before }
    }

    /// Begins where the queue is gone.
    pub(super) fn without_queue() -> Self {
        Self {
            phase: DRAINED + 1,
            before: 0.0,
        }
    }

    /// Whether the queue of the probe should be gone.
    pub(super) fn is_drained(self) -> bool {
        self.phase == DRAINED
    }

    /// The window in this round, in bytes, with a margin except where the queue is to go.
    pub(super) fn window(self, product: f64, margin: u64) -> u64 {
        let window = (product * GAINS[self.phase]) as u64;
        match self.phase + 1 == DRAINED {
            true => window,
            false => window + margin,
        }
    }

    /// The next round, after one with this latest and this highest rate.
    pub(super) fn next(self, latest: f64, highest: f64, queue_stands: bool) -> Self {
        if self.phase == SHOWS && latest > self.before * 1.1 && !queue_stands {
            // The path carries more: on with it.
            return Self::probe(latest);
        }
        match (self.phase + 1) % GAINS.len() {
            0 => Self::probe(highest),
            phase => Self { phase, ..self },
        }
    }
}
