//! A client that speaks the real wire and keeps to none of its rules: QUIC through quinn itself, then
//! `hello`, control messages, offers, streams and raw bytes as the attack wants them.
//!
//! An attack is a few lines: connect, enter, and say what no honest client would.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use p2p::{
    identity::{Bundle, Identity, Invite, RoomSecret},
    protocol::{
        ALPN, Answer, Base64, ClientToServer, Code, FileClass, FileHeader, FileIndex, PeerId,
        PeerMessage, ServerToClient, SignedOffer, TransferId, encode_control, parse_control,
    },
    quic::Certificate,
};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};

/// Longer than any single step of an attack may take.
pub const STEP: Duration = Duration::from_secs(20);

/// One hostile connection.
pub struct Attacker {
    pub identity: Identity,
    /// Held: a dropped endpoint takes its connections with it.
    _endpoint: quinn::Endpoint,
    pub connection: quinn::Connection,
}

/// The control stream of one that has entered a room.
pub struct Control {
    pub send: quinn::SendStream,
    pub receive: quinn::RecvStream,
}

impl Attacker {
    /// Connects with a key of its own, and says nothing yet.
    pub async fn connect(invite: &Invite) -> Self {
        let attacker = Self::try_connect(invite, Identity::generate(), &[ALPN]).await;
        attacker.expect("the relay takes the connection")
    }

    /// Connects with this key and these protocol names.
    pub async fn try_connect(
        invite: &Invite,
        identity: Identity,
        alpn: &[&[u8]],
    ) -> Result<Self, quinn::ConnectionError> {
        let endpoint = endpoint(&identity, alpn, quinn::TransportConfig::default());
        let connection = dial(&endpoint, invite).await?;
        Ok(Self {
            identity,
            _endpoint: endpoint,
            connection,
        })
    }

    /// Connects with this configuration, which has the identity's certificate.
    pub async fn configured(
        invite: &Invite,
        identity: Identity,
        config: quinn::ClientConfig,
    ) -> Result<Self, quinn::ConnectionError> {
        let mut endpoint = quinn::Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
        endpoint.set_default_client_config(config);
        let connection = dial(&endpoint, invite).await?;
        Ok(Self {
            identity,
            _endpoint: endpoint,
            connection,
        })
    }

    /// Connects with these transport parameters.
    pub async fn tuned(invite: &Invite, transport: quinn::TransportConfig) -> Self {
        let identity = Identity::generate();
        let endpoint = endpoint(&identity, &[ALPN], transport);
        let connection = dial(&endpoint, invite).await.unwrap();
        Self {
            identity,
            _endpoint: endpoint,
            connection,
        }
    }

    /// Connects and enters the invite's room.
    pub async fn member(invite: &Invite, listening: bool) -> (Self, Control) {
        let attacker = Self::connect(invite).await;
        let control = attacker.enter(&invite.secret, listening).await;
        (attacker, control)
    }

    /// Opens the control stream without a word on it.
    pub async fn control(&self) -> Control {
        let (send, receive) = self.connection.open_bi().await.unwrap();
        Control { send, receive }
    }

    /// Says `hello` and waits for the welcome.
    pub async fn enter(&self, room: &RoomSecret, listening: bool) -> Control {
        let mut control = self.control().await;
        control.say(&self.hello(room, listening)).await;
        let welcome = control.hear().await;
        assert!(matches!(welcome, ServerToClient::Welcome { .. }));
        control
    }

    /// The `hello` with which it enters a room.
    pub fn hello(&self, room: &RoomSecret, listening: bool) -> ClientToServer {
        hello(room, &self.identity, listening)
    }

    /// The code with which the relay ends the connection, within the limit.
    pub async fn closed(&self, limit: Duration) -> Code {
        let ended = tokio::time::timeout(limit, self.connection.closed()).await;
        match ended.expect("the relay cuts it off") {
            quinn::ConnectionError::ApplicationClosed(close) => {
                Code::from_number(close.error_code.into_inner())
            }
            other => panic!("ended otherwise: {other}"),
        }
    }
}

impl Control {
    /// Says one message.
    pub async fn say(&mut self, message: &ClientToServer) {
        self.try_say(message).await.expect("the stream is open");
    }

    /// Says one message, if the relay still takes any.
    pub async fn try_say(&mut self, message: &ClientToServer) -> Result<(), quinn::WriteError> {
        let bytes = encode_control(message).unwrap();
        self.send.write_all(&bytes).await
    }

    /// The relay's next message.
    pub async fn hear(&mut self) -> ServerToClient {
        let hearing = async {
            let mut length = [0; 4];
            self.receive.read_exact(&mut length).await.unwrap();
            let mut body = vec![0; u32::from_be_bytes(length) as usize];
            self.receive.read_exact(&mut body).await.unwrap();
            parse_control(&body).unwrap()
        };
        tokio::time::timeout(STEP, hearing)
            .await
            .expect("a message")
    }

