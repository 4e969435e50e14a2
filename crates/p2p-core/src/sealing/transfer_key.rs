//! The secret of a transfer, and every key that is derived from it.

use zeroize::Zeroizing;

use super::{Suite, aead::AeadKey};
use crate::{
    crypto::derive,
    crypto::random,
    protocol::{FileIndex, PeerId, TransferId},
};

/// What the sender wraps for every recipient. New for every transfer, a resumed one included.
///
/// Every key under it is HKDF-SHA256 with the transfer's ID as salt and the purpose as info.
pub(super) struct TransferKey {
    secret: Zeroizing<[u8; TransferKey::LEN]>,
    transfer: TransferId,
    suite: Suite,
}

impl TransferKey {
    pub(super) const LEN: usize = 32;

    pub(super) fn new(
        secret: Zeroizing<[u8; Self::LEN]>,
        transfer: TransferId,
        suite: Suite,
    ) -> Self {
        Self {
            secret,
            transfer,
            suite,
        }
    }

    pub(super) fn random_secret() -> Zeroizing<[u8; Self::LEN]> {
        let mut secret = Zeroizing::new([0; Self::LEN]);
        random(secret.as_mut_slice());
        secret
    }

    pub(super) fn transfer(&self) -> TransferId {
        self.transfer
    }

    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// The bytes to wrap.
    pub(super) fn secret(&self) -> &[u8; Self::LEN] {
        &self.secret
    }

    /// What the signed header says of the key, so that one wrap cannot open to two.
    ///
    /// Neither AEAD commits to its key: without this, a sender could make one ciphertext that two
    /// recipients open to different files.
    pub(super) fn commitment(&self) -> [u8; 32] {
        *self.derive(&[b"p2p/1 commit"])
    }

    pub(super) fn manifest(&self) -> AeadKey {
        self.aead(&[b"p2p/1 manifest"])
    }

    pub(super) fn file(&self, file: FileIndex) -> AeadKey {
        self.aead(&[b"p2p/1 file", &file.0.to_be_bytes()])
    }

    pub(super) fn start(&self, recipient: PeerId) -> AeadKey {
        self.aead(&[b"p2p/1 start", recipient.as_bytes()])
    }

    pub(super) fn receipt(&self, recipient: PeerId) -> AeadKey {
        self.aead(&[b"p2p/1 receipt", recipient.as_bytes()])
    }

    pub(super) fn derive(&self, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        derive(self.secret.as_slice(), self.transfer.as_bytes(), info)
    }

    fn aead(&self, info: &[&[u8]]) -> AeadKey {
        AeadKey::new(self.suite, &self.derive(info))
    }
}
