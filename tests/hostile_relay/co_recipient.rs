//! A recipient of a broadcast gives its key to the relay: together they forge a file to another.
//!
//! What they need of the protocol is written here once more, from its description: the library gives
//! a recipient no way to seal under the sender's key.

use std::sync::{Arc, Mutex};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    hkdf,
};
use data_encoding::BASE64_NOPAD;
use hpke::{
    Deserializable, Kem, OpModeR, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::XWing,
};
use p2p::{
    identity::HpkePublicKey,
    protocol::{
        Answer, Code, FRAME_HEADER_LEN, FrameHeader, FrameKind, PeerMessage, SafeText, SignedOffer,
        TransferId,
    },
    transfer::{ErrorKind, PeerEvent},
};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{
    relay::{Rewritten, frames, lock},
    stage::{Peer, Stage, assert_delivered},
};

/// The key of a file, as one who was to read it has it.
struct FileKey(LessSafeKey, TransferId);

impl FileKey {
    fn nonce(kind: FrameKind) -> Nonce {
        let stage = match kind {
            FrameKind::Head => 0,
            FrameKind::Trailer => 2,
            _ => 1,
        };
        let mut nonce = [0; 12];
        nonce[0] = stage;
        Nonce::assume_unique_for_key(nonce)
    }

    fn open(&self, frame: &[u8]) -> Vec<u8> {
        let (header, sealed) = frame.split_first_chunk::<FRAME_HEADER_LEN>().unwrap();
        let kind = FrameHeader::decode(*header).unwrap().kind;
        let mut sealed = sealed.to_vec();
        let opened = self
            .0
            .open_in_place(Self::nonce(kind), Aad::from(header), &mut sealed);
        opened.unwrap().to_vec()
    }

    fn seal(&self, kind: FrameKind, content: &[u8]) -> Vec<u8> {
        let len = content.len() + 16;
        let header = FrameHeader {
            kind,
            len,
            index: 0,
        }
        .encode();
        let mut sealed = content.to_vec();
        let aad = Aad::from(header);
        let sealing = self
            .0
            .seal_in_place_append_tag(Self::nonce(kind), aad, &mut sealed);
        sealing.unwrap();
        [&header[..], &sealed[..]].concat()
    }
}

/// Takes the transfer's secret out of an offer to Carol, and derives the key of its first file.
fn file_key(
    offer: &SignedOffer,
    transfer: TransferId,
    (alice, carol): (&Peer, &Peer),
    secret_key: &<XWing as Kem>::PrivateKey,
) -> FileKey {
    let body: Value = serde_json::from_slice(&offer.body.0).unwrap();
    let bytes = |field: &str| {
        let text = body[field].as_str().unwrap();
        BASE64_NOPAD.decode(text.as_bytes()).unwrap()
    };
    let info = [
        b"p2p/1 wrap".as_slice(),
        carol.member.room().as_bytes(),
        transfer.as_bytes(),
        alice.id().as_bytes(),
        carol.id().as_bytes(),
    ]
    .concat();
    let secret = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeR::Base,
        secret_key,
        &Deserializable::from_bytes(&bytes("encapsulated")).unwrap(),
        &info,
        &bytes("wrapped"),
        b"",
    );
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, transfer.as_bytes())
        .extract(&secret.unwrap())
        .expand(&[b"p2p/1 file", &0_u64.to_be_bytes()], hkdf::HKDF_SHA256)
        .unwrap()
        .fill(&mut key)
        .unwrap();
    let algorithm = match body["suite"].as_u64().unwrap() {
        1 => &AES_256_GCM,
        _ => &CHACHA20_POLY1305,
    };
    FileKey(
        LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap()),
        transfer,
    )
}

/// Carol enters the room, accepts the next offer, and hands its key over before she does.
async fn collude(
    alice: Arc<Peer>,
    carol: Arc<Peer>,
    loot: Arc<Mutex<Option<FileKey>>>,
) -> JoinHandle<()> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).unwrap();
    let (secret_key, public_key) = XWing::derive_keypair(&seed);
    let public_key = HpkePublicKey::from_bytes(&public_key.to_bytes()).unwrap();
    let mut channel = carol.member.enter(Some(public_key)).await.unwrap();
    tokio::spawn(async move {
        let messages = channel.messages();
        while let Some(event) = channel.recv().await {
            let PeerEvent::Message {
                transfer,
                from,
                message,
            } = event
            else {
                continue;
            };
            match message {
                PeerMessage::Offer { offer } => {
                    let key = file_key(&offer, transfer, (&alice, &carol), &secret_key);
                    *lock(&loot) = Some(key);
                    let answer = Answer::Accept {
                        each: false,
                        compare: false,
                    };
                    let accept = PeerMessage::Answer { answer };
                    messages.send(Some(from), transfer, accept).await;
                }
                // She has what she wanted; her own copy is none of her concern.
                PeerMessage::End { .. } => {
                    let leave = PeerMessage::Failed {
                        file: None,
                        code: Code::Declined,
                        reason: SafeText::new("had enough"),
                    };
                    messages.send(Some(from), transfer, leave).await;
                }
                _ => {}
            }
        }
    })
}

/// What they make of the real frames: head, chunk and trailer.
type Forgery = fn(&FileKey, &Peer, &[Vec<u8>]) -> Vec<Vec<u8>>;

