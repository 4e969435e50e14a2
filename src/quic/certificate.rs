//! The self-signed certificate that carries a key into TLS.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519};
use zeroize::{Zeroize, Zeroizing};

use crate::identity::Identity;

/// A self-signed certificate with its private key, as TLS wants them.
pub struct Certificate {
    /// The X.509 certificate in DER.
    pub certificate: Vec<u8>,
    /// The private key in PKCS#8 DER.
    pub private_key: Zeroizing<Vec<u8>>,
}

impl Certificate {
    /// A certificate of this key.
    ///
    /// Its names and dates mean nothing: whoever checks it pins the key.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        let private_key = identity.pkcs8().clone();
        let der = private_key.as_slice().into();
        let mut pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)
            .expect("an identity holds an Ed25519 key");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, CERTIFICATE_NAME);
        let certificate = params
            .self_signed(&pair)
            .expect("an Ed25519 key signs a certificate without extensions");
        pair.zeroize();
        Self {
            certificate: certificate.der().to_vec(),
            private_key,
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// The same for everybody: the certificate is sent before the other side is known.
const CERTIFICATE_NAME: &str = "p2p";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::PublicKey, protocol::PeerId};

    #[test]
    fn the_certificate_carries_the_key_that_the_id_is_made_of() {
        let me = Identity::generate();
        let made = Certificate::of(&me);
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
    fn debug_output_shows_nothing_secret() {
        let certificate = Certificate::of(&Identity::generate());
        assert_eq!(format!("{certificate:?}"), "Certificate { .. }");
    }
}
