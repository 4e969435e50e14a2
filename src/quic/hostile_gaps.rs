//! A sender that leaves gaps in a stream which no retransmission fills, over the real wire.
//!
//! quinn itself sends no such thing. So this client rewrites its packets just before they are
//! encrypted: a frame of a file's stream becomes many frames of one byte, with a gap before each. They are
//! acknowledged like any other, so that nothing is ever sent again.

use std::{any::Any, net::Ipv4Addr, num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::BytesMut;
use quinn::{
    ConnectionId, Side,
    crypto::{
        self, CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session,
    },
};
use quinn_proto::transport_parameters::TransportParameters;

use super::{Certificate, Credentials, Link, RelayEndpoint, Role, StreamError, Tuning, tls};
use crate::{identity::Identity, protocol::Code};

const LIMIT: Duration = Duration::from_secs(20);

/// Frames of streams that are read or written (RFC 9000, section 19.8): OFF 4, LEN 2, FIN 1.
const STREAM: std::ops::RangeInclusive<u8> = 0x08..=0x0f;

fn credentials() -> Credentials {
    let certificate = Certificate::of(&Identity::generate());
    Credentials::new(certificate.certificate, certificate.private_key)
}

/// A link to an honest receiver, the receiver's end of it, and what keeps both alive.
async fn linked() -> (quinn::Connection, Link, (RelayEndpoint, quinn::Endpoint)) {
    let relay = Identity::generate();
    let certificate = Certificate::of(&relay);
    let honest = Credentials::new(certificate.certificate, certificate.private_key);
    let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
    let tuning = Tuning::default();
    let receiver = RelayEndpoint::bind(anywhere, &honest, tuning, NonZeroUsize::MIN).unwrap();
    let address = receiver.local_addr().unwrap();
    let (crypto, _) = tls::client(&credentials(), relay.id()).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(Tampering(Arc::new(crypto))));
    config.transport_config(Tuning::default().transport(Role::Sender, address.ip()));
    let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let connecting = endpoint
        .connect_with(config, address, tls::SERVER_NAME)
        .unwrap();
    let accepting = async {
        let incoming = receiver.accept().await.unwrap();
        let link = incoming.accept(LIMIT).await.unwrap();
        // As for a peer that was admitted and sends.
        link.set_receive_window(Tuning::CONNECTION_WINDOW);
        link.set_file_streams(16);
        link
    };
    let (connection, link) = tokio::join!(connecting, accepting);
    (connection.unwrap(), link, (receiver, endpoint))
}

