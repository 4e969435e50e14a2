//! TLS 1.3 between keys, not names: both ends present a self-signed certificate, both pin or
//! record the other's public key.
//!
//! No chain is accepted and no date is checked: an identity is its key, and the key has no end
//! date. What is always checked is the handshake signature, which shows that the other end holds
//! the key (RFC 8446, section 4.4.3).

use std::sync::Arc;

use ::aws_lc_rs::hmac;
use p2p_core::crypto::derive;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use zeroize::Zeroizing;

use super::verifier::{KeyVerifier, certificate_id, provider};
use crate::protocol::{ALPN, DIRECT_ALPN, PeerId, TRUNK_ALPN};

/// The name sent in the handshake; nobody checks it (RFC 6761 keeps `.invalid` from ever resolving).
pub(super) const SERVER_NAME: &str = "p2p.invalid";

/// What an endpoint shows of itself: a self-signed certificate and its Ed25519 key.
pub struct Credentials {
    certificate: Vec<u8>,
    /// PKCS #8 DER.
    key: Zeroizing<Vec<u8>>,
    /// Which of the endpoints that have this key it is.
    node: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// From a certificate in DER and its key in PKCS #8 DER.
    #[must_use]
    pub fn new(certificate: Vec<u8>, key: Zeroizing<Vec<u8>>) -> Self {
        Self {
            certificate,
            key,
            node: Vec::new(),
        }
    }

    /// Of one of several relays that have this key: their resets are not to be known to each other, or each
    /// could end the others' connections (RFC 9000, section 21.11).
    #[must_use]
    pub fn of_node(mut self, node: &[u8]) -> Self {
        self.node = node.to_owned();
        self
    }

    /// The key for stateless resets (RFC 9000, section 10.3), the same after every restart.
    ///
    /// With it a restarted relay tells its old peers at once that their connections are gone;
    /// otherwise they would wait for the idle timeout.
    pub(super) fn reset_key(&self) -> Arc<hmac::Key> {
        let key = derive(&self.key, b"", &[b"p2p/1 stateless reset", &self.node]);
        Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from(self.certificate.clone())]
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }
}

/// The relay's TLS: asks every client for its certificate.
pub(super) fn server(credentials: &Credentials) -> Result<QuicServerConfig, rustls::Error> {
    server_for(ALPN, credentials)
}

/// The TLS of a peer that another connects to directly.
pub(super) fn direct_server(credentials: &Credentials) -> Result<QuicServerConfig, rustls::Error> {
    server_for(DIRECT_ALPN, credentials)
}

/// The TLS of a relay that another of its cluster connects to.
pub(super) fn trunk_server(credentials: &Credentials) -> Result<QuicServerConfig, rustls::Error> {
    server_for(TRUNK_ALPN, credentials)
}

fn server_for(alpn: &[u8], credentials: &Credentials) -> Result<QuicServerConfig, rustls::Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(KeyVerifier::any_key())
        .with_single_cert(credentials.chain(), credentials.private_key())?;
    config.alpn_protocols = vec![alpn.to_vec()];
    // No tickets: resumption would save little, and 0-RTT data can be replayed.
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map_err(|e| rustls::Error::General(e.to_string()))
}

/// A client's TLS: accepts exactly the pinned key, and reports any other.
pub(super) fn client(
    credentials: &Credentials,
    relay: PeerId,
) -> Result<(QuicClientConfig, Arc<KeyVerifier>), rustls::Error> {
    client_for(ALPN, credentials, relay)
}

/// The TLS of a peer that connects to another directly: accepts exactly that one's key.
pub(super) fn direct_client(
    credentials: &Credentials,
    peer: PeerId,
) -> Result<(QuicClientConfig, Arc<KeyVerifier>), rustls::Error> {
    client_for(DIRECT_ALPN, credentials, peer)
}

/// The TLS of a relay that connects to another of its cluster: accepts exactly that one's key.
pub(super) fn trunk_client(
    credentials: &Credentials,
    relay: PeerId,
) -> Result<(QuicClientConfig, Arc<KeyVerifier>), rustls::Error> {
    client_for(TRUNK_ALPN, credentials, relay)
}

fn client_for(
    alpn: &[u8],
    credentials: &Credentials,
    pinned: PeerId,
) -> Result<(QuicClientConfig, Arc<KeyVerifier>), rustls::Error> {
    let verifier = KeyVerifier::only(pinned);
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_client_auth_cert(credentials.chain(), credentials.private_key())?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_early_data = false;
    config.resumption = rustls::client::Resumption::disabled();
    let config =
        QuicClientConfig::try_from(config).map_err(|e| rustls::Error::General(e.to_string()))?;
    Ok((config, verifier))
}

/// The TLS around a tunnel at the relay. It protects nothing (see `tunnel`), and asks for nothing.
pub(super) fn outer_server(
    credentials: &Credentials,
) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(credentials.chain(), credentials.private_key())?;
    config.alpn_protocols = vec![HTTP.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The TLS around a tunnel at a client: any certificate will do, that of a proxy that inspects as well.
///
/// Our own certificate, which tells who we are, is shown inside only.
pub(super) fn outer_client() -> Arc<rustls::ClientConfig> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(KeyVerifier::any_certificate())
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// The name by which a web server before the relay may tell its sites apart.
pub(super) fn outer_name(host: &str) -> ServerName<'static> {
    let name = ServerName::try_from(host.to_owned());
    name.unwrap_or_else(|_| ServerName::try_from(SERVER_NAME).expect("a DNS name"))
}

/// What is spoken inside the outer TLS (RFC 7301, section 6).
const HTTP: &[u8] = b"http/1.1";

/// Who is at the other end of a connection whose handshake is complete.
pub(super) fn peer_id(connection: &quinn::Connection) -> Option<PeerId> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    certificate_id(chain.first()?).ok()
}
