//! My key, and the keys of others: Ed25519 (RFC 8032).

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    crypto::{ED25519_SPKI_PREFIX, SIGNATURE_LEN, SigningKey, derive, verify},
    protocol::PeerId,
};

/// Who I am: a key pair that never leaves this machine.
pub struct Identity {
    key: SigningKey,
    public: PublicKey,
}

/// The key of a peer or relay. Its hash is the [`PeerId`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// A signature that is not of this key, context and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct SignatureError;

impl Identity {
    /// A fresh identity that is kept nowhere.
    #[must_use]
    pub fn generate() -> Self {
        Self::of(SigningKey::generate())
    }

    /// My ID.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.public.peer_id()
    }

    /// My public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs `message` for one purpose: a signature under one context is none under another.
    ///
    /// What is signed is the context, a zero byte and the message.
    ///
    /// # Panics
    /// If `context` has a zero byte in it.
    #[must_use]
    pub fn sign(&self, context: &str, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.key.sign(&with_context(context, message))
    }

    /// A secret for one purpose that only whoever has this private key can derive (HKDF-SHA256).
    ///
    /// # Panics
    /// If `context` has a zero byte in it.
    #[must_use]
    pub fn derive(&self, context: &str) -> Zeroizing<[u8; 32]> {
        assert!(!context.as_bytes().contains(&0), "a context is plain text");
        // The seed alone: PKCS#8 may or may not have the public half behind it.
        let seed = &self.key.pkcs8()[PKCS8_SEED];
        derive(seed, b"", &[context.as_bytes()])
    }

    /// Takes an Ed25519 private key in PKCS#8 DER; `None` if it is something else.
    ///
    /// RFC 8410 allows a private key without its public half, and OpenSSL writes that.
    #[must_use]
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        SigningKey::from_pkcs8(der).map(Self::of)
    }

    /// The private key in PKCS#8 DER, for whoever keeps it or makes a certificate of it.
    #[must_use]
    pub fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        self.key.pkcs8()
    }

    fn of(key: SigningKey) -> Self {
        let public = PublicKey(key.public());
        Self { key, public }
    }
}

#[cfg(test)]
impl Identity {
    /// The identity of a private key of RFC 8032, section 5.1.5.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self::of(SigningKey::from_seed(seed))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id().short())
    }
}

impl PublicKey {
    /// Wraps the 32 bytes of RFC 8032, section 5.1.5.
    ///
    /// Bytes that are no point of the curve verify nothing.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Takes the key out of a DER `SubjectPublicKeyInfo`, if that holds an Ed25519 key.
    #[must_use]
    pub fn from_spki(der: &[u8]) -> Option<Self> {
        let key = der.strip_prefix(&ED25519_SPKI_PREFIX)?;
        Some(Self(key.try_into().ok()?))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The DER `SubjectPublicKeyInfo` (RFC 8410, section 4).
    #[must_use]
    pub fn to_spki(&self) -> [u8; 44] {
        let mut der = [0; 44];
        der[..12].copy_from_slice(&ED25519_SPKI_PREFIX);
        der[12..].copy_from_slice(&self.0);
        der
    }

    /// The ID of whoever has the private key.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        PeerId::of_spki(&self.to_spki())
    }

    /// Checks what [`Identity::sign`] made.
    ///
    /// # Errors
    /// [`SignatureError`] unless key, context, message and signature all fit.
    pub fn verify(
        &self,
        context: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if verify(&self.0, &with_context(context, message), signature) {
            Ok(())
        } else {
            Err(SignatureError)
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.peer_id().short())
    }
}

/// Where the seed is in the PKCS#8 DER of an Ed25519 key (RFC 8410, section 7).
const PKCS8_SEED: std::ops::Range<usize> = 16..48;

/// The zero byte ends the context, so no context can be the beginning of another.
fn with_context(context: &str, message: &[u8]) -> Vec<u8> {
    assert!(!context.as_bytes().contains(&0), "a context is plain text");
    [context.as_bytes(), &[0], message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_context_and_message_only() {
        let (me, other) = (Identity::generate(), Identity::generate());
        let signature = me.sign("p2p/1 a", b"message");
        let key = me.public_key();
        assert_eq!(key.verify("p2p/1 a", b"message", &signature), Ok(()));
        assert!(key.verify("p2p/1 b", b"message", &signature).is_err());
        assert!(key.verify("p2p/1 a", b"massage", &signature).is_err());
        assert!(key.verify("p2p/1 a", b"message", &signature[1..]).is_err());
        let key = other.public_key();
        assert!(key.verify("p2p/1 a", b"message", &signature).is_err());
    }

    #[test]
    fn a_derived_secret_is_of_its_key_and_context_with_or_without_the_public_half() {
        let me = Identity::generate();
        let again = Identity::from_pkcs8(me.pkcs8()).unwrap();
        assert_eq!(me.derive("p2p/1 a"), again.derive("p2p/1 a"));
        assert_ne!(me.derive("p2p/1 a"), me.derive("p2p/1 b"));
        assert_ne!(me.derive("p2p/1 a"), Identity::generate().derive("p2p/1 a"));
        // Version 1 without the public half, as OpenSSL writes it.
        let seed = &me.pkcs8()[PKCS8_SEED];
        let head = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        let short = Identity::from_pkcs8(&[&head, seed].concat()).unwrap();
        assert_eq!(short.id(), me.id());
        assert_eq!(short.derive("p2p/1 a"), me.derive("p2p/1 a"));
    }

    #[test]
    fn debug_output_shows_who_and_nothing_secret() {
        let me = Identity::generate();
        assert_eq!(format!("{me:?}"), format!("Identity({})", me.id().short()));
    }
}
