//! The cases in which `p2p` is compared with bare quinn, or with itself.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    bare,
    machine::{Lines, median, median_time},
    settings::{rounds, row, scaled},
    world::World,
};

const MIB: u64 = 1 << 20;
/// An ordinary network's packets, and the largest that `p2p` tries.
const MTUS: [(u16, f64); 2] = [(1452, 0.80), (6500, 0.60)];

/// One file through the relay, against a bare relay; and the relay's processor time.
pub fn one_file() {
    let bytes = scaled(1024) * MIB;
    for (mtu, aim) in MTUS {
        let world = World::new(Some(mtu));
        let listener = world.listen("alice");
        let file = world.file("file", bytes);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let (mut our_cpu, mut their_cpu) = (Vec::new(), Vec::new());
        for _ in 0..rounds() {
            let run = bare::run(world.folder(), mtu, bytes, 1);
            theirs.push(run.elapsed);
            their_cpu.push(run.relay.cpu);
            let before = world.relay.usage();
            ours.push(world.time(&["send", "--to", "alice"], &file));
            our_cpu.push(world.relay.usage().since(&before).cpu);
        }
        let (ours, theirs) = (median_time(&ours), median_time(&theirs));
        ratio(
            &format!("one file of {} MiB, MTU {mtu}", bytes / MIB),
            (theirs / ours, aim),
            &format!("{} against bare {}", rate(bytes, ours), rate(bytes, theirs)),
        );
        let (ours, theirs) = (median(our_cpu), median(their_cpu));
        at_most(
            &format!("relay's processor time, MTU {mtu}"),
            (ours / theirs, 1.15),
            &format!("{ours:.2} s against bare {theirs:.2} s"),
        );
        let peak = listener.usage().peak / MIB;
        println!("    listener's peak {peak} MiB");
    }
}

/// A broadcast to eight, against a bare fan-out.
pub fn fan_out() {
    const RECEIVERS: usize = 8;
    let bytes = scaled(256) * MIB;
    for (mtu, aim) in MTUS {
        let world = World::new(Some(mtu));
        let _listeners = world.listen_all(RECEIVERS);
        let file = world.file("file", bytes);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let (mut our_cpu, mut their_cpu) = (Vec::new(), Vec::new());
        for _ in 0..rounds() {
            let run = bare::run(world.folder(), mtu, bytes, RECEIVERS);
            theirs.push(run.elapsed);
            their_cpu.push(run.relay.cpu);
            let before = world.relay.usage();
            ours.push(world.time(&["broadcast"], &file));
            our_cpu.push(world.relay.usage().since(&before).cpu);
        }
        let (ours, theirs) = (median_time(&ours), median_time(&theirs));
        let egress = bytes * RECEIVERS as u64;
        ratio(
            &format!("broadcast of {} MiB to 8, MTU {mtu}", bytes / MIB),
            (theirs / ours, aim),
            &format!(
                "egress {} against bare {}",
                rate(egress, ours),
                rate(egress, theirs)
            ),
        );
        let (ours, theirs) = (median(our_cpu), median(their_cpu));
        println!("    relay's processor time {ours:.2} s against bare {theirs:.2} s");
    }
}

/// How much seven recipients lose when the eighth is stopped, or slow.
pub fn stalled() {
    let bytes = scaled(256) * MIB;
    let world = World::new(None);
    let mut listeners = world.listen_all(7);
    let file = world.file("file", bytes);
    let mut number = 0;
    let mut others = |world: &World, stop: Option<&Lines>| {
        // Another name is another job: none resumes what was broken off before.
        number += 1;
        let copy = world.folder().join(format!("file{number}"));
        std::fs::hard_link(&file, &copy).unwrap();
        let mut command = world.command("sender");
        command.args(["broadcast", "--timeout", "2s"]).arg(&copy);
        let start = Instant::now();
        let mut sender = Lines::spawn(command);
        if let Some(listener) = stop {
            sender.event("progress");
            listener.signal(Signal::STOP);
        }
        for _ in 0..7 {
            while sender.event("delivered")["peer_name"] == "peer7" {}
        }
        let elapsed = start.elapsed();
        sender.signal(Signal::INT);
        sender.drain();
        sender.wait();
        for peer in 0..8 {
            let stored = world.folder().join(format!("peer{peer}/out/file{number}"));
            let _ = std::fs::remove_file(stored);
        }
        elapsed
    };
    let alone: Vec<_> = (0..rounds()).map(|_| others(&world, None)).collect();
    listeners.push(world.listen("peer7"));
    let (mut healthy, mut stopped) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        healthy.push(others(&world, None));
        stopped.push(others(&world, Some(&listeners[7])));
        listeners[7].signal(Signal::CONT);
        std::thread::sleep(Duration::from_secs(1));
    }
    drop(listeners.pop());
    let slow_world = &world;
    let slow: Vec<_> = (0..rounds())
        .map(|_| {
            let slow = Slow::listen(slow_world, "peer7", MIB);
            let elapsed = others(slow_world, None);
            drop(slow);
            elapsed
        })
        .collect();
    let [alone, healthy, stopped, slow] = [alone, healthy, stopped, slow].map(|t| median_time(&t));
    at_most(
        "seven of eight, the eighth stopped, to the eighth healthy",
        (stopped / healthy, 1.05),
        &format!("{stopped:.2} s, {healthy:.2} s; seven alone {alone:.2} s"),
    );
    at_most(
        "seven of eight, the eighth at 1 MB/s, to the eighth healthy",
        (slow / healthy, 1.05),
        &format!("{slow:.2} s, {healthy:.2} s"),
    );
}

