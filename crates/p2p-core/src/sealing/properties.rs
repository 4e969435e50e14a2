//! Claims that hold for files of every size, and for every change on the way.

use proptest::prelude::*;

use super::{fixture::*, *};
use crate::protocol::{CHUNK_SIZE, FileIndex};

const SIZES: [usize; 8] = [
    0,
    1,
    100,
    CHUNK_SIZE - 1,
    CHUNK_SIZE,
    CHUNK_SIZE + 1,
    3 * CHUNK_SIZE,
    3 * CHUNK_SIZE + 17,
];

#[test]
fn both_sides_of_a_transfer_can_be_shared_between_tasks() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<TransferSealer>();
    shared::<TransferOpener>();
    shared::<OpenKeys>();
    sent::<FileSealer>();
    sent::<FileOpener>();
    sent::<ReceiptSealer>();
    sent::<ReceiptOpener>();
}

#[test]
fn files_of_every_size_at_the_edge_of_a_chunk_come_out_as_they_went_in() {
    for suite in Suite::ALL {
        let (sealer, opened) = solo(suite);
        for size in SIZES {
            for content in [noise(size), vec![b'x'; size]] {
                for compression in [Compression::Never, Compression::Auto] {
                    for known in [Some(size as u64), None] {
                        let file = sealer.files();
                        let frames = seal(&sealer, &head(known), &content, compression);
                        let (got, plain, digest) = open(&opened.opener, file, &frames).unwrap();
                        assert_eq!(got, head(known));
                        assert!(plain == content);
                        assert_eq!(digest.len, size as u64);
                        assert_eq!(digest.blake3, *blake3::hash(&content).as_bytes());
                    }
                }
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_a_small_file_is_noticed() {
    for suite in Suite::ALL {
        let (sealer, opened) = solo(suite);
        let frames = seal(&sealer, &head(None), &noise(40), Compression::Never);
        for i in 0..frames.len() {
            for bit in 0..frames[i].len() * 8 {
                let mut changed = frames.clone();
                changed[i][bit / 8] ^= 1 << (bit % 8);
                // A fresh memory of what was opened: each attempt is judged by itself.
                let again = opened.opener.forgetful();
                assert!(open(&again, 0, &changed).is_err(), "frame {i} bit {bit}");
            }
        }
        assert!(open(&opened.opener, 0, &frames).is_ok());
    }
}

#[test]
fn a_file_resumes_at_every_chunk() {
    let content = noise(3 * CHUNK_SIZE + 17);
    for size in [3 * CHUNK_SIZE, 3 * CHUNK_SIZE + 17] {
        let content = &content[..size];
        for chunk in 0..=3_u32 {
            let (sealer, opened) = solo(Suite::preferred());
            let at = chunk as usize * CHUNK_SIZE;
            let (mut file, frame) = sealer.seal_file(&head(Some(size as u64))).unwrap();
            let (header, mut payload) = split(&frame).unwrap();
            let opener = &opened.opener;
            let (_, mut opener) = opener
                .open_head(FileIndex(0), header, &mut payload)
                .unwrap();

            let mut prefix = blake3::Hasher::new();
            prefix.update(&content[..at]);
            let sealed = opener.start_at(chunk, prefix.clone()).unwrap();
            let start = sealer.open_start(opened.receipts.me(), FileIndex(0), &sealed);
            let hash = *blake3::hash(&content[..at]).as_bytes();
            let expected = Start::At {
                chunk,
                prefix: hash,
            };
            assert_eq!(start, Ok(expected));

            file.start_at(chunk, prefix).unwrap();
            let mut frames = seal_chunks(&mut file, &content[at..], Compression::Never);
            frames.push(file.finish().unwrap().0);
            let (rest, digest) = open_rest(opener, frames.iter()).unwrap();
            assert!(rest == content[at..]);
            assert_eq!(digest.blake3, *blake3::hash(content).as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_change_anywhere_in_a_large_file_is_noticed(
        size in prop::sample::select(SIZES.to_vec()),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u32,
        text in any::<bool>(),
    ) {
        let (sealer, opened) = solo(Suite::preferred());
        let content = if text { vec![b'x'; size] } else { noise(size) };
        let mut frames = seal(&sealer, &head(None), &content, Compression::Auto);
        let mut place = place.index(frames.iter().map(Vec::len).sum());
        for frame in &mut frames {
            if place < frame.len() {
                frame[place] ^= 1 << bit;
                break;
            }
            place -= frame.len();
        }
        prop_assert!(open(&opened.opener, 0, &frames).is_err());
    }

    #[test]
    fn frames_in_any_other_order_or_number_are_refused(
        size in prop::sample::select(SIZES.to_vec()),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let (sealer, opened) = solo(Suite::preferred());
        let frames = seal(&sealer, &head(None), &noise(size), Compression::Never);
        let picked: Vec<usize> = picks.iter().map(|pick| pick.index(frames.len())).collect();
        let whole = picked.iter().copied().eq(0..frames.len());
        let chosen: Vec<_> = picked.into_iter().map(|i| &frames[i]).collect();
        prop_assert_eq!(open(&opened.opener, 0, &chosen).is_ok(), whole);
    }

    #[test]
    fn frames_of_another_file_are_refused_wherever_they_stand(
        size in prop::sample::select(SIZES.to_vec()),
        place in any::<prop::sample::Index>(),
        other_transfer in any::<bool>(),
    ) {
        let (sealer, opened) = solo(Suite::preferred());
        let mut frames = seal(&sealer, &head(None), &noise(size), Compression::Never);
        let other = match other_transfer {
            true => &solo(Suite::preferred()).0,
            false => &sealer,
        };
        let others = seal(other, &head(None), &noise(size), Compression::Never);
        let place = place.index(frames.len());
        frames[place] = others[place].clone();
        prop_assert!(open(&opened.opener, 0, &frames).is_err());
    }

    #[test]
    fn garbage_is_an_error_and_not_a_panic(
        kind in 0..5_u8,
        index in any::<u32>(),
        garbage in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (sealer, opened) = solo(Suite::preferred());
        let frames = seal(&sealer, &head(None), b"", Compression::Never);
        let len = u32::try_from(garbage.len()).unwrap().to_be_bytes();
        let mut frame = vec![kind, len[1], len[2], len[3]];
        frame.extend_from_slice(&index.to_be_bytes());
        frame.extend_from_slice(&garbage);
        prop_assert!(open(&opened.opener, 0, &[&frame]).is_err());
        prop_assert!(open(&opened.opener, 0, &[&frames[0], &frame]).is_err());
        let mut receipts = sealer.receipts(opened.receipts.key());
        prop_assert!(receipts.open(&garbage).is_err());
    }
}
