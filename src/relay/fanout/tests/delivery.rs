use proptest::{collection::vec, prelude::*};
use tokio::runtime;

use super::{
    pipes::{Step, stream},
    *,
};

fn is_send(_: &impl Send) {}

#[test]
fn a_relayed_file_may_move_between_threads() {
    let relay = Relay::new();
    let to = vec![(peer(0), Tap::open().outlet())];
    is_send(&relay_file(
        Feed::new([]),
        to,
        &relay.config,
        &relay.budget.share(),
    ));
}

#[tokio::test]
async fn every_recipient_gets_every_byte_of_a_file_of_any_size() {
    for recipients in [1, 2, 32] {
        for len in [0, 1, 4 * KIB, 8 * KIB, 64 * KIB - 1, 5 * MIB + 3] {
            let (relay, stream) = (Relay::new(), stream(len));
            let taps: Vec<_> = (0..recipients).map(|_| Tap::open()).collect();
            let report = relay.run(&Feed::whole(&stream), &taps).await;
            assert_eq!(report.end, Ok(()));
            assert_eq!(report.bytes_in, stream.len() as u64);
            for (slot, tap) in taps.iter().enumerate() {
                tap.assert_got(&stream);
                assert_eq!(report.of(slot).outcome, Outcome::Delivered);
                assert_eq!(report.of(slot).bytes, stream.len() as u64);
            }
            assert_eq!(relay.budget.memory_in_use(), 0);
        }
    }
}

#[derive(Debug, Clone)]
struct Habits {
    /// Bytes at each turn, and how many turns it sleeps before one.
    turns: Vec<(u64, u8)>,
    most: usize,
    opens_late: bool,
    breaks_at: Option<u64>,
}

fn habits(len: u64) -> impl Strategy<Value = Habits> {
    let turn = (1..len / 4, 0u8..4);
    let most = prop_oneof![Just(usize::MAX), 1000usize..100_000];
    let breaks_at = prop::option::weighted(0.15, 0..len);
    (vec(turn, 1..8), most, any::<bool>(), breaks_at).prop_map(
        |(turns, most, opens_late, breaks_at)| Habits {
            turns,
            most,
            opens_late,
            breaks_at,
        },
    )
}

/// Lets a tap take what its habits say, and everything at last.
async fn follow(habits: Habits, tap: Tap) {
    for (bytes, naps) in habits.turns.iter().cycle().take(40) {
        for _ in 0..*naps {
            tokio::time::sleep(std::time::Duration::from_millis(7)).await;
        }
        if habits.breaks_at.is_some_and(|at| tap.len() >= at) {
            tap.break_with(Code::Storage);
        }
        tap.allow(*bytes);
        tokio::task::yield_now().await;
    }
    tap.allow(u64::MAX / 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// Tiny windows, so that everybody is behind at some time; every mix of paces, late openings
    /// and failures.
    #[test]
    fn whatever_the_others_do_a_recipient_gets_every_byte(
        recipients in vec(habits(600_000), 1..7),
        cuts in vec(1usize..60_000, 1..20),
        memory in prop_oneof![Just(0u64), Just(u64::MAX)],
    ) {
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut relay = Relay::with_budget(Budget::new(memory, u64::MAX));
            relay.config.window = 64 * KIB;
            relay.config.solo_window = 16 * KIB;
            let stream = stream(600_000);
            let feed = Feed::new([]);
            let (mut rest, mut cuts) = (bytes::Bytes::from(stream.clone()), cuts.iter().cycle());
            while !rest.is_empty() {
                let cut = rest.len().min(*cuts.next().unwrap());
                feed.push(Step::Bytes(rest.split_to(cut)));
            }
            feed.push(Step::End);
            let taps: Vec<_> = recipients.iter().map(|h| Tap::with(0, h.most)).collect();
            let mut followers = tokio::task::JoinSet::new();
            let mut outlets = Vec::new();
            for (habits, tap) in recipients.iter().zip(&taps) {
                let opens = std::sync::Arc::new(tokio::sync::Notify::new());
                outlets.push(tap.clone().outlet_after(opens.clone()));
                let (habits, tap) = (habits.clone(), tap.clone());
                followers.spawn(async move {
                    if habits.opens_late {
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                    opens.notify_one();
                    follow(habits, tap).await;
                });
            }
            let report = relay.run_to(&feed, outlets).await;
            for (slot, (tap, habits)) in taps.iter().zip(&recipients).enumerate() {
                if habits.breaks_at.is_some() && tap.end() == Some(Err(Code::Storage)) {
                    assert_eq!(report.of(slot).outcome, Outcome::Failed(Code::Storage));
                } else {
                    tap.assert_got(&stream);
                }
            }
            assert_eq!(relay.budget.memory_in_use(), 0);
            assert_eq!(relay.budget.spool_in_use(), 0);
        });
    }
}

