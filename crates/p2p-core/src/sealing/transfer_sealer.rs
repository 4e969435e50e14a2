//! The sender's side of a transfer.

use std::{
    collections::HashSet,
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hpke::rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    FileSealer, Head, HeadError, Manifest, ReceiptOpener, Start, StartError, Suite,
    aead::Stage,
    file_sealer, offer,
    path_key::PathKey,
    start,
    transfer_key::TransferKey,
    wrap::{self, SystemRng, WrapContext},
};
use crate::{
    crypto::random,
    identity::{Bundle, Identity, MemberKey, Name, PublicKey},
    protocol::{FileIndex, PeerId, RoomId, SignedOffer, TransferId},
};

/// A transfer as its sender holds it: one secret, wrapped for every recipient.
///
/// It can be shared between tasks. A transfer that is resumed is a new one, with a new secret.
pub struct TransferSealer {
    pub(super) key: TransferKey,
    identity: Arc<Identity>,
    name: Name,
    room: RoomId,
    member_key: MemberKey,
    recipients: NonZeroU32,
    manifest: Vec<u8>,
    offered: Mutex<HashSet<PeerId>>,
    next_file: AtomicU64,
}

/// What a transfer is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewTransfer<'a> {
    /// Who sends.
    pub identity: &'a Arc<Identity>,
    /// What the sender calls itself.
    pub name: &'a Name,
    /// Through which room.
    pub room: RoomId,
    /// What its members vouch with.
    pub member_key: &'a MemberKey,
    /// How content is sealed; [`Suite::preferred`] unless there is a reason.
    pub suite: Suite,
    /// To how many peers it will be offered.
    ///
    /// To one alone: nobody else can have made what that one opens, so files go without signatures.
    pub recipients: NonZeroU32,
    /// What they decide by.
    pub manifest: &'a Manifest,
}

/// Why a transfer is not offered to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferToError {
    /// The peer does not listen: its bundle has no key to seal to.
    #[error("{0} does not listen")]
    NotListening(PeerId),
    /// The transfer was offered to this peer before: a second attempt is a new transfer.
    #[error("the transfer was offered to {0} before")]
    Again(PeerId),
    /// The transfer was made for fewer recipients.
    #[error("the transfer was made for {expected} recipients")]
    TooMany {
        /// For how many.
        expected: NonZeroU32,
    },
}

impl TransferSealer {
    /// A new transfer, with a new ID and a new secret.
    #[must_use]
    pub fn new(new: &NewTransfer<'_>) -> Self {
        let mut id = [0; 16];
        random(&mut id);
        let id = TransferId::from_bytes(id);
        Self::with_secret(new, id, TransferKey::random_secret())
    }

    pub(super) fn with_secret(
        new: &NewTransfer<'_>,
        transfer: TransferId,
        secret: Zeroizing<[u8; TransferKey::LEN]>,
    ) -> Self {
        let key = TransferKey::new(secret, transfer, new.suite);
        let manifest = new.manifest.encode();
        let manifest = key.manifest().seal_copy(Stage::Head, 0, b"", &manifest);
        Self {
            key,
            identity: Arc::clone(new.identity),
            name: new.name.clone(),
            room: new.room,
            member_key: new.member_key.clone(),
            recipients: new.recipients,
            manifest,
            offered: Mutex::default(),
            next_file: AtomicU64::new(0),
        }
    }

    /// The transfer's ID.
    #[must_use]
    pub fn transfer(&self) -> TransferId {
        self.key.transfer()
    }

    /// How content is sealed.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.key.suite()
    }

    /// How many files have been numbered so far.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.next_file.load(Ordering::Relaxed)
    }

    /// Seals the transfer to the peer of a verified bundle. Takes about half a millisecond.
    ///
    /// # Errors
    /// When the peer does not listen, was offered this before, or is one too many.
    pub fn offer_to(&self, recipient: &Bundle) -> Result<SignedOffer, OfferToError> {
        self.offer_and_path(recipient).map(|(offer, _)| offer)
    }

    /// The same, with the key for a direct path to the peer.
    ///
    /// # Errors
    /// As [`TransferSealer::offer_to`].
    pub fn offer_and_path(
        &self,
        recipient: &Bundle,
    ) -> Result<(SignedOffer, PathKey), OfferToError> {
        self.offer_with(recipient, &mut SystemRng)
    }

    pub(super) fn offer_with(
        &self,
        recipient: &Bundle,
        rng: &mut impl CryptoRng,
    ) -> Result<(SignedOffer, PathKey), OfferToError> {
        let to = recipient.key.peer_id();
        let hpke = recipient.hpke.as_ref();
        let hpke = hpke.ok_or(OfferToError::NotListening(to))?;
        self.note_recipient(to)?;
        let context = WrapContext {
            room: self.room,
            transfer: self.transfer(),
            sender: self.identity.id(),
            recipient: to,
        };
        let (wrapped, path) = wrap::wrap(hpke, &context, self.key.secret(), rng);
        let terms = offer::Terms {
            key: &self.key,
            sender: &self.identity,
            name: &self.name.name,
            chosen: self.name.chosen,
            recipients: self.recipients.get(),
            manifest: &self.manifest,
        };
        let offer = offer::sign_offer(&terms, to, wrapped, &self.member_key);
        Ok((offer, path))
    }

    /// Numbers the next file and seals its head: the sealer of its content, and the head's frame.
    ///
    /// Every call gives another number and so another key: a file that is read again is sealed
    /// again, never under the same key.
    ///
    /// # Errors
    /// When the head is too long to be sealed; no number is used up then.
    pub fn seal_file(&self, head: &Head) -> Result<(FileSealer, Vec<u8>), HeadError> {
        let encoded = head.encode()?;
        let file = FileIndex(self.next_file.fetch_add(1, Ordering::Relaxed));
        // With one recipient, what it opens can only come from us; with several, each of them
        // could make a file for the others, were it not signed.
        let signer = (self.recipients.get() > 1).then(|| Arc::clone(&self.identity));
        Ok(file_sealer::start_file(
            self.key.file(file),
            self.transfer(),
            file,
            head.content_size(),
            &encoded,
            signer,
        ))
    }

    /// Opens what a recipient says about where a file should begin.
    ///
    /// In a transfer to several, each of them could have said it in the name of another: that
    /// costs the other this file, which then fails verification; it reveals and forges nothing.
    ///
    /// # Errors
    /// When nobody who has the secret sealed this about this file.
    pub fn open_start(
        &self,
        recipient: PeerId,
        file: FileIndex,
        sealed: &[u8],
    ) -> Result<Start, StartError> {
        start::open(&self.key.start(recipient), file, sealed)
    }

    /// What opens the receipts of the peer with this key, from its verified bundle.
    #[must_use]
    pub fn receipts(&self, recipient: PublicKey) -> ReceiptOpener {
        ReceiptOpener::new(&self.key, self.identity.id(), recipient)
    }

    fn note_recipient(&self, to: PeerId) -> Result<(), OfferToError> {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if offered.contains(&to) {
            return Err(OfferToError::Again(to));
        }
        if offered.len() >= self.recipients.get() as usize {
            let expected = self.recipients;
            return Err(OfferToError::TooMany { expected });
        }
        offered.insert(to);
        Ok(())
    }
}

impl fmt::Debug for TransferSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferSealer")
            .field("transfer", &self.transfer())
            .field("suite", &self.suite())
            .field("recipients", &self.recipients)
            .finish_non_exhaustive()
    }
}
