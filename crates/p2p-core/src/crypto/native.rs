//! aws-lc-rs and zstd.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    constant_time, digest, hkdf, hmac, rand,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use zeroize::Zeroizing;
use zstd::bulk;

use super::{Cipher, SIGNATURE_LEN, TAG_LEN};

/// Fills `out` with random bytes.
///
/// # Panics
/// When the operating system has no randomness to give: nothing secret can be made then.
pub fn random(out: &mut [u8]) {
    rand::fill(out).expect("the operating system gives random bytes");
}

/// SHA-256 (FIPS 180-4).
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(super) fn hkdf_sha256(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .expect("32 bytes are within what HKDF-SHA256 gives");
    key
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// A key of HMAC-SHA256 (RFC 2104).
#[derive(Clone)]
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The MAC of `parts`, joined.
    pub(crate) fn mac<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// A private key of Ed25519 (RFC 8032).
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl SigningKey {
    pub(crate) fn generate() -> Self {
        let document = Ed25519KeyPair::generate()
            .and_then(|pair| pair.to_pkcs8v1())
            .expect("the operating system gives random bytes");
        Self::from_pkcs8(document.as_ref()).expect("a key that was just made")
    }

    /// RFC 8410 allows a private key without its public half, and OpenSSL writes that.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
        let pkcs8 = Zeroizing::new(der.to_owned());
        Some(Self { pair, pkcs8 })
    }

    /// The key of a seed (RFC 8032, section 5.1.5).
    #[cfg(test)]
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
        Self::from_pkcs8(pair.to_pkcs8v1().unwrap().as_ref()).unwrap()
    }

    pub(crate) fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        let public = self.pair.public_key().as_ref();
        public.try_into().expect("an Ed25519 key has 32 bytes")
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        let signature = self.pair.sign(message);
        let bytes = signature.as_ref();
        bytes.try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

/// Whether the signature is of this key and message.
pub(crate) fn verify(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(message, signature)
        .is_ok()
}

/// A key of an authenticated cipher.
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    pub(crate) fn new(cipher: Cipher, key: &[u8; 32]) -> Self {
        let algorithm = match cipher {
            Cipher::Aes256Gcm => &AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, key).expect("both ciphers take 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals in place, and returns the tag. No nonce is used twice: the caller sees to it.
    pub(crate) fn seal(&self, nonce: [u8; 12], aad: &[u8], in_out: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), in_out)
            .expect("what is sealed here is far below the cipher's 64 GiB");
        tag.as_ref()
            .try_into()
            .expect("both ciphers have such tags")
    }

    /// Opens in place what ends with its tag; what it leaves there on failure is not to be used.
    pub(crate) fn open<'a>(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(aad), in_out).ok()
    }
}

/// Compresses one zstd frame (RFC 8878) after the other, at the fastest regular level.
pub(crate) struct ZstdCompressor(bulk::Compressor<'static>);

impl ZstdCompressor {
    pub(crate) fn new() -> Option<Self> {
        bulk::Compressor::new(1).ok().map(Self)
    }

    /// How many bytes of `out` the frame takes; `None` as soon as it does not fit.
    pub(crate) fn compress(&mut self, content: &[u8], out: &mut [u8]) -> Option<usize> {
        self.0.compress_to_buffer(content, out).ok()
    }
}

/// Decompresses one zstd frame after the other.
pub(crate) struct ZstdDecompressor(bulk::Decompressor<'static>);

impl ZstdDecompressor {
    pub(crate) fn new() -> Option<Self> {
        bulk::Decompressor::new().ok().map(Self)
    }

    /// How many bytes of `out` the content takes; `None` if it is longer, or no frame.
    ///
    /// Takes no memory besides: the window of a frame that is decompressed at once is its output.
    pub(crate) fn decompress(&mut self, frame: &[u8], out: &mut [u8]) -> Option<usize> {
        self.0.decompress_to_buffer(frame, out).ok()
    }
}
