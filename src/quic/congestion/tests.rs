//! The model on links in virtual time, and under any sequence of calls.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use quinn::congestion::ControllerFactory;

use super::{
    Congestion, PathRate,
    model::{MOST, Model},
    path::{PACKET, Path},
    simulation::World,
};

/// The share of a path that one sender gets for so many bytes, from its first packet on.
fn share(path: &Path, bytes: u64, seed: u64) -> f64 {
    let mut world = World::new(path.clone(), seed);
    let sender = world.model(Duration::ZERO);
    let limit = Duration::from_secs(600);
    assert!(world.deliver(sender, bytes, limit), "{path:?} hangs");
    let payload = path.rate * PACKET as f64 / (PACKET + 48) as f64;
    bytes as f64 / payload / world.elapsed().as_secs_f64()
}

#[test]
fn long_links_are_filled_and_chance_losses_do_not_matter() {
    for (mbit, round_trip, queue, loss, megabytes, least) in [
        (100.0, 80, 50, 0.0, 60, 0.88),
        (100.0, 80, 50, 0.5, 60, 0.86),
        (50.0, 150, 50, 1.0, 40, 0.84),
        (100.0, 20, 20, 0.0, 60, 0.95),
        (100.0, 20, 20, 0.1, 60, 0.95),
        (20.0, 300, 50, 0.3, 40, 0.85),
        (20.0, 30, 500, 0.0, 20, 0.95),
        (4.0, 200, 50, 2.0, 10, 0.85),
        (100.0, 20, 5, 0.0, 60, 0.85),
    ] {
        let path = Path::new(mbit, round_trip, queue, loss);
        let share = share(&path, megabytes * 1_000_000, 1);
        assert!(share > least, "{share:.3} of {path:?}");
    }
}

/// SUSS's case: a path with room for many times the first window is full within five round trips, and nothing
/// is sent too much.
#[test]
fn a_start_hurries_where_trains_show_room_and_is_careful_where_they_show_none() {
    for (mbit, round_trip) in [(100.0, 20), (100.0, 80), (300.0, 80)] {
        let path = Path::new(mbit, round_trip, 50, 0.0);
        let mut world = World::new(path.clone(), 1);
        let sender = world.model(Duration::ZERO);
        world.run(Duration::from_millis(round_trip * 12));
        let payload = path.rate * PACKET as f64 / (PACKET + 48) as f64;
        let carried = world.delivered(sender) as f64 / payload / path.round_trip.as_secs_f64();
        assert!(
            12.0 - carried < 5.0,
            "{carried:.1} of 12 round trips of {path:?}"
        );
        assert_eq!(world.lost(sender), 0, "{path:?}");
    }
}

#[test]
fn late_packets_are_no_congestion() {
    let mut path = Path::new(100.0, 80, 50, 0.0);
    path.late = (0.01, Duration::from_millis(5));
    let share = share(&path, 60_000_000, 1);
    assert!(share > 0.88, "{share:.3}");
}

#[test]
fn a_deep_queue_stays_short() {
    let mut world = World::new(Path::new(20.0, 30, 500, 0.0), 1);
    let sender = world.model(Duration::ZERO);
    world.deliver(sender, 20_000_000, Duration::from_secs(60));
    let (longest, sum, count) = world.waits;
    assert!(longest < Duration::from_millis(60), "{longest:?}");
    assert_eq!(world.lost(sender), 0);
    assert!(sum / count < Duration::from_millis(20), "{:?}", sum / count);
}

/// 25 Mbit/s, or at a larger `P2P_TEST_SCALE` the 100 that take four times as long to simulate.
fn shared_rate() -> f64 {
    match std::env::var_os("P2P_TEST_SCALE") {
        Some(scale) if scale != "1" => 100.0,
        _ => 25.0,
    }
}

