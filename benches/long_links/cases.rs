//! What is measured of `p2p`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use crate::{
    common::Proc,
    far::{Far, Row},
    link::Shape,
    tcp,
};

/// Cases that are no row of the table.
pub const CASES: [(&str, fn()); 6] = [
    ("small", small),
    ("known", known),
    ("beside", beside),
    ("ten", ten),
    ("shallow", shallow),
    ("slow", one_is_slow),
];

/// How often each is measured.
pub fn rounds() -> usize {
    from_env("P2P_BENCH_ROUNDS", 3)
}

/// A size at the scale that is asked for.
pub fn scaled(full: u64) -> u64 {
    (full * from_env::<u64>("P2P_BENCH_SCALE", 100) / 100).max(1)
}

fn from_env<T: std::str::FromStr>(name: &str, default: T) -> T {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The `p2p`s that are compared, and their names: this build's, if no others are named.
fn binaries() -> Vec<(String, Option<PathBuf>)> {
    let Some(named) = std::env::var_os("P2P_BENCH_BINARIES") else {
        return vec![("p2p".to_owned(), None)];
    };
    let name = |path: &PathBuf| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    std::env::split_paths(&named)
        .map(|path| (name(&path), Some(path)))
        .collect()
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One file over these links, as a share of them.
pub fn row(row: &Row, links: &[Shape], aim: f64) {
    let mut shares: Vec<Vec<f64>> = vec![Vec::new(); binaries().len()];
    let mut notes = vec![String::new(); binaries().len()];
    for _ in 0..rounds() {
        for (place, (_, binary)) in binaries().into_iter().enumerate() {
            let far = Far::with(binary, links, &[]);
            let _listener = far.listen("alice");
            let file = far.file("file", scaled(row.megabytes * 1_000_000));
            shares[place].push(far.share(&row.shape, &file));
            let seen = &far.links[0].seen[0];
            let packets = seen.packets.load(Relaxed).max(1);
            notes[place] = format!(
                "queue {} ms at most, {} on average; {:.2} % dropped; relay {} MiB",
                seen.longest.load(Relaxed) / 1_000,
                seen.waited.load(Relaxed) / packets / 1_000,
                seen.dropped.load(Relaxed) as f64 * 100.0 / packets as f64,
                far.relay_process.peak_rss() >> 20,
            );
        }
    }
    for (place, (name, _)) in binaries().into_iter().enumerate() {
        let all: Vec<_> = shares[place]
            .iter()
            .map(|share| format!("{share:.2}"))
            .collect();
        let share = median(shares[place].clone());
        let hops = links.len();
        println!(
            "{:>2} {:<38} {hops} {name:<6} {share:.2} (aim {aim:.2}; {}) {}",
            row.name,
            row.what,
            all.join(" "),
            notes[place]
        );
    }
}

fn show(what: &str, values: &[Vec<f64>], unit: &str, aim: &str) {
    for ((name, _), values) in binaries().iter().zip(values) {
        let all: Vec<_> = values.iter().map(|value| format!("{value:.2}")).collect();
        let middle = median(values.clone());
        println!(
            "{what:<44} {name:<6} {middle:.2} {unit} (aim {aim}; {})",
            all.join(" ")
        );
    }
}

/// Measures something with each binary in turn.
fn in_turn(mut measure: impl FnMut(Option<PathBuf>) -> f64) -> Vec<Vec<f64>> {
    let mut values = vec![Vec::new(); binaries().len()];
    for _ in 0..rounds() {
        for (place, (_, binary)) in binaries().into_iter().enumerate() {
            values[place].push(measure(binary));
        }
    }
    values
}

/// Small files over 80 ms: a first of 1 KiB, many, and one beside a large one.
fn small() {
    let shape = Shape::new(300.0, 80, 50, 0.0);
    let trip = 0.08;
    let values = in_turn(|binary| {
        let far = Far::with(binary, &[shape], &[]);
        let _listener = far.listen("alice");
        far.time(&far.file("little", 1024)).as_secs_f64() / trip
    });
    show("1 KiB, 80 ms to the relay", &values, "round trips", "<=3");
    let values = in_turn(|binary| {
        let far = Far::with(binary, &[shape, shape], &[]);
        let _listener = far.listen("alice");
        far.time(&far.file("little", 1024)).as_secs_f64() / trip
    });
    show(
        "1 KiB, 80 ms to the relay and 80 from it",
        &values,
        "round trips",
        "-",
    );

    let files = scaled(2_000);
    let values = in_turn(|binary| {
        let far = Far::with(binary, &[shape], &[]);
        let _listener = far.listen("alice");
        let tree = far.lab.folder().join("tree");
        fs::create_dir_all(&tree).unwrap();
        for number in 0..files {
            far.file(&format!("tree/{number}"), 4096);
        }
        far.time(&tree).as_secs_f64()
    });
    let aim = 1.5 * (files * 4096) as f64 / shape.content_rate() + 5.0 * trip;
    show(
        "2,000 files of 4 KiB, 80 ms",
        &values,
        "s",
        &format!("<={aim:.2}"),
    );

    let values = in_turn(|binary| {
        let far = Far::with(binary, &[shape], &[]);
        let _listener = far.listen("alice");
        let little = far.file("little", 1024);
        let idle = far.time(&little).as_secs_f64();
        let large = far.lab.sparse("large", 4 << 30);
        let bulk = Proc::start(far.send(&["--compress", "never"], &large));
        bulk.wait_event("progress");
        let busy: Vec<_> = (0..3).map(|_| far.time(&little).as_secs_f64()).collect();
        median(busy) / idle
    });
    show("1 KiB beside 4 GiB, to an idle link", &values, "x", "<3");
}

/// The first row again, by a sender that has sent over the same link before.
fn known() {
    let shape = Shape::new(300.0, 80, 50, 0.0);
    let values = in_turn(|binary| {
        let far = Far::with(binary, &[shape], &[]);
        let _listener = far.listen("alice");
        far.share(&shape, &far.file("before", scaled(200_000_000)));
        far.share(&shape, &far.file("file", scaled(200_000_000)))
    });
    show("300 Mbit/s, 80 ms, known", &values, "", "0.92");
}

/// What is delivered of a file without end, as its relay's link sees it.
struct Flow {
    process: Child,
}

impl Flow {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        Self { process }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Beside TCP with CUBIC and with BBR.
fn beside() {
    let shape = Shape::new(100.0, 20, 20, 0.0);
    for algorithm in ["cubic", "bbr"] {
        if !tcp::available(algorithm) {
            continue;
        }
        let seconds = 30;
        let values = in_turn(|binary| {
            let far = Far::with(binary, &[shape], &[]);
            let _listener = far.listen("alice");
            let large = far.lab.sparse("large", 8 << 30);
            let _server = tcp::serve(&far.relay);
            let flow = Proc::start(far.send(&["--compress", "never"], &large));
            flow.wait_event("progress");
            let seen = &far.links[0].seen[0];
            let before = seen.bytes.load(Relaxed);
            let tcp = tcp::client(&far.sender, algorithm, seconds);
            let all = seen.bytes.load(Relaxed) - before;
            let tcp = tcp * f64::from(seconds) / 8.0 * 1_500.0 / 1_448.0;
            1.0 - tcp / all as f64
        });
        show(
            &format!("share beside TCP {algorithm}, 30 s"),
            &values,
            "",
            "0.35 to 0.65",
        );
    }
}

/// Ten transfers at once: what the first has got, to what the last has.
fn ten() {
    let shape = Shape::new(100.0, 20, 20, 0.0);
    let values = in_turn(|binary| {
        let far = Far::with(binary, &[shape], &[]);
        let listeners: Vec<_> = (0..10).map(|n| far.listen(&format!("peer{n}"))).collect();
        let large = far.lab.sparse("large", 8 << 30);
        let flows: Vec<_> = (0..10)
            .map(|n| {
                let mut command = far.lab.command(&format!("sender{n}"));
                command.env("P2P_ROAD", "relay");
                command.args([
                    "--json",
                    "send",
                    "--compress",
                    "never",
                    "--to",
                    &format!("peer{n}"),
                ]);
                command.arg(&large);
                Flow::start(far.sender.inside(&command))
            })
            .collect();
        std::thread::sleep(Duration::from_secs(30));
        drop(flows);
        let got: Vec<_> = (0..10)
            .map(|n| stored(&far.lab.out(&format!("peer{n}"))))
            .collect();
        drop(listeners);
        let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
        *most as f64 / *least as f64
    });
    show("ten transfers, the most to the least", &values, "x", "<=2");
}

/// Bytes of everything in a folder.
fn stored(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// A queue of 5 ms.
fn shallow() {
    let shape = Shape::new(100.0, 20, 5, 0.0);
    let values = in_turn(|binary| {
        let far = Far::with(binary, &[shape], &[]);
        let _listener = far.listen("alice");
        far.share(&shape, &far.file("file", scaled(100_000_000)))
    });
    show("100 Mbit/s, 20 ms, queue 5 ms", &values, "", ">=0.85");
}

/// A broadcast to four, one of which has a tenth of the bandwidth.
fn one_is_slow() {
    let (fast, slow) = (
        Shape::new(300.0, 40, 50, 0.0),
        Shape::new(20.0, 40, 100, 0.0),
    );
    let values = |with_slow: bool| {
        in_turn(|binary| {
            let far = Far::with(binary, &[fast, slow], &[]);
            let near: Vec<_> = (0..3)
                .map(|n| far.listen_at(&far.relay, &format!("peer{n}")))
                .collect();
            let far_off = with_slow.then(|| far.listen("slow"));
            let file = far.file("file", scaled(100_000_000));
            let mut command = far.lab.command("sender");
            command.env("P2P_ROAD", "relay");
            command.args(["--json", "broadcast"]).arg(&file);
            let start = Instant::now();
            let sending = Proc::start(far.sender.inside(&command));
            for listener in &near {
                listener.wait_event("received");
            }
            let elapsed = start.elapsed().as_secs_f64();
            if let Some(slow_one) = &far_off {
                slow_one.wait_event("received");
                let share = scaled(100_000_000) as f64
                    / slow.content_rate()
                    / start.elapsed().as_secs_f64();
                println!("    the slow one: {share:.2} of its own link (aim 0.90)");
            }
            drop(sending);
            elapsed
        })
    };
    let (without, with) = (values(false), values(true));
    show("three recipients, 300 Mbit/s, 40 ms", &without, "s", "-");
    show("the same beside one at 20 Mbit/s", &with, "s", "the same");
}
