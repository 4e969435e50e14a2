//! The vectors in `docs/vectors`, checked against the code.
//!
//! `P2P_UPDATE_VECTORS=1 cargo test vectors` writes them anew: only for a new version of the wire.

use std::{convert::Infallible, env, fs, num::NonZeroU32, path::PathBuf, sync::Arc};

use data_encoding::HEXLOWER;
use hpke::{
    Kem, Serializable,
    kem::XWing,
    rand_core::{TryCryptoRng, TryRng},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{fixture::*, wrap::WrapContext, *};
use crate::{
    crypto::derive,
    identity::{AnnouncedAt, Announcement, Bundle, Identity, Invite, RoomSecret},
    protocol::{CHUNK_SIZE, FileIndex, FrameHeader, FrameKind, SafeText, TransferId},
};

/// Randomness that was written down beforehand.
struct Script(Vec<u8>);

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("HPKE asks for bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("HPKE asks for bytes")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Script {}

const ALICE_SEED: [u8; 32] = [0xa1; 32];
const BOB_SEED: [u8; 32] = [0xb0; 32];
const ROOM_SECRET: [u8; 16] = [0x05; 16];
const HPKE_IKM: [u8; 32] = [0x1c; 32];
const ENCAPSULATION: [u8; 64] = [0xe7; 64];
const TRANSFER: TransferId = TransferId::from_bytes([0x7f; 16]);
const SECRET: [u8; 32] = [0x5e; 32];
const EXPIRES: u64 = 1_800_000_000;
const LAN: AnnouncedAt<'static> = AnnouncedAt {
    instance: "aebagbafaydqqcikbmga2dqpca",
    port: 49_152,
    hour: 500_000,
};
const LAN_NONCE: [u8; 12] = [0x1a; 12];

fn hex(bytes: impl AsRef<[u8]>) -> Value {
    HEXLOWER.encode(bytes.as_ref()).into()
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).unwrap().into()
}

fn peer(seed: [u8; 32], ikm: [u8; 32]) -> Peer {
    Peer {
        identity: Arc::new(Identity::from_seed(&seed)),
        keys: OpenKeys::new(OpenKey::generate_with(&mut Script(ikm.to_vec()))),
    }
}

fn bob() -> Peer {
    peer(BOB_SEED, HPKE_IKM)
}

fn alice() -> Peer {
    peer(ALICE_SEED, [0; 32])
}

fn bundle(of: &Peer) -> Bundle {
    Bundle {
        hard_links: false,
        expires_unix: EXPIRES,
        ..of.bundle()
    }
}

fn transfer(suite: Suite, recipients: u32) -> TransferSealer {
    let names = vec![ManifestEntry {
        path: SafeText::new("hello.txt"),
        size: Some(5),
    }];
    let new = NewTransfer {
        identity: &alice().identity,
        name: &name(),
        room: RoomSecret::from_bytes(ROOM_SECRET).room_id(),
        member_key: &RoomSecret::from_bytes(ROOM_SECRET).member_key(),
        suite,
        recipients: NonZeroU32::new(recipients).unwrap(),
        manifest: &Manifest {
            bytes: Some(5),
            room: None,
            names,
            ..manifest()
        },
    };
    TransferSealer::with_secret(&new, TRANSFER, Zeroizing::new(SECRET))
}

fn hello() -> Head {
    Head {
        path: "hello.txt".to_owned(),
        ..head(Some(5))
    }
}

fn receipts() -> Vec<Receipt> {
    vec![
        Receipt {
            file: FileIndex(0),
            len: 5,
            blake3: *blake3::hash(b"hello").as_bytes(),
            outcome: Outcome::Stored,
        },
        Receipt {
            file: FileIndex(1),
            len: 0,
            blake3: *blake3::hash(b"").as_bytes(),
            outcome: Outcome::AlreadyThere,
        },
    ]
}

