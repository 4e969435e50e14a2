//! The relay changes the sealed streams that it forwards.

use std::{
    collections::HashMap,
    io::{self, Cursor, Read},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use p2p::{
    protocol::{CHUNK_SIZE, FileHeader, FileIndex, TransferId},
    relay::FileHook,
    transfer::send::{SourceSpec, To},
};

use super::{
    relay::{Recorded, Relabelled, Rewritten, frames, lock},
    stage::{Stage, assert_delivered, assert_split, assert_unverified},
};

/// A file of one chunk, and one of several: they take different ways.
const LENGTHS: [usize; 2] = [10_000, 3 * CHUNK_SIZE + 100];

/// What a relay may do to a stream.
type Rewrite = Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

/// Tries rewrites, each on a file to Bob alone and on a broadcast to Bob and Carol.
///
/// Bob must refuse, with nothing under a final name; Carol, whose copy is left alone, must get hers,
/// and so must Bob once the relay is honest.
async fn refused(rewrites: impl Fn() -> Vec<Rewrite>) {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let (bob, carol) = (bob.listen().await, carol.listen().await);
    for len in LENGTHS {
        let (path, content) = stage.file(&format!("{len}.bin"), len);
        let before = bob.received();
        for rewrite in rewrites() {
            stage.liar.rewrite_files(bob.id, move |stream| {
                let changed = rewrite(stream.clone());
                assert_ne!(changed, stream, "a relay that changes nothing tells no lie");
                changed
            });
            assert_unverified(alice.send(&["bob"], &[&path]).await);
            bob.refuses().await;
            carol.clear();
            assert_split(alice.broadcast(&[&path]).await, bob.id, carol.id);
            bob.refuses().await;
            assert_eq!(carol.received().len(), 1);
            assert_eq!(bob.received(), before);
        }
        stage.liar.be_honest();
        assert_delivered(alice.send(&["bob"], &[&path]).await);
        let arrived = (format!("{len}.bin"), content);
        assert!(bob.received().contains(&arrived));
        assert!(
            carol
                .received()
                .iter()
                .all(|(_, c)| [10_000, len].contains(&c.len()))
        );
    }
}

/// A rewrite of whole frames: the head, the chunks, and the trailer last.
fn reframed(rewrite: impl Fn(&mut Vec<Vec<u8>>) + Send + Sync + 'static) -> Rewrite {
    Box::new(move |stream| {
        let mut frames = frames(&stream);
        rewrite(&mut frames);
        frames.concat()
    })
}

/// The place of a stream's head, its first chunk, its last chunk, and its trailer.
const PLACES: [fn(usize) -> usize; 4] = [|_| 0, |_| 1, |len| len - 2, |len| len - 1];

#[tokio::test]
async fn a_flipped_bit_is_refused() {
    refused(|| {
        let flip = |at: fn(usize) -> usize, byte: fn(usize) -> usize| {
            reframed(move |frames| {
                let at = at(frames.len());
                let frame = &mut frames[at];
                let byte = byte(frame.len());
                frame[byte] ^= 1;
            })
        };
        // A frame's kind, length and index, its first sealed byte, and its tag.
        let bytes: [fn(usize) -> usize; 5] = [|_| 0, |_| 3, |_| 7, |_| 8, |len| len - 1];
        let all = PLACES
            .iter()
            .flat_map(|at| bytes.map(|byte| flip(*at, byte)));
        all.collect()
    })
    .await;
}

#[tokio::test]
async fn a_dropped_frame_is_missed() {
    refused(|| {
        let drop = |at: fn(usize) -> usize| {
            reframed(move |frames| {
                frames.remove(at(frames.len()));
            })
        };
        PLACES.map(drop).into()
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_comes_twice_is_refused() {
    refused(|| {
        let twice = |at: fn(usize) -> usize| {
            reframed(move |frames| {
                let at = at(frames.len());
                frames.insert(at, frames[at].clone());
            })
        };
        PLACES.map(twice).into()
    })
    .await;
}

#[tokio::test]
async fn frames_in_another_order_are_refused() {
    refused(|| {
        vec![
            reframed(|frames| frames.swap(0, 1)),
            reframed(|frames| frames.swap(1, 2)),
            reframed(|frames| frames[1..].rotate_left(1)),
            reframed(|frames| frames.reverse()),
        ]
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_early_is_no_file() {
    refused(|| {
        vec![
            Box::new(|_| Vec::new()),
            Box::new(|stream| stream[..stream.len() - 1].to_vec()),
            Box::new(|stream| stream[..stream.len() / 2].to_vec()),
            reframed(|frames| frames.truncate(1)),
            reframed(|frames| frames.truncate(2)),
        ]
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_goes_on_after_its_trailer_is_refused() {
    refused(|| {
        vec![
            reframed(|frames| frames.push(vec![2, 0, 0, 16, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8])),
            reframed(|frames| frames.push(frames[0].clone())),
            reframed(|frames| frames.push(frames[1].clone())),
            Box::new(|stream| [&stream[..], &[0]].concat()),
            Box::new(|stream| [&stream[..], &stream[..]].concat()),
        ]
    })
    .await;
}

#[tokio::test]
async fn chunks_that_grow_or_shrink_are_refused() {
    refused(|| {
        let resize = |by: i32| {
            reframed(move |frames| {
                let chunk = &mut frames[1];
                let len = (chunk.len() as i32 + by) as usize;
                chunk.resize(len, 0);
                let payload = u32::try_from(len - 8).unwrap().to_be_bytes();
                chunk[1..4].copy_from_slice(&payload[1..]);
            })
        };
        [1, 16, -1, -16].map(resize).into()
    })
    .await;
}

#[tokio::test]
async fn two_files_of_a_transfer_cannot_be_swapped() {
    let stage = Stage::new();
    let (alice, bob) = (stage.peer("alice"), stage.peer("bob"));
    let bob = bob.listen().await;
    for len in LENGTHS {
        let (first, _) = stage.file(&format!("first {len}"), len);
        let (second, _) = stage.file(&format!("second {len}"), len);
        let before = bob.received();
        stage.liar.on_files(|header, _| {
            let file = FileIndex(header.file.0 ^ 1);
            Some(Box::new(Relabelled(FileHeader { file, ..*header })))
        });
        assert_unverified(alice.send(&["bob"], &[&first, &second]).await);
        // The sender may end the transfer upon the first refusal, before the second is told.
        bob.refuses().await;
        assert_eq!(bob.received(), before);
        stage.liar.be_honest();
        assert_delivered(alice.send(&["bob"], &[&first, &second]).await);
        assert_eq!(bob.received().len(), before.len() + 2);
    }
}

#[tokio::test]
async fn a_file_under_a_number_that_its_sender_did_not_give_is_refused() {
    let stage = Stage::new();
    let (alice, bob) = (stage.peer("alice"), stage.peer("bob"));
    let bob = bob.listen().await;
    for len in LENGTHS {
        let (path, _) = stage.file(&format!("{len}.bin"), len);
        let before = bob.received();
        stage.liar.on_files(|header, _| {
            let file = FileIndex(u64::MAX);
            Some(Box::new(Relabelled(FileHeader { file, ..*header })))
        });
        assert_unverified(alice.send(&["bob"], &[&path]).await);
        bob.refuses().await;
        assert_eq!(bob.received(), before);
        stage.liar.be_honest();
        assert_delivered(alice.send(&["bob"], &[&path]).await);
    }
}

/// A pipe that ends when the other one is about to.
struct Meeting {
    content: Cursor<Vec<u8>>,
    here: mpsc::SyncSender<()>,
    there: mpsc::Receiver<()>,
}

impl Read for Meeting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        if count == 0 && self.here.send(()).is_ok() {
            let _ = self.there.recv_timeout(Duration::from_secs(5));
        }
        Ok(count)
    }
}

#[tokio::test]
async fn the_files_of_two_transfers_cannot_be_swapped() {
    let stage = Stage::new();
    let (alice, carol, bob) = (stage.peer("alice"), stage.peer("carol"), stage.peer("bob"));
    let bob = bob.listen().await;
    let send_both = async || {
        let (to_carol, from_alice) = mpsc::sync_channel(1);
        let (to_alice, from_carol) = mpsc::sync_channel(1);
        let pipe = |byte, here, there| {
            let content = Cursor::new(vec![byte; CHUNK_SIZE + 1000]);
            let meeting = Meeting {
                content,
                here,
                there,
            };
            SourceSpec::Pipe {
                name: "pipe".parse().unwrap(),
                reader: Box::new(meeting),
            }
        };
        let bob = || To::Peers(vec!["bob".to_owned()]);
        tokio::join!(
            alice.send_source(bob(), pipe(b'a', to_carol, from_carol)),
            carol.send_source(bob(), pipe(b'c', to_alice, from_alice)),
        )
    };
    let streams: Arc<Mutex<Streams>> = Arc::default();
    stage.liar.on_files(move |header, _| {
        let mine = lock(&streams).entry(header.transfer).or_default().clone();
        Some(Box::new(Exchanged {
            streams: streams.clone(),
            transfer: header.transfer,
            mine,
        }))
    });
    let (a, c) = send_both().await;
    assert_unverified(a);
    assert_unverified(c);
    bob.refuses().await;
    bob.refuses().await;
    assert_eq!(bob.received(), []);
    stage.liar.be_honest();
    let (a, c) = send_both().await;
    assert_delivered(a);
    assert_delivered(c);
    assert_eq!(bob.received().len(), 2);
}

/// What the streams of each transfer have carried.
type Streams = HashMap<TransferId, Arc<Mutex<Vec<u8>>>>;

/// Gives each of two transfers what the other one's sender has sent.
#[derive(Debug)]
struct Exchanged {
    streams: Arc<Mutex<Streams>>,
    transfer: TransferId,
    mine: Arc<Mutex<Vec<u8>>>,
}

impl FileHook for Exchanged {
    fn piece(&mut self, piece: Bytes) -> Vec<Bytes> {
        lock(&self.mine).extend_from_slice(&piece);
        Vec::new()
    }

    fn end(&mut self) -> Vec<Bytes> {
        let streams = lock(&self.streams);
        let mut others = streams.iter().filter(|(id, _)| **id != self.transfer);
        let (_, theirs) = others.next().expect("both are under way until both end");
        let theirs = lock(theirs).clone();
        assert!(!theirs.is_empty());
        vec![theirs.into()]
    }
}

#[tokio::test]
async fn a_file_of_an_earlier_transfer_is_not_taken_for_one_of_a_later() {
    let stage = Stage::new();
    let (alice, bob) = (stage.peer("alice"), stage.peer("bob"));
    let bob = bob.listen().await;
    for len in LENGTHS {
        let (path, _) = stage.file(&format!("{len}.bin"), len);
        let recorded: Arc<Mutex<Vec<u8>>> = Arc::default();
        let record = recorded.clone();
        stage
            .liar
            .on_files(move |_, _| Some(Box::new(Recorded(record.clone()))));
        assert_delivered(alice.send(&["bob"], &[&path]).await);
        bob.clear();
        let before = bob.received();
        stage.liar.on_files(move |_, _| {
            let recorded = recorded.clone();
            Some(Rewritten::boxed(move |_| lock(&recorded).clone()))
        });
        // The same file of the same sender, and yet not what was sealed now.
        assert_unverified(alice.send(&["bob"], &[&path]).await);
        bob.refuses().await;
        assert_eq!(bob.received(), before);
        stage.liar.be_honest();
        assert_delivered(alice.send(&["bob"], &[&path]).await);
    }
}
