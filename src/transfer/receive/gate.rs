//! Who may send what to this listener.

use std::{future::Future, pin::Pin};

use crate::protocol::{DeclineReason, PeerId, PeerName, SafeText, TransferId};

/// An offer, opened and checked, as the decision about it needs it.
#[derive(Debug, Clone)]
pub struct OfferView {
    /// The transfer.
    pub transfer: TransferId,
    /// The sender.
    pub from: PeerId,
    /// Its name.
    pub from_name: PeerName,
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

/// A decision that may take a while.
pub type Decision<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;

/// Decides about offers.
pub trait Gate: Send + Sync {
    /// Whether a person is asked, so that the sender should be patient.
    fn asks(&self) -> bool {
        false
    }

    /// Decides about one offer.
    fn decide<'a>(&'a self, offer: &'a OfferView) -> Decision<'a>;
}

/// Takes everything that a member of the room sends.
#[derive(Debug, Clone, Copy)]
pub struct AcceptAll;

impl Gate for AcceptAll {
    fn decide<'a>(&'a self, _offer: &'a OfferView) -> Decision<'a> {
        Box::pin(async { Ok(()) })
    }
}
