//! One file, from its sender to all of its recipients.

use std::{future::Future, pin::pin};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::select;

use super::{
    super::budget::Share,
    Destination, FanoutConfig,
    ingest::ingest,
    ports::{Inlet, Outlet},
    recipient::Recipient,
    report::{Delivery, Outcome, Report},
    shared::Shared,
};
use crate::protocol::Code;

/// Relays one file: reads `inlet` to its end, and writes it to the outlet of every recipient.
///
/// The stream is frames, from the head on. Each recipient comes with the future that opens its
/// outlet; one that takes long to open is a recipient that is behind, and delays no other. That
/// future may be dropped before it is done, and must then leave no stream that ends as if complete.
/// A recipient that fails does not end the others' part. When none is left, the inlet is stopped with
/// [`Code::NotNeeded`] if all of them have the file already, else with [`Code::PeerGone`].
///
/// Returns when the last recipient's part has ended. Dropping the future earlier resets every open
/// outlet with [`Code::PeerGone`] and drops the inlet. Needs a Tokio runtime with its timer; blocks
/// no thread but those of its blocking pool.
pub async fn relay_file<I, O, F, D>(
    mut inlet: I,
    recipients: Vec<(D, F)>,
    config: &FanoutConfig,
    share: &Share,
) -> Report
where
    I: Inlet,
    O: Outlet,
    F: Future<Output = Result<O, Code>> + Send,
    D: Into<Destination>,
{
    let split = |(to, open): (D, F)| -> (Destination, F) { (to.into(), open) };
    let (peers, opens): (Vec<_>, Vec<_>) = recipients.into_iter().map(split).unzip();
    let shared = Shared::new(peers.len(), config, share);
    let serve = |(slot, open): (usize, F)| {
        let recipient = Recipient {
            peer: peers[slot].id(),
            slot,
            shared: &shared,
            share,
            stall_limit: config.stall_limit,
        };
        recipient.serve(open)
    };
    let mut parts: FuturesUnordered<_> = opens.into_iter().enumerate().map(serve).collect();
    let mut deliveries = Vec::with_capacity(peers.len());
    let mut bytes_in = 0;
    let end = {
        let mut deliver = pin!(async {
            while let Some(delivery) = parts.next().await {
                deliveries.push(delivery);
            }
        });
        let ended = select! {
            biased;
            end = ingest(&mut inlet, &peers, &shared, &mut bytes_in) => Some(end),
            () = &mut deliver => None,
            never = shared.spool() => match never {},
        };
        if let Some(end) = ended {
            shared.close(end);
            deliver.await;
        }
        ended
    };
    let end = match end {
        Some(Ok(())) => Ok(()),
        Some(Err(code)) => {
            inlet.stop(code);
            Err(code)
        }
        None => {
            let code = reason_to_stop(&deliveries);
            inlet.stop(code);
            Err(code)
        }
    };
    Report {
        end,
        bytes_in,
        bytes_spooled: shared.spooled(),
        deliveries,
    }
}

/// Why nothing further of a file is wanted, when these are all of its recipients.
fn reason_to_stop(deliveries: &[Delivery]) -> Code {
    let has_it = |delivery: &Delivery| delivery.outcome == Outcome::Failed(Code::NotNeeded);
    if !deliveries.is_empty() && deliveries.iter().all(has_it) {
        Code::NotNeeded
    } else {
        Code::PeerGone
    }
}
