//! Below the library: bytes that it would not send, through quinn itself.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use p2p::{
    identity::{Bundle, Identity, Invite},
    protocol::{ALPN, CONTROL_MESSAGE_MAX, ClientToServer, Code, encode_control},
    quic::Certificate,
};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};

use super::{CUT_OFF, while_honest_peers_go_on};

/// Longer than the relay waits for the rest of a message.
const STALL: Duration = Duration::from_secs(25);

/// Connects with any ALPN names, and checks nothing.
async fn connect(
    invite: &Invite,
    identity: &Identity,
    alpn: &[&[u8]],
) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
    let certificate = Certificate::of(identity);
    let chain = vec![CertificateDer::from(certificate.certificate)];
    let key = PrivatePkcs8KeyDer::from(certificate.private_key.to_vec());
    let mut config =
        rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_client_auth_cert(chain, key.into())
            .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let config = QuicClientConfig::try_from(config).unwrap();
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(config));
    let mut transport = quinn::TransportConfig::default();
    // As p2p's own peers do: who is silent is still there.
    transport.keep_alive_interval(Some(Duration::from_secs(2)));
    config.transport_config(Arc::new(transport));
    endpoint.set_default_client_config(config);
    let relay: SocketAddr = format!("{}:{}", invite.relay.host(), invite.relay.port())
        .parse()
        .unwrap();
    let connection = endpoint.connect(relay, "p2p.invalid").unwrap().await?;
    Ok((endpoint, connection))
}

/// A `hello` as it goes on the wire.
fn hello(invite: &Invite, identity: &Identity) -> Vec<u8> {
    let bundle = Bundle {
        key: identity.public_key(),
        name: "mallory".parse().unwrap(),
        chosen: false,
        hpke: None,
        expires_unix: u64::MAX,
    };
    let hello = ClientToServer::Hello {
        room: invite.secret.room_id(),
        bundle: bundle.sign(identity, &invite.secret.member_key()),
        listening: false,
    };
    encode_control(&hello).unwrap()
}

/// The code with which the relay ends the connection, within the limit.
async fn closed(connection: &quinn::Connection, limit: Duration) -> Code {
    let ended = tokio::time::timeout(limit, connection.closed()).await;
    match ended.expect("the relay cuts it off") {
        quinn::ConnectionError::ApplicationClosed(close) => {
            Code::from_number(close.error_code.into_inner())
        }
        other => panic!("ended otherwise: {other}"),
    }
}

#[test]
fn another_protocol_is_refused_in_the_handshake() {
    while_honest_peers_go_on(|invite| async move {
        let others: [&[&[u8]]; 3] = [&[b"h3"], &[b"p2p/0", b"p2p/11"], &[]];
        for alpn in others {
            let refused = connect(&invite, &Identity::generate(), alpn).await;
            let Err(error) = refused else {
                panic!("connected by {alpn:?}")
            };
            // RFC 7301, section 3.2: no_application_protocol is alert 120.
            let quinn::ConnectionError::ConnectionClosed(close) = &error else {
                panic!("{error}")
            };
            assert_eq!(close.error_code, quinn::TransportErrorCode::crypto(120));
        }
        let ours = connect(&invite, &Identity::generate(), &[b"h3", ALPN]).await;
        assert!(ours.is_ok(), "only the name was wrong: {:?}", ours.err());
    });
}

#[test]
fn an_oversize_length_is_cut_off_before_and_after_hello() {
    while_honest_peers_go_on(|invite| async move {
        let just_over = u32::try_from(CONTROL_MESSAGE_MAX + 1).unwrap();
        for length in [just_over, u32::MAX] {
            for greeted in [false, true] {
                let identity = Identity::generate();
                let (_endpoint, connection) = connect(&invite, &identity, &[ALPN]).await.unwrap();
                let (mut send, mut receive) = connection.open_bi().await.unwrap();
                if greeted {
                    send.write_all(&hello(&invite, &identity)).await.unwrap();
                    receive.read_exact(&mut [0; 4]).await.unwrap();
                }
                send.write_all(&length.to_be_bytes()).await.unwrap();
                assert_eq!(closed(&connection, CUT_OFF).await, Code::Protocol);
            }
        }
    });
}

#[test]
fn a_member_that_stalls_in_the_middle_of_a_message_is_cut_off_and_an_idle_one_is_not() {
    while_honest_peers_go_on(|invite| async move {
        let mut greeted = Vec::new();
        for _ in 0..3 {
            let identity = Identity::generate();
            let (endpoint, connection) = connect(&invite, &identity, &[ALPN]).await.unwrap();
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            send.write_all(&hello(&invite, &identity)).await.unwrap();
            receive.read_exact(&mut [0; 4]).await.unwrap();
            greeted.push((endpoint, connection, send, receive));
        }
        let start = Instant::now();
        let [idle, prefix, body] = greeted.as_mut_slice() else {
            unreachable!("three were made")
        };
        prefix.2.write_all(&[0, 0]).await.unwrap();
        body.2.write_all(&[0, 0, 1, 0, b'{']).await.unwrap();
        for stalled in [prefix, body] {
            assert_eq!(closed(&stalled.1, STALL).await, Code::Timeout);
        }
        assert!(start.elapsed() < STALL);
        assert!(idle.1.close_reason().is_none(), "silence is no offence");
    });
}

/// Takes any relay.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
