//! Whether an offer is taken.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    Destination, OfferView, Refusal,
    incoming::{Heard, Incoming},
};
use crate::{
    identity::{Origin, Verdict},
    protocol::{DeclineReason, PeerMessage},
    storage::Target,
    transfer::{Event, unix_now},
};

impl Incoming {
    /// Applies policy; `None` when the sender is gone before there is a decision.
    pub(super) async fn decide(&mut self) -> Option<Result<(), Refusal>> {
        let (config, offer) = (&self.shared.config, &self.sender);
        let roster = match config.known.load() {
            Ok(roster) => roster,
            Err(error) => {
                return Some(Err(Refusal::new(
                    DeclineReason::NotTrusted,
                    &error.to_string(),
                )));
            }
        };
        if let Verdict::Changed { pinned } = roster.check(&offer.name, offer.id) {
            let (name, id) = (&offer.name, offer.id);
            let text = format!("the name {name} belongs to {pinned} here, not to {id}");
            return Some(Err(Refusal::new(DeclineReason::KeyChanged, &text)));
        }
        let bytes = self.manifest.bytes;
        if let (Some(max), Some(bytes)) = (config.max_size, bytes)
            && bytes > max
        {
            let text = format!("{bytes} bytes, where {max} are taken");
            return Some(Err(Refusal::new(DeclineReason::TooLarge, &text)));
        }
        // What a sender says of holes is no more than that: what is written is looked at again.
        let room = bytes.map(|bytes| self.manifest.room.map_or(bytes, |room| room.min(bytes)));
        if let (Destination::Directory(target), Some(bytes)) = (&config.destination, room)
            && let Ok(free) = target.free_bytes()
            && bytes > free
            // What an interrupted attempt has left here needs no room.
            && bytes > free.saturating_add(self.held(target).await)
        {
            let text = format!("{bytes} bytes, where {free} are free");
            return Some(Err(Refusal::new(DeclineReason::NoSpace, &text)));
        }
        let view = OfferView {
            transfer: self.transfer,
            from: offer.id,
            from_name: offer.name.clone(),
            files: self.manifest.files,
            bytes,
            names: self
                .manifest
                .names
                .iter()
                .map(|e| (e.path.to_string(), e.size))
                .collect(),
            text: self.manifest.text,
        };
        let gate = config.gate.clone();
        let approvals = &self.shared.approvals;
        let decision = if gate.asks() && approvals.holds(offer.id, &self.manifest) {
            Ok(())
        } else {
            if gate.asks() {
                self.messages
                    .send(Some(offer.id), self.transfer, PeerMessage::Asking {})
                    .await;
            }
            tokio::select! {
                decision = gate.decide(&view) => decision,
                () = gone(&mut self.hears) => return None,
            }
        };
        // Also where it holds already: an interrupted transfer prolongs it.
        if gate.asks() && decision.is_ok() {
            approvals.given(self.sender.id, &self.manifest);
        }
        if decision.is_ok() && self.sender.chosen {
            let pinned = self.shared.config.known.pin(
                &self.sender.name,
                self.sender.id,
                Origin::Seen,
                unix_now(),
            );
            if let Err(error) = pinned {
                self.shared.observer.event(Event::Notice {
                    text: format!("known peers were not updated: {error}"),
                });
            }
        }
        Some(decision)
    }

    /// Bytes of this job that an interrupted attempt has left here.
    async fn held(&self, target: &Arc<Target>) -> u64 {
        let Ok((journal, resuming)) = self.open_journal().await else {
            return 0;
        };
        if !resuming {
            journal.finish();
            return 0;
        }
        let target = target.clone();
        tokio::task::spawn_blocking(move || journal.held(&target))
            .await
            .unwrap_or(0)
    }
}

/// Waits until the sender takes the offer back.
async fn gone(hears: &mut mpsc::UnboundedReceiver<Heard>) {
    loop {
        match hears.recv().await {
            Some(Heard::Gone(_) | Heard::Stop(_) | Heard::Said(PeerMessage::Cancel { .. }))
            | None => return,
            Some(_) => {}
        }
    }
}
