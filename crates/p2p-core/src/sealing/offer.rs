//! An offer: a header that the sender signs for one recipient, and the manifest for all of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Manifest, OpenKey, OpenKeys, ReceiptSealer, Suite, TAG_LEN, TransferOpener, UnknownSuite,
    aead::Stage,
    path_key::PathKey,
    replay::Replay,
    transfer_key::TransferKey,
    wrap::{ENCAPSULATED_LEN, SEALED_LEN, WrapContext, Wrapped},
};
use crate::{
    identity::{Identity, MAC_LEN, MemberKey, PublicKey, SIGNATURE_LEN},
    protocol::{Base64, CHUNK_SIZE, PeerId, PeerName, RoomId, SignedOffer, TransferId},
};

/// Where offers are opened: who I am, in which room, with which keys.
#[derive(Debug, Clone, Copy)]
pub struct Inbox<'a> {
    /// Who I am; receipts are signed by it.
    pub me: &'a Arc<Identity>,
    /// The room that the offer came through.
    pub room: RoomId,
    /// What its members vouch with.
    pub member_key: &'a MemberKey,
    /// What offers may be sealed to.
    pub keys: &'a OpenKeys,
}

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
    /// For a direct path to the sender.
    pub path: Arc<PathKey>,
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

/// Why an offer is not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// A part is longer than it can be.
    #[error("an offer's {part} of {got} bytes, expected at most {max}")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// Its bytes.
        got: usize,
        /// The most it can have.
        max: usize,
    },
    /// No member of the room vouches for it: the relay, or a stranger, made it or changed it.
    #[error("no member of this room vouches for the offer")]
    Mac,
    /// The header is not the JSON of one.
    #[error("an offer that cannot be read")]
    Malformed,
    /// A field of the header has the wrong number of bytes.
    #[error("an offer's {field} of {got} bytes, expected {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// The bytes that it must have.
        expected: usize,
        /// Its bytes.
        got: usize,
    },
    /// The header is of a version that this program does not know.
    #[error("an offer of version {got}, expected {VERSION}")]
    Version {
        /// Its version.
        got: u32,
    },
    /// The offer comes from another peer than the one that signed it.
    #[error("an offer from {expected} that {got} has signed")]
    Sender {
        /// Whom the relay names.
        expected: PeerId,
        /// Who signed.
        got: PeerId,
    },
    /// The sender did not sign this.
    #[error("the offer's signature does not hold")]
    Signature,
    /// The offer is for another transfer than the one that it was delivered for.
    #[error("an offer of transfer {got}, delivered as {expected}")]
    Transfer {
        /// Which transfer the relay names.
        expected: TransferId,
        /// Which one the sender signed.
        got: TransferId,
    },
    /// The offer is for somebody else.
    #[error("an offer to {got}, delivered to {expected}")]
    Recipient {
        /// Who I am.
        expected: PeerId,
        /// Whom the sender meant.
        got: PeerId,
    },
    /// The content is sealed in a way that is unknown here.
    #[error("an offer whose {0}")]
    Suite(#[from] UnknownSuite),
    /// The content is cut into chunks of another size.
    #[error("an offer with chunks of {got} bytes, expected {CHUNK_SIZE}")]
    ChunkSize {
        /// Its chunk size.
        got: u32,
    },
    /// The offer says that it is for nobody.
    #[error("an offer to no recipient")]
    NoRecipients,
    /// None of the keys opens the wrapped secret: it was sealed to a key that is gone, or changed.
    #[error("the offer is sealed to a key that is not, or no longer, ours")]
    Wrap,
    /// The secret is not the one that the sender committed to.
    #[error("the offer's key is not the one that the sender committed to")]
    Commitment,
    /// The manifest is not the one that the sender signed.
    #[error("the offer's manifest is not the one that the sender signed")]
    ManifestHash,
    /// The manifest is signed and yet cannot be opened or read.
    #[error("the offer's manifest cannot be read")]
    Manifest,
    /// The offer was opened before.
    #[error("the offer was delivered before")]
    Replayed,
    /// The key has been used for as many offers of this sender, or in all, as it may be; a fresh one
    /// must be published.
    #[error("this listener has taken as many offers as it may under one key")]
    Worn,
}

