//! Whether an offer is taken: by what is known of its sender, by its size, by policy, by a person.

use std::sync::Arc;

use p2p_view::format::bytes as size;
use tokio::task::spawn_blocking;

use super::{
    Decision, Destination, OfferView, Refusal, Shared, approvals::Approval, context::SharedJournal,
};
use crate::{
    identity::{self, Origin, Standing},
    protocol::{DeclineReason, PeerId, RelativePath, TransferId},
    sealing::{Manifest, OpenedOffer},
    storage::{Conflict, Journal},
    transfer::{Event, PeerRef, unix_now},
};

/// An offer whose signature holds, while it is decided about.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) transfer: TransferId,
    pub(super) from: PeerRef,
    /// Whether a person chose the sender's name.
    pub(super) chosen: bool,
    pub(super) manifest: Manifest,
}

/// What was found out about the job of an offer, for its answer.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) journal: SharedJournal,
    /// Whether an earlier attempt left something.
    pub(super) is_resumed: bool,
    /// Whether something is here under a name that is offered.
    pub(super) is_there: bool,
}

impl Notes {
    /// Removes what was begun for an offer that is not taken.
    pub(super) async fn forget(self) {
        if !self.is_resumed {
            let _ = spawn_blocking(move || self.journal.finish()).await;
        }
    }
}

impl Offer {
    pub(super) fn new(transfer: TransferId, opened: &OpenedOffer) -> Self {
        Self {
            transfer,
            from: PeerRef::new(opened.sender, opened.name.clone()),
            chosen: opened.chosen,
            manifest: opened.manifest.clone(),
        }
    }

    fn view(&self) -> OfferView {
        let names = self.manifest.names.iter();
        OfferView {
            transfer: self.transfer,
            from: self.from.id,
            from_name: self.from.name.clone(),
            from_chosen: self.chosen,
            files: self.manifest.files,
            bytes: self.manifest.bytes,
            names: names.map(|e| (e.path.to_string(), e.size)).collect(),
            text: self.manifest.text,
        }
    }

    /// Everything that is decided without a person. Blocking.
    pub(super) fn screen(&self, shared: &Shared) -> Result<(Notes, Decision), Refusal> {
        let config = &shared.config;
        let known = config.known.load().map_err(|error| {
            shared.notice(format!("known peers cannot be read: {error}"));
            Refusal::new(
                DeclineReason::Storage,
                "the recipient cannot read whom it knows",
            )
        })?;
        let PeerRef { id, name } = &self.from;
        if let identity::Verdict::Changed { pinned } = known.check(name, *id) {
            return Err(self.key_changed(pinned));
        }
        if known.standing(*id) == Some(Standing::Never) {
            return Err(Refusal::new(DeclineReason::Refused, "declined"));
        }
        let decision = match config.policy.screen(&self.view()) {
            Decision::Refuse(refusal) => return Err(refusal),
            decision => decision,
        };
        let bytes = self.manifest.bytes.unwrap_or(0);
        if let Some(max) = config.max_size.filter(|max| bytes > *max) {
            let text = format!(
                "takes at most {} (--max-size); this is {}",
                size(max),
                size(bytes)
            );
            return Err(Refusal::new(DeclineReason::TooLarge, &text));
        }
        let Destination::Directory(target) = &config.destination else {
            return Ok((Notes::default(), decision));
        };
        target.ensure().map_err(|error| {
            shared.notice(format!("nothing can be stored: {error}"));
            Refusal::new(DeclineReason::Storage, &error.reason())
        })?;
        let opened = Journal::open(&config.journal, id, &self.manifest.job.0);
        let (journal, is_resumed) = opened.map_err(|error| {
            shared.notice(format!("notes on a transfer cannot be kept: {error}"));
            let text = "the recipient cannot keep notes on the transfer";
            Refusal::new(DeclineReason::Storage, text)
        })?;
        let journal = SharedJournal::new(journal);
        // What a sender says of holes is no more than that: what is written is looked at again.
        let bytes = self.manifest.room.map_or(bytes, |room| room.min(bytes));
        if let Ok(free) = target.free_bytes()
            && bytes > free
            // What an interrupted attempt has left here needs no room.
            && bytes > free.saturating_add(journal.held(target))
        {
            if !is_resumed {
                journal.finish();
            }
            let text = format!("has {} free; this is {}", size(free), size(bytes));
            return Err(Refusal::new(DeclineReason::NoSpace, &text));
        }
        let skips = config.conflict == Conflict::Skip;
        let is_there = self.manifest.names.iter().any(|entry| {
            let Ok(path) = entry.path.as_str().parse::<RelativePath>() else {
                return false;
            };
            let top = path.as_str().split('/').next().unwrap_or_default().parse();
            target.has(&path) || (skips && top.is_ok_and(|top| target.has(&top)))
        });
        let notes = Notes {
            journal,
            is_resumed,
            is_there,
        };
        Ok((notes, decision))
    }

    /// Asks a person, unless one has said yes to this before.
    pub(super) async fn ask(&self, shared: &Shared) -> Result<Arc<Approval>, Refusal> {
        if let Some(approval) = shared.approvals.renew(self.from.id, &self.manifest) {
            return Ok(approval);
        }
        shared.config.policy.ask(&self.view()).await?;
        Ok(shared.approvals.given(self.from.id, &self.manifest))
    }

    /// Remembers the sender by a name that it chose, before it hears a yes; refused where the name was
    /// given to another since the offer was looked at. Blocking.
    pub(super) fn pin(&self, shared: &Shared) -> Result<(), Refusal> {
        if !self.chosen {
            return Ok(());
        }
        let PeerRef { id, name } = &self.from;
        let pinned = shared.config.known.pin(name, *id, Origin::Seen, unix_now());
        match pinned {
            Ok(identity::Verdict::Changed { pinned }) => Err(self.key_changed(pinned)),
            Ok(_) => Ok(()),
            Err(error) => {
                shared.notice(format!("known peers were not updated: {error}"));
                Ok(())
            }
        }
    }

    fn key_changed(&self, pinned: PeerId) -> Refusal {
        let PeerRef { id, name } = &self.from;
        let text = format!("the name {name} belongs to {pinned} here, not to {id}");
        Refusal::new(DeclineReason::KeyChanged, &text)
    }
}

impl Shared {
    fn notice(&self, text: String) {
        self.observer.event(Event::Notice { text });
    }
}
