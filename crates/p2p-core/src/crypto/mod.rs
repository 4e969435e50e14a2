//! The cryptographic primitives that everything else is made of, by whichever library gives them.
//!
//! | provider | libraries | for |
//! |---|---|---|
//! | `native` | aws-lc-rs, zstd | every machine with a C compiler: the default, and the fastest |
//! | `portable` | RustCrypto, dalek, ruzstd | targets without C, such as a browser |
//!
//! Both give the same functions with the same bytes: the tests compare them on random input, and
//! the vectors of `docs/vectors/` hold for either. HPKE ([`hpke`]) and BLAKE3 ([`blake3`]) are
//! pure Rust where they have to be, and are used as they are.

#[cfg(any(test, feature = "native-crypto"))]
mod native;
#[cfg(any(test, feature = "portable-crypto"))]
mod portable;

#[cfg(test)]
mod differential;

#[cfg(feature = "native-crypto")]
use native as provider;
#[cfg(all(feature = "portable-crypto", not(feature = "native-crypto")))]
use portable as provider;

#[cfg(not(any(feature = "native-crypto", feature = "portable-crypto")))]
compile_error!("p2p-core needs one of the features native-crypto and portable-crypto");

use zeroize::Zeroizing;

pub(crate) use provider::{
    Aead, MacKey, SigningKey, ZstdCompressor, ZstdDecompressor, same, verify,
};
pub use provider::{random, sha256};

/// 32 bytes of HKDF-SHA256 (RFC 5869).
///
/// `salt` and `info` are what keeps two uses of one secret apart.
#[must_use]
pub fn derive(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    provider::hkdf_sha256(secret, salt, info)
}

/// HMAC-SHA256 (RFC 2104) of `parts`, joined.
#[must_use]
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    MacKey::new(key).mac(parts.iter().copied())
}

/// Whether a MAC is the expected one, in a time that does not tell where they differ.
#[must_use]
pub fn same_mac(expected: &[u8; 32], got: &[u8]) -> bool {
    same(expected, got)
}

/// An authenticated cipher (RFC 5116) with keys of 32 bytes, nonces of 12 and tags of 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// NIST SP 800-38D.
    Aes256Gcm,
    /// RFC 8439.
    ChaCha20Poly1305,
}

/// Whether AES is done by the processor: without that it is slow, and hard to keep constant in time.
#[must_use]
pub fn has_fast_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[allow(
        unreachable_code,
        reason = "the last case is for every other processor"
    )]
    false
}

/// Bytes of an Ed25519 signature (RFC 8032).
pub const SIGNATURE_LEN: usize = 64;

/// Bytes of the tag that either cipher adds.
pub const TAG_LEN: usize = 16;

/// What precedes the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 10.1).
pub const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The longest window of a zstd frame that is decompressed: a chunk, with room for rounding up.
#[cfg(any(test, feature = "portable-crypto"))]
const ZSTD_WINDOW_MAX: u64 = 1 << 20;
