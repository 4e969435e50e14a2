//! The key that transfers to a peer are sealed to.

use std::fmt;

use hpke::{Deserializable, Kem, Serializable, kem::XWing};

/// A listening connection's public key for HPKE (RFC 9180): X-Wing, that is ML-KEM-768 and X25519.
#[derive(Clone, PartialEq, Eq)]
pub struct HpkePublicKey(<XWing as Kem>::PublicKey);

/// Bytes that are no X-Wing public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{got} bytes that are no X-Wing public key of {} bytes",
    HpkePublicKey::LEN
)]
pub struct HpkeKeyError {
    /// How many bytes there are.
    pub got: usize,
}

impl HpkePublicKey {
    /// Bytes of a key.
    pub const LEN: usize = 1216;

    /// Reads a key, and checks it as FIPS 203, section 7.2 demands.
    ///
    /// # Errors
    /// When the length is wrong or the ML-KEM part is not reduced.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HpkeKeyError> {
        let got = bytes.len();
        if got != Self::LEN {
            return Err(HpkeKeyError { got });
        }
        Deserializable::from_bytes(bytes)
            .map(Self)
            .map_err(|_| HpkeKeyError { got })
    }

    /// The key's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }

    pub(crate) fn new(key: <XWing as Kem>::PublicKey) -> Self {
        Self(key)
    }

    pub(crate) fn inner(&self) -> &<XWing as Kem>::PublicKey {
        &self.0
    }
}

impl fmt::Debug for HpkePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HpkePublicKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_what_is_none_is_refused() {
        let (_, key) = XWing::derive_keypair(&[1; 32]);
        let key = HpkePublicKey::new(key);
        let mut bytes = key.to_bytes();
        assert_eq!(bytes.len(), HpkePublicKey::LEN);
        assert!(HpkePublicKey::from_bytes(&bytes) == Ok(key));
        assert!(HpkePublicKey::from_bytes(&bytes[1..]).is_err());
        // Coefficients of 4095 are not below ML-KEM's modulus of 3329.
        bytes[..3].fill(0xff);
        assert!(HpkePublicKey::from_bytes(&bytes).is_err());
    }
}