/// The share of a path that one of ours gets in 30 s beside another sender, on the average of several
/// beginnings; no beginning may leave either with less than a fifth.
fn beside(other: impl Fn(&mut World, Duration) -> usize) -> f64 {
    let mut shares = Vec::new();
    for seed in 0..2 {
        let mut world = World::new(Path::new(shared_rate(), 20, 20, 0.0), seed);
        let late = Duration::from_millis(300 + 500 * seed);
        let (first, second) = match seed % 2 {
            0 => (Duration::ZERO, late),
            _ => (late, Duration::ZERO),
        };
        let other = other(&mut world, first);
        let ours = world.model(second);
        world.run(Duration::from_secs(30));
        let (other, ours) = (world.delivered(other) as f64, world.delivered(ours) as f64);
        let share = ours / (ours + other);
        assert!((0.2..0.8).contains(&share), "{share:.2} with seed {seed}");
        shares.push(share);
    }
    shares.iter().sum::<f64>() / shares.len() as f64
}

#[test]
fn beside_cubic_each_keeps_its_share() {
    let share = beside(World::cubic);
    assert!((0.35..0.65).contains(&share), "{share:.2}");
}

#[test]
fn beside_bbr_each_keeps_a_share() {
    // 0.67 of 25 Mbit/s and 0.44 of 100.
    let share = beside(World::bbr);
    assert!((0.35..0.72).contains(&share), "{share:.2}");
}

#[test]
fn ours_share_the_path() {
    let (rate, count, seconds) = match shared_rate() {
        100.0 => (100.0, 10, 30),
        _ => (50.0, 4, 15),
    };
    let mut world = World::new(Path::new(rate, 20, 20, 0.0), 1);
    let start = |number: u64| Duration::from_millis(100 * number);
    let senders: Vec<_> = (0..count).map(|n| world.model(start(n))).collect();
    world.run(Duration::from_secs(seconds));
    let delivered = senders.iter().map(|sender| world.delivered(*sender));
    let (least, most) = (delivered.clone().min().unwrap(), delivered.max().unwrap());
    assert!(most < 2 * least, "from {least} to {most} bytes");
}

#[test]
fn a_path_that_becomes_slower_or_faster_is_followed() {
    for (before, after) in [(100.0, 20.0), (20.0, 100.0)] {
        let mut world = World::new(Path::new(before, 40, 100, 0.0), 1);
        let sender = world.model(Duration::ZERO);
        world.run(Duration::from_secs(5));
        world.path.rate = after * 125_000.0;
        world.run(Duration::from_secs(10));
        let settled = world.delivered(sender);
        world.run(Duration::from_secs(15));
        let rate = (world.delivered(sender) - settled) as f64 / 5.0;
        let share = rate / world.path.rate;
        assert!(share > 0.85, "{share:.2} of {after} Mbit/s after {before}");
    }
}

#[test]
fn a_sender_with_little_to_send_is_ready_when_it_has_more() {
    let mut world = World::new(Path::new(100.0, 80, 50, 0.0), 1);
    let sender = world.model(Duration::ZERO);
    world.limit(sender, 2_000_000.0);
    world.run(Duration::from_secs(5));
    world.limit(sender, f64::MAX);
    let before = world.delivered(sender);
    world.run(Duration::from_secs(8));
    let share = (world.delivered(sender) - before) as f64 / 3.0 / world.path.rate;
    assert!(share > 0.75, "{share:.2}");
}