fn identity_vectors() -> Value {
    let (alice, bob) = (alice().identity, bob());
    let room = RoomSecret::from_bytes(ROOM_SECRET);
    let relay = "relay.example:4433".parse().unwrap();
    let invite = Invite::new(relay, alice.id(), room.clone());
    let signed = bundle(&bob).sign(&bob.identity, &room.member_key());
    let (me, relay, key) = (&bob.identity, alice.id(), room.lan_key());
    let announcement = Announcement::seal_with(me, relay, &key, &LAN, LAN_NONCE);
    let (private, public) = XWing::derive_keypair(&HPKE_IKM);
    json!({
        "identity": {
            "seed": hex(ALICE_SEED),
            "public_key": hex(alice.public_key().as_bytes()),
            "spki": hex(alice.public_key().to_spki()),
            "peer_id": alice.id().to_string(),
            "signature": {
                "context": "p2p/1 example",
                "message": "hello",
                "signature": hex(alice.sign("p2p/1 example", b"hello")),
            },
        },
        "room": {
            "secret": hex(ROOM_SECRET),
            "text": room.reveal().as_str(),
            "room_id": hex(room.room_id().as_bytes()),
            "room_id_text": room.room_id().to_string(),
            "member_key": hex(*derive(&ROOM_SECRET, b"", &[b"p2p/1 member key"])),
        },
        "invite": invite.to_string(),
        "bundle": {
            "identity_seed": hex(BOB_SEED),
            "hpke_private_key": hex(private.to_bytes()),
            "hpke_public_key": hex(public.to_bytes()),
            "body": text(&signed.body.0),
            "signature": hex(signed.signature.0),
            "mac": hex(signed.mac.0),
        },
        "announcement": {
            "identity_seed": hex(BOB_SEED),
            "relay": alice.id().to_string(),
            "instance": LAN.instance,
            "port": LAN.port,
            "hour": LAN.hour,
            "nonce": hex(LAN_NONCE),
            "sealed": hex(announcement),
        },
    })
}

fn sealing_vectors(suite: Suite, before: &Value) -> Value {
    let (alice, bob) = (alice(), bob());
    let sealer = transfer(suite, 1);
    let derived = |info: &[&[u8]]| hex(*sealer.key.derive(info));
    let mut rng = Script(ENCAPSULATION.to_vec());
    let offer = sealer.offer_with(&bundle(&bob), &mut rng).unwrap().0;
    let header: Value = serde_json::from_slice(&offer.body.0).unwrap();
    let context = WrapContext {
        room: RoomSecret::from_bytes(ROOM_SECRET).room_id(),
        transfer: TRANSFER,
        sender: alice.identity.id(),
        recipient: bob.identity.id(),
    };
    let opened = open_vector_offer(&bob, &offer, &alice);
    let mut receipt_sealer = opened.receipts;

    let frames = |sealer: &TransferSealer, head: &Head, content: &[u8]| {
        seal(sealer, head, content, Compression::Never)
    };
    let hello_frames = frames(&sealer, &hello(), b"hello");
    let (long_head, long) = (head(None), noise(CHUNK_SIZE + 1));
    let long_frames = frames(&sealer, &long_head, &long);
    let signed = frames(&transfer(suite, 2), &hello(), b"hello");
    let start = Start::At {
        chunk: 1,
        prefix: *blake3::hash(&long[..CHUNK_SIZE]).as_bytes(),
    };
    let start_key = sealer.key.start(bob.identity.id());
    json!({
        "suite": suite.byte(),
        "keys": {
            "commit": derived(&[b"p2p/1 commit"]),
            "manifest": derived(&[b"p2p/1 manifest"]),
            "file_0": derived(&[b"p2p/1 file", &[0; 8]]),
            "file_1": derived(&[b"p2p/1 file", &[0, 0, 0, 0, 0, 0, 0, 1]]),
            "start": derived(&[b"p2p/1 start", bob.identity.id().as_bytes()]),
            "receipt": derived(&[b"p2p/1 receipt", bob.identity.id().as_bytes()]),
        },
        "wrap": {
            "info": hex(context.info()),
            "encapsulated": header["encapsulated"],
            "wrapped": header["wrapped"],
        },
        "offer": {
            "manifest": text(&Manifest {
                bytes: Some(5),
                room: None,
                names: opened.manifest.names.clone(),
                ..manifest()
            }.encode()),
            "sealed_manifest": hex(&offer.manifest.0),
            "body": text(&offer.body.0),
            "signature": hex(&offer.signature.0),
            "mac": hex(&offer.mac.0),
        },
        "file_0": {
            "head": text(&hello().encode().unwrap()),
            "content": text(b"hello"),
            "frames": hello_frames.iter().map(hex).collect::<Vec<_>>(),
            "signed_trailer": hex(signed.last().unwrap()),
        },
        "file_1": {
            "head": text(&long_head.encode().unwrap()),
            "content_length": long.len(),
            "content_blake3": hex(blake3::hash(&long).as_bytes()),
            "frames_blake3": long_frames
                .iter()
                .map(|frame| hex(blake3::hash(frame).as_bytes()))
                .collect::<Vec<_>>(),
            "start": hex(super::start::seal(&start_key, FileIndex(1), &start)),
        },
        "file_2_compressed_chunk": compressed_chunk(&sealer, &before["file_2_compressed_chunk"]),
        "receipts": hex(receipt_sealer.seal(&receipts()).unwrap()),
    })
}

