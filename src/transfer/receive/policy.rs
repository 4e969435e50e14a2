//! Who may send what to this listener.

use std::{future::Future, pin::Pin};

use crate::{
    home::KnownPeers,
    protocol::{DeclineReason, PeerId, PeerName, SafeText, TransferId},
};

/// An offer, opened and checked, as the decision about it needs it.
#[derive(Debug, Clone)]
pub struct OfferView {
    /// The transfer.
    pub transfer: TransferId,
    /// The sender.
    pub from: PeerId,
    /// Its name.
    pub from_name: PeerName,
    /// Whether a person chose that name.
    pub from_chosen: bool,
    /// How many files, where the sender knows.
    pub files: Option<u64>,
    /// How many bytes, where the sender knows.
    pub bytes: Option<u64>,
    /// The first names, as the sender gives them: escape them before they are printed.
    pub names: Vec<(String, Option<u64>)>,
    /// A message instead of files.
    pub text: bool,
}

/// Why an offer is declined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub reason: DeclineReason,
    /// For the person who sends.
    pub text: SafeText,
}

impl Refusal {
    /// A refusal with words for the sender.
    #[must_use]
    pub fn new(reason: DeclineReason, text: &str) -> Self {
        Self {
            reason,
            text: SafeText::new(text),
        }
    }
}

/// A person's answer, which may take a while.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;

/// What a policy says at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is taken.
    Accept,
    /// It is not.
    Refuse(Refusal),
    /// A person has to say so: see [`OfferPolicy::ask`].
    Ask,
}

/// Decides about offers.
pub trait OfferPolicy: Send + Sync {
    /// What can be said without a person. May read files: it is called where that may take a moment.
    fn screen(&self, offer: &OfferView) -> Decision;

    /// Asks a person; dropped when the offer is withdrawn. Called only after [`Decision::Ask`].
    fn ask<'a>(&'a self, offer: &'a OfferView) -> Answer<'a>;
}

/// Takes everything that a member of the room sends.
#[derive(Debug, Clone, Copy)]
pub struct AcceptAll;

impl OfferPolicy for AcceptAll {
    fn screen(&self, _offer: &OfferView) -> Decision {
        Decision::Accept
    }

    fn ask<'a>(&'a self, _offer: &'a OfferView) -> Answer<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// Takes what comes from peers that a person here has trusted, by `p2p trust add` or by sending to
/// them.
#[derive(Debug, Clone)]
pub struct TrustedOnly(pub KnownPeers);

impl OfferPolicy for TrustedOnly {
    fn screen(&self, offer: &OfferView) -> Decision {
        match self.0.load() {
            Ok(roster) if roster.is_trusted(offer.from) => Decision::Accept,
            Ok(_) => Decision::Refuse(Refusal::new(
                DeclineReason::NotTrusted,
                "takes files from trusted peers only",
            )),
            Err(error) => {
                tracing::error!(%error, "known peers cannot be read");
                Decision::Refuse(Refusal::new(
                    DeclineReason::Storage,
                    "the recipient cannot read whom it trusts",
                ))
            }
        }
    }

    fn ask<'a>(&'a self, _offer: &'a OfferView) -> Answer<'a> {
        Box::pin(async { Ok(()) })
    }
}
