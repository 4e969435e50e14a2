//! Whose certificate is accepted: certificates are self-signed, and an identity is its key.

use std::sync::{Arc, Mutex, PoisonError};

use p2p_core::crypto::has_fast_aes;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::{identity::PublicKey, protocol::PeerId};

/// Decides by the key in a certificate; names and dates say nothing here.
///
/// Whatever is accepted, the handshake's signature is checked, which shows that the other end holds the
/// key (RFC 8446, section 4.4.3).
#[derive(Debug)]
pub(super) struct KeyVerifier {
    accepts: Accepts,
    schemes: Vec<SignatureScheme>,
    refused: Mutex<Option<PeerId>>,
}

#[derive(Debug)]
enum Accepts {
    /// Any certificate, also one with a chain and a key of another kind.
    Anything,
    /// Any Ed25519 key; who may do what is decided by its ID later.
    AnyKey,
    /// This key and no other.
    Only(PeerId),
}

impl KeyVerifier {
    /// For TLS that protects nothing: a proxy that inspects it shows a certificate of its own.
    pub(super) fn any_certificate() -> Arc<Self> {
        let algorithms = provider().signature_verification_algorithms;
        Self::new(Accepts::Anything, algorithms.supported_schemes())
    }

    /// For clients of a relay and peers that connect directly.
    pub(super) fn any_key() -> Arc<Self> {
        Self::new(Accepts::AnyKey, vec![SignatureScheme::ED25519])
    }

    /// For the one whose ID is known.
    pub(super) fn only(id: PeerId) -> Arc<Self> {
        Self::new(Accepts::Only(id), vec![SignatureScheme::ED25519])
    }

    fn new(accepts: Accepts, schemes: Vec<SignatureScheme>) -> Arc<Self> {
        Arc::new(Self {
            accepts,
            schemes,
            refused: Mutex::default(),
        })
    }

    /// The key that was presented in place of the pinned one.
    pub(super) fn refused(&self) -> Option<PeerId> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        if let Accepts::Anything = self.accepts {
            return Ok(());
        }
        if !chain.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let got = certificate_id(certificate)?;
        match self.accepts {
            Accepts::Only(pinned) if got != pinned => {
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(got);
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(()),
        }
    }
}

/// The part that both traits have in common, once.
macro_rules! handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is never spoken here".into()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signature, &algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.schemes.clone()
        }
    };
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates)
            .map(|()| ServerCertVerified::assertion())
    }

    handshake_signatures!();
}

impl ClientCertVerifier for KeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates)
            .map(|()| ClientCertVerified::assertion())
    }

    handshake_signatures!();
}

/// Post-quantum key exchange first, plain X25519 where the other end has no other.
///
/// AES first where the processor has it, since rustls lets the server's order decide; AES-128-GCM
/// must stay because QUIC's Initial packets use it (RFC 9001, section 5.2).
pub(super) fn provider() -> Arc<CryptoProvider> {
    use aws_lc_rs::{cipher_suite as suite, kx_group};
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![
        suite::TLS13_AES_256_GCM_SHA384,
        suite::TLS13_AES_128_GCM_SHA256,
        suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    if !has_fast_aes() {
        provider.cipher_suites.rotate_right(1);
    }
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519];
    Arc::new(provider)
}

/// Whose key a certificate holds.
pub(super) fn certificate_id(certificate: &CertificateDer<'_>) -> Result<PeerId, Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let spki = parsed.subject_public_key_info();
    let key = PublicKey::from_spki(&spki).ok_or(CertificateError::BadEncoding)?;
    Ok(key.peer_id())
}
