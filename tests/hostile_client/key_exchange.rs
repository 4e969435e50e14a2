//! How the keys of a connection are agreed on: seen by a client and by a relay that look.

use std::sync::{Arc, Mutex};

use p2p::{
    identity::{Identity, Invite},
    protocol::ALPN,
    quic::Certificate,
};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::{
    NamedGroup,
    crypto::{
        ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup,
        aws_lc_rs,
    },
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};

use super::{
    common::Lab,
    wire::{Attacker, STEP, provider_config},
};

/// The groups with which keys were agreed on.
type Seen = Arc<Mutex<Vec<NamedGroup>>>;

/// A group of which it is noted when it comes to keys.
#[derive(Debug)]
struct Watched(&'static dyn SupportedKxGroup, Seen);

impl SupportedKxGroup for Watched {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        Ok(Box::new(Active(self.0.start()?, self.1.clone())))
    }

    fn start_and_complete(&self, peer: &[u8]) -> Result<CompletedKeyExchange, rustls::Error> {
        self.1.lock().unwrap().push(self.0.name());
        self.0.start_and_complete(peer)
    }

    fn name(&self) -> NamedGroup {
        self.0.name()
    }
}

/// A client's half of it.
struct Active(Box<dyn ActiveKeyExchange>, Seen);

impl ActiveKeyExchange for Active {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, rustls::Error> {
        self.1.lock().unwrap().push(self.0.group());
        self.0.complete(peer)
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        self.0.hybrid_component()
    }

    fn complete_hybrid_component(
        self: Box<Self>,
        peer: &[u8],
    ) -> Result<SharedSecret, rustls::Error> {
        let component = self.0.hybrid_component().map(|(group, _)| group);
        self.1.lock().unwrap().extend(component);
        self.0.complete_hybrid_component(peer)
    }

    fn pub_key(&self) -> &[u8] {
        self.0.pub_key()
    }

    fn group(&self) -> NamedGroup {
        self.0.group()
    }
}

/// What others have as well, in the order in which it was before there was ML-KEM: the far end has to
/// want it.
fn watching() -> (Arc<CryptoProvider>, Seen) {
    let seen = Seen::default();
    let mut provider = aws_lc_rs::default_provider();
    let groups = [
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
    ];
    provider.kx_groups = groups
        .into_iter()
        .map(|group| {
            let watched: &'static dyn SupportedKxGroup =
                Box::leak(Box::new(Watched(group, seen.clone())));
            watched
        })
        .collect();
    (Arc::new(provider), seen)
}

#[test]
fn a_relay_agrees_on_keys_by_ml_kem() {
    let (lab, _relay) = Lab::new();
    let invite: Invite = lab.invite().parse().unwrap();
    let (provider, seen) = watching();
    run(async {
        let identity = Identity::generate();
        let config = provider_config(provider, &identity, &[ALPN], Default::default());
        let attacker = Attacker::configured(&invite, identity, config)
            .await
            .unwrap();
        attacker.enter(&invite.secret, false).await;
    });
    assert_eq!(*seen.lock().unwrap(), [NamedGroup::X25519MLKEM768]);
}

#[test]
fn a_client_agrees_on_keys_by_ml_kem() {
    let (mut lab, relay) = Lab::new();
    drop(relay);
    let (provider, seen) = watching();
    let identity = Identity::generate();
    let certificate = Certificate::of(&identity);
    let chain = vec![CertificateDer::from(certificate.certificate)];
    let key = PrivatePkcs8KeyDer::from(certificate.private_key.to_vec());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = Arc::new(QuicServerConfig::try_from(config).unwrap());
    run(async {
        let config = quinn::ServerConfig::with_crypto(config);
        let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        let (_, secret) = lab.invite().split_once('#').unwrap();
        let (address, key) = (endpoint.local_addr().unwrap(), identity.id());
        let invite = format!("p2p://{address}/{key}#{secret}");
        lab.use_invite(Some(invite));
        let client = lab.run("client", ["peers"]);
        let incoming = tokio::time::timeout(STEP, endpoint.accept()).await.unwrap();
        let connection = incoming.unwrap().await.unwrap();
        connection.close(0u32.into(), b"");
        drop(client);
    });
    let seen = seen.lock().unwrap();
    assert!(
        !seen.is_empty()
            && seen
                .iter()
                .all(|group| *group == NamedGroup::X25519MLKEM768)
    );
}

fn run(attack: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(attack);
}
