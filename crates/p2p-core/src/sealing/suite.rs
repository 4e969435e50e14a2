//! Which algorithms a transfer is sealed with: one byte, chosen by the sender.

use crate::crypto::has_fast_aes;

/// The AEAD of a transfer's content. HPKE, KDF, hash and signature are the same in all suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Suite {
    /// AES-256-GCM (NIST SP 800-38D).
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305 = 2,
}

/// A suite of a later version, or of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("suite {got} is unknown here")]
pub struct UnknownSuite {
    /// The byte.
    pub got: u8,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::ChaCha20Poly1305];

    /// The faster suite on this machine: AES where the processor does it in hardware.
    ///
    /// Without that, AES is slower than ChaCha20 and harder to keep constant in time.
    #[must_use]
    pub fn preferred() -> Self {
        if has_fast_aes() {
            Self::Aes256Gcm
        } else {
            Self::ChaCha20Poly1305
        }
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The suite of a byte.
    ///
    /// # Errors
    /// [`UnknownSuite`] for every other byte; there is nothing to fall back to.
    pub fn from_byte(byte: u8) -> Result<Self, UnknownSuite> {
        let suite = Self::ALL.into_iter().find(|suite| suite.byte() == byte);
        suite.ok_or(UnknownSuite { got: byte })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_keeps_its_byte_and_no_other_byte_is_one() {
        assert_eq!(Suite::from_byte(1), Ok(Suite::Aes256Gcm));
        assert_eq!(Suite::from_byte(2), Ok(Suite::ChaCha20Poly1305));
        for got in (0..=255).filter(|b| ![1, 2].contains(b)) {
            assert_eq!(Suite::from_byte(got), Err(UnknownSuite { got }));
        }
    }
}
