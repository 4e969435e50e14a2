//! The secret of a transfer, on its way to one recipient: HPKE (RFC 9180), base mode.
//!
//! KEM X-Wing, KDF HKDF-SHA256, AEAD ChaCha20-Poly1305, in every suite. Base mode does not say who
//! wrapped; the signature over the offer's header does, and the info string binds both parties.

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::ChaCha20Poly1305,
    kdf::HkdfSha256,
    kem::XWing,
    rand_core::{CryptoRng, TryCryptoRng, TryRng},
};
use zeroize::Zeroizing;

use super::{
    path_key::PathKey,
    replay::{Replay, SeenTransfers},
    transfer_key::TransferKey,
};
use crate::{
    crypto::random,
    identity::HpkePublicKey,
    protocol::{PeerId, RoomId, TransferId},
};

/// The private key of one listening connection, in memory only, and what has been opened with it.
///
/// Once it is dropped, nobody can open what was sealed to it: not even with the identity key.
pub struct OpenKey {
    secret: <XWing as Kem>::PrivateKey,
    public: HpkePublicKey,
    seen: Mutex<SeenTransfers>,
}

/// The key that a listener publishes, and the one before it, for offers that were on their way.
#[derive(Clone, Debug)]
pub struct OpenKeys {
    current: Arc<OpenKey>,
    previous: Option<Arc<OpenKey>>,
}

/// For whom, by whom and where a transfer's secret is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrapContext {
    pub(super) room: RoomId,
    pub(super) transfer: TransferId,
    pub(super) sender: PeerId,
    pub(super) recipient: PeerId,
}

/// A wrapped secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrapped {
    /// The KEM's ciphertext.
    pub(super) encapsulated: Vec<u8>,
    /// The secret under the key that it carries.
    pub(super) sealed: Vec<u8>,
}

impl OpenKey {
    /// A fresh key.
    #[must_use]
    pub fn generate() -> Self {
        Self::generate_with(&mut SystemRng)
    }

    pub(super) fn generate_with(rng: &mut impl CryptoRng) -> Self {
        let (secret, public) = XWing::gen_keypair_with_rng(rng);
        Self {
            secret,
            public: HpkePublicKey::new(public),
            seen: Mutex::default(),
        }
    }

    /// What others seal to.
    #[must_use]
    pub fn public(&self) -> &HpkePublicKey {
        &self.public
    }

    /// Whether so many offers were claimed that a fresh key is due.
    ///
    /// Past twice as many nothing is claimed any more, since replays could no longer be told.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        self.seen().is_half_full()
    }

    pub(super) fn has_claimed(&self, sender: PeerId, transfer: TransferId) -> bool {
        self.seen().contains(sender, transfer)
    }

    pub(super) fn claim(&self, sender: PeerId, transfer: TransferId) -> Result<(), Replay> {
        self.seen().insert(sender, transfer)
    }

    pub(super) fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &WrapContext,
    ) -> Option<(Zeroizing<[u8; TransferKey::LEN]>, PathKey)> {
        let encapsulated = Deserializable::from_bytes(&wrapped.encapsulated).ok()?;
        let mut opening = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.secret,
            &encapsulated,
            &context.info(),
        )
        .ok()?;
        let secret = Zeroizing::new(opening.open(&wrapped.sealed, b"").ok()?);
        let bytes = <[u8; TransferKey::LEN]>::try_from(secret.as_slice()).ok()?;
        let mut exported = Zeroizing::new([0; 32]);
        opening.export(PATH, &mut *exported).ok()?;
        Some((Zeroizing::new(bytes), PathKey::new(&exported)))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, SeenTransfers> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenKey(..)")
    }
}

