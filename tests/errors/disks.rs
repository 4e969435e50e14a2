//! What disks do meanwhile: sources that change, links that lead nowhere, directories that are removed.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::Path,
    time::{Duration, Instant},
};

use super::{
    common::{Lab, MIB, PATIENCE, assert_same, text},
    fails,
};

/// Files that are not whole, anywhere below a directory.
fn parts(out: &Path) -> Vec<String> {
    let found = walkdir::WalkDir::new(out).into_iter().map(Result::unwrap);
    let names = found.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".p2p-")).collect()
}

/// Waits until no file is there that is not whole.
#[track_caller]
pub fn without_parts(out: &Path) {
    let end = Instant::now() + PATIENCE;
    while !parts(out).is_empty() {
        assert!(Instant::now() < end, "they stay: {:?}", parts(out));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_source_that_is_rewritten_in_place_and_gets_its_time_back_exits_7_and_leaves_nothing() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let bob = lab.listen("bob", &[]);
    let file = lab.file("x.bin", 4 * MIB);
    let options = ["--to", "alice", "--to", "bob", "--limit", "2Mi"];
    let sender = lab.send("sender", &options, &[&file]);
    for listener in [&alice, &bob] {
        listener.wait_where("progress", 1, |e| e["bytes"].as_u64() >= Some(MIB));
    }
    // Both what has been sent already and what has not; then nothing but the change time tells.
    let before = fs::metadata(&file).unwrap();
    let open = fs::File::options().write(true).open(&file).unwrap();
    for at in [0, 4 * MIB - 8] {
        open.write_all_at(b"rewritten"[..8].as_ref(), at).unwrap();
    }
    open.set_modified(before.modified().unwrap()).unwrap();
    drop(open);
    let after = fs::metadata(&file).unwrap();
    assert_eq!(
        (after.len(), after.modified().unwrap()),
        (before.len(), before.modified().unwrap())
    );
    fails(sender, 7, &["x.bin", "while it was being sent"]);
    for (name, listener) in [("alice", &alice), ("bob", &bob)] {
        listener.wait_event("done");
        assert!(lab.stored(name).is_empty() && listener.events("received").is_empty());
        without_parts(&lab.out(name));
    }
    // What is there now is sent anew, from its beginning.
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    assert_same(&file, &lab.out("alice").join("x.bin"));
    assert_eq!(alice.wait_event("received")["resumed_from"], 0);
}

#[test]
fn a_link_that_leads_nowhere_is_named_and_exits_7() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("x.txt", 10);
    let link = lab.folder().join("dangling");
    symlink("nowhere", &link).unwrap();
    for paths in [&[&link][..], &[&file, &link]] {
        let sender = lab.send("sender", &["--to", "alice"], paths);
        fails(sender, 7, &["dangling", "a link to \"nowhere\""]);
    }
    assert!(lab.stored("alice").is_empty());
    // One that leads to a file is that file.
    fs::remove_file(&link).unwrap();
    symlink("x.txt", &link).unwrap();
    lab.send("sender", &["--to", "alice"], &[&link]).expect(0);
    assert_same(&file, &lab.out("alice").join("dangling"));
}

#[test]
fn a_directory_that_is_removed_under_a_listener_is_made_again() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let out = lab.folder().join("out-alice");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o750)).unwrap();
    let file = lab.file("x.bin", MIB);
    lab.file("tree/a", 100);
    lab.file("tree/b", MIB);
    let send = |path: &Path| lab.send("sender", &["--to", "alice"], &[path]).expect(0);
    send(&file);
    // Made again by somebody else, and by nobody.
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir(&out).unwrap();
    send(&file);
    assert_same(&file, &out.join("x.bin"));
    fs::remove_dir_all(&out).unwrap();
    send(&lab.folder().join("tree"));
    assert_same(&lab.folder().join("tree/b"), &out.join("tree/b"));
    fs::remove_dir_all(&out).unwrap();
    send(&file);
    assert_same(&file, &out.join("x.bin"));
    assert!(alice.events("failed").is_empty());
    // Somebody may have had a reason for its permissions.
    fs::set_permissions(&out, fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_dir_all(&out).unwrap();
    send(&file);
    let mode = fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_directory_that_is_removed_with_its_parent_is_told_to_the_sender_as_7_without_its_path() {
    let (lab, _relay) = Lab::new();
    let parent = lab.folder().join("disk");
    let out = parent.join("in");
    fs::create_dir_all(&out).unwrap();
    let out = out.to_str().unwrap();
    let alice = lab.run("alice", ["listen", "--name", "alice", "--out", out]);
    alice.wait_event("joined");
    let file = lab.file("x.bin", 4 * MIB);
    let send = |options: &[&str]| {
        let options = [&["--to", "alice"], options].concat();
        lab.send("sender", &options, &[&file])
    };
    // Under way, and before anything has begun: as when a disk is taken out.
    let under_way = send(&["--limit", "2Mi"]);
    alice.wait_event("progress");
    fs::remove_dir_all(&parent).unwrap();
    for sender in [under_way, send(&[])] {
        let said = fails(sender, 7, &["alice"]);
        assert!(!said.contains("disk"), "{said}");
    }
    let reasons: Vec<_> = alice
        .events("failed")
        .iter()
        .map(|e| text(e, "reason"))
        .collect();
    let is_gone = |reason: &String| reason == "the recipient's directory is gone";
    assert!(
        reasons.len() >= 2 && reasons.iter().all(is_gone),
        "{reasons:?}"
    );
    let notice = text(&alice.wait_event("notice"), "text");
    assert!(
        notice.contains(&format!("the directory {out:?} is gone")),
        "{notice}"
    );
    assert!(!parent.exists(), "nothing was put where it was");
    // It is back.
    fs::create_dir_all(out).unwrap();
    send(&[]).expect(0);
    assert_same(&file, &Path::new(out).join("x.bin"));
}
