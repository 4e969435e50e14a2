//! What is held now.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::{Purpose, Share};

impl Share {
    /// A lease that holds nothing yet.
    pub(in crate::relay) fn lease(&self, purpose: Purpose) -> Lease {
        Lease::new(self.clone(), purpose)
    }

    /// Memory for one thing that many may hold, if there is any.
    pub(in crate::relay) fn charge(&self, purpose: Purpose, bytes: usize) -> Option<Charge> {
        let mut lease = self.lease(purpose);
        lease.try_grow(bytes).then(|| Charge::new(lease, bytes))
    }

    /// The same, whatever the limits: for what is bounded otherwise.
    pub(in crate::relay) fn forced(&self, purpose: Purpose, bytes: usize) -> Charge {
        let mut lease = self.lease(purpose);
        lease.force(bytes);
        Charge::new(lease, bytes)
    }
}

/// A part of a budget that grows and shrinks; given back when dropped.
#[derive(Debug)]
pub(in crate::relay) struct Lease {
    share: Share,
    purpose: Purpose,
    held: u64,
    /// How much of it is of the guaranteed part.
    guaranteed: u64,
}

impl Lease {
    pub(super) fn new(share: Share, purpose: Purpose) -> Self {
        Self {
            share,
            purpose,
            held: 0,
            guaranteed: 0,
        }
    }

    /// Takes `amount` more, or nothing: what is free, else of the guaranteed part.
    #[must_use]
    pub(in crate::relay) fn try_grow(&mut self, amount: usize) -> bool {
        let amount = amount as u64;
        let taken = self.share.try_take(self.purpose, amount);
        if let Some(guaranteed) = taken {
            self.held += amount;
            self.guaranteed += guaranteed;
        }
        taken.is_some()
    }

    /// Takes `amount` more, whatever the limits: for what is bounded otherwise.
    pub(in crate::relay) fn force(&mut self, amount: usize) {
        self.share.force(self.purpose, amount as u64);
        self.held += amount as u64;
    }

    /// Gives `amount` back.
    pub(in crate::relay) fn shrink(&mut self, amount: usize) {
        let amount = (amount as u64).min(self.held);
        let guaranteed = amount.min(self.guaranteed);
        self.held -= amount;
        self.guaranteed -= guaranteed;
        self.share.give_back(self.purpose, amount, guaranteed);
    }

    /// What it holds now.
    pub(in crate::relay) fn held(&self) -> u64 {
        self.held
    }

    /// Adds what another lease for the same purpose holds to this one.
    pub(in crate::relay) fn absorb(&mut self, mut other: Lease) {
        debug_assert!(self.purpose == other.purpose);
        self.held += std::mem::take(&mut other.held);
        self.guaranteed += std::mem::take(&mut other.guaranteed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.share
            .give_back(self.purpose, self.held, self.guaranteed);
    }
}

/// The memory of one allocation, for as long as anybody holds a part of it. A handle.
#[derive(Debug, Clone)]
pub(in crate::relay) struct Charge {
    _lease: Arc<Lease>,
    bytes: usize,
}

impl Charge {
    pub(super) fn new(lease: Lease, bytes: usize) -> Self {
        Self {
            _lease: Arc::new(lease),
            bytes,
        }
    }

    /// How much it is.
    pub(in crate::relay) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Ties it to a part of the memory: the transport, too, then holds it until an acknowledgement.
    pub(in crate::relay) fn attach(&self, part: Bytes) -> Bytes {
        Bytes::from_owner(Charged {
            part,
            _charge: self.clone(),
        })
    }
}

/// Bytes and what they count for, of which copies can be found again while there are any. A handle.
#[derive(Debug, Clone)]
pub(in crate::relay) struct Counted(Arc<(Bytes, Charge)>);

impl Counted {
    pub(in crate::relay) fn new(bytes: Bytes, charge: Charge) -> Self {
        Self(Arc::new((bytes, charge)))
    }

    /// A copy.
    pub(in crate::relay) fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// What finds the copies again, and keeps none.
    pub(in crate::relay) fn downgrade(&self) -> WeakCounted {
        WeakCounted(Arc::downgrade(&self.0))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0.0
    }
}

/// A [`Counted`] that may be gone.
#[derive(Debug, Clone)]
pub(in crate::relay) struct WeakCounted(Weak<(Bytes, Charge)>);

impl WeakCounted {
    pub(in crate::relay) fn upgrade(&self) -> Option<Counted> {
        self.0.upgrade().map(Counted)
    }
}

struct Charged {
    part: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.part
    }
}
