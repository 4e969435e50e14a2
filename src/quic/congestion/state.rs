//! What a connection is doing about its path, and for how long.

use std::time::Duration;

use super::{competition::Competition, cycle::Cycle, start::Start};

#[derive(Debug, Clone)]
pub(super) enum State {
    /// Doubles each round.
    Start(Start),
    /// Lets go of what the start has sent too much.
    Drain,
    /// Keeps the path full, and looks for more.
    Cruise(Cycle),
    /// Sends little for two rounds, to see whose the queue is.
    Test { rounds: u32, window: u64 },
    /// Another fills the queue.
    Compete(Competition),
}

/// Rounds in which little is sent, to see whose the queue is.
pub(super) const TEST_ROUNDS: u32 = 3;
/// Cycles for which it is remembered that a queue stood.
pub(super) const SUSPICION: u32 = 3;
/// Rounds with heavy loss, with less sent after each, that show that others cause it.
pub(super) const HEAVY_MAX: u32 = 3;
/// Rounds of a competition in a row without a queue that end it.
pub(super) const EMPTY_ROUNDS: u32 = 16;
/// While there is little to send, rates are forgotten round by round only so often.
pub(super) const IDLE_ROUND: Duration = Duration::from_secs(1);
