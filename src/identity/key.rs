//! My key, and the keys of others: Ed25519 (RFC 8032).

use std::{
    fmt,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519};
use zeroize::{Zeroize, Zeroizing};

use super::private_file::{self, PrivateFileError};
use crate::protocol::PeerId;

/// Who I am: a key pair that never leaves this machine.
pub struct Identity {
    pair: Ed25519KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

/// The key of a peer or relay. Its hash is the [`PeerId`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// A self-signed certificate with its private key, as TLS wants them.
pub struct Certificate {
    /// The X.509 certificate in DER.
    pub certificate: Vec<u8>,
    /// The private key in PKCS#8 DER.
    pub private_key: Zeroizing<Vec<u8>>,
}

/// Why there is no identity to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The key file cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The key file holds no Ed25519 private key. It is kept: what it was may matter to its owner.
    #[error("{} holds no Ed25519 private key in PKCS#8 PEM", path.display())]
    Corrupt {
        /// The key file.
        path: PathBuf,
    },
    /// The key file was there and then was not.
    #[error("{} was removed while it was read", path.display())]
    Vanished {
        /// The key file.
        path: PathBuf,
    },
}

/// A signature that is not of this key, context and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct SignatureError;

impl Identity {
    /// Reads the key at `path`, or makes one there on first use (mode 0600).
    ///
    /// Blocks on the disk. Two processes that make one at the same moment end up with the same.
    ///
    /// # Errors
    /// A key file that is empty, corrupt, or open to others is refused, never replaced.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        if let Some(pem) = private_file::read(path, KEY_FILE_MAX)? {
            return Self::from_pem(&pem, path);
        }
        let fresh = Self::generate();
        if private_file::create(path, fresh.to_pem().as_bytes())? {
            return Ok(fresh);
        }
        let pem =
            private_file::read(path, KEY_FILE_MAX)?.ok_or_else(|| IdentityError::Vanished {
                path: path.to_owned(),
            })?;
        Self::from_pem(&pem, path)
    }

    /// A fresh identity that is kept nowhere.
    #[must_use]
    pub fn generate() -> Self {
        let document = Ed25519KeyPair::generate()
            .and_then(|pair| pair.to_pkcs8v1())
            .expect("the operating system gives random bytes");
        Self::from_pkcs8(document.as_ref()).expect("a key that was just made")
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
        let signature = self.pair.sign(&with_context(context, message));
        signature
            .as_ref()
            .try_into()
            .expect("an Ed25519 signature has 64 bytes")
    }

    /// A certificate of this key for TLS.
    ///
    /// Its names and dates mean nothing: whoever checks it pins the key.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        let mut pair = self.rcgen_pair();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, CERTIFICATE_NAME);
        let certificate = params
            .self_signed(&pair)
            .expect("an Ed25519 key signs a certificate without extensions");
        pair.zeroize();
        Certificate {
            certificate: certificate.der().to_vec(),
            private_key: self.pkcs8.clone(),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        // RFC 8410 allows a private key without its public half, and OpenSSL writes that.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        Some(Self {
            pair,
            pkcs8: Zeroizing::new(der.to_owned()),
            public: PublicKey(public),
        })
    }

    fn from_pem(pem: &str, path: &Path) -> Result<Self, IdentityError> {
        let corrupt = || IdentityError::Corrupt {
            path: path.to_owned(),
        };
        let mut pair =
            KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ED25519).map_err(|_| corrupt())?;
        let identity = Self::from_pkcs8(pair.serialized_der());
        pair.zeroize();
        identity.ok_or_else(corrupt)
    }

    fn to_pem(&self) -> Zeroizing<String> {
        let mut pair = self.rcgen_pair();
        let pem = Zeroizing::new(pair.serialize_pem());
        pair.zeroize();
        pem
    }

    fn rcgen_pair(&self) -> KeyPair {
        let der = self.pkcs8.as_slice().into();
        KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)
            .expect("a key that was read before")
    }
}

#[cfg(test)]
impl Identity {
    /// The identity of a private key of RFC 8032, section 5.1.5.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
        Self::from_pkcs8(pair.to_pkcs8v1().unwrap().as_ref()).unwrap()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id().short())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
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
        let key = der.strip_prefix(&SPKI_PREFIX)?;
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
        der[..12].copy_from_slice(&SPKI_PREFIX);
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
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&with_context(context, message), signature)
            .map_err(|_| SignatureError)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.peer_id().short())
    }
}

/// The zero byte ends the context, so no context can be the beginning of another.
fn with_context(context: &str, message: &[u8]) -> Vec<u8> {
    assert!(!context.as_bytes().contains(&0), "a context is plain text");
    [context.as_bytes(), &[0], message].concat()
}

/// Bytes of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;

/// What precedes the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 10.1).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// An Ed25519 key takes 119 bytes in PEM; text around it is allowed (RFC 7468, section 2).
const KEY_FILE_MAX: u64 = 16 * 1024;

/// The same for everybody: the certificate is sent before the other side is known.
const CERTIFICATE_NAME: &str = "p2p";

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    #[test]
    fn an_identity_reads_back_as_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.pem");
        let made = Identity::load_or_create(&path).unwrap();
        let read = Identity::load_or_create(&path).unwrap();
        assert_eq!(made.id(), read.id());
        assert!(fs::read_to_string(&path).unwrap().contains("PRIVATE KEY"));
    }

    #[test]
    fn processes_that_start_together_share_one_identity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.pem");
        let ids: Vec<PeerId> = thread::scope(|scope| {
            let make = || scope.spawn(|| Identity::load_or_create(&path).unwrap().id());
            let threads: Vec<_> = (0..8).map(|_| make()).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.pem");
        let good = Identity::generate().to_pem();
        let p256 = KeyPair::generate().unwrap().serialize_pem();
        let torn = &good[..good.len() / 2];
        for bad in ["", "\n", "hello", torn, &p256] {
            private_file::replace(&path, bad.as_bytes()).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Corrupt { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_key_file_that_others_may_read_is_refused_and_kept() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.pem");
        let id = Identity::load_or_create(&path).unwrap().id();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            Identity::load_or_create(&path),
            Err(IdentityError::File(PrivateFileError::Exposed {
                mode: 0o640,
                ..
            }))
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Identity::load_or_create(&path).unwrap().id(), id);
    }

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
    fn the_certificate_carries_the_key_that_the_id_is_made_of() {
        let me = Identity::generate();
        let made = me.certificate();
        let spki = me.public_key().to_spki();
        let found = made.certificate.windows(44).any(|bytes| bytes == spki);
        assert!(found, "the certificate has another key");
        assert_eq!(PeerId::of_spki(&spki), me.id());
        assert_eq!(PublicKey::from_spki(&spki), Some(me.public_key()));
        assert_eq!(PublicKey::from_spki(&spki[1..]), None);
        let again = Identity::from_pkcs8(&made.private_key).unwrap();
        assert_eq!(again.id(), me.id());
    }

    #[test]
    fn debug_output_shows_who_and_nothing_secret() {
        let me = Identity::generate();
        assert_eq!(format!("{me:?}"), format!("Identity({})", me.id().short()));
        assert_eq!(format!("{:?}", me.certificate()), "Certificate { .. }");
    }
}