/// Another zstd may compress otherwise: the compressed bytes are taken as they were.
fn compressed_chunk(sealer: &TransferSealer, before: &Value) -> Value {
    let content = b"one line like the other\n".repeat(100);
    let compressed = match &before["compressed"] {
        Value::Null => zstd::bulk::compress(&content, 1).unwrap(),
        hex => unhex(hex),
    };
    let mut decompressor = compress::Decompressor::default();
    let out = decompressor.decompress(&compressed, CHUNK_SIZE);
    assert_eq!(out, Some(content.as_slice()));
    let header = FrameHeader {
        kind: FrameKind::ChunkZstd,
        len: compressed.len() + TAG_LEN,
        index: 0,
    }
    .encode();
    let key = sealer.key.file(FileIndex(2));
    let sealed = key.seal_copy(aead::Stage::Chunk, 0, &header, &compressed);
    json!({
        "content_blake3": hex(blake3::hash(&content).as_bytes()),
        "compressed": hex(&compressed),
        "frame": hex([header.as_slice(), &sealed].concat()),
    })
}

fn open_vector_offer(
    bob: &Peer,
    offer: &crate::protocol::SignedOffer,
    alice: &Peer,
) -> OpenedOffer {
    let room = RoomSecret::from_bytes(ROOM_SECRET);
    bob.open(&room, offer, TRANSFER, alice).unwrap()
}

fn check(file: &str, made: impl FnOnce(&Value) -> Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors");
    let path = path.join(file);
    let stored = fs::read(&path).unwrap_or_default();
    let stored: Value = serde_json::from_slice(&stored).unwrap_or_default();
    let made = made(&stored);
    if env::var_os("P2P_UPDATE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&made).unwrap();
        fs::write(&path, text + "\n").unwrap();
    } else {
        assert!(made == stored, "{file} is not what the code makes");
    }
}

#[test]
fn identities_rooms_invites_and_bundles_are_as_the_vectors_say() {
    check("identity.json", |_| identity_vectors());
}

#[test]
fn keys_wraps_offers_frames_and_receipts_are_as_the_vectors_say() {
    check("sealing.json", |before| {
        let suites = Suite::ALL.into_iter().enumerate();
        json!({
            "inputs": {
                "identities_and_room": "identity.json",
                "transfer": hex(TRANSFER.as_bytes()),
                "secret": hex(SECRET),
                "encapsulation_randomness": hex(ENCAPSULATION),
                "file_1_content": "the first content_length bytes of BLAKE3's extendable output for no input",
            },
            "suites": suites
                .map(|(i, suite)| sealing_vectors(suite, &before["suites"][i]))
                .collect::<Vec<_>>(),
        })
    });
}

#[test]
fn what_the_vectors_hold_opens() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors/sealing.json");
    let vectors: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for vector in vectors["suites"].as_array().unwrap() {
        let offer = &vector["offer"];
        let offer = crate::protocol::SignedOffer {
            body: offer["body"].as_str().unwrap().as_bytes().to_vec().into(),
            signature: unhex(&offer["signature"]).into(),
            mac: unhex(&offer["mac"]).into(),
            manifest: unhex(&offer["sealed_manifest"]).into(),
        };
        let (alice, bob) = (alice(), bob());
        let opened = open_vector_offer(&bob, &offer, &alice);
        assert_eq!(opened.manifest.names[0].path.as_str(), "hello.txt");

        let frames = vector["file_0"]["frames"].as_array().unwrap();
        let frames: Vec<_> = frames.iter().map(unhex).collect();
        let (got, content, _) = open(&opened.opener, 0, &frames).unwrap();
        assert_eq!((got, content.as_slice()), (hello(), b"hello".as_slice()));

        let suite = u8::try_from(vector["suite"].as_u64().unwrap()).unwrap();
        let sealer = transfer(Suite::from_byte(suite).unwrap(), 1);
        let mut opener = sealer.receipts(bob.identity.public_key());
        assert_eq!(opener.open(&unhex(&vector["receipts"])), Ok(receipts()));
    }
}
