//! The largest numbers that a message can hold, where small ones are expected.

use std::sync::Arc;

use p2p::{
    identity::Identity,
    protocol::SafeText,
    sealing::{JobId, Manifest, ManifestEntry, ModifiedTime},
};

use super::{
    common::{Lab, MIB, assert_same},
    listener::run,
    member::{Mallory, directory, file, link},
};

const MOST: u64 = u64::MAX;

fn manifests() -> Vec<Manifest> {
    let names = |size| {
        let entry = move |n: u64| ManifestEntry {
            path: SafeText::new(&format!("f{n}")),
            size,
        };
        (0..32).map(entry).collect::<Vec<_>>()
    };
    let of = |files, bytes, size| Manifest {
        files,
        bytes,
        names: names(size),
        ..Manifest::new(JobId::generate())
    };
    vec![
        of(Some(MOST), Some(MOST), Some(MOST)),
        of(Some(0), Some(0), Some(MOST)),
        of(None, None, Some(MOST)),
        of(Some(MOST), None, None),
        of(Some(32), Some(MOST - 1), Some(MOST / 2)),
    ]
}

#[test]
fn the_largest_numbers_of_a_sender_break_no_listener() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let other = Arc::new(Identity::generate());
    run(async {
        let invite = lab.invite().parse().unwrap();
        let mut mallory = Mallory::enter(&invite, &other).await;
        for manifest in manifests() {
            let (transfer, _) = mallory.offer(&manifest).await;
            mallory.end(transfer, MOST).await;
            mallory.close(transfer).await;
        }
        let mut files = Vec::new();
        for (number, mtime) in [
            ModifiedTime(i64::MIN, u32::MAX),
            ModifiedTime(i64::MAX, u32::MAX),
            ModifiedTime(i64::MAX, 999_999_999),
            ModifiedTime(i64::MIN, 0),
        ]
        .into_iter()
        .enumerate()
        {
            for (mut head, content) in [
                file(&format!("{number}.txt")),
                directory(&format!("{number}")),
                link(&format!("{number}.l"), "0.txt"),
            ] {
                head.mtime = Some(mtime);
                head.mode = Some(u32::MAX);
                files.push((head, content));
            }
        }
        // What it is, not what it claims.
        let dated = mallory.send(&files, None).await;
        println!("{dated:?}");
        let (mut head, _) = file("huge.bin");
        head.size = Some(MOST);
        let refused = mallory.begin(&head).await;
        assert!(refused.contains("no space"), "{refused}");
        // It may be all holes; of these none comes.
        head.sparse = true;
        let manifest = Manifest::new(JobId::generate());
        drop(mallory.beginning(&manifest, &head).await);
    });
    let honest = lab.file("honest.bin", MIB);
    lab.send("honest", &["--to", "alice"], &[&honest]).expect(0);
    assert_same(&honest, &lab.out("alice").join("honest.bin"));
    assert!(!alice.stderr().contains("panicked"), "{}", alice.stderr());
}
