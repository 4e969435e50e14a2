use std::fs;

use super::*;
use crate::storage::testing::{Place, incoming};

const JOB: [u8; 16] = [9; 16];

fn sender() -> PeerId {
    PeerId::from_bytes([7; 32])
}

fn path(text: &str) -> RelativePath {
    text.parse().unwrap()
}

fn done(text: &str) -> Done {
    Done {
        stored: format!("{text} (1)").parse().unwrap(),
        len: 3,
        blake3: blake3::hash(text.as_bytes()),
    }
}

pub(super) fn open(directory: &Path) -> (Journal, bool) {
    Journal::open(directory, &sender(), &JOB).unwrap()
}

/// A journal with these names in it, and its file.
pub(super) fn written(directory: &Path, names: &[&str]) -> PathBuf {
    let (mut journal, _) = open(directory);
    for name in names {
        journal
            .done(&path(name), Some(3), Some((1, 2)), &done(name), None)
            .unwrap();
    }
    journal.path.clone()
}

#[test]
fn the_next_attempt_knows_what_is_stored_and_only_that() {
    let temp = tempfile::tempdir().unwrap();
    written(temp.path(), &["t/a", "t/\"b\"文"]);
    let (journal, had_entries) = open(temp.path());
    assert!(had_entries);
    for name in ["t/a", "t/\"b\"文"] {
        let found = journal.lookup(&path(name), Some(3), Some((1, 2)));
        assert_eq!(found, Some(done(name)));
    }
    for (name, size, modified) in [
        ("t/c", Some(3), Some((1, 2))),
        ("t/a", Some(4), Some((1, 2))),
        ("t/a", None, Some((1, 2))),
        ("t/a", Some(3), Some((1, 3))),
        ("t/a", Some(3), None),
    ] {
        assert_eq!(journal.lookup(&path(name), size, modified), None);
    }
}

#[test]
fn each_job_of_each_sender_has_its_own() {
    let temp = tempfile::tempdir().unwrap();
    written(temp.path(), &["a"]);
    let other = PeerId::from_bytes([8; 32]);
    assert!(!Journal::open(temp.path(), &other, &JOB).unwrap().1);
    assert!(!Journal::open(temp.path(), &sender(), &[1; 16]).unwrap().1);
    let (journal, had_entries) = open(temp.path());
    assert!(had_entries);
    journal.finish().unwrap();
    assert!(!open(temp.path()).1);
}

#[test]
fn a_part_that_is_left_keeps_the_journal_and_one_of_an_older_version_goes() {
    let place = Place::new();
    let journals = place.temp.path().join("journal");
    let begin = |journal: &mut Journal, size: usize| {
        let mut partial = place.target.begin(&incoming("t/a", size)).unwrap();
        journal.partial(&place.target, &partial).unwrap();
        partial.write_all(b"half").unwrap();
        place.out().join(partial.partial_path())
    };
    let (mut journal, _) = open(&journals);
    let old = begin(&mut journal, 8);
    journal.finish().unwrap();
    assert!(old.exists(), "a file that failed can be gone on with");

    let (mut journal, had_entries) = open(&journals);
    assert!(had_entries);
    let new = begin(&mut journal, 9);
    assert!(
        !old.exists() && new.exists(),
        "of the older version nothing stays"
    );
    drop(journal);
    let (mut journal, _) = open(&journals);
    // The file has become a small one, which has no part that is noted.
    journal
        .done(&path("t/a"), Some(3), None, &done("t/a"), None)
        .unwrap();
    assert!(!new.exists());
    journal.finish().unwrap();
    assert!(!open(&journals).1, "nothing is left of it");
}

#[test]
fn a_line_cut_anywhere_costs_only_itself() {
    let temp = tempfile::tempdir().unwrap();
    let log = written(temp.path(), &["a", "b"]);
    let whole = fs::read(&log).unwrap();
    let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    for cut in first..whole.len() {
        fs::write(&log, &whole[..cut]).unwrap();
        let (mut journal, _) = open(temp.path());
        let known =
            |journal: &Journal, name| journal.lookup(&path(name), Some(3), Some((1, 2))).is_some();
        assert!(known(&journal, "a") && !known(&journal, "b"));
        journal
            .done(&path("c"), Some(3), Some((1, 2)), &done("c"), None)
            .unwrap();
        drop(journal);
        let (journal, _) = open(temp.path());
        assert!(known(&journal, "a") && known(&journal, "c"));
    }
}

#[test]
fn a_spoilt_journal_is_an_empty_one() {
    let temp = tempfile::tempdir().unwrap();
    let log = written(temp.path(), &["a"]);
    for garbage in [
        &b"\n\n\xff\xfe\n{}\n[]\nnull\n"[..],
        &b"x".repeat(3 * LINE_MAX),
        br#"{"done":{"path":"../a","size":3,"modified":null,"stored":"/x","len":3,"blake3":""}}
"#,
    ] {
        fs::write(&log, garbage).unwrap();
        assert!(!open(temp.path()).1);
    }
}

#[cfg(unix)]
#[test]
fn what_has_its_name_and_is_no_file_is_neither_waited_for_nor_in_the_way() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let temp = tempfile::tempdir().unwrap();
    let log = written(temp.path(), &["a"]);
    let elsewhere = temp.path().join("elsewhere");
    fs::write(&elsewhere, "").unwrap();
    let plants: [&dyn Fn(); 3] = [
        &|| fs::create_dir(&log).unwrap(),
        &|| mknodat(CWD, &log, FileType::Fifo, Mode::RWXU, 0).unwrap(),
        &|| std::os::unix::fs::symlink(&elsewhere, &log).unwrap(),
    ];
    for plant in plants {
        let _ = fs::remove_file(&log).or_else(|_| fs::remove_dir(&log));
        plant();
        let (mut journal, had_entries) = open(temp.path());
        assert!(!had_entries);
        journal
            .done(&path("b"), None, None, &done("b"), None)
            .unwrap();
        journal.finish().unwrap();
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"");
}

#[test]
fn a_second_process_does_not_write_into_the_same_one() {
    let temp = tempfile::tempdir().unwrap();
    let (mut first, _) = open(temp.path());
    let (mut second, had_entries) = open(temp.path());
    assert!(!had_entries);
    for (journal, name) in [(&mut first, "a"), (&mut second, "b")] {
        journal
            .done(&path(name), None, None, &done(name), None)
            .unwrap();
    }
    second.finish().unwrap();
    drop(first);
    assert!(open(temp.path()).0.lookup(&path("a"), None, None).is_some());
}