#[test]
fn a_path_that_is_known_is_full_sooner_and_another_one_is_not_flooded() {
    let known = PathRate {
        rate: 37_500_000,
        round_trip: Duration::from_millis(80),
    };
    let first_second = |path: &Path, known| {
        let mut world = World::new(path.clone(), 1);
        let sender = world.known(known);
        world.run(Duration::from_secs(1));
        (world.delivered(sender), world.lost(sender))
    };
    let same = Path::new(300.0, 80, 50, 0.0);
    let ((with, _), (without, _)) = (first_second(&same, Some(known)), first_second(&same, None));
    assert!(10 * with > 11 * without, "{with} bytes, {without} unknown");
    // Half of it has become ten times too much: lost in the first round trips, and no longer.
    let slower = Path::new(15.0, 80, 50, 0.0);
    let (delivered, lost) = first_second(&slower, Some(known));
    assert!(delivered > 800_000, "{delivered}");
    assert!(lost < 3_000_000, "{lost}");
    // Another path by its round trip: as if nothing were known.
    let near = Path::new(300.0, 20, 50, 0.0);
    assert_eq!(first_second(&near, Some(known)), first_second(&near, None));
}

#[test]
fn after_a_pause_a_path_is_only_known() {
    let start = Instant::now();
    let round_trip = Duration::from_millis(50);
    let mut model = Model::new(start, 1_452, None);
    let mut now = start;
    for _ in 0..40 {
        let sent = now;
        let window = model.window();
        model.on_sent(sent, window);
        now += round_trip;
        model.on_ack(now, sent, window, false);
        model.on_end_acks(now, 0, false);
    }
    let before = model.window();
    assert!(before > 2 * model.initial_window());
    model.on_sent(now + Duration::from_secs(11), 1_452);
    assert_eq!(model.window(), model.initial_window());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Links of all kinds: none hangs, and none is left mostly empty.
    #[test]
    fn no_link_is_left_mostly_empty(
        mbit in 1.0_f64..16.0,
        round_trip in 4_u64..300,
        queue in 4_u64..300,
        loss in 0.0_f64..1.5,
        seed in any::<u64>(),
    ) {
        let mut path = Path::new(mbit, round_trip, queue, loss);
        // No device has room for less than a batch.
        let batch = Duration::from_secs_f64(20.0 * PACKET as f64 / path.rate);
        path.queue = path.queue.max(batch);
        let mut world = World::new(path.clone(), seed);
        let sender = world.model(Duration::ZERO);
        let time = 2.0 + round_trip as f64 * 0.03;
        world.run(Duration::from_secs_f64(time));
        let share = world.delivered(sender) as f64 / time / path.rate;
        prop_assert!(share > 0.5, "{share:.2} of {path:?}");
    }

}

proptest! {
    /// Whatever is called in whatever order, the window stays within its limits.
    #[test]
    fn no_calls_break_the_window(
        calls in proptest::collection::vec((0_u8..6, any::<u32>(), any::<u32>(), any::<bool>()), 1..400),
    ) {
        let start = Instant::now();
        let mut model = Model::new(start, 1_200, None);
        let mut controller = std::sync::Arc::new(Congestion::default()).build(start, 1_200);
        let (mut now, mut mtu) = (start, 1_200);
        for (call, first, second, flag) in calls {
            let bytes = u64::from(first);
            // Sometimes earlier than the last, as clocks that are read in several threads are.
            let sent = start + Duration::from_micros(second.into());
            match call {
                0 => now += Duration::from_micros((first % 1_000_000).into()),
                1 => {
                    model.on_sent(now, bytes);
                    controller.on_sent(now, bytes, second.into());
                }
                2 => model.on_ack(now, sent, bytes, flag),
                3 => {
                    model.on_end_acks(now, bytes, flag);
                    controller.on_end_acks(now, bytes, flag, flag.then_some(second.into()));
                }
                4 => {
                    model.on_loss(now, sent, bytes, flag);
                    controller.on_congestion_event(now, sent, flag, bytes);
                }
                _ => {
                    mtu = (first % 65_536) as u16;
                    model.on_mtu(mtu.max(1_200));
                    controller.on_mtu_update(mtu.max(1_200));
                }
            }
            let least = 2 * u64::from(mtu.max(1_200));
            for window in [model.window(), controller.window()] {
                prop_assert!(window >= least, "{window}");
            }
            prop_assert!(model.window() <= MOST);
        }
    }
}
