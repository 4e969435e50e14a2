//! Transfers that people can rely on: trees, pipes, resume after any kill, conflicts, policies.

mod common;

use std::{
    collections::HashSet,
    fs,
    io::{Read, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};

use common::{Lab, MIB, Proc, Signal, assert_same, digest, fill, scaled, text};

#[test]
fn a_tree_arrives_whole() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let tree = lab.folder().join("tree");
    fs::create_dir_all(tree.join("sub/empty")).unwrap();
    for name in ["ünï 文.txt", "sub/файл.csv", "سلام", "emoji 🦀.md", "zero"] {
        fs::write(tree.join(name), name).unwrap();
    }
    fs::write(tree.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(tree.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../zero", tree.join("sub/link")).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let zero = fs::File::options()
        .write(true)
        .open(tree.join("zero"))
        .unwrap();
    zero.set_modified(long_ago).unwrap();

    lab.send("sender", &["--to", "alice"], &[&tree]).expect(0);
    let out = lab.out("alice").join("tree");
    assert!(out.join("sub/empty").is_dir());
    for name in ["ünï 文.txt", "sub/файл.csv", "سلام", "emoji 🦀.md", "zero"] {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), name);
    }
    let mode = |name| fs::metadata(out.join(name)).unwrap().permissions().mode();
    assert_eq!(
        (mode("run.sh") & 0o111 != 0, mode("zero") & 0o111),
        (true, 0)
    );
    assert_eq!(
        fs::read_link(out.join("sub/link")).unwrap(),
        Path::new("../zero")
    );
    assert_eq!(
        fs::metadata(out.join("zero")).unwrap().modified().unwrap(),
        long_ago
    );
}

#[test]
fn a_symlink_that_leaves_the_tree_is_refused_and_named() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let tree = lab.folder().join("tree");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("good.txt"), "good").unwrap();
    symlink("../../etc/passwd", tree.join("up")).unwrap();
    symlink("/etc/passwd", tree.join("absolute")).unwrap();
    let mut sender = lab.send("sender", &["--to", "alice"], &[&tree]);
    sender.expect(7);
    let said = format!("{}{:?}", sender.stderr(), sender.events("failed"));
    assert!(said.contains("up") && said.contains("absolute"), "{said}");
    assert_eq!(lab.stored("alice"), ["tree/good.txt"]);
}

#[test]
fn what_is_excluded_stays_behind() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    for name in [
        "t/keep.txt",
        "t/drop.tmp",
        "t/sub/drop.tmp",
        "t/cache/inside.txt",
    ] {
        lab.file(name, 10);
    }
    let options = ["--to", "alice", "--exclude", "*.tmp", "--exclude", "cache"];
    lab.send("sender", &options, &[lab.folder().join("t")])
        .expect(0);
    assert_eq!(lab.stored("alice"), ["t/keep.txt"]);
}

#[test]
fn a_pipe_is_stored_under_the_name_that_it_is_given() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("in.bin", 5 * MIB + 3);
    let mut command = lab.command("sender");
    command.args([
        "--json",
        "send",
        "--to",
        "alice",
        "--name",
        "piped.tar",
        "-",
    ]);
    command.stdin(fs::File::open(&file).unwrap());
    Proc::start(command).expect(0);
    assert_same(&file, &lab.out("alice").join("piped.tar"));
}

#[test]
fn once_to_standard_output_writes_the_verified_bytes_and_exits_0() {
    let (lab, _relay) = Lab::new();
    let mut alice = lab
        .command("alice")
        .args(["listen", "--name", "alice", "--once", "--out", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let file = lab.file("x.bin", 3 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--wait", "30s"], &[&file]);
    let mut bytes = Vec::new();
    alice
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(alice.wait().unwrap().code(), Some(0));
    sender.expect(0);
    assert_eq!(blake3::hash(&bytes).to_hex().to_string(), digest(&file));
}

#[test]
fn a_killed_send_goes_on_where_it_stopped() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("r.bin", 16 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "8Mi"], &[&file]);
    stored_at_least(&alice, 8 * MIB);
    sender.kill();
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    resumed(&lab, &alice, &file, 4 * MIB);
}

#[test]
fn a_killed_listener_goes_on_where_it_stopped() {
    let (lab, _relay) = Lab::new();
    let mut alice = lab.listen("alice", &[]);
    let file = lab.file("r.bin", 16 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "8Mi"], &[&file]);
    stored_at_least(&alice, 8 * MIB);
    alice.kill();
    let alice = lab.listen("alice", &[]);
    sender.expect(0);
    resumed(&lab, &alice, &file, 4 * MIB);
}

