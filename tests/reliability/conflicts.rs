//! Names that are taken.

use std::{collections::HashSet, fs};

use super::common::{Lab, MIB, assert_same, digest};

#[test]
fn a_taken_name_is_renamed_overwritten_or_skipped_as_asked() {
    let (lab, _relay) = Lab::new();
    let listeners =
        ["rename", "overwrite", "skip"].map(|how| (how, lab.listen(how, &["--conflict", how])));
    let file = lab.file("n.txt", 1000);
    for (who, _) in &listeners {
        fs::write(lab.out(who).join("n.txt"), "old").unwrap();
        let mut sender = lab.send("sender", &["--to", who], &[&file]);
        let code = sender.wait();
        let out = lab.out(who);
        match *who {
            "rename" => {
                assert_eq!(code, 0);
                assert_eq!(fs::read(out.join("n.txt")).unwrap(), b"old");
                assert_same(&file, &out.join("n (1).txt"));
            }
            "overwrite" => {
                assert_eq!(code, 0);
                assert_same(&file, &out.join("n.txt"));
                assert_eq!(lab.stored(who), ["n.txt"]);
            }
            _ => {
                assert_ne!(code, 0, "a file that was not stored is not delivered");
                assert_eq!(fs::read(out.join("n.txt")).unwrap(), b"old");
                assert_eq!(lab.stored(who), ["n.txt"]);
            }
        }
    }
}

#[test]
fn identical_content_is_not_sent_again() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &["--conflict", "skip"]);
    let file = lab.file("same.bin", 2 * MIB);
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    let mut again = lab.send("sender", &["--to", "alice"], &[&file]);
    again.expect(0);
    assert_eq!(again.wait_event("delivered")["already_there"], true);
    alice.wait_count("received", 2);
    assert_eq!(lab.stored("alice"), ["same.bin"]);
}

#[test]
fn twenty_senders_of_one_name_make_twenty_files() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let mut sent = HashSet::new();
    let mut senders: Vec<_> = (0..20)
        .map(|i| {
            let file = lab.file(&format!("{i}/name.txt"), 1000 + i);
            sent.insert(digest(&file));
            lab.send(&format!("s{i}"), &["--to", "alice"], &[&file])
        })
        .collect();
    for sender in &mut senders {
        sender.expect(0);
    }
    let stored = lab.stored("alice");
    assert_eq!(stored.len(), 20, "{stored:?}");
    let received: HashSet<_> = stored
        .iter()
        .map(|name| digest(&lab.out("alice").join(name)))
        .collect();
    assert_eq!(sent, received);
}
