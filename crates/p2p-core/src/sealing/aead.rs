//! One AEAD key (RFC 5116), and the nonces under it.

use super::Suite;
use crate::crypto::{Aead, Cipher, TAG_LEN};

/// A key that seals every nonce at most once; that its users see to.
pub(super) struct AeadKey(Aead);

/// What a nonce is for. Every purpose counts from 0 by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// A file's head; also whatever has a key to itself.
    Head = 0,
    /// A file's chunks.
    Chunk = 1,
    /// A file's trailer.
    Trailer = 2,
}

/// Sealed bytes that this key did not seal, or not under this nonce and associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAuthentic;

impl AeadKey {
    pub(super) fn new(suite: Suite, key: &[u8; 32]) -> Self {
        let cipher = match suite {
            Suite::Aes256Gcm => Cipher::Aes256Gcm,
            Suite::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305,
        };
        Self(Aead::new(cipher, key))
    }

    /// Seals in place; the caller puts the tag behind.
    pub(super) fn seal(
        &self,
        stage: Stage,
        index: u64,
        aad: &[u8],
        in_out: &mut [u8],
    ) -> [u8; TAG_LEN] {
        self.0.seal(nonce(stage, index), aad, in_out)
    }

    /// Seals a copy, tag included.
    pub(super) fn seal_copy(
        &self,
        stage: Stage,
        index: u64,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(plaintext.len() + TAG_LEN);
        out.extend_from_slice(plaintext);
        let tag = self.seal(stage, index, aad, &mut out);
        out.extend_from_slice(&tag);
        out
    }

    /// Opens in place: the plaintext is the front of `in_out`, which ends with the tag.
    ///
    /// When it fails, what is in `in_out` is not to be used.
    pub(super) fn open<'a>(
        &self,
        stage: Stage,
        index: u64,
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Result<&'a mut [u8], NotAuthentic> {
        self.0
            .open(nonce(stage, index), aad, in_out)
            .ok_or(NotAuthentic)
    }

    /// Opens a copy.
    pub(super) fn open_copy(
        &self,
        stage: Stage,
        index: u64,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, NotAuthentic> {
        let mut out = sealed.to_vec();
        let len = self.open(stage, index, aad, &mut out)?.len();
        out.truncate(len);
        Ok(out)
    }
}

fn nonce(stage: Stage, index: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = stage as u8;
    bytes[4..].copy_from_slice(&index.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_under_the_same_stage_index_and_data_only() {
        for suite in Suite::ALL {
            let key = AeadKey::new(suite, &[1; 32]);
            let sealed = key.seal_copy(Stage::Chunk, 7, b"data", b"text");
            let open = |stage, index, aad: &[u8]| key.open_copy(stage, index, aad, &sealed);
            assert_eq!(open(Stage::Chunk, 7, b"data").unwrap(), b"text");
            assert_eq!(open(Stage::Trailer, 7, b"data"), Err(NotAuthentic));
            assert_eq!(open(Stage::Chunk, 8, b"data"), Err(NotAuthentic));
            assert_eq!(open(Stage::Chunk, 7, b"date"), Err(NotAuthentic));
            let other = AeadKey::new(suite, &[2; 32]);
            let opened = other.open_copy(Stage::Chunk, 7, b"data", &sealed);
            assert_eq!(opened, Err(NotAuthentic));
            assert_eq!(key.open_copy(Stage::Chunk, 7, b"", b""), Err(NotAuthentic));
        }
    }

    #[test]
    fn a_nonce_is_the_stage_and_the_index() {
        let expected = [1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let made = nonce(Stage::Chunk, 0x0102_0304_0506_0708);
        assert_eq!(made, expected);
    }
}
