//! A recipient's side of a transfer.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    FileOpener, Head, Manifest, OfferError, OpenError, OpenKey, ReceiptSealer, Suite, file_opener,
    offer::Body,
    replay::{Replay, SeenFiles},
    transfer_key::TransferKey,
};
use crate::{
    identity::{Identity, PublicKey},
    protocol::{FileIndex, FrameHeader, PeerId, PeerName, TransferId},
};

/// An offer that is for me, from whom it says, and of this room.
#[derive(Debug)]
pub struct OpenedOffer {
    /// Who sends.
    pub sender: PeerId,
    /// What the sender calls itself; whether that is its name is for the known peers to say.
    pub name: PeerName,
    /// Whether a person chose that name.
    pub chosen: bool,
    /// How content is sealed.
    pub suite: Suite,
    /// To how many peers the transfer is offered, me included.
    pub recipients: u32,
    /// What to decide by.
    pub manifest: Manifest,
    pub(super) opener: TransferOpener,
    pub(super) receipts: ReceiptSealer,
    pub(super) sealed_to: Arc<OpenKey>,
}

impl OpenedOffer {
    /// Takes up the offer: gives what opens the transfer's files, and what seals my receipts.
    ///
    /// # Errors
    /// [`OfferError::Replayed`] if it was taken up before, [`OfferError::Worn`] if the key that it is
    /// sealed to has been used too often.
    pub fn claim(self) -> Result<(TransferOpener, ReceiptSealer), OfferError> {
        self.sealed_to
            .claim(self.sender, self.opener.transfer())
            .map_err(|e| match e {
                Replay::Seen => OfferError::Replayed,
                Replay::Full => OfferError::Worn,
            })?;
        Ok((self.opener, self.receipts))
    }
}

/// A transfer as a recipient holds it. It can be shared between tasks.
pub struct TransferOpener {
    pub(super) key: TransferKey,
    me: PeerId,
    /// The key that signs every file, where several recipients have the secret.
    signer: Option<PublicKey>,
    seen: Mutex<SeenFiles>,
}

impl TransferOpener {
    /// The transfer's ID.
    #[must_use]
    pub fn transfer(&self) -> TransferId {
        self.key.transfer()
    }

    /// Opens the first frame of a file's stream: the head, and what opens the rest.
    ///
    /// The payload is opened in place and of no use afterwards.
    ///
    /// # Errors
    /// When it is no head, not of this transfer and file, or the file has come before.
    pub fn open_head(
        &self,
        file: FileIndex,
        header: FrameHeader,
        payload: &mut [u8],
    ) -> Result<(Head, FileOpener), OpenError> {
        let opened = file_opener::open_head(
            self.key.file(file),
            self.transfer(),
            file,
            header,
            payload,
            self.signer,
            self.key.start(self.me),
        )?;
        // Only now: what is not authentic must not keep the real file out.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(file).map_err(|e| match e {
            Replay::Seen => OpenError::Replayed { file },
            Replay::Full => OpenError::TooScattered,
        })?;
        Ok(opened)
    }
}

#[cfg(test)]
impl TransferOpener {
    /// The same transfer, before any file of it was opened.
    pub(super) fn forgetful(&self) -> Self {
        let secret = zeroize::Zeroizing::new(*self.key.secret());
        Self {
            key: TransferKey::new(secret, self.transfer(), self.key.suite()),
            me: self.me,
            signer: self.signer,
            seen: Mutex::default(),
        }
    }
}

impl fmt::Debug for TransferOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferOpener")
            .field("transfer", &self.transfer())
            .finish_non_exhaustive()
    }
}

pub(super) fn opened(
    key: TransferKey,
    me: &Arc<Identity>,
    sender: PublicKey,
    manifest: Manifest,
    body: Body,
    sealed_to: &Arc<OpenKey>,
) -> OpenedOffer {
    OpenedOffer {
        sender: sender.peer_id(),
        name: body.name,
        chosen: body.chosen,
        suite: key.suite(),
        recipients: body.recipients,
        manifest,
        receipts: ReceiptSealer::new(&key, sender.peer_id(), Arc::clone(me)),
        opener: TransferOpener {
            key,
            me: me.id(),
            signer: (body.recipients > 1).then_some(sender),
            seen: Mutex::default(),
        },
        sealed_to: sealed_to.clone(),
    }
}
