//! Where a recipient wants a file to begin.

use super::aead::{AeadKey, Stage};
use crate::protocol::FileIndex;

/// What a recipient has of a file, said once its head has arrived.
///
/// It is sealed: a relay could otherwise tell by the hashes which files a recipient has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first chunks.
    At {
        /// The first chunk that is missing; 0 asks for all.
        chunk: u32,
        /// BLAKE3 of the content before it.
        prefix: [u8; 32],
    },
    /// Perhaps the whole: nothing is needed if its content has this hash.
    Have {
        /// BLAKE3 of the content.
        blake3: [u8; 32],
    },
}

/// Bytes that say nothing about where this file should begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Changed on the way, or meant for another file or transfer.
    #[error("what the recipient has of the file was not sealed for it")]
    NotAuthentic,
    /// Sealed, and yet not understood.
    #[error("what the recipient has of the file cannot be read")]
    Malformed,
}

impl Start {
    fn encode(&self) -> [u8; PLAIN_LEN] {
        let (chunk, have, hash) = match self {
            Self::At { chunk, prefix } => (*chunk, 0, prefix),
            Self::Have { blake3 } => (0, 1, blake3),
        };
        let mut out = [0; PLAIN_LEN];
        out[..4].copy_from_slice(&chunk.to_be_bytes());
        out[4] = have;
        out[5..].copy_from_slice(hash);
        out
    }

    fn decode(bytes: &[u8; PLAIN_LEN]) -> Option<Self> {
        let (chunk, rest) = bytes.split_first_chunk::<4>()?;
        let (have, hash) = rest.split_first()?;
        let hash = hash.try_into().ok()?;
        match (u32::from_be_bytes(*chunk), have) {
            (chunk, 0) => Some(Self::At {
                chunk,
                prefix: hash,
            }),
            (0, 1) => Some(Self::Have { blake3: hash }),
            _ => None,
        }
    }
}

/// Seals under a key that is one recipient's; it says this once for each file.
pub(super) fn seal(key: &AeadKey, file: FileIndex, start: &Start) -> Vec<u8> {
    key.seal_copy(Stage::Head, file.0, b"", &start.encode())
}

pub(super) fn open(key: &AeadKey, file: FileIndex, sealed: &[u8]) -> Result<Start, StartError> {
    if sealed.len() != PLAIN_LEN + super::TAG_LEN {
        return Err(StartError::NotAuthentic);
    }
    let plain = key
        .open_copy(Stage::Head, file.0, b"", sealed)
        .map_err(|_| StartError::NotAuthentic)?;
    let plain = plain.as_slice().try_into();
    Start::decode(plain.map_err(|_| StartError::Malformed)?).ok_or(StartError::Malformed)
}

/// Chunk number (4), which of the two (1), hash (32).
const PLAIN_LEN: usize = 37;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::Suite;

    #[test]
    fn a_start_reads_back_for_its_file_only() {
        let key = AeadKey::new(Suite::Aes256Gcm, &[1; 32]);
        for start in [
            Start::At {
                chunk: 7,
                prefix: [2; 32],
            },
            Start::Have { blake3: [3; 32] },
        ] {
            let sealed = seal(&key, FileIndex(5), &start);
            assert_eq!(open(&key, FileIndex(5), &sealed), Ok(start));
            let elsewhere = open(&key, FileIndex(6), &sealed);
            assert_eq!(elsewhere, Err(StartError::NotAuthentic));
            let cut = open(&key, FileIndex(5), &sealed[1..]);
            assert_eq!(cut, Err(StartError::NotAuthentic));
        }
        let odd = key.seal_copy(Stage::Head, 0, b"", &[9; PLAIN_LEN]);
        assert_eq!(open(&key, FileIndex(0), &odd), Err(StartError::Malformed));
    }
}
