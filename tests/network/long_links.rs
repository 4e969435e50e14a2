//! The links of `docs/performance.md`, small: floors that only a sender which takes every loss for
//! congestion, or that hangs, stays below. `cargo bench --bench long_links` has the figures.

use crate::{
    common::scaled,
    far::{Far, rows},
    namespace,
};

/// What of its link the row must get at least, for so many bytes.
fn gets(name: &str, bytes: u64, floor: f64) {
    if !namespace::tun_available(&format!("long link {name}")) {
        return;
    }
    let row = rows().into_iter().find(|row| row.name == name).unwrap();
    let far = Far::new(&[row.shape], &[]);
    let _listener = far.listen("alice");
    let file = far.file("file", scaled(bytes, row.megabytes * 1_000_000));
    let share = far.share(&row.shape, &file);
    eprintln!("{}: {share:.2} of the link", row.what);
    assert!(share > floor, "{share:.2} of {}", row.what);
}

// A loss in a hundred packets, or one that is late, leaves CUBIC a hundredth of these.
#[test]
fn a_clean_link_is_filled() {
    gets("1", 20_000_000, 0.1);
}

#[test]
fn losses_by_chance_cost_what_is_lost() {
    gets("2", 20_000_000, 0.1);
}

#[test]
fn an_intercontinental_link_with_losses_is_filled() {
    gets("3", 20_000_000, 0.1);
}

#[test]
fn a_short_queue_and_few_losses_are_no_obstacle() {
    gets("4b", 10_000_000, 0.2);
}

#[test]
fn a_fast_link_is_filled() {
    gets("5", 20_000_000, 0.05);
}

#[test]
fn a_link_by_satellite_is_filled() {
    gets("6", 6_000_000, 0.1);
}

#[test]
fn a_home_uplink_is_filled() {
    gets("7", 5_000_000, 0.2);
}

#[test]
fn a_thin_link_with_many_losses_is_filled() {
    gets("8", 600_000, 0.1);
}

#[test]
fn late_packets_are_not_taken_for_lost() {
    gets("9", 20_000_000, 0.1);
}
