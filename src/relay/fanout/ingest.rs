//! From the sender's stream into the ring.

use std::{collections::HashMap, time::Duration};

use tokio::time::timeout;
use tracing::debug;

use super::{
    allocations::{Allocation, Allocations},
    destination::{Destination, Start},
    ports::Inlet,
    preamble::{Found, Preamble},
    shared::Shared,
};
use crate::protocol::{Code, PlanEntry};

/// Reads the stream into blocks and publishes what each read gave at once, so that nothing waits
/// for a block to fill; `received` counts along.
///
/// # Errors
/// The code with which every recipient is to be reset: the sender's, or [`Code::Protocol`] for a
/// stream that does not start as a file's does.
pub(super) async fn ingest<I: Inlet>(
    inlet: &mut I,
    peers: &[Destination],
    shared: &Shared,
    received: &mut u64,
) -> Result<(), Code> {
    let mut preamble = Preamble::new();
    let mut allocations = Allocations::default();
    let mut block: Option<Allocation> = None;
    let mut takes_more = false;
    loop {
        if !takes_more
            || block
                .as_ref()
                .is_none_or(|b| b.memory.capacity() < LEAST_READ)
        {
            block.take().into_iter().for_each(|b| allocations.keep(b));
            let mut room = std::pin::pin!(shared.room(&mut allocations));
            block = Some(match timeout(STALL, &mut room).await {
                Ok(room) => room,
                Err(_) => {
                    inlet.stalls()?;
                    room.await
                }
            });
        }
        let block = block.as_mut().expect("made above");
        let read = inlet.read(&mut block.memory).await?;
        if read == 0 {
            return preamble.finish().map_err(protocol);
        }
        *received += read as u64;
        takes_more = true;
        let mut piece = block.charge.attach(block.memory.split().freeze());
        while let Some(found) = preamble.next(&mut piece).map_err(protocol)? {
            match found {
                Found::Content(piece) => takes_more &= shared.publish(piece),
                Found::Plan(plan) => shared.plan(slots(peers, &plan)),
            }
        }
        // A sender that always has more must not keep the recipients, which share this task, from
        // their turn; and what they take now is still in the cache.
        tokio::task::yield_now().await;
    }
}

/// The slot and start of each recipient that the plan names. Of two entries for one
/// recipient the later counts; others than recipients are ignored.
fn slots(peers: &[Destination], plan: &[PlanEntry]) -> Vec<(usize, Start)> {
    let first: HashMap<_, _> = plan.iter().map(|e| (e.peer, e.first_chunk)).collect();
    let planned = |(slot, to): (usize, &Destination)| {
        let start = to.start(|peer| first.get(peer).copied());
        Some((slot, start?))
    };
    peers.iter().enumerate().filter_map(planned).collect()
}

fn protocol(error: super::preamble::PreambleError) -> Code {
    debug!(%error, "a file's stream cannot be read");
    Code::Protocol
}

/// With less room than this in a block, the next one is begun, in bytes.
const LEAST_READ: usize = 1024;

/// A file from which nothing is read for so long stalls.
const STALL: Duration = Duration::from_millis(250);
