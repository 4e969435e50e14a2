//! What a recipient signs when it has stored a file.

use std::{fmt, sync::Arc};

use super::{
    TAG_LEN,
    aead::{AeadKey, Stage},
    transfer_key::TransferKey,
};
use crate::{
    identity::{Identity, PublicKey, SIGNATURE_LEN},
    protocol::{FileIndex, PeerId, TransferId},
};

/// A recipient's word that it has verified a file and has it under its final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Which file.
    pub file: FileIndex,
    /// Bytes of content.
    pub len: u64,
    /// BLAKE3 of the content.
    pub blake3: [u8; 32],
    /// How it comes to have it.
    pub outcome: Outcome,
}

/// How a recipient comes to have a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// It was sent and stored.
    Stored = 0,
    /// It was there before.
    AlreadyThere = 1,
    /// It was sent and stored under another name, as the one that it had was taken or cannot be held. Only
    /// to senders whose manifest has `renames`.
    Renamed = 2,
}

/// Signs and seals my receipts, in batches.
pub struct ReceiptSealer {
    key: AeadKey,
    parties: Parties,
    me: Arc<Identity>,
    next: u64,
}

/// Opens the receipts of one recipient.
pub struct ReceiptOpener {
    key: AeadKey,
    parties: Parties,
    recipient: PublicKey,
    next: u64,
}

/// Why receipts are not believed, or not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// A batch has no receipt or too many.
    #[error("{got} receipts in a batch, expected 1 to {RECEIPTS_MAX}")]
    Count {
        /// How many.
        got: usize,
    },
    /// A batch of no whole number of receipts.
    #[error("a batch of receipts of {got} bytes")]
    Length {
        /// Its bytes.
        got: usize,
    },
    /// Changed on the way, or not the next batch of this transfer and recipient.
    #[error("receipts that are not the next of this recipient (batch {expected})")]
    NotAuthentic {
        /// Which batch must come, from 0.
        expected: u64,
    },
    /// Another recipient, or the relay with it, made them.
    #[error("receipts that the recipient has not signed")]
    Signature,
    /// Signed and sealed, and yet not understood.
    #[error("receipts that cannot be read")]
    Malformed,
}

impl ReceiptSealer {
    pub(super) fn new(key: &TransferKey, sender: PeerId, me: Arc<Identity>) -> Self {
        Self {
            key: key.receipt(me.id()),
            parties: Parties {
                transfer: key.transfer(),
                sender,
                recipient: me.id(),
            },
            me,
            next: 0,
        }
    }

    /// Signs and seals the next batch. Batches must reach the sender in this order.
    ///
    /// # Errors
    /// [`ReceiptError::Count`] unless there are 1 to [`RECEIPTS_MAX`] receipts.
    pub fn seal(&mut self, receipts: &[Receipt]) -> Result<Vec<u8>, ReceiptError> {
        let got = receipts.len();
        if got == 0 || got > RECEIPTS_MAX {
            return Err(ReceiptError::Count { got });
        }
        let mut plain = Vec::with_capacity(got * RECEIPT_LEN + SIGNATURE_LEN + TAG_LEN);
        for receipt in receipts {
            plain.extend_from_slice(&receipt.encode());
        }
        let batch = self.next;
        self.next += 1;
        let signature = self
            .me
            .sign(CONTEXT, &self.parties.statement(batch, &plain));
        plain.extend_from_slice(&signature);
        let tag = self.key.seal(Stage::Head, batch, b"", &mut plain);
        plain.extend_from_slice(&tag);
        Ok(plain)
    }
}

#[cfg(test)]
impl ReceiptSealer {
    pub(super) fn me(&self) -> PeerId {
        self.me.id()
    }

    pub(super) fn key(&self) -> PublicKey {
        self.me.public_key()
    }
}

impl ReceiptOpener {
    pub(super) fn new(key: &TransferKey, sender: PeerId, recipient: PublicKey) -> Self {
        let id = recipient.peer_id();
        Self {
            key: key.receipt(id),
            parties: Parties {
                transfer: key.transfer(),
                sender,
                recipient: id,
            },
            recipient,
            next: 0,
        }
    }

    /// Opens the next batch.
    ///
    /// # Errors
    /// When it is not the recipient's next batch, unchanged.
    pub fn open(&mut self, sealed: &[u8]) -> Result<Vec<Receipt>, ReceiptError> {
        let got = sealed.len();
        let entries = got
            .checked_sub(SIGNATURE_LEN + TAG_LEN)
            .filter(|len| len % RECEIPT_LEN == 0)
            .ok_or(ReceiptError::Length { got })?;
        let count = entries / RECEIPT_LEN;
        if count == 0 || count > RECEIPTS_MAX {
            return Err(ReceiptError::Count { got: count });
        }
        let expected = self.next;
        let plain = self
            .key
            .open_copy(Stage::Head, expected, b"", sealed)
            .map_err(|_| ReceiptError::NotAuthentic { expected })?;
        let (entries, signature) = plain.split_at(entries);
        self.recipient
            .verify(
                CONTEXT,
                &self.parties.statement(expected, entries),
                signature,
            )
            .map_err(|_| ReceiptError::Signature)?;
        self.next += 1;
        let (entries, _) = entries.as_chunks::<RECEIPT_LEN>();
        let receipts = entries.iter().map(Receipt::decode);
        receipts
            .collect::<Option<_>>()
            .ok_or(ReceiptError::Malformed)
    }
}

impl Receipt {
    fn encode(&self) -> [u8; RECEIPT_LEN] {
        let mut out = [0; RECEIPT_LEN];
        out[..8].copy_from_slice(&self.file.0.to_be_bytes());
        out[8..16].copy_from_slice(&self.len.to_be_bytes());
        out[16..48].copy_from_slice(&self.blake3);
        out[48] = self.outcome as u8;
        out
    }

    fn decode(bytes: &[u8; RECEIPT_LEN]) -> Option<Self> {
        let (file, rest) = bytes.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<8>()?;
        let (blake3, rest) = rest.split_first_chunk::<32>()?;
        Some(Self {
            file: FileIndex(u64::from_be_bytes(*file)),
            len: u64::from_be_bytes(*len),
            blake3: *blake3,
            outcome: match rest {
                [0] => Outcome::Stored,
                [1] => Outcome::AlreadyThere,
                [2] => Outcome::Renamed,
                _ => return None,
            },
        })
    }
}

impl fmt::Debug for ReceiptSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptSealer").finish_non_exhaustive()
    }
}

impl fmt::Debug for ReceiptOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptOpener").finish_non_exhaustive()
    }
}

/// Between whom and about what.
#[derive(Clone, Copy)]
struct Parties {
    transfer: TransferId,
    sender: PeerId,
    recipient: PeerId,
}

impl Parties {
    /// What a batch's signature is over: every part but the last has a fixed length.
    fn statement(&self, batch: u64, entries: &[u8]) -> Vec<u8> {
        [
            self.transfer.as_bytes().as_slice(),
            self.sender.as_bytes(),
            self.recipient.as_bytes(),
            &batch.to_be_bytes(),
            entries,
        ]
        .concat()
    }
}

/// The most receipts in a batch: 12.3 KiB, in base64 a quarter of a control message.
pub const RECEIPTS_MAX: usize = 256;

/// File (8), length (8), hash (32), outcome (1).
const RECEIPT_LEN: usize = 49;

/// What keeps a receipt's signature apart from those of anything else.
const CONTEXT: &str = "p2p/1 receipt";