impl OpenKeys {
    /// A fresh key and none before it.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(OpenKey::generate())
    }

    pub(super) fn new(key: OpenKey) -> Self {
        Self {
            current: Arc::new(key),
            previous: None,
        }
    }

    /// Puts a fresh key in the place of the current one, and drops the one before that.
    ///
    /// Transfers that have been opened go on; offers sealed to a dropped key cannot be opened.
    pub fn rotate(&mut self) {
        let fresh = Arc::new(OpenKey::generate());
        self.previous = Some(std::mem::replace(&mut self.current, fresh));
    }

    /// The key to publish.
    #[must_use]
    pub fn current(&self) -> &OpenKey {
        &self.current
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<OpenKey>> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl WrapContext {
    /// HPKE's `info`: every part has a fixed length.
    pub(super) fn info(&self) -> Vec<u8> {
        [
            b"p2p/1 wrap".as_slice(),
            self.room.as_bytes(),
            self.transfer.as_bytes(),
            self.sender.as_bytes(),
            self.recipient.as_bytes(),
        ]
        .concat()
    }
}

/// Wraps the secret of a transfer for the holder of `to`.
pub(super) fn wrap(
    to: &HpkePublicKey,
    context: &WrapContext,
    secret: &[u8; TransferKey::LEN],
    rng: &mut impl CryptoRng,
) -> (Wrapped, PathKey) {
    let (encapsulated, mut sealing) = hpke::setup_sender_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        XWing,
    >(&OpModeS::Base, to.inner(), &context.info(), rng)
    .expect("X-Wing encapsulates to every key that was read");
    let sealed = sealing.seal(secret, b"").expect("the first of 2^64");
    let mut exported = Zeroizing::new([0; 32]);
    sealing
        .export(PATH, &mut *exported)
        .expect("32 bytes are within HKDF's limit");
    let wrapped = Wrapped {
        encapsulated: encapsulated.to_bytes().to_vec(),
        sealed,
    };
    (wrapped, PathKey::new(&exported))
}

/// The operating system's randomness, by way of the library that does the rest.
pub(super) struct SystemRng;

impl TryRng for SystemRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        random(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        random(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        random(out);
        Ok(())
    }
}

impl TryCryptoRng for SystemRng {}

/// What the key between the two ends is exported for.
const PATH: &[u8] = b"p2p/1 path";

/// Bytes of X-Wing's ciphertext.
pub(super) const ENCAPSULATED_LEN: usize = 1120;

/// Bytes of a sealed secret.
pub(super) const SEALED_LEN: usize = TransferKey::LEN + 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_recipient_in_its_context_only() {
        let (key, other) = (OpenKey::generate(), OpenKey::generate());
        let context = WrapContext {
            room: RoomId::from_bytes([1; 32]),
            transfer: TransferId::from_bytes([2; 16]),
            sender: PeerId::from_bytes([3; 32]),
            recipient: PeerId::from_bytes([4; 32]),
        };
        let (wrapped, path) = wrap(key.public(), &context, &[9; 32], &mut SystemRng);
        assert_eq!(wrapped.encapsulated.len(), ENCAPSULATED_LEN);
        assert_eq!(wrapped.sealed.len(), SEALED_LEN);
        let (secret, same_path) = key.unwrap(&wrapped, &context).unwrap();
        assert_eq!(*secret, [9; 32]);
        assert_eq!(path.mac(b"x"), same_path.mac(b"x"));
        assert!(other.unwrap(&wrapped, &context).is_none());
        for elsewhere in [
            WrapContext {
                room: RoomId::from_bytes([0; 32]),
                ..context
            },
            WrapContext {
                transfer: TransferId::from_bytes([0; 16]),
                ..context
            },
            WrapContext {
                sender: PeerId::from_bytes([0; 32]),
                ..context
            },
            WrapContext {
                recipient: PeerId::from_bytes([0; 32]),
                ..context
            },
        ] {
            assert!(key.unwrap(&wrapped, &elsewhere).is_none());
        }
    }

    #[test]
    fn garbage_is_not_opened_and_no_panic() {
        let key = OpenKey::generate();
        let context = WrapContext {
            room: RoomId::from_bytes([1; 32]),
            transfer: TransferId::from_bytes([2; 16]),
            sender: PeerId::from_bytes([3; 32]),
            recipient: PeerId::from_bytes([4; 32]),
        };
        for (encapsulated, sealed) in [(0, 0), (ENCAPSULATED_LEN, 0), (ENCAPSULATED_LEN, 48)] {
            let wrapped = Wrapped {
                encapsulated: vec![0xff; encapsulated],
                sealed: vec![0; sealed],
            };
            assert!(key.unwrap(&wrapped, &context).is_none());
        }
    }
}
