use proptest::prelude::*;

use super::*;

/// Everything that is ready.
fn drain(reassembly: &mut Reassembly, into: &mut Vec<u8>) {
    while !reassembly.ready().is_empty() {
        let len = reassembly.ready().len().min(1_000);
        into.extend_from_slice(&reassembly.ready()[..len]);
        reassembly.take(len);
    }
}

proptest! {
    #[test]
    fn any_order_of_packets_gives_the_stream_and_leaves_nothing_held(
        cuts in proptest::collection::vec(1_usize..5_000, 1..80),
        order in any::<u64>(),
    ) {
        let len = cuts.iter().sum::<usize>();
        let stream: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
        let mut packets: Vec<_> = cuts
            .iter()
            .scan(0, |at, len| {
                let offset = *at;
                *at += len;
                Some((offset, &stream[offset..*at]))
            })
            .collect();
        let mut random = order | 1;
        for at in (1..packets.len()).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            packets.swap(at, (random % (at as u64 + 1)) as usize);
        }
        let connection = Held::default();
        let mut reassembly = Reassembly::new(connection.clone());
        let mut got = Vec::new();
        for (offset, bytes) in packets {
            if reassembly.passes(offset as u64, bytes.len()) {
                got.extend_from_slice(bytes);
            } else {
                reassembly.hold(offset as u64, bytes).unwrap();
            }
            // Sometimes what is ready is left for later.
            if offset % 3 > 0 {
                drain(&mut reassembly, &mut got);
            }
        }
        drain(&mut reassembly, &mut got);
        prop_assert!(got == stream, "the bytes are in another order");
        prop_assert_eq!(connection.0.bytes.load(Relaxed), 0);
        prop_assert_eq!(connection.0.runs.load(Relaxed), 0);
    }
}

#[test]
fn gaps_beyond_the_limit_are_refused_and_cost_bounded_memory() {
    let connection = Held::default();
    let mut reassembly = Reassembly::new(connection.clone());
    let refused = (1..)
        .find(|n| reassembly.hold(2 * n, &[0]).is_err())
        .unwrap();
    assert!(refused <= STREAM_RUNS as u64 + 1);
    assert!(connection.0.bytes.load(Relaxed) <= STREAM_HELD + SLACK + FIRST_PIECE);
    drop(reassembly);
    assert_eq!(connection.0.bytes.load(Relaxed), 0);
    assert_eq!(connection.0.runs.load(Relaxed), 0);
}

#[test]
fn streams_of_one_connection_share_its_limit() {
    let connection = Held::default();
    let mut streams = Vec::new();
    let held = || connection.0.bytes.load(Relaxed);
    while held() < CONNECTION_HELD {
        let mut stream = Reassembly::new(connection.clone());
        while stream.takes() && stream.bytes < STREAM_HELD / 2 {
            let offset = 1 + stream.bytes as u64 * 2;
            stream.hold(offset, &[0; 60_000]).unwrap();
        }
        streams.push(stream);
    }
    assert!(!Reassembly::new(connection.clone()).takes());
    streams.pop();
    assert!(Reassembly::new(connection.clone()).takes());
}

/// Short of memory from so many bytes on, of which others hold and let go of some.
#[derive(Debug)]
struct Shared(AtomicUsize);

impl HeldMemory for Shared {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Relaxed);
    }

    fn sub(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }

    fn is_short(&self) -> bool {
        self.0.load(Relaxed) >= 1 << 20
    }
}

#[test]
fn memory_that_becomes_short_again_and_again_is_no_reason_to_give_up() {
    let connection = Held::default();
    let memory = Arc::new(Shared(AtomicUsize::new(1 << 20)));
    connection.count(memory.clone());
    let mut reassembly = Reassembly::new(connection);
    for packet in 0..200 {
        // Others let go of a little, which one packet uses up.
        memory.sub(1_000);
        assert!(reassembly.takes());
        reassembly.hold(2 + 1_402 * packet, &[1; 1_400]).unwrap();
        assert!(!reassembly.takes());
        memory.sub(400);
    }
}

#[test]
fn packets_that_mend_other_gaps_while_it_is_full_are_no_reason_to_give_up() {
    let mut reassembly = Reassembly::new(Held::default());
    let mut gaps = Vec::new();
    let mut offset = 1_400;
    while reassembly.takes() {
        reassembly.hold(offset, &[1; 60_000]).unwrap();
        gaps.push(offset + 60_000);
        offset += 60_000 + 1_400;
    }
    // Their first byte each is taken, to see whether it is the stream's next.
    for gap in gaps {
        reassembly.hold(gap, &[1]).unwrap();
    }
}

#[test]
fn a_stream_that_holds_enough_takes_single_bytes_and_then_goes_on() {
    let mut reassembly = Reassembly::new(Held::default());
    let mut offset = 1;
    while reassembly.takes() {
        reassembly.hold(offset, &[1; 1_000]).unwrap();
        offset += 1_000;
    }
    for _ in 0..1_000 {
        reassembly.hold(offset, &[1]).unwrap();
        offset += 1;
    }
    assert!(reassembly.passes(0, 1));
    let mut got = Vec::new();
    drain(&mut reassembly, &mut got);
    assert_eq!(got.len() as u64, offset - 1);
    assert!(reassembly.takes());
}
