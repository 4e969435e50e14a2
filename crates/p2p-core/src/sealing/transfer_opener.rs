//! A recipient's side of a transfer.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use super::{
    FileOpener, Head, OpenError, file_opener,
    replay::{Replay, SeenFiles},
    transfer_key::TransferKey,
};
use crate::{
    identity::PublicKey,
    protocol::{FileIndex, FrameHeader, PeerId, TransferId},
};

/// A transfer as a recipient holds it. It can be shared between tasks.
pub struct TransferOpener {
    pub(super) key: TransferKey,
    me: PeerId,
    /// The key that signs every file, where several recipients have the secret.
    signer: Option<PublicKey>,
    seen: Mutex<SeenFiles>,
}

impl TransferOpener {
    /// `signer` signs every file, where several recipients have the secret.
    pub(super) fn new(key: TransferKey, me: PeerId, signer: Option<PublicKey>) -> Self {
        Self {
            key,
            me,
            signer,
            seen: Mutex::default(),
        }
    }

    /// The transfer's ID.
    #[must_use]
    pub fn transfer(&self) -> TransferId {
        self.key.transfer()
    }

    /// Whether the head of this file has been opened.
    #[must_use]
    pub fn has_opened(&self, file: FileIndex) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.contains(file)
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
