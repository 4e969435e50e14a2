//! Files in great numbers.

use std::{fs, io::Write, path::Path, time::Instant};

use super::common::{Lab, MIB, scaled};

#[test]
fn many_small_files_cost_no_memory_for_their_number() {
    let count = scaled(1500, 100_000);
    let (lab, relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let tree = lab.folder().join("many");
    for i in 0..count {
        let folder = tree.join((i / 500).to_string());
        if i % 500 == 0 {
            fs::create_dir_all(&folder).unwrap();
        }
        small(&folder.join(i.to_string()), i);
    }
    let start = Instant::now();
    let mut sender = lab.send("sender", &["--to", "alice"], &[&tree]);
    alice.wait_event("received");
    let first = start.elapsed();
    let tenth = usize::try_from(count / 10).unwrap();
    alice.wait_count("received", tenth);
    let rss = || [&sender, &relay, &alice].map(|process| process.rss());
    let before = rss();
    alice.wait_count("received", 9 * tenth);
    let after = rss();
    sender.expect(0);
    let took = start.elapsed();
    println!(
        "{count} files in {took:.1?}, the first after {first:.1?}; MiB after the first and the \
         ninth tenth: sender {}, relay {}, listener {}",
        grown(before[0], after[0]),
        grown(before[1], after[1]),
        grown(before[2], after[2]),
    );
    assert_eq!(lab.stored("alice").len() as u64, count);
    // A tenth of a small run is not enough to fill every buffer once.
    let slack = if count < 100_000 { 16 * MIB } else { 8 * MIB };
    for (before, after) in before.into_iter().zip(after) {
        assert!(after < before + slack, "from {before} to {after}");
    }
}

#[test]
fn the_first_file_arrives_before_the_last_is_looked_for() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let tree = lab.folder().join("many");
    let folders: Vec<_> = (0..100).map(|i| tree.join(i.to_string())).collect();
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
        for i in 0..50 {
            small(&folder.join(i.to_string()), i);
        }
    }
    // Slow enough for what follows to happen while the first folders are sent, and many more than are looked
    // for ahead.
    let options = ["--to", "alice", "--limit", "200k"];
    let mut sender = lab.send("sender", &options, &[&tree]);
    alice.wait_event("received");
    for folder in &folders {
        small(&folder.join("late"), 0);
    }
    sender.expect(0);
    let stored = lab.stored("alice");
    let late = stored.iter().filter(|path| path.ends_with("late")).count();
    assert!(late > 0, "the whole tree was walked before anything moved");
}

fn small(path: &Path, content: u64) {
    let mut file = fs::File::create(path).unwrap();
    file.write_all(&content.to_be_bytes()).unwrap();
}

fn grown(before: u64, after: u64) -> String {
    let mib = |bytes: u64| bytes as f64 / MIB as f64;
    format!("{:.1} → {:.1}", mib(before), mib(after))
}