#[tokio::test]
async fn a_stream_of_gaps_is_reset_with_behind_and_its_connection_goes_on() {
    let (connection, link, _alive) = linked().await;
    let mut bad = connection.open_uni().await.unwrap();
    let pieces = async {
        // Slowly: what nobody has read yet is limited more strictly, by the transport itself.
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while bad.write_all(&[MARK; 1_000]).await.is_ok() {
            pace.tick().await;
        }
        bad.stopped().await.unwrap()
    };
    let reading = async {
        let mut stream = link.accept_file().await.unwrap();
        let mut buffer = BytesMut::with_capacity(1 << 16);
        let refused = loop {
            buffer.clear();
            match stream.read(&mut buffer).await {
                Ok(0) => panic!("the stream ended"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(
            matches!(refused, StreamError::Ended(Code::Behind)),
            "{refused}"
        );
        stream.stop(refused.code());
    };
    let both = async { tokio::join!(pieces, reading) };
    let (stopped, ()) = tokio::time::timeout(LIMIT, both)
        .await
        .expect("is given up");
    assert_eq!(
        stopped.map(|code| Code::from_number(code.into_inner())),
        Some(Code::Behind)
    );

    let mut good = connection.open_uni().await.unwrap();
    good.write_all(&[1; 100_000]).await.unwrap();
    good.finish().unwrap();
    let mut stream = link.accept_file().await.unwrap();
    let mut content = vec![0; 100_000];
    let filled = tokio::time::timeout(LIMIT, stream.fill(&mut content)).await;
    filled.expect("others go on").unwrap();
    assert!(content == [1; 100_000]);
}

/// What marks the content of the stream that is tampered with.
const MARK: u8 = 0xa5;

/// Rewrites stream frames before they are encrypted.
struct Tampering(Arc<dyn crypto::ClientConfig>);

impl crypto::ClientConfig for Tampering {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, quinn::ConnectError> {
        let session = self.0.clone().start_session(version, server_name, params)?;
        Ok(Box::new(TamperingSession(session)))
    }
}

struct TamperingSession(Box<dyn Session>);

impl Session for TamperingSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        self.0.initial_keys(dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.0.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.0.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.0.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.0.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, quinn_proto::TransportError> {
        self.0.read_handshake(buf)
    }

    fn transport_parameters(
        &self,
    ) -> Result<Option<TransportParameters>, quinn_proto::TransportError> {
        self.0.transport_parameters()
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let keys = self.0.write_handshake(buf)?;
        Some(Keys {
            header: keys.header,
            packet: TamperingKey::pair(keys.packet),
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        // quinn changes its first keys after 10 to 1,000 packets, at random.
        self.0.next_1rtt_keys().map(TamperingKey::pair)
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.0.is_valid_retry(orig_dst_cid, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.0.export_keying_material(output, label, context)
    }
}

struct TamperingKey(Box<dyn PacketKey>);

impl TamperingKey {
    /// The same keys, of which the one that encrypts is wrapped.
    fn pair(keys: KeyPair<Box<dyn PacketKey>>) -> KeyPair<Box<dyn PacketKey>> {
        KeyPair {
            local: Box::new(Self(keys.local)),
            remote: keys.remote,
        }
    }
}

impl PacketKey for TamperingKey {
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        let end = buf.len() - self.0.tag_len();
        leave_gaps(&mut buf[header_len..end]);
        self.0.encrypt(packet, buf, header_len);
    }

    fn decrypt(
        &self,
        packet: u64,
        header: &[u8],
        payload: &mut BytesMut,
    ) -> Result<(), CryptoError> {
        self.0.decrypt(packet, header, payload)
    }

    fn tag_len(&self) -> usize {
        self.0.tag_len()
    }

    fn confidentiality_limit(&self) -> u64 {
        self.0.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        self.0.integrity_limit()
    }
}

/// Turns the frame with marked content, where a packet has one, into single bytes with gaps.
fn leave_gaps(frames: &mut [u8]) {
    let Some(content) = frames.windows(64).position(|bytes| bytes == [MARK; 64]) else {
        return;
    };
    // A frame's header is a type, an ID, an offset and perhaps a length before its content; the
    // stream is the first of its kind, whose ID is 2.
    let Some(start) = (content.saturating_sub(18)..content).find(|at| {
        STREAM.contains(&frames[*at]) && frames[at + 1] == 2 && {
            let has = |bit| usize::from(frames[*at] & bit > 0);
            let len = |at: usize, has| has * (1 << (frames[at] >> 6));
            let offset = len(at + 2, has(4));
            at + 2 + offset + len(at + 2 + offset, has(2)) == content
        }
    }) else {
        return;
    };
    let offset = match frames[start] & 4 {
        0 => 0,
        _ => varint(&frames[start + 2..]),
    };
    let run = frames[content..].iter().take_while(|byte| **byte == MARK);
    let end = content + run.count();
    let mut at = start;
    let mut number = 0;
    while at + 12 <= end && 2 * number + 1 < (end - content) as u64 {
        frames[at..at + 2].copy_from_slice(&[0x0e, 2]);
        let place = offset + 2 * number + 1;
        frames[at + 2..at + 10].copy_from_slice(&(place | 3 << 62).to_be_bytes());
        frames[at + 10..at + 12].copy_from_slice(&[1, MARK]);
        at += 12;
        number += 1;
    }
    // PADDING is zeros.
    frames[at..end].fill(0);
}

/// A variable-length integer (RFC 9000, section 16).
fn varint(bytes: &[u8]) -> u64 {
    let len = 1 << (bytes[0] >> 6);
    let first = u64::from(bytes[0] & 0x3f);
    bytes[1..len]
        .iter()
        .fold(first, |value, byte| value << 8 | u64::from(*byte))
}
