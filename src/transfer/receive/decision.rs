//! Whether an offer is taken.

use tokio::sync::mpsc;

use super::{
    Destination, OfferView, Refusal,
    incoming::{Heard, Incoming},
};
use crate::{
    identity::{Origin, Verdict},
    protocol::{DeclineReason, PeerMessage},
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
        if let (Destination::Directory(target), Some(bytes)) = (&config.destination, bytes)
            && let Ok(free) = target.free_bytes()
            && bytes > free
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
        if gate.asks() {
            self.voice
                .tell(self.transfer, Some(offer.id), PeerMessage::Asking {})
                .await;
        }
        let decision = tokio::select! {
            decision = gate.decide(&view) => decision,
            () = gone(&mut self.hears) => return None,
        };
        if decision.is_ok() && self.sender.chosen {
            let pinned = self.shared.config.known.pin(
                &self.sender.name,
                self.sender.id,
                Origin::Seen,
                unix_now(),
            );
            if let Err(error) = pinned {
                self.shared.observer.event(Event::Notice(format!(
                    "known peers were not updated: {error}"
                )));
            }
        }
        Some(decision)
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