    /// The relay's next message for which `wanted` gives something.
    pub async fn find<T>(&mut self, wanted: impl Fn(ServerToClient) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.hear().await) {
                return found;
            }
        }
    }

    /// Offers a transfer to accomplices, who will accept it, and begins once they have.
    pub async fn begin_with(&mut self, to: &[PeerId], id: TransferId) {
        for peer in to {
            self.say(&tell(id, *peer, garbage_offer(64))).await;
        }
        for _ in to {
            self.find(|message| matches!(message, ServerToClient::Told { .. }).then_some(()))
                .await;
        }
        self.say(&ClientToServer::Begin { transfer: id }).await;
        self.find(|message| matches!(message, ServerToClient::Begun { .. }).then_some(()))
            .await;
    }

    /// Accepts the next offer, whatever it is.
    pub async fn accept(&mut self) {
        let id = self
            .find(|message| match message {
                ServerToClient::Told { transfer, .. } => Some(transfer),
                _ => None,
            })
            .await;
        let message = PeerMessage::Answer {
            answer: Answer::Accept {
                each: false,
                compare: false,
            },
        };
        self.say(&ClientToServer::Tell {
            transfer: id,
            to: None,
            message,
        })
        .await;
    }
}

/// The clear header with which a file's stream begins.
pub fn file_header(transfer: TransferId, file: u64) -> Vec<u8> {
    let header = FileHeader {
        transfer,
        file: FileIndex(file),
        class: FileClass::Bulk,
    };
    header.encode().to_vec()
}

/// A message to one peer about a transfer.
pub fn tell(transfer: TransferId, to: PeerId, message: PeerMessage) -> ClientToServer {
    ClientToServer::Tell {
        transfer,
        to: Some(to),
        message,
    }
}

/// A transfer's ID, which the sender makes up.
pub fn transfer(number: u64) -> TransferId {
    let hash = blake3::hash(&number.to_be_bytes());
    TransferId::from_bytes(*hash.as_bytes().first_chunk().unwrap())
}

/// An offer that nobody can open, whose signature alone has so many bytes.
pub fn garbage_offer(signature: usize) -> PeerMessage {
    PeerMessage::Offer {
        offer: SignedOffer {
            body: Base64(vec![1; 40]),
            signature: Base64(vec![2; signature]),
            mac: Base64(vec![3; 32]),
            manifest: Base64(vec![4; 40]),
        },
    }
}

/// A `hello` of a member, or of somebody who knows the room's ID alone.
pub fn hello(room: &RoomSecret, identity: &Identity, listening: bool) -> ClientToServer {
    ClientToServer::Hello {
        room: room.room_id(),
        bundle: bundle(identity).sign(identity, &room.member_key()),
        listening,
    }
}

/// What it says of itself.
pub fn bundle(identity: &Identity) -> Bundle {
    Bundle {
        key: identity.public_key(),
        name: "mallory".parse().unwrap(),
        chosen: false,
        hpke: None,
        direct: false,
        hard_links: false,
        expires_unix: u64::MAX,
    }
}

/// A client's endpoint that checks nothing.
pub fn endpoint(
    identity: &Identity,
    alpn: &[&[u8]],
    transport: quinn::TransportConfig,
) -> quinn::Endpoint {
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    endpoint.set_default_client_config(client_config(identity, alpn, transport));
    endpoint
}

/// A client's configuration that checks nothing.
pub fn client_config(
    identity: &Identity,
    alpn: &[&[u8]],
    transport: quinn::TransportConfig,
) -> quinn::ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    provider_config(provider, identity, alpn, transport)
}

/// The same with cryptography of one's own.
pub fn provider_config(
    provider: Arc<CryptoProvider>,
    identity: &Identity,
    alpn: &[&[u8]],
    mut transport: quinn::TransportConfig,
) -> quinn::ClientConfig {
    let certificate = Certificate::of(identity);
    let chain = vec![CertificateDer::from(certificate.certificate)];
    let key = PrivatePkcs8KeyDer::from(certificate.private_key.to_vec());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_client_auth_cert(chain, key.into())
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let config = QuicClientConfig::try_from(config).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(config));
    // As p2p's own peers do: who is silent is still there.
    transport.keep_alive_interval(Some(Duration::from_secs(2)));
    config.transport_config(Arc::new(transport));
    config
}

/// Connects an endpoint to the invite's relay.
pub async fn dial(
    endpoint: &quinn::Endpoint,
    invite: &Invite,
) -> Result<quinn::Connection, quinn::ConnectionError> {
    endpoint
        .connect(address(invite), "p2p.invalid")
        .unwrap()
        .await
}

/// Where the relay is.
pub fn address(invite: &Invite) -> SocketAddr {
    invite.place().parse().unwrap()
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
