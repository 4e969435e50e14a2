//! End-to-end encryption of a transfer: between sender and recipients, unread by the relay. No I/O.
//!
//! ```text
//! sender                                        recipient
//! TransferSealer::new                           OpenKeys::generate, its public key in the bundle
//!   .offer_to(bundle)     -- SignedOffer -->    open_offer: OpenedOffer { opener, receipts, .. }
//!   .seal_file(head)      -- head frame -->       opener.open_head: (Head, FileOpener)
//!   .open_start(..)       <-- sealed start --       .start_at / .have
//!     file.seal_chunk     -- chunk frames -->       .open_chunk
//!     file.finish         -- trailer frame -->      .finish
//!   .receipts(key).open   <-- sealed batch --     receipts.seal
//! ```
//! The order of calls is in the types: a head comes first and once because only it gives a
//! [`FileOpener`], nothing follows a trailer because it consumes that, and no two files are sealed
//! under one key because sealing a head is what numbers a file.
//!
//! | file | noun |
//! |---|---|
//! | `suite` | [`Suite`]: which AEAD |
//! | `aead` | one AEAD key, and the nonces under it |
//! | `transfer_key` | the transfer's secret, and every key that is derived from it |
//! | `wrap` | [`OpenKeys`]: the secret to one recipient, by HPKE |
//! | `replay` | what has been opened and is not opened again |
//! | `manifest` | [`Manifest`]: what a recipient decides by |
//! | `offer` | the signed header, and [`open_offer`] |
//! | `transfer_sealer` | [`TransferSealer`]: the sender's side of a transfer |
//! | `transfer_opener` | [`TransferOpener`]: a recipient's side of it |
//! | `head` | [`Head`]: a file's name, size, mode and time |
//! | `start` | [`Start`]: where a recipient wants a file to begin |
//! | `compress` | zstd for one chunk |
//! | `file_sealer`, `file_opener` | a file's frames, sealed and opened in place |
//! | `trailer` | the end of a file: length, hash, signature |
//! | `receipt` | [`Receipt`]: what a recipient signs when it has stored a file |

mod aead;
mod compress;
mod file_opener;
mod file_sealer;
mod head;
mod manifest;
mod offer;
mod path_key;
mod receipt;
mod replay;
mod start;
mod suite;
mod trailer;
mod transfer_key;
mod transfer_opener;
mod transfer_sealer;
mod wrap;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod vectors;

pub use crate::crypto::TAG_LEN;
pub use compress::{Compression, is_blank};
pub use file_opener::{FileOpener, OpenError, OpenedChunk};
pub use file_sealer::{FileSealer, SealError, chunk_frame};
pub use head::{HEAD_MAX, Head, HeadError, HeadKind, ModifiedTime};
pub use manifest::{JobId, JobIdError, Manifest, ManifestEntry};
pub use offer::{Inbox, OfferError, OpenedOffer, open_offer};
pub use path_key::{PathEnd, PathKey};
pub use receipt::{Outcome, RECEIPTS_MAX, Receipt, ReceiptError, ReceiptOpener, ReceiptSealer};
pub use start::{Start, StartError};
pub use suite::{Suite, UnknownSuite};
pub use trailer::FileDigest;
pub use transfer_opener::TransferOpener;
pub use transfer_sealer::{NewTransfer, OfferToError, TransferSealer};
pub use wrap::{OpenKey, OpenKeys};

pub use crate::identity::HpkePublicKey;
