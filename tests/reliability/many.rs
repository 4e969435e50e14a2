//! Files in great numbers.

use std::{fs, io::Write};

use super::common::{Lab, MIB, scaled};

#[test]
fn many_small_files_cost_no_memory_for_their_number() {
    let count = scaled(1000, 100_000);
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let tree = lab.folder().join("many");
    for i in 0..count {
        let folder = tree.join((i / 500).to_string());
        if i % 500 == 0 {
            fs::create_dir_all(&folder).unwrap();
        }
        fs::File::create(folder.join(i.to_string()))
            .unwrap()
            .write_all(&i.to_be_bytes())
            .unwrap();
    }
    let mut sender = lab.send("sender", &["--to", "alice"], &[&tree]);
    let tenth = usize::try_from(count / 10).unwrap();
    alice.wait_where("received", tenth, |_| true);
    let before = [alice.rss(), sender.rss()];
    alice.wait_where("received", 9 * tenth, |_| true);
    let after = [alice.peak_rss(), sender.peak_rss()];
    sender.expect(0);
    assert_eq!(lab.stored("alice").len() as u64, count);
    for (before, after) in before.into_iter().zip(after) {
        assert!(after < before + 16 * MIB, "from {before} to {after}");
    }
}