#[test]
fn a_killed_relay_stops_nobody_for_long() {
    let (mut lab, mut relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("r.bin", 16 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice", "--limit", "8Mi"], &[&file]);
    stored_at_least(&alice, 8 * MIB);
    relay.kill();
    let _relay = lab.relay(&[]);
    sender.expect(0);
    resumed(&lab, &alice, &file, 4 * MIB);
}

#[test]
fn any_side_killed_at_any_point_leaves_the_old_file_or_the_whole_new_one() {
    let points = scaled(5, 50);
    let size = 8 * MIB;
    let (mut lab, mut relay) = Lab::new();
    let options = ["--conflict", "overwrite"];
    let mut alice = lab.listen("alice", &options);
    let stored = lab.out("alice").join("k.bin");
    fs::write(&stored, "old").unwrap();
    let mut old = digest(&stored);
    for round in 0..points * 3 {
        let (point, side) = (round / 3 + 1, round % 3);
        let file = lab.file("k.bin", 0);
        fill(&file, &format!("content {round}"), size);
        let new = digest(&file);
        let limited = ["--to", "alice", "--limit", "4Mi", "--wait", "40s"];
        let mut sender = lab.send("sender", &limited, &[&file]);
        stored_at_least(&sender, size * point / (points + 2));
        match side {
            0 => sender.kill(),
            1 => {
                alice.kill();
                sender.kill();
            }
            _ => {
                relay.kill();
                sender.kill();
            }
        }
        let now = digest(&stored);
        assert!(
            now == old || now == new,
            "torn at point {point} of side {side}"
        );
        match side {
            1 => alice = lab.listen("alice", &options),
            2 => {
                relay = lab.relay(&[]);
                drop(alice);
                alice = lab.listen("alice", &options);
            }
            _ => {}
        }
        lab.send("sender", &["--to", "alice", "--wait", "40s"], &[&file])
            .expect(0);
        assert_eq!(digest(&stored), new, "point {point}, side {side}");
        old = new;
    }
}

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
    assert_eq!(alice.events("received").len(), 2);
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

#[test]
fn a_sender_waits_for_a_recipient_that_is_not_there_yet() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    let watcher = lab.run("watcher", ["peers", "--watch"]);
    let mut sender = lab.send("sender", &["--to", "alice", "--wait", "50s"], &[&file]);
    // It is in the room, so it has looked for alice or is about to.
    watcher.wait_where("peer", 1, |e| e["state"] == "sending");
    let _alice = lab.listen("alice", &[]);
    sender.expect(0);
    assert_same(&file, &lab.out("alice").join("x.txt"));
}

#[test]
fn a_message_is_shown_and_not_stored() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let message = "the build is done \u{1b}[31m✓";
    lab.run("sender", ["send", "--to", "alice", "--text", message])
        .expect(0);
    assert_eq!(alice.wait_event("message")["text"], message);
    assert!(lab.stored("alice").is_empty());
}

#[test]
fn a_program_runs_after_each_file_with_its_facts_and_no_shell() {
    let (lab, _relay) = Lab::new();
    let noted = lab.folder().join("noted");
    let script = lab.folder().join("note.sh");
    let line = "#!/bin/sh\nprintf '%s\\n' \"$@\" \"$P2P_FROM_NAME\" \"$P2P_FROM\" \"$P2P_BLAKE3\" \"$P2P_BYTES\" \"$P2P_PATH\" > NOTED.part\nmv NOTED.part NOTED\necho '{\"event\":\"noted\"}'\n";
    fs::write(&script, line.replace("NOTED", noted.to_str().unwrap())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let command = format!("{} '$HOME; touch owned'", script.display());
    let out = lab.out("alice");
    let mut alice = lab.run(
        "alice",
        [
            "listen",
            "--name",
            "alice",
            "--out",
            out.to_str().unwrap(),
            "--once",
            "--exec",
            &command,
        ],
    );
    alice.wait_event("joined");
    let file = lab.file("x; touch owned.txt", 10);
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    alice.expect(0);
    let noted = fs::read_to_string(noted).unwrap();
    let lines: Vec<_> = noted.lines().collect();
    let path = out.join("x; touch owned.txt");
    let received = alice.wait_event("received");
    assert_eq!(lines[0], "$HOME; touch owned");
    assert_eq!(Path::new(lines[1]), path);
    assert_eq!(lines[2], text(&received, "from_name"));
    assert_eq!(lines[3], text(&received, "from"));
    assert_eq!((lines[4], lines[5]), (&*digest(&file), "10"));
    assert!(!lab.folder().join("owned").exists());
}

#[test]
fn a_rate_is_kept_within_a_tenth() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 12 * MIB);
    let options = ["--to", "alice", "--limit", "4Mi", "--compress", "never"];
    let mut sender = lab.send("sender", &options, &[&file]);
    sender.expect(0);
    let seconds = sender.wait_event("done")["seconds"].as_f64().unwrap();
    assert!(
        (2.7..3.3).contains(&seconds),
        "{seconds} s where 3 were due"
    );
}

