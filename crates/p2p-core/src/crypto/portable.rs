//! RustCrypto, dalek and ruzstd: no C.

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::AeadInOut as _};
use chacha20poly1305::ChaCha20Poly1305;
use ed25519_dalek::{Signer as _, Verifier as _, pkcs8::DecodePrivateKey as _};
use hmac::Mac as _;
use ruzstd::{
    decoding::FrameDecoder,
    encoding::{CompressionLevel, compress_to_vec},
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Cipher, SIGNATURE_LEN, TAG_LEN, ZSTD_WINDOW_MAX};

/// Fills `out` with random bytes.
///
/// # Panics
/// When the operating system has no randomness to give: nothing secret can be made then.
pub fn random(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system gives random bytes");
}

/// SHA-256 (FIPS 180-4).
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(super) fn hkdf_sha256(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Hkdf::<Sha256>::new(Some(salt), secret)
        .expand_multi_info(info, key.as_mut_slice())
        .expect("32 bytes are within what HKDF-SHA256 gives");
    key
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// A key of HMAC-SHA256 (RFC 2104).
#[derive(Clone)]
pub(crate) struct MacKey(hmac::Hmac<Sha256>);

impl MacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// The MAC of `parts`, joined.
    pub(crate) fn mac<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// A private key of Ed25519 (RFC 8032).
pub(crate) struct SigningKey {
    key: ed25519_dalek::SigningKey,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl SigningKey {
    pub(crate) fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// RFC 8410 allows a private key without its public half, and OpenSSL writes that.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_der(der).ok()?;
        let pkcs8 = Zeroizing::new(der.to_owned());
        Some(Self { key, pkcs8 })
    }

    /// The key of a seed (RFC 8032, section 5.1.5).
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: ed25519_dalek::SigningKey::from_bytes(seed),
            pkcs8: Zeroizing::new([PKCS8_PREFIX.as_slice(), seed].concat()),
        }
    }

    pub(crate) fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.key.sign(message).to_bytes()
    }
}

/// Whether the signature is of this key and message.
pub(crate) fn verify(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let key = ed25519_dalek::VerifyingKey::from_bytes(public);
    let signature = ed25519_dalek::Signature::from_slice(signature);
    match (key, signature) {
        (Ok(key), Ok(signature)) => key.verify(message, &signature).is_ok(),
        _ => false,
    }
}

/// A key of an authenticated cipher.
pub(crate) enum Aead {
    Aes256Gcm(Box<Aes256Gcm>),
    ChaCha20Poly1305(ChaCha20Poly1305),
}

impl Aead {
    pub(crate) fn new(cipher: Cipher, key: &[u8; 32]) -> Self {
        match cipher {
            Cipher::Aes256Gcm => Self::Aes256Gcm(Box::new(Aes256Gcm::new(key.into()))),
            Cipher::ChaCha20Poly1305 => Self::ChaCha20Poly1305(ChaCha20Poly1305::new(key.into())),
        }
    }

    /// Seals in place, and returns the tag. No nonce is used twice: the caller sees to it.
    pub(crate) fn seal(&self, nonce: [u8; 12], aad: &[u8], in_out: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = (&nonce).into();
        let tag = match self {
            Self::Aes256Gcm(key) => key.encrypt_inout_detached(nonce, aad, in_out.into()),
            Self::ChaCha20Poly1305(key) => key.encrypt_inout_detached(nonce, aad, in_out.into()),
        };
        tag.expect("what is sealed here is far below the cipher's 64 GiB")
            .into()
    }

    /// Opens in place what ends with its tag; what it leaves there on failure is not to be used.
    pub(crate) fn open<'a>(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let nonce = (&nonce).into();
        let at = in_out.len().checked_sub(TAG_LEN)?;
        let (content, tag) = in_out.split_at_mut(at);
        let tag: [u8; TAG_LEN] = (&*tag).try_into().expect("split at the tag");
        let buffer = (&mut *content).into();
        match self {
            Self::Aes256Gcm(key) => key.decrypt_inout_detached(nonce, aad, buffer, &tag.into()),
            Self::ChaCha20Poly1305(key) => {
                key.decrypt_inout_detached(nonce, aad, buffer, &tag.into())
            }
        }
        .ok()?;
        Some(content)
    }
}

/// Compresses one zstd frame (RFC 8878) after the other, at the level nearest to zstd's first.
pub(crate) struct ZstdCompressor;

impl ZstdCompressor {
    #[expect(clippy::unnecessary_wraps, reason = "the other provider may fail")]
    pub(crate) fn new() -> Option<Self> {
        Some(Self)
    }

    /// How many bytes of `out` the frame takes; `None` if it does not fit.
    #[expect(clippy::unused_self, reason = "the other provider has state")]
    pub(crate) fn compress(&mut self, content: &[u8], out: &mut [u8]) -> Option<usize> {
        let frame = compress_to_vec(content, CompressionLevel::Fastest);
        out.get_mut(..frame.len())?.copy_from_slice(&frame);
        Some(frame.len())
    }
}

/// Decompresses one zstd frame after the other.
pub(crate) struct ZstdDecompressor(FrameDecoder);

impl ZstdDecompressor {
    #[expect(clippy::unnecessary_wraps, reason = "the other provider may fail")]
    pub(crate) fn new() -> Option<Self> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_MAX);
        Some(Self(decoder))
    }

    /// How many bytes of `out` the content takes; `None` if it is longer, or no frame.
    pub(crate) fn decompress(&mut self, frame: &[u8], out: &mut [u8]) -> Option<usize> {
        self.0.decode_all(frame, out).ok()
    }
}

/// What precedes the seed in a `PrivateKeyInfo` of Ed25519 (RFC 8410, section 10.3).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
