//! One file from peer to peer, without a relay in between.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use super::{
    bare,
    machine::median_time,
    others::{Ssh, sendme, with_tool},
    settings::{rounds, row, scaled, skipped},
    world::World,
};

const MIB: u64 = 1 << 20;
/// The packets of an ordinary network, of jumbo frames, and what discovery finds on loopback.
const MTUS: [u16; 2] = [1452, 6500];
/// What goes before both sides in turn.
const ROAD: (&str, &str) = ("P2P_ROAD", "direct");

/// Against bare quinn on one hop, and against scp and sendme.
pub fn one_file() {
    let bytes = scaled(1024) * MIB;
    for mtu in MTUS {
        let world = World::new(Some(mtu));
        let listener = world.listen_with("alice", &[ROAD]);
        let file = world.file("file", bytes);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let before = world.relay.usage();
        for _ in 0..rounds() {
            theirs.push(bare::one_hop(world.folder(), mtu, bytes));
            ours.push(send(&world, &file));
        }
        let (ours, theirs) = (median_time(&ours), median_time(&theirs));
        row(
            &format!("{} MiB direct against bare one hop, MTU {mtu}", bytes / MIB),
            &format!("{:.2}", theirs / ours),
            ">= 0.80",
            theirs / ours >= 0.80,
            &format!("{ours:.2} s against {theirs:.2} s"),
        );
        let cpu = world.relay.usage().since(&before).cpu;
        let peak = listener.usage().peak / MIB;
        println!("    relay's processor time {cpu:.2} s in all; listener's peak {peak} MiB");
    }
    let world = World::new(None);
    let _listener = world.listen_with("alice", &[ROAD]);
    let (file, out) = (world.file("file", bytes), world.folder().join("copy"));
    match Ssh::start(world.folder()) {
        Ok(ssh) => compare(&world, &file, ("scp", 0.45), || ssh.scp(&file, &out)),
        Err(why) => skipped("direct against scp", &why),
    }
    with_tool("sendme", |tool| {
        compare(&world, &file, ("sendme", 0.25), || {
            sendme(&tool, &file, world.folder())
        });
    });
}

fn compare(
    world: &World,
    file: &std::path::Path,
    (tool, aim): (&str, f64),
    other: impl Fn() -> Duration,
) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        theirs.push(other());
        ours.push(send(world, file));
    }
    let (ours, theirs) = (median_time(&ours), median_time(&theirs));
    row(
        &format!("direct, time against {tool}"),
        &format!("{:.2}", ours / theirs),
        &format!("<= {aim}"),
        ours / theirs <= aim,
        &format!("{ours:.2} s against {theirs:.2} s"),
    );
}

fn send(world: &World, file: &std::path::Path) -> Duration {
    world.forget();
    let mut command = world.command("sender");
    command.args(["send", "--to", "alice"]).arg(file);
    command.env(ROAD.0, ROAD.1).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap();
    let elapsed = start.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    elapsed
}
