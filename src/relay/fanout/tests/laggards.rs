use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    pipes::{Step, never_opens, stream},
    *,
};

const EVERYTHING: u64 = u64::MAX / 2;

#[tokio::test(start_paused = true)]
async fn a_stalled_recipient_delays_no_other_and_is_served_from_the_spool_when_it_wakes() {
    for recipients in [2, 8] {
        for stalls_after in [0, 3 * MIB as u64 + 5] {
            let (relay, stream) = (Relay::new(), stream(20 * MIB));
            let mut taps = vec![Tap::with(stalls_after, usize::MAX)];
            taps.resize_with(recipients, Tap::open);
            let feed = Feed::whole(&stream);
            let wake = async {
                let began = Instant::now();
                for tap in but(0, &taps) {
                    tap.ended().await;
                }
                let grace = relay.config.grace;
                assert!(began.elapsed() <= grace, "{:?}", began.elapsed());
                assert_eq!(taps[0].len(), stalls_after);
                taps[0].allow(EVERYTHING);
            };
            let (report, ()) = tokio::join!(relay.run(&feed, &taps), wake);
            assert!(report.bytes_spooled > 10 * MIB as u64);
            taps.iter().for_each(|tap| tap.assert_got(&stream));
            assert_eq!(relay.budget.spool_in_use(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_recipient_whose_stream_opens_late_or_never_delays_no_other() {
    let (relay, stream) = (Relay::new(), stream(20 * MIB));
    let taps = [Tap::open(), Tap::open()];
    let late = Arc::new(Notify::new());
    let outlets: [std::pin::Pin<Box<dyn Future<Output = _> + Send>>; 3] = [
        Box::pin(taps[0].clone().outlet()),
        Box::pin(taps[1].clone().outlet_after(late.clone())),
        Box::pin(never_opens()),
    ];
    let open = async {
        taps[0].ended().await;
        late.notify_one();
    };
    let feed = Feed::whole(&stream);
    let (report, ()) = tokio::join!(relay.run_to(&feed, outlets), open);
    taps.iter().for_each(|tap| tap.assert_got(&stream));
    assert_eq!(report.of(2).outcome, Outcome::Failed(Code::Behind));
}

#[tokio::test(start_paused = true)]
async fn a_recipient_that_catches_up_is_served_from_memory_again() {
    let (relay, stream) = (Relay::new(), stream(40 * MIB));
    let taps = [Tap::open(), Tap::shut()];
    let half = 20 * MIB;
    let feed = Feed::new([Step::Bytes(bytes::Bytes::copy_from_slice(&stream[..half]))]);
    let catch_up = async {
        taps[0].has(half as u64).await;
        assert!(relay.budget.spool_in_use() > 10 * MIB as u64);
        taps[1].allow(EVERYTHING);
        taps[1].has(half as u64).await;
        // A write that is under way has to end first.
        while relay.budget.spool_in_use() > 0 {
            tokio::task::yield_now().await;
        }
        feed.push(Step::Bytes(bytes::Bytes::copy_from_slice(&stream[half..])));
        feed.push(Step::End);
    };
    let (report, ()) = tokio::join!(relay.run(&feed, &taps), catch_up);
    taps.iter().for_each(|tap| tap.assert_got(&stream));
    let spooled = report.bytes_spooled;
    assert!(
        spooled <= half as u64,
        "{spooled}: nothing of the second half"
    );
}

#[tokio::test(start_paused = true)]
async fn over_the_quota_the_one_that_is_furthest_behind_is_reset_alone() {
    // At most all but a quarter of the window is spooled, give or take two writes: the first part fits.
    let relay = Relay::with_budget(Budget::new(Budget::MEMORY_LIMIT, 16 * MIB as u64));
    let stream = stream(26 * MIB);
    let taps = [Tap::open(), Tap::shut(), Tap::open(), Tap::shut()];
    let mib = MIB as u64;
    let feed = Feed::new([]);
    let send = |range: std::ops::Range<usize>| {
        let piece = bytes::Bytes::copy_from_slice(&stream[range]);
        feed.push(Step::Bytes(piece));
    };
    let go_on = async {
        send(0..16 * MIB);
        taps[0].has(16 * mib).await;
        taps[3].allow(14 * mib);
        taps[3].has(14 * mib).await;
        let began = Instant::now();
        send(16 * MIB..22 * MIB);
        taps[0].has(22 * mib).await;
        taps[1].ended().await;
        assert!(
            began.elapsed() <= relay.config.grace,
            "nobody waits for the verdict"
        );
        assert_eq!(taps[3].end(), None, "it is behind, but not as far");
        taps[3].allow(EVERYTHING);
        taps[3].has(22 * mib).await;
        send(22 * MIB..stream.len());
        feed.push(Step::End);
    };
    let (report, ()) = tokio::join!(relay.run(&feed, &taps), go_on);
    assert_eq!(report.of(1).outcome, Outcome::Failed(Code::Behind));
    assert_eq!(taps[1].end(), Some(Err(Code::Behind)));
    but(1, &taps).for_each(|tap| tap.assert_got(&stream));
    assert_eq!(relay.budget.spool_in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_cannot_be_written_costs_only_those_who_need_it() {
    let mut relay = Relay::new();
    relay.config.spool_dir = relay.config.spool_dir.join("missing");
    let stream = stream(20 * MIB);
    let taps = [Tap::open(), Tap::shut(), Tap::open()];
    let report = relay.run(&Feed::whole(&stream), &taps).await;
    assert_eq!(report.of(1).outcome, Outcome::Failed(Code::Behind));
    but(1, &taps).for_each(|tap| tap.assert_got(&stream));
}

/// Takes `bytes` every `every`, for ever.
async fn trickle(tap: &Tap, bytes: u64, every: Duration) {
    loop {
        sleep(every).await;
        tap.allow(bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn all_slow_recipients_together_hold_a_file_up_by_no_more_than_the_grace() {
    let (relay, stream) = (Relay::new(), stream(20 * MIB));
    let mut taps = vec![Tap::open()];
    taps.resize_with(8, || Tap::with(4 * MIB as u64, usize::MAX));
    let began = Instant::now();
    let slow = async {
        let all = taps[1..].iter();
        let all = all.map(|tap| trickle(tap, 128 * KIB as u64, Duration::from_millis(5)));
        futures_util::future::join_all(all).await;
    };
    let feed = Feed::whole(&stream);
    let first_ends = async {
        tokio::select! {
            biased;
            () = taps[0].ended() => {}
            _ = slow => {}
        }
        let took = began.elapsed();
        assert!(
            took <= relay.config.grace + Duration::from_millis(5),
            "{took:?}"
        );
        taps.iter().for_each(|tap| tap.allow(EVERYTHING));
    };
    tokio::join!(relay.run(&feed, &taps), first_ends);
    taps.iter().for_each(|tap| tap.assert_got(&stream));
}

#[tokio::test(start_paused = true)]
async fn recipients_of_one_pace_never_need_the_disk_however_slow() {
    let (relay, stream) = (Relay::new(), stream(30 * MIB));
    let taps: Vec<_> = (0..6).map(|_| Tap::shut()).collect();
    let feed = Feed::whole(&stream);
    let slow = async {
        let all = taps.iter().enumerate();
        let all = all.map(|(slot, tap)| {
            // The same over time, in steps that differ.
            let step = slot as u64 + 1;
            trickle(tap, step * 100_000, Duration::from_millis(step * 10))
        });
        futures_util::future::join_all(all).await;
    };
    let report = tokio::select! {
        report = relay.run(&feed, &taps) => report,
        _ = slow => unreachable!("it goes on"),
    };
    taps.iter().for_each(|tap| tap.assert_got(&stream));
    assert_eq!(report.bytes_spooled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_recipient_that_takes_nothing_for_the_stall_limit_is_reset_and_a_slow_one_is_not() {
    let (relay, stream) = (Relay::new(), stream(6 * MIB));
    let taps = [Tap::open(), Tap::with(MIB as u64, usize::MAX), Tap::shut()];
    let began = Instant::now();
    let slow = trickle(&taps[2], 64 * KIB as u64, relay.config.stall_limit / 2);
    let feed = Feed::whole(&stream);
    let report = tokio::select! {
        report = relay.run(&feed, &taps) => report,
        () = slow => unreachable!("it goes on"),
    };
    assert_eq!(report.of(1).outcome, Outcome::Failed(Code::Behind));
    assert_eq!(report.of(1).bytes, MIB as u64);
    assert!(began.elapsed() > 40 * relay.config.stall_limit);
    taps[0].assert_got(&stream);
    taps[2].assert_got(&stream);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_silent_is_no_recipients_fault() {
    let (relay, stream) = (Relay::new(), stream(MIB));
    let taps = [Tap::open(), Tap::open()];
    let feed = Feed::new([Step::Bytes(bytes::Bytes::copy_from_slice(
        &stream[..MIB / 2],
    ))]);
    let later = async {
        sleep(10 * relay.config.stall_limit).await;
        feed.push(Step::Bytes(bytes::Bytes::copy_from_slice(
            &stream[MIB / 2..],
        )));
        feed.push(Step::End);
    };
    tokio::join!(relay.run(&feed, &taps), later);
    taps.iter().for_each(|tap| tap.assert_got(&stream));
}
