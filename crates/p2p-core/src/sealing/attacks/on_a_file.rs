//! By the relay, and by a sender that does not keep to the rules, on a file on its way.

use crate::{
    protocol::{CHUNK_SIZE, FileIndex, FrameHeader, FrameKind},
    sealing::{fixture::*, *},
};

const LONG: usize = 2 * CHUNK_SIZE + 9;

type Edit<'a> = &'a dyn Fn(&mut Vec<Vec<u8>>);

fn frames(sealer: &TransferSealer) -> Vec<Vec<u8>> {
    seal(sealer, &head(None), &noise(LONG), Compression::Never)
}

fn refused(opened: &OpenedOffer, frames: &[Vec<u8>]) -> Failure {
    open(&opened.opener, 0, frames).unwrap_err()
}

#[test]
fn a_chunk_that_is_left_out_doubled_or_moved_is_noticed_by_its_number() {
    let edits: [(Edit<'_>, u32, u32); 3] = [
        (&|frames| drop(frames.remove(1)), 0, 1),
        (&|frames| frames.insert(1, frames[1].clone()), 1, 0),
        (&|frames| frames.swap(1, 2), 0, 1),
    ];
    for (edit, expected, got) in edits {
        let (sealer, opened) = solo(Suite::preferred());
        let mut frames = frames(&sealer);
        edit(&mut frames);
        let index = OpenError::Index { expected, got };
        assert_eq!(refused(&opened, &frames), Failure::Open(index));
    }
}

#[test]
fn a_chunk_in_the_place_of_another_is_noticed_even_with_that_ones_header() {
    let (sealer, opened) = solo(Suite::preferred());
    let mut frames = frames(&sealer);
    let header: [u8; 8] = frames[1][..8].try_into().unwrap();
    frames[1] = frames[2].clone();
    frames[1][..8].copy_from_slice(&header);
    let expected = OpenError::NotAuthentic { what: "chunk" };
    assert_eq!(refused(&opened, &frames), Failure::Open(expected));
}

#[test]
fn an_end_that_comes_too_soon_is_no_end() {
    for kept in 0..4 {
        let (sealer, opened) = solo(Suite::preferred());
        let frames = &frames(&sealer)[..kept];
        assert_eq!(refused(&opened, frames), Failure::Ended);
    }
    let (sealer, opened) = solo(Suite::preferred());
    let mut frames = frames(&sealer);
    frames.remove(3);
    let truncated = OpenError::Truncated {
        expected: LONG as u64,
        got: 2 * CHUNK_SIZE as u64,
    };
    assert_eq!(refused(&opened, &frames), Failure::Open(truncated));
}

#[test]
fn nothing_can_be_put_behind_the_last_chunk_or_the_trailer() {
    let (sealer, opened) = solo(Suite::preferred());
    let mut frames = frames(&sealer);
    frames.insert(4, frames[3].clone());
    assert_eq!(
        refused(&opened, &frames),
        Failure::Open(OpenError::AfterLast)
    );
    let (sealer, opened) = solo(Suite::preferred());
    let mut frames = self::frames(&sealer);
    frames[1].push(0);
    let length = OpenError::Length {
        kind: FrameKind::Chunk,
        got: CHUNK_SIZE + TAG_LEN + 1,
    };
    assert_eq!(refused(&opened, &frames), Failure::Open(length));
}

#[test]
fn a_file_that_comes_twice_is_refused() {
    let (sealer, opened) = solo(Suite::preferred());
    let frames = frames(&sealer);
    open(&opened.opener, 0, &frames).unwrap();
    let file = FileIndex(0);
    assert_eq!(
        refused(&opened, &frames),
        Failure::Open(OpenError::Replayed { file })
    );
}

#[test]
fn a_file_in_the_place_of_another_is_refused() {
    let (sealer, opened) = solo(Suite::preferred());
    let (_first, second) = (frames(&sealer), frames(&sealer));
    let expected = OpenError::NotAuthentic { what: "head" };
    assert_eq!(refused(&opened, &second), Failure::Open(expected));
    open(&opened.opener, 1, &second).unwrap();
    let (other, _) = solo(Suite::preferred());
    assert_eq!(refused(&opened, &frames(&other)), Failure::Open(expected));
}

#[test]
fn garbage_in_the_place_of_a_file_does_not_keep_it_out() {
    let (sealer, opened) = solo(Suite::preferred());
    let frames = frames(&sealer);
    let mut garbage = frames.clone();
    garbage[0][20] ^= 1;
    refused(&opened, &garbage);
    open(&opened.opener, 0, &frames).unwrap();
}

#[test]
fn more_or_less_than_the_head_says_is_refused_by_both_sides() {
    let (sealer, _) = solo(Suite::preferred());
    let (mut file, _) = sealer.seal_file(&head(Some(4))).unwrap();
    let mut frame = chunk_frame();
    frame.extend_from_slice(b"12345");
    let more = SealError::Size {
        expected: 4,
        got: 5,
    };
    let sealed = file.seal_chunk(&mut frame, Compression::Never);
    assert_eq!(sealed, Err(more));
    let less = SealError::Size {
        expected: 4,
        got: 0,
    };
    assert_eq!(file.finish().unwrap_err(), less);

    for (kind, size) in [(HeadKind::File, Some(4)), (HeadKind::Dir, None)] {
        let (sealer, opened) = solo(Suite::preferred());
        let lie = Head { kind, ..head(size) };
        let frames = unchecked(&sealer, &lie, b"12345");
        let expected = size.unwrap_or(0);
        let size = OpenError::Size { expected, got: 5 };
        assert_eq!(refused(&opened, &frames), Failure::Open(size));
    }
    let (sealer, opened) = solo(Suite::preferred());
    let frames = unchecked(&sealer, &head(Some(6)), b"12345");
    let size = OpenError::Size {
        expected: 6,
        got: 5,
    };
    assert_eq!(refused(&opened, &frames), Failure::Open(size));
}

/// A sender that does not look at what its own head says.
fn unchecked(sealer: &TransferSealer, head: &Head, content: &[u8]) -> Vec<Vec<u8>> {
    let (mut file, frame) = sealer.seal_file(head).unwrap();
    file.forget_size();
    let mut frames = vec![frame];
    frames.extend(seal_chunks(&mut file, content, Compression::Never));
    frames.push(file.finish().unwrap().0);
    frames
}

#[test]
fn a_compressed_bomb_is_refused() {
    let (sealer, opened) = solo(Suite::preferred());
    let frames = seal(&sealer, &head(None), b"", Compression::Never);
    let bomb = zstd::bulk::compress(&vec![0; 64 * CHUNK_SIZE], 1).unwrap();
    let len = bomb.len() + TAG_LEN;
    let header = FrameHeader {
        kind: FrameKind::ChunkZstd,
        len,
        index: 0,
    }
    .encode();
    let key = sealer.key.file(FileIndex(0));
    let sealed = key.seal_copy(aead::Stage::Chunk, 0, &header, &bomb);
    let bomb = [header.as_slice(), &sealed].concat();
    let frames = [frames[0].clone(), bomb, frames[1].clone()];
    let malformed = OpenError::Malformed { what: "chunk" };
    assert_eq!(refused(&opened, &frames), Failure::Open(malformed));
}

/// The opener of the first file, whose head has come.
fn opener_of(opened: &OpenedOffer, frames: &[Vec<u8>]) -> FileOpener {
    let (header, mut payload) = split(&frames[0]).unwrap();
    let opener = &opened.opener;
    let head = opener.open_head(FileIndex(0), header, &mut payload);
    head.unwrap().1
}

/// The hash of a first chunk that the sender's file does not have.
fn stale() -> blake3::Hasher {
    let mut stale = blake3::Hasher::new();
    stale.update(&vec![7; CHUNK_SIZE]);
    stale
}

#[test]
fn a_relay_that_skips_what_the_recipient_does_not_have_is_found_out() {
    let (sealer, opened) = solo(Suite::preferred());
    let frames = frames(&sealer);
    let mut opener = opener_of(&opened, &frames);
    opener.start_at(1, stale()).unwrap();
    let rest = open_rest(opener, frames[2..].iter());
    assert_eq!(rest.unwrap_err(), Failure::Open(OpenError::Hash));
}

#[test]
fn a_sender_may_begin_anew_where_the_recipient_has_something_else() {
    let (sealer, opened) = solo(Suite::preferred());
    let frames = frames(&sealer);
    let mut opener = opener_of(&opened, &frames);
    opener.start_at(1, stale()).unwrap();
    let (content, _) = open_rest(opener, frames[1..].iter()).unwrap();
    assert!(content == noise(LONG));
}

#[test]
fn a_start_is_said_once_and_read_by_the_sender_alone() {
    let (sealer, opened) = solo(Suite::preferred());
    let frames = frames(&sealer);
    let mut opener = opener_of(&opened, &frames);
    let bob = opened.receipts.me();
    let sealed = opener.have([3; 32]).unwrap();
    let read = |sealed: &[u8], file| sealer.open_start(bob, FileIndex(file), sealed);
    assert_eq!(read(&sealed, 0), Ok(Start::Have { blake3: [3; 32] }));
    assert_eq!(read(&sealed, 1), Err(StartError::NotAuthentic));
    let mut forged = sealed;
    forged[4] ^= 1;
    assert_eq!(read(&forged, 0), Err(StartError::NotAuthentic));
    let chunk = 0;
    let twice = OpenError::Start { chunk };
    assert_eq!(opener.have([3; 32]), Err(twice));
    assert_eq!(opener.start_at(chunk, blake3::Hasher::new()), Err(twice));
}

#[test]
fn a_sealer_begins_where_its_hash_does_and_before_it_has_begun() {
    let (sealer, _) = solo(Suite::preferred());
    let (mut file, _) = sealer.seal_file(&head(None)).unwrap();
    let chunk = 1;
    let wrong = Err(SealError::Start { chunk });
    assert_eq!(file.start_at(chunk, blake3::Hasher::new()), wrong);
    let mut prefix = blake3::Hasher::new();
    prefix.update(&vec![0; CHUNK_SIZE]);
    seal_chunks(&mut file, &noise(CHUNK_SIZE), Compression::Never);
    assert_eq!(file.start_at(chunk, prefix), wrong);
}

#[test]
fn a_chunk_that_cannot_be_the_next_is_not_sealed() {
    let (sealer, _) = solo(Suite::preferred());
    let (mut file, _) = sealer.seal_file(&head(None)).unwrap();
    let mut seal = |len: usize| {
        let mut frame = chunk_frame();
        frame.resize(8 + len, 1);
        file.seal_chunk(&mut frame, Compression::Never)
    };
    let (got, long) = (0, CHUNK_SIZE + 1);
    assert_eq!(seal(got), Err(SealError::ChunkLength { got }));
    assert_eq!(seal(long), Err(SealError::ChunkLength { got: long }));
    assert_eq!(seal(1), Ok(()));
    assert_eq!(seal(1), Err(SealError::AfterLast));
}
