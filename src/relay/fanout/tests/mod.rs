//! What the fan-out promises, kept by the whole of it.

mod bounds;
mod delivery;
mod laggards;
mod pipes;
mod plans;
mod rings;

use std::future::Future;

use pipes::{Feed, Tap, TapOutlet, peer};

use super::{Budget, Delivery, FanoutConfig, Outcome, Report, relay_file};
use crate::protocol::Code;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A relay with its spool in a directory of its own.
struct Relay {
    config: FanoutConfig,
    budget: Budget,
    _dir: tempfile::TempDir,
}

impl Relay {
    fn new() -> Self {
        Self::with_budget(Budget::default())
    }

    fn with_budget(budget: Budget) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            config: FanoutConfig::new(dir.path().to_owned()),
            budget,
            _dir: dir,
        }
    }

    /// Relays a feed to taps that are open from the start.
    async fn run(&self, feed: &Feed, taps: &[Tap]) -> Report {
        self.run_to(feed, taps.iter().cloned().map(Tap::outlet))
            .await
    }

    async fn run_to<F>(&self, feed: &Feed, outlets: impl IntoIterator<Item = F>) -> Report
    where
        F: Future<Output = Result<TapOutlet, Code>> + Send,
    {
        let recipients = outlets.into_iter().enumerate();
        let recipients = recipients.map(|(slot, open)| (peer(slot), open)).collect();
        relay_file(feed.clone(), recipients, &self.config, &self.budget.share()).await
    }
}

impl Report {
    fn of(&self, slot: usize) -> Delivery {
        let mut of_slot = self.deliveries.iter().filter(|d| d.peer == peer(slot));
        let delivery = of_slot.next().copied();
        assert!(of_slot.next().is_none(), "two reports for one recipient");
        delivery.expect("a report for every recipient")
    }
}

/// All but one.
fn but(left_out: usize, taps: &[Tap]) -> impl Iterator<Item = &Tap> {
    let others = taps.iter().enumerate();
    others.filter_map(move |(slot, tap)| (slot != left_out).then_some(tap))
}
