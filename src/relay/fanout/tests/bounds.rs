use std::time::Duration;

use tokio::time::timeout;

use super::{
    pipes::{Step, head, stream, trailer},
    *,
};

/// A feed that starts as a file, goes on with `zeros` bytes, and does not end by itself.
fn endless(zeros: u64) -> Feed {
    let start = [head(), trailer()].concat();
    let feed = Feed::new([Step::Bytes(start.into())]);
    if zeros > 0 {
        feed.push(Step::Zeros(zeros));
    }
    feed
}

#[tokio::test(start_paused = true)]
async fn a_lone_recipient_holds_the_sender_back_and_nothing_touches_the_disk() {
    let relay = Relay::new();
    let tap = [Tap::with(10 * MIB as u64, usize::MAX)];
    let feed = endless(100 * MIB as u64);
    let stalled = timeout(Duration::from_secs(1), relay.run(&feed, &tap)).await;
    assert!(stalled.is_err());
    assert_eq!(tap[0].len(), 10 * MIB as u64);
    let ahead = feed.taken() - tap[0].len();
    assert!(
        ahead <= relay.config.solo_window as u64,
        "{ahead} bytes ahead"
    );
    assert!(
        ahead >= relay.config.solo_window as u64 / 2,
        "{ahead} bytes ahead"
    );
    assert!(relay.budget.memory_peak() <= relay.config.solo_window as u64);
    assert_eq!(relay.budget.spool_in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn when_all_stall_the_sender_waits_and_nothing_touches_the_disk() {
    let relay = Relay::new();
    let taps = [Tap::with(MIB as u64, usize::MAX), Tap::shut(), Tap::shut()];
    let feed = endless(100 * MIB as u64);
    let stalled = timeout(Duration::from_secs(1), relay.run(&feed, &taps)).await;
    assert!(stalled.is_err());
    assert!(feed.taken() <= MIB as u64 + relay.config.window as u64);
    assert_eq!(relay.budget.spool_in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_by_the_window_whatever_goes_through() {
    let relay = Relay::new();
    let mut taps = vec![Tap::shut()];
    taps.resize_with(8, Tap::open);
    let feed = endless(64 * MIB as u64);
    feed.push(Step::End);
    let wake = async {
        for tap in &taps[1..] {
            tap.ended().await;
        }
        taps[0].allow(u64::MAX / 2);
    };
    let (report, ()) = tokio::join!(relay.run(&feed, &taps), wake);
    assert!(
        report
            .deliveries
            .iter()
            .all(|d| d.outcome == Outcome::Delivered)
    );
    let peak = relay.budget.memory_peak();
    assert!(
        peak <= relay.config.window as u64 + 512 * 1024,
        "{peak} bytes"
    );
    assert!(report.bytes_spooled >= 56 * MIB as u64);
}

#[tokio::test(start_paused = true)]
async fn stalled_transfers_that_hold_the_whole_budget_do_not_stop_a_new_one() {
    let relay = Relay::with_budget(Budget::new(3 * MIB as u64, Budget::SPOOL_LIMIT));
    let shut: Vec<_> = (0..6).map(|_| [Tap::shut()]).collect();
    let feeds: Vec<_> = shut.iter().map(|_| endless(100 * MIB as u64)).collect();
    let stalled = shut
        .iter()
        .zip(&feeds)
        .map(|(tap, feed)| relay.run(feed, tap));
    let stalled = futures_util::future::join_all(stalled);
    let stream = stream(30 * MIB);
    // Alone, to several, and to several of which one is stalled.
    let newcomers = async {
        while relay.budget.memory_in_use() < 3 * MIB as u64 {
            tokio::task::yield_now().await;
        }
        for slow in [None, Some(Tap::open()), Some(Tap::shut())] {
            let taps: Vec<_> = std::iter::once(Tap::open()).chain(slow).collect();
            let feed = Feed::whole(&stream);
            let began = tokio::time::Instant::now();
            let wake = async {
                taps[0].ended().await;
                assert!(began.elapsed() <= Duration::from_millis(50));
                taps.iter().for_each(|tap| tap.allow(u64::MAX / 2));
            };
            tokio::join!(relay.run(&feed, &taps), wake);
            taps.iter().for_each(|tap| tap.assert_got(&stream));
        }
    };
    tokio::select! {
        _ = stalled => panic!("they are stalled"),
        () = newcomers => {}
    }
    let most = 3 * MIB as u64 + 8 * Budget::GUARANTEED;
    assert!(relay.budget.memory_peak() <= most);
}

#[tokio::test(start_paused = true)]
async fn a_small_file_takes_little_memory() {
    let relay = Relay::new();
    let stream = stream(4 * KIB);
    relay.run(&Feed::whole(&stream), &[Tap::open()]).await;
    assert!(relay.budget.memory_peak() <= 8 * KIB as u64);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_dribbles_bytes_does_not_make_the_bookkeeping_grow() {
    let relay = Relay::new();
    let feed = endless(0);
    let feed_all = async {
        for _ in 0..20_000 {
            feed.push(Step::Zeros(1));
            tokio::task::yield_now().await;
        }
    };
    let taps = [Tap::shut()];
    let run = timeout(Duration::from_secs(1), relay.run(&feed, &taps));
    let (stalled, ()) = tokio::join!(run, feed_all);
    assert!(stalled.is_err());
    // A block of 128 pieces costs 8 KiB, however short they are.
    let blocks = relay.config.solo_window as u64 / (8 * 1024);
    let start = (head().len() + trailer().len()) as u64;
    assert!(feed.taken() <= start + 128 * blocks, "{}", feed.taken());
    assert!(feed.taken() > 64 * blocks);
}