/// A listener whose output is read slowly.
struct Slow {
    _listener: Lines,
}

impl Slow {
    fn listen(world: &World, name: &str, rate: u64) -> Self {
        let mut command = world.command(name);
        // The bytes go to standard output, the events nowhere: it is known to have joined by
        // what the relay says.
        command.args(["listen", "--once", "--name", name, "--out", "-"]);
        let mut shell = std::process::Command::new("sh");
        let args: Vec<_> = command.get_args().filter(|arg| *arg != "--json").collect();
        shell
            .arg("-c")
            .arg(r#"exec 3>&1; "$@" 3>&- | { while :; do head -c "$RATE" >/dev/null || break; sleep 1; done; }"#)
            .arg("slow")
            .arg(command.get_program())
            .args(args)
            .env("RATE", rate.to_string())
            .stderr(Stdio::null());
        let listener = Lines::spawn(shell);
        let present = || {
            let out = world.command("sender").arg("peers").output().unwrap();
            BufReader::new(&out.stdout[..])
                .lines()
                .map_while(Result::ok)
                .any(|line| line.contains(name) && line.contains("listening"))
        };
        while !present() {
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            _listener: listener,
        }
    }
}

/// A small file while a large one is under way between the same two, against an idle connection.
pub fn overtaking() {
    let bytes = scaled(4096) * MIB;
    let world = World::new(None);
    let _listener = world.listen("alice");
    let small = world.file("small", 1024);
    let large = world.file("large", bytes);
    let to_alice = ["send", "--to", "alice"];
    let time = || world.time(&to_alice, &small).as_secs_f64();
    let idle: Vec<f64> = (0..20).map(|_| time()).collect();
    let mut command = world.command("sender");
    command.args(to_alice).arg(&large);
    let mut bulk = Lines::spawn(command);
    bulk.event("progress");
    let busy: Vec<f64> = (0..20).map(|_| time()).collect();
    let under_way = bulk
        .next_line()
        .is_some_and(|line| line.contains("progress"));
    bulk.drain();
    assert!(bulk.wait(), "the large file arrived");
    let (idle, busy) = (median(idle), median(busy));
    at_most(
        &format!(
            "1 KiB beside {} MiB under way, to an idle relay",
            bytes / MIB
        ),
        (busy / idle, 3.0),
        &format!(
            "medians of 20: {:.0} ms, {:.0} ms; the large file {}",
            busy * 1e3,
            idle * 1e3,
            if under_way {
                "was under way"
            } else {
                "MAY HAVE ENDED"
            }
        ),
    );
}

/// The most memory that the relay, a sender and a listener took.
pub fn memory() {
    let bytes = scaled(4096) * MIB;
    let world = World::new(None);
    let listener = world.listen("alice");
    let file = world.file("large", bytes);
    let mut command = world.command("sender");
    command.args(["send", "--to", "alice"]).arg(&file);
    let mut sender = Lines::spawn(command);
    let mut peak = 0;
    while let Some(line) = sender.next_line() {
        peak = peak.max(sender.usage().peak);
        drop(line);
    }
    let what = format!("{} MiB relayed", bytes / MIB);
    mebibytes(
        &format!("relay's peak memory, {what}"),
        world.relay.usage().peak,
        48,
    );
    mebibytes(&format!("sender's peak memory, {what}"), peak, 64);
    mebibytes(
        &format!("listener's peak memory, {what}"),
        listener.usage().peak,
        64,
    );
    drop((sender, listener));

    let bytes = scaled(256) * MIB;
    let world = World::new(None);
    let listeners = world.listen_all(32);
    let file = world.file("file", bytes);
    listeners[31].signal(Signal::STOP);
    let mut command = world.command("sender");
    command.args(["broadcast", "--timeout", "3s"]).arg(&file);
    let mut sender = Lines::spawn(command);
    let mut delivered = 0;
    while let Some(line) = sender.next_line() {
        delivered += usize::from(line.contains(r#""event":"delivered""#));
    }
    assert_eq!(delivered, 31, "all but the stopped one");
    mebibytes(
        &format!(
            "relay's peak memory, {} MiB to 32, one stopped",
            bytes / MIB
        ),
        world.relay.usage().peak,
        96,
    );
}

/// Whether the system takes several packets in one call, and gives several.
pub fn offload() {
    let mut text = String::new();
    let mut command = World::new(None).command("sender");
    command.args(["-vv", "peers"]).stderr(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let _ = child.wait();
    let line = text.lines().find(|line| line.contains("offload"));
    println!(
        "{}",
        line.unwrap_or("nothing was said about segmentation offload")
    );
}

fn rate(bytes: u64, seconds: f64) -> String {
    format!("{:.0} MB/s", bytes as f64 / seconds / 1e6)
}

pub fn ratio(what: &str, (ratio, aim): (f64, f64), details: &str) {
    row(
        what,
        &format!("{ratio:.2}x"),
        &format!(">={aim:.2}"),
        ratio >= aim,
        details,
    );
}

pub fn at_most(what: &str, (ratio, aim): (f64, f64), details: &str) {
    row(
        what,
        &format!("{ratio:.2}x"),
        &format!("<={aim:.2}"),
        ratio <= aim,
        details,
    );
}

fn mebibytes(what: &str, bytes: u64, aim: u64) {
    let value = bytes as f64 / MIB as f64;
    row(
        what,
        &format!("{value:.1} MiB"),
        &format!("<{aim} MiB"),
        bytes < aim * MIB,
        "",
    );
}
