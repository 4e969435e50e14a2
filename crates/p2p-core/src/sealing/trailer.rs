//! The end of a file: how long it was, what it hashed to, and who says so.

use super::TAG_LEN;
use crate::{
    identity::{PublicKey, SIGNATURE_LEN},
    protocol::{FileIndex, TransferId},
};

/// Length and hash of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest {
    /// Bytes of content.
    pub len: u64,
    /// BLAKE3 of the content.
    pub blake3: [u8; 32],
}

/// What a trailer says.
pub(super) struct Trailer {
    pub(super) digest: FileDigest,
    pub(super) signature: Option<[u8; SIGNATURE_LEN]>,
}

impl Trailer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SIGNED_LEN + TAG_LEN);
        out.extend_from_slice(&self.digest.len.to_be_bytes());
        out.extend_from_slice(&self.digest.blake3);
        out.extend_from_slice(self.signature.as_ref().map_or(&[], |s| s.as_slice()));
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<8>()?;
        let (blake3, rest) = rest.split_first_chunk::<32>()?;
        let signature = match rest {
            [] => None,
            rest => Some(rest.try_into().ok()?),
        };
        Some(Self {
            digest: FileDigest {
                len: u64::from_be_bytes(*len),
                blake3: *blake3,
            },
            signature,
        })
    }
}

/// What a file's signature is over: every part has a fixed length.
#[derive(Clone, Copy)]
pub(super) struct FileStatement {
    pub(super) transfer: TransferId,
    pub(super) file: FileIndex,
    /// BLAKE3 of the head's JSON, so that name and mode are signed with the content.
    pub(super) head: [u8; 32],
}

impl FileStatement {
    pub(super) fn encode(&self, digest: &FileDigest) -> Vec<u8> {
        [
            self.transfer.as_bytes().as_slice(),
            &self.file.0.to_be_bytes(),
            &self.head,
            &digest.len.to_be_bytes(),
            &digest.blake3,
        ]
        .concat()
    }

    pub(super) fn holds(&self, digest: &FileDigest, by: &PublicKey, signature: &[u8]) -> bool {
        by.verify(CONTEXT, &self.encode(digest), signature).is_ok()
    }
}

/// What keeps a file's signature apart from those of anything else.
pub(super) const CONTEXT: &str = "p2p/1 file";

/// Length (8), hash (32), signature (64).
pub(super) const SIGNED_LEN: usize = 40 + SIGNATURE_LEN;