#[tokio::test]
async fn what_has_come_goes_on_without_waiting_for_a_block_to_fill() {
    let (relay, stream) = (Relay::new(), stream(100));
    let taps = [Tap::open(), Tap::open()];
    let feed = Feed::new([]);
    let watch = async {
        let mut sent = 0;
        for piece in stream.chunks(13) {
            feed.push(Step::Bytes(bytes::Bytes::copy_from_slice(piece)));
            sent += piece.len() as u64;
            // A frame's header is held until it is whole.
            taps[0].has(sent.saturating_sub(8)).await;
            taps[1].has(sent.saturating_sub(8)).await;
        }
        feed.push(Step::End);
    };
    tokio::join!(watch, relay.run(&feed, &taps));
    taps.iter().for_each(|tap| tap.assert_got(&stream));
}

#[tokio::test]
async fn the_senders_reset_reaches_every_recipient_and_nobody_is_finished() {
    let relay = Relay::new();
    let taps = [Tap::open(), Tap::shut(), Tap::with(100, 1)];
    let start = &stream(8 * MIB)[..6 * MIB];
    let steps = [
        Step::Bytes(bytes::Bytes::copy_from_slice(start)),
        Step::Reset(Code::SourceChanged),
    ];
    let report = relay.run(&Feed::new(steps), &taps).await;
    assert_eq!(report.end, Err(Code::SourceChanged));
    for (slot, tap) in taps.iter().enumerate() {
        assert_eq!(tap.end(), Some(Err(Code::SourceChanged)));
        let outcome = report.of(slot).outcome;
        assert_eq!(outcome, Outcome::Failed(Code::SourceChanged));
    }
}

#[tokio::test]
async fn a_recipient_that_fails_takes_nobody_with_it() {
    let (relay, stream) = (Relay::new(), stream(3 * MIB));
    let taps = [Tap::open(), Tap::shut(), Tap::open()];
    taps[1].break_with(Code::Storage);
    let refused = async { Err(Code::Busy) };
    let mut outlets: Vec<std::pin::Pin<Box<dyn Future<Output = _> + Send>>> = Vec::new();
    for tap in taps.iter().cloned() {
        outlets.push(Box::pin(tap.outlet()));
    }
    outlets.push(Box::pin(refused));
    let report = relay.run_to(&Feed::whole(&stream), outlets).await;
    taps[0].assert_got(&stream);
    taps[2].assert_got(&stream);
    assert_eq!(report.of(1).outcome, Outcome::Failed(Code::Storage));
    assert_eq!(taps[1].end(), Some(Err(Code::Storage)));
    assert_eq!(report.of(3).outcome, Outcome::Failed(Code::Busy));
}

#[tokio::test]
async fn when_the_last_recipient_goes_a_sender_that_is_silent_is_stopped() {
    let relay = Relay::new();
    let taps = [Tap::open(), Tap::open()];
    let half = &stream(MIB)[..MIB / 2];
    let feed = Feed::new([Step::Bytes(bytes::Bytes::copy_from_slice(half))]);
    let leave = async {
        for tap in &taps {
            tap.has(MIB as u64 / 2).await;
            tap.break_with(Code::PeerGone);
        }
        feed.push(Step::Zeros(1));
    };
    let (report, ()) = tokio::join!(relay.run(&feed, &taps), leave);
    assert_eq!(report.end, Err(Code::PeerGone));
    assert_eq!(feed.stopped(), Some(Code::PeerGone));

    let nobody: [Tap; 0] = [];
    let report = relay.run(&Feed::new([]), &nobody).await;
    assert_eq!(report.end, Err(Code::PeerGone));
}

#[tokio::test]
async fn a_dropped_relay_resets_what_it_had_opened() {
    let relay = Relay::new();
    let taps = [Tap::open(), Tap::shut()];
    let half = &stream(6 * MIB)[..5 * MIB];
    let feed = Feed::new([Step::Bytes(bytes::Bytes::copy_from_slice(half))]);
    tokio::select! {
        _ = relay.run(&feed, &taps) => panic!("the sender has not ended"),
        () = taps[0].has(5 * MIB as u64) => {}
    }
    for tap in &taps {
        assert_eq!(tap.end(), Some(Err(Code::PeerGone)));
    }
    // A write to the spool that is under way holds its bytes until it is done.
    let let_go = async {
        while relay.budget.memory_in_use() > 0 {
            tokio::task::yield_now().await;
        }
    };
    let let_go = tokio::time::timeout(std::time::Duration::from_secs(5), let_go);
    let_go.await.expect("nothing is held");
}