/// Opens an offer that the relay delivers as `transfer` by `from`, and checks all there is to check.
///
/// That it is opened leaves no trace: [`OpenedOffer::claim`] does, which gives the transfer's keys
/// once in the life of the key that the offer is sealed to. So neither garbage under a transfer's ID
/// nor offers that policy turns down use up any memory or keep the real offer out.
///
/// # Errors
/// Every reason has its variant; none depends on what is sealed before the MAC has held.
pub fn open_offer(
    offer: &SignedOffer,
    transfer: TransferId,
    from: PeerId,
    inbox: &Inbox<'_>,
) -> Result<OpenedOffer, OfferError> {
    check_sizes(offer)?;
    let parts: [&[u8]; 2] = [&offer.body.0, &offer.signature.0];
    inbox
        .member_key
        .verify(CONTEXT, &parts, &offer.mac.0)
        .map_err(|_| OfferError::Mac)?;
    let body: Body = serde_json::from_slice(&offer.body.0).map_err(|_| OfferError::Malformed)?;
    if body.v != VERSION {
        return Err(OfferError::Version { got: body.v });
    }
    let sender = PublicKey::from_bytes(field("sender key", &body.key)?);
    if sender.peer_id() != from {
        return Err(OfferError::Sender {
            expected: from,
            got: sender.peer_id(),
        });
    }
    sender
        .verify(CONTEXT, &offer.body.0, &offer.signature.0)
        .map_err(|_| OfferError::Signature)?;
    let suite = check_terms(&body, transfer, inbox.me.id())?;

    let context = WrapContext {
        room: inbox.room,
        transfer,
        sender: from,
        recipient: inbox.me.id(),
    };
    let (opened_by, secret, path) = unwrap(&body, &context, inbox.keys)?;
    let key = TransferKey::new(secret, transfer, suite);
    if key.commitment() != field("commitment", &body.commitment)? {
        return Err(OfferError::Commitment);
    }
    if *blake3::hash(&offer.manifest.0).as_bytes() != field("manifest hash", &body.manifest)? {
        return Err(OfferError::ManifestHash);
    }
    let manifest = key
        .manifest()
        .open_copy(Stage::Head, 0, b"", &offer.manifest.0)
        .map_err(|_| OfferError::Manifest)?;
    let manifest = Manifest::decode(&manifest).ok_or(OfferError::Manifest)?;

    if opened_by.has_claimed(from, transfer) {
        return Err(OfferError::Replayed);
    }
    let signer = (body.recipients > 1).then_some(sender);
    Ok(OpenedOffer {
        sender: sender.peer_id(),
        name: body.name,
        chosen: body.chosen,
        suite: key.suite(),
        recipients: body.recipients,
        manifest,
        receipts: ReceiptSealer::new(&key, sender.peer_id(), Arc::clone(inbox.me)),
        opener: TransferOpener::new(key, inbox.me.id(), signer),
        sealed_to: opened_by.clone(),
        path: Arc::new(path),
    })
}

/// The header as it is signed: JSON, fields of later versions tolerated.
#[derive(Serialize, Deserialize)]
struct Body {
    v: u32,
    suite: u8,
    transfer: TransferId,
    key: Base64,
    name: PeerName,
    chosen: bool,
    recipient: PeerId,
    /// Of the whole transfer; one recipient alone knows the secret, besides the sender.
    recipients: u32,
    chunk_size: u32,
    commitment: Base64,
    encapsulated: Base64,
    wrapped: Base64,
    manifest: Base64,
}

/// What is in the header of every recipient's offer alike.
pub(super) struct Terms<'a> {
    pub(super) key: &'a TransferKey,
    pub(super) sender: &'a Identity,
    pub(super) name: &'a PeerName,
    pub(super) chosen: bool,
    pub(super) recipients: u32,
    /// As it is sealed.
    pub(super) manifest: &'a [u8],
}

