//! What sealing costs, and which chunk size it should have.
//!
//! `cargo bench --bench sealing`. The first groups measure the library calls at every size that was
//! considered; the last one measures the code as it is, at the size that was chosen.

use std::{hint::black_box, num::NonZeroU32, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use divan::{Bencher, counter::BytesCount};
use p2p::{
    identity::{Bundle, Identity, Name, RoomSecret},
    protocol::{CHUNK_SIZE, FRAME_HEADER_LEN, FileIndex, FrameHeader},
    sealing::{
        Compression, Head, HeadKind, Inbox, JobId, Manifest, NewTransfer, OpenKeys, Suite,
        TransferOpener, TransferSealer, chunk_frame, open_offer,
    },
};

const SIZES: [usize; 7] = [
    16 << 10,
    32 << 10,
    64 << 10,
    128 << 10,
    256 << 10,
    512 << 10,
    1 << 20,
];

/// A suite as a type, for the benchmarks' names.
trait Sealed {
    const SUITE: Suite;
}

struct Aes256Gcm;
struct ChaCha20Poly1305;

impl Sealed for Aes256Gcm {
    const SUITE: Suite = Suite::Aes256Gcm;
}

impl Sealed for ChaCha20Poly1305 {
    const SUITE: Suite = Suite::ChaCha20Poly1305;
}

fn main() {
    divan::main();
}

fn key(suite: Suite) -> LessSafeKey {
    let algorithm = match suite {
        Suite::Aes256Gcm => &AES_256_GCM,
        _ => &CHACHA20_POLY1305,
    };
    LessSafeKey::new(UnboundKey::new(algorithm, &[1; 32]).expect("32 bytes"))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

mod library {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn hash(bencher: Bencher<'_, '_>, size: usize) {
        let content = vec![7; size];
        bencher
            .counter(BytesCount::new(size))
            .bench_local(|| blake3::hash(black_box(&content)));
    }

    #[divan::bench(args = SIZES, types = [Aes256Gcm, ChaCha20Poly1305])]
    fn seal<S: Sealed>(bencher: Bencher<'_, '_>, size: usize) {
        let key = key(S::SUITE);
        let mut content = vec![7; size];
        bencher.counter(BytesCount::new(size)).bench_local(|| {
            key.seal_in_place_separate_tag(nonce(), Aad::from([0; 8]), black_box(&mut content))
                .expect("sealed")
        });
    }

    #[divan::bench(args = SIZES, types = [Aes256Gcm, ChaCha20Poly1305])]
    fn hash_and_seal<S: Sealed>(bencher: Bencher<'_, '_>, size: usize) {
        let key = key(S::SUITE);
        let mut content = vec![7; size];
        let mut hasher = blake3::Hasher::new();
        bencher.counter(BytesCount::new(size)).bench_local(|| {
            hasher.update(black_box(&content));
            key.seal_in_place_separate_tag(nonce(), Aad::from([0; 8]), &mut content)
                .expect("sealed")
        });
    }

    #[divan::bench(args = SIZES, types = [Aes256Gcm, ChaCha20Poly1305])]
    fn open_and_hash<S: Sealed>(bencher: Bencher<'_, '_>, size: usize) {
        let key = key(S::SUITE);
        let mut sealed = vec![7; size];
        key.seal_in_place_append_tag(nonce(), Aad::from([0; 8]), &mut sealed)
            .expect("sealed");
        let mut hasher = blake3::Hasher::new();
        bencher
            .counter(BytesCount::new(size))
            .with_inputs(|| sealed.clone())
            .bench_local_refs(|sealed| {
                let content = key
                    .open_in_place(nonce(), Aad::from([0; 8]), black_box(sealed))
                    .expect("opened");
                hasher.update(content);
            });
    }
}

/// A transfer from one peer to another, offered and opened.
fn transfer(suite: Suite) -> (TransferSealer, TransferOpener) {
    let (alice, bob) = (Identity::generate(), Arc::new(Identity::generate()));
    let (room, keys) = (RoomSecret::generate(), OpenKeys::generate());
    let alice = Arc::new(alice);
    let sealer = TransferSealer::new(&NewTransfer {
        identity: &alice,
        name: &name(),
        room: room.room_id(),
        member_key: &room.member_key(),
        suite,
        recipients: NonZeroU32::MIN,
        manifest: &manifest(),
    });
    let offer = sealer.offer_to(&bundle(&bob, &keys)).expect("one offer");
    let inbox = Inbox {
        me: &bob,
        room: room.room_id(),
        member_key: &room.member_key(),
        keys: &keys,
    };
    let opened = open_offer(&offer, sealer.transfer(), alice.id(), &inbox).expect("opened");
    (sealer, opened.claim().expect("first").0)
}

fn name() -> Name {
    Name {
        name: "alice".parse().expect("a name"),
        chosen: true,
    }
}

fn manifest() -> Manifest {
    Manifest::new(JobId([0; 16]))
}

fn bundle(of: &Identity, keys: &OpenKeys) -> Bundle {
    Bundle::new(
        of.public_key(),
        &Name::chosen("bob".parse().expect("a name")),
        Some(keys.current().public().clone()),
        u64::MAX,
    )
}

fn head() -> Head {
    Head::new(HeadKind::File, "file", None)
}

fn header(frame: &[u8]) -> FrameHeader {
    let bytes = frame.first_chunk::<FRAME_HEADER_LEN>().expect("a frame");
    FrameHeader::decode(*bytes).expect("a frame's header")
}

fn full_frame() -> Vec<u8> {
    let mut frame = chunk_frame();
    frame.resize(FRAME_HEADER_LEN + CHUNK_SIZE, 7);
    frame
}

mod as_built {
    use super::*;

    #[divan::bench(types = [Aes256Gcm, ChaCha20Poly1305])]
    fn seal_chunk<S: Sealed>(bencher: Bencher<'_, '_>) {
        let (sealer, _) = transfer(S::SUITE);
        let (mut file, _) = sealer.seal_file(&head()).expect("a short head");
        bencher
            .counter(BytesCount::new(CHUNK_SIZE))
            .with_inputs(full_frame)
            .bench_local_refs(|frame| file.seal_chunk(frame, Compression::Never).expect("sealed"));
    }

    /// Text that shrinks to a fraction.
    #[divan::bench]
    fn seal_compressed_chunk(bencher: Bencher<'_, '_>) {
        let (sealer, _) = transfer(Suite::preferred());
        let (mut file, _) = sealer.seal_file(&head()).expect("a short head");
        bencher
            .counter(BytesCount::new(CHUNK_SIZE))
            .with_inputs(|| {
                let mut frame = chunk_frame();
                let line = |i| format!("{i},alice,2026-01-01,{}\n", i * 7919 % 1000);
                let text: String = (0..).map(line).take(CHUNK_SIZE / 16).collect();
                frame.extend_from_slice(&text.as_bytes()[..CHUNK_SIZE]);
                frame
            })
            .bench_local_refs(|frame| file.seal_chunk(frame, Compression::Auto).expect("sealed"));
    }

    #[divan::bench(types = [Aes256Gcm, ChaCha20Poly1305])]
    fn open_chunk<S: Sealed>(bencher: Bencher<'_, '_>) {
        let (sealer, opener) = transfer(S::SUITE);
        let (mut file, frame) = sealer.seal_file(&head()).expect("a short head");
        let (front, payload) = frame.split_at(FRAME_HEADER_LEN);
        let mut payload = payload.to_vec();
        let (_, mut opener) = opener
            .open_head(FileIndex(0), header(front), &mut payload)
            .expect("a head");
        bencher
            .counter(BytesCount::new(CHUNK_SIZE))
            .with_inputs(|| {
                let mut frame = full_frame();
                file.seal_chunk(&mut frame, Compression::Never)
                    .expect("sealed");
                frame
            })
            .bench_local_refs(|frame| {
                let header = header(frame);
                let payload = &mut frame[FRAME_HEADER_LEN..];
                black_box(opener.open_chunk(header, payload).expect("opened"));
            });
    }

    /// What a file costs beside its content: keys, head, trailer.
    #[divan::bench]
    fn seal_and_open_an_empty_file(bencher: Bencher<'_, '_>) {
        let (sealer, opener) = transfer(Suite::preferred());
        bencher.bench_local(|| {
            let (file, mut head) = sealer.seal_file(&head()).expect("a short head");
            let index = file.file();
            let (mut trailer, _) = file.finish().expect("no content");
            let first = header(&head);
            let last = header(&trailer);
            let (_, opener) = opener
                .open_head(index, first, &mut head[FRAME_HEADER_LEN..])
                .expect("a head");
            opener
                .finish(last, &mut trailer[FRAME_HEADER_LEN..])
                .expect("a trailer")
        });
    }

    /// What a recipient costs beside its files: wrap, unwrap, signature, MAC.
    #[divan::bench]
    fn offer_and_open(bencher: Bencher<'_, '_>) {
        bencher.bench_local(|| transfer(Suite::preferred()));
    }
}