#[test]
fn a_relay_keeps_each_peer_to_its_rate_within_a_tenth() {
    let (lab, _relay) = Lab::with_relay(&["--limit", "4Mi"]);
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 12 * MIB);
    let mut sender = lab.send(
        "sender",
        &["--to", "alice", "--compress", "never"],
        &[&file],
    );
    sender.expect(0);
    let seconds = sender.wait_event("done")["seconds"].as_f64().unwrap();
    assert!(
        (2.7..3.3).contains(&seconds),
        "{seconds} s where 3 were due"
    );
}

#[test]
fn a_whole_broadcast_can_be_driven_by_events_alone() {
    let (lab, _relay) = Lab::new();
    let listeners = ["a", "b", "c"].map(|name| lab.listen(name, &[]));
    let mut peers = lab.run("sender", ["peers"]);
    peers.expect(0);
    let listening: HashSet<_> = peers
        .events("peer")
        .iter()
        .filter(|e| e["state"] == "listening")
        .map(|e| text(e, "id"))
        .collect();
    assert_eq!(listening.len(), 3);
    let file = lab.file("x.bin", 4 * MIB);
    let options = ["broadcast", "--limit", "4Mi"];
    let mut sender = lab.run("sender", options.iter().map(Path::new).chain([&*file]));
    sender.expect(0);
    assert_eq!(sender.stderr(), "");
    assert!(sender.events("NOT JSON").is_empty());
    let delivered = sender.events("delivered");
    let ids: HashSet<_> = delivered.iter().map(|e| text(e, "peer")).collect();
    assert_eq!(ids, listening);
    for event in &delivered {
        assert_eq!(
            (&event["bytes"], &event["file"]),
            (&(4 * MIB).into(), &"x.bin".into())
        );
        assert_eq!(event["blake3"], digest(&file));
    }
    let progress = sender.events("progress");
    assert!(
        !progress.is_empty() && progress.len() < 40,
        "{}",
        progress.len()
    );
    let done = sender.wait_event("done");
    assert_eq!(
        (&done["files"], &done["delivered"], &done["failed"]),
        (&1.into(), &3.into(), &0.into())
    );
    for listener in &listeners {
        let offer = listener.wait_event("offer");
        let received = listener.wait_event("received");
        assert_eq!(
            (&offer["files"], &offer["bytes"]),
            (&1.into(), &(4 * MIB).into())
        );
        assert_eq!(
            (&offer["transfer"], &offer["from"]),
            (&received["transfer"], &received["from"])
        );
    }
}

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

#[test]
fn a_listener_whose_identity_listens_elsewhere_gives_way() {
    let (lab, _relay) = Lab::new();
    let mut first = lab.listen("alice", &[]);
    let second = lab.listen("alice", &[]);
    first.expect(1);
    assert!(first.stderr().contains("elsewhere"), "{}", first.stderr());
    assert!(second.events("disconnected").is_empty());
    second.signal(Signal::TERM);
}

/// Waits until a listener tells that so much of a file is stored.
#[track_caller]
fn stored_at_least(listener: &Proc, bytes: u64) {
    listener.wait_where("progress", 1, |e| e["bytes"].as_u64() >= Some(bytes));
}

/// Asserts that a file arrived whole, and that at least so much of it was not sent again.
#[track_caller]
fn resumed(lab: &Lab, listener: &Proc, file: &Path, least: u64) {
    let received = listener.wait_event("received");
    assert_same(file, &lab.out("alice").join(file.file_name().unwrap()));
    assert!(
        received["resumed_from"].as_u64() >= Some(least),
        "{received}"
    );
}

#[test]
fn a_listener_that_also_sends_stays_a_listener_for_all_who_watch() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let _bob = lab.listen("bob", &[]);
    let watcher = lab.run("watcher", ["peers", "--watch"]);
    let of_alice = |e: &serde_json::Value| e["name"] == "alice";
    watcher.wait_where("peer", 1, of_alice);
    let file = lab.file("x.txt", 10);
    lab.send("alice", &["--to", "bob"], &[&file]).expect(0);
    // Whatever was told of alice's send was told before this.
    let _carol = lab.listen("carol", &[]);
    watcher.wait_where("peer", 1, |e| e["name"] == "carol");
    let told = watcher.events("peer");
    let told: Vec<_> = told.iter().filter(|e| of_alice(e)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["state"], "listening");
}
