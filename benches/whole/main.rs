//! Whole processes against bare quinn and against other tools: the table of `docs/performance.md`.
//!
//! `cargo bench --bench whole` runs every case; `cargo bench --bench whole -- one fanout` runs those
//! that are named. `P2P_BENCH_ROUNDS` (default 3) is how often each is repeated, both sides in turn;
//! `P2P_BENCH_SCALE` (percent, default 100) makes files and counts smaller. Every figure is a ratio
//! within one run, or memory; times are medians. Linux only: it reads /proc.

mod bare;
mod cases;
mod cluster;
mod direct;
mod idle;
mod machine;
mod others;
mod settings;
mod world;

/// A case's name on the command line, and what runs it.
type Case = (&'static str, fn());

const CASES: [Case; 11] = [
    ("one", cases::one_file),
    ("fanout", cases::fan_out),
    ("direct", direct::one_file),
    ("others", others::one_file),
    ("small", others::small_files),
    ("stalled", cases::stalled),
    ("overtake", cases::overtaking),
    ("memory", cases::memory),
    ("idle", idle::idle),
    ("gso", cases::offload),
    ("cluster", cluster::cluster),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("bare") => return bare::play(&args[1..]),
        Some("idle-peers") => return idle::play(&args[1..]),
        _ => {}
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| CASES.iter().all(|(known, _)| known != *name))
    {
        let known: Vec<_> = CASES.iter().map(|(name, _)| *name).collect();
        eprintln!("no case {unknown}; there are {}", known.join(", "));
        std::process::exit(2);
    }
    for (name, run) in CASES {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            run();
        }
    }
}