/// Signs the offer to one recipient, and vouches for it.
pub(super) fn sign_offer(
    terms: &Terms<'_>,
    recipient: PeerId,
    wrapped: Wrapped,
    member_key: &MemberKey,
) -> SignedOffer {
    let body = Body {
        v: VERSION,
        suite: terms.key.suite().byte(),
        transfer: terms.key.transfer(),
        key: Base64(terms.sender.public_key().as_bytes().to_vec()),
        name: terms.name.clone(),
        chosen: terms.chosen,
        recipient,
        recipients: terms.recipients,
        chunk_size: u32::try_from(CHUNK_SIZE).expect("256 KiB"),
        commitment: Base64(terms.key.commitment().to_vec()),
        encapsulated: Base64(wrapped.encapsulated),
        wrapped: Base64(wrapped.sealed),
        manifest: Base64(blake3::hash(terms.manifest).as_bytes().to_vec()),
    };
    let body = serde_json::to_vec(&body).expect("strings and numbers are JSON");
    let signature = terms.sender.sign(CONTEXT, &body);
    let mac = member_key.mac(CONTEXT, &[&body, &signature]);
    SignedOffer {
        body: Base64(body),
        signature: Base64(signature.to_vec()),
        mac: Base64(mac.to_vec()),
        manifest: Base64(terms.manifest.to_vec()),
    }
}

fn check_sizes(offer: &SignedOffer) -> Result<(), OfferError> {
    for (part, bytes, max) in [
        ("header", &offer.body.0, BODY_MAX),
        ("signature", &offer.signature.0, SIGNATURE_LEN),
        ("MAC", &offer.mac.0, MAC_LEN),
        ("manifest", &offer.manifest.0, Manifest::MAX + TAG_LEN),
    ] {
        if bytes.len() > max {
            let got = bytes.len();
            return Err(OfferError::TooLong { part, got, max });
        }
    }
    Ok(())
}

fn check_terms(body: &Body, transfer: TransferId, me: PeerId) -> Result<Suite, OfferError> {
    if body.transfer != transfer {
        return Err(OfferError::Transfer {
            expected: transfer,
            got: body.transfer,
        });
    }
    if body.recipient != me {
        return Err(OfferError::Recipient {
            expected: me,
            got: body.recipient,
        });
    }
    if body.chunk_size as usize != CHUNK_SIZE {
        return Err(OfferError::ChunkSize {
            got: body.chunk_size,
        });
    }
    if body.recipients == 0 {
        return Err(OfferError::NoRecipients);
    }
    Ok(Suite::from_byte(body.suite)?)
}

type Secret = Zeroizing<[u8; TransferKey::LEN]>;

fn unwrap<'a>(
    body: &Body,
    context: &WrapContext,
    keys: &'a OpenKeys,
) -> Result<(&'a Arc<OpenKey>, Secret, PathKey), OfferError> {
    let wrapped = Wrapped {
        encapsulated: field::<ENCAPSULATED_LEN>("encapsulated key", &body.encapsulated)?.to_vec(),
        sealed: field::<SEALED_LEN>("wrapped key", &body.wrapped)?.to_vec(),
    };
    keys.iter()
        .find_map(|key| {
            let (secret, path) = key.unwrap(&wrapped, context)?;
            Some((key, secret, path))
        })
        .ok_or(OfferError::Wrap)
}

fn field<const N: usize>(field: &'static str, bytes: &Base64) -> Result<[u8; N], OfferError> {
    bytes
        .0
        .as_slice()
        .try_into()
        .map_err(|_| OfferError::Field {
            field,
            expected: N,
            got: bytes.0.len(),
        })
}

/// The version of the header.
const VERSION: u32 = 1;

/// What keeps signature and MAC of an offer apart from those of anything else.
const CONTEXT: &str = "p2p/1 offer";

/// A header takes 2.2 KiB, of which the encapsulated key takes 1.5; the rest is for later fields.
const BODY_MAX: usize = 8 * 1024;