const EVIL: &[u8] = b"evil";

fn evil_head(key: &FileKey, real: &[Vec<u8>]) -> Vec<u8> {
    let mut head: Value = serde_json::from_slice(&key.open(&real[0])).unwrap();
    head["size"] = EVIL.len().into();
    key.seal(FrameKind::Head, &serde_json::to_vec(&head).unwrap())
}

fn evil_digest() -> Vec<u8> {
    let len = (EVIL.len() as u64).to_be_bytes();
    [&len[..], blake3::hash(EVIL).as_bytes()].concat()
}

/// Sealed as well as can be, with this in place of Alice's signature.
fn forge(key: &FileKey, real: &[Vec<u8>], signature: &[u8]) -> Vec<Vec<u8>> {
    let trailer = [&evil_digest()[..], signature].concat();
    vec![
        evil_head(key, real),
        key.seal(FrameKind::Chunk, EVIL),
        key.seal(FrameKind::Trailer, &trailer),
    ]
}

const FORGERIES: [Forgery; 6] = [
    // Without a signature, as in a transfer to one.
    |key, _, real| forge(key, real, &[]),
    // With one that Alice made, of the real file.
    |key, _, real| forge(key, real, &key.open(&real[2])[40..]),
    // With Carol's own.
    |key, carol, real| {
        let head = key.open(&evil_head(key, real));
        let statement = [
            key.1.as_bytes().as_slice(),
            &0_u64.to_be_bytes(),
            blake3::hash(&head).as_bytes(),
            &evil_digest(),
        ]
        .concat();
        forge(
            key,
            real,
            &carol.member.identity.sign("p2p/1 file", &statement),
        )
    },
    // Other content of the same length before the real trailer.
    |key, _, real| {
        let mut content = key.open(&real[1]);
        content[0] ^= 1;
        let chunk = key.seal(FrameKind::Chunk, &content);
        vec![real[0].clone(), chunk, real[2].clone()]
    },
    // Another name for the real content.
    |key, _, real| {
        let mut head: Value = serde_json::from_slice(&key.open(&real[0])).unwrap();
        head["path"] = "run-me.sh".into();
        let head = key.seal(FrameKind::Head, &serde_json::to_vec(&head).unwrap());
        vec![head, real[1].clone(), real[2].clone()]
    },
    // The real content, to be executed.
    |key, _, real| {
        let mut head: Value = serde_json::from_slice(&key.open(&real[0])).unwrap();
        head["exec"] = true.into();
        let head = key.seal(FrameKind::Head, &serde_json::to_vec(&head).unwrap());
        vec![head, real[1].clone(), real[2].clone()]
    },
];

/// The control: what they seal is sealed well, and passes where nothing is forged.
const RESEALED: Forgery = |key, _, real| {
    let kinds = [FrameKind::Head, FrameKind::Chunk, FrameKind::Trailer];
    let reseal = |(kind, frame): (FrameKind, &Vec<u8>)| key.seal(kind, &key.open(frame));
    kinds.into_iter().zip(real).map(reseal).collect()
};

#[tokio::test]
async fn a_co_recipient_with_the_relay_cannot_forge_a_file() {
    let stage = Stage::new();
    let (alice, carol) = (Arc::new(stage.peer("alice")), Arc::new(stage.peer("carol")));
    let (bob, dave) = (
        stage.peer("bob").listen().await,
        stage.peer("dave").listen().await,
    );
    let (path, content) = stage.file("plan.bin", 1000);
    let loot = Arc::new(Mutex::new(None));
    let colluding = collude(alice.clone(), carol.clone(), loot.clone()).await;
    for (round, forgery) in [RESEALED].into_iter().chain(FORGERIES).enumerate() {
        let (loot, forger, victim) = (loot.clone(), carol.clone(), bob.id);
        stage.liar.on_files(move |_, to| {
            let (loot, forger) = (loot.clone(), forger.clone());
            let rewrite = move |stream: Vec<u8>| {
                let loot = lock(&loot);
                let key = loot
                    .as_ref()
                    .expect("Carol hands it over before she accepts");
                forgery(key, &forger, &frames(&stream)).concat()
            };
            (to == victim).then(|| Rewritten::boxed(rewrite))
        });
        let summary = alice.broadcast(&[&path]).await.unwrap();
        for recipient in &summary.recipients {
            let kind = recipient.failure().map(|failure| failure.kind());
            if recipient.id == bob.id && round > 0 {
                assert_eq!(kind, Some(ErrorKind::Verification), "forgery {round}");
            } else if recipient.id != carol.id() {
                assert_eq!(kind, None, "forgery {round}: {:?}", recipient.failure());
            }
        }
        assert_eq!(summary.recipients.len(), 3);
        if round > 0 {
            bob.refuses().await;
        }
        let (genuine, forged) = (vec![("plan.bin".to_owned(), content.clone())], vec![]);
        assert_eq!(bob.received(), if round > 0 { forged } else { genuine });
        assert_eq!(dave.received().len(), 1);
        bob.clear();
        dave.clear();
    }
    colluding.abort();
    stage.liar.be_honest();
    assert_delivered(alice.send(&["bob", "dave"], &[&path]).await);
}
