//! Every exit code is reached, for the reason that it stands for, and says so in one line.

mod common;
#[path = "errors/disks.rs"]
mod disks;

use std::{
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use common::{Lab, MIB, Proc, Signal, assert_same, fill, text};

#[test]
fn a_command_line_that_makes_no_sense_exits_2() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("x.txt", 10);
    let file = file.to_str().unwrap();
    for args in [
        &["send", file][..],
        &["send", "--to", "alice"],
        &["send", "--to", "alice", "-"],
        &["send", "--to", "alice", "--name", "a", "-", file],
        &["send", "--to", "alice", "--limit", "lots", file],
        &["send", "--to", "alice", "--name", "../up", "-"],
        &["send", "--to", "alice", "--exclude", "[", file],
        &["listen", "--out", "-"],
        &["join", "p2p://nonsense"],
        &["frobnicate"],
        &[],
    ] {
        let mut p = lab.run("sender", args);
        assert_eq!(p.wait(), 2, "{args:?}: {}", p.stderr());
    }
}

#[test]
fn an_unreachable_relay_exits_3() {
    let (mut lab, relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    drop(relay);
    for args in [
        &["send", "--to", "alice", file.to_str().unwrap()][..],
        &["peers"],
    ] {
        fails(lab.run("sender", args), 3, &[lab.address()]);
    }
    lab.use_invite(None);
    fails(lab.run("stranger", ["peers"]), 3, &["no relay", "hint: "]);
}

#[test]
fn another_key_at_the_relays_address_exits_4_and_shows_both() {
    let (mut lab, _relay) = Lab::new();
    let (other, _impostor) = Lab::new();
    let fingerprint = |invite: &str| {
        let rest = invite
            .split_once('/')
            .unwrap()
            .1
            .rsplit_once('/')
            .unwrap()
            .1;
        rest.split_once('#').unwrap().0.to_owned()
    };
    let (expected, got) = (fingerprint(lab.invite()), fingerprint(other.invite()));
    let forged = lab.invite().replace(lab.address(), other.address());
    lab.use_invite(Some(forged));
    let file = lab.file("x.txt", 10);
    let said = fails(lab.send("sender", &["--to", "alice"], &[&file]), 4, &[]);
    assert!(said.contains(&expected) && said.contains(&got), "{said}");
    fails(lab.run("alice", ["listen", "--name", "alice"]), 4, &[]);
}

#[test]
fn a_room_that_is_not_admitted_exits_4() {
    let (mut lab, _relay) = Lab::new();
    let (other, _elsewhere) = Lab::new();
    let secret = other.invite().split_once('#').unwrap().1;
    let relay = lab.invite().split_once('#').unwrap().0;
    let stranger = format!("{relay}#{secret}");
    lab.use_invite(Some(stranger.clone()));
    fails(lab.run("sender", ["peers"]), 4, &["admit"]);
    lab.use_invite(None);
    fails(lab.run("sender", ["join", &stranger]), 4, &["admit"]);
    assert!(!lab.home("sender").join("invite").exists());
}

#[test]
fn a_name_that_comes_with_another_key_exits_4_until_it_is_trusted() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    let mut alice = lab.listen("alice", &[]);
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    let first = text(&alice.wait_event("joined"), "id");
    alice.signal(Signal::TERM);
    alice.expect(143);
    let out = lab.out("mallory");
    let second = lab.run(
        "mallory",
        ["listen", "--name", "alice", "--out", out.to_str().unwrap()],
    );
    let second = (text(&second.wait_event("joined"), "id"), second);
    let said = fails(
        lab.send("sender", &["--to", "alice"], &[&file]),
        4,
        &["hint: ", "trust add alice"],
    );
    assert!(said.contains(&first) && said.contains(&second.0), "{said}");
    assert!(lab.stored("mallory").is_empty());
    lab.run("sender", ["trust", "add", "alice", &second.0])
        .expect(0);
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    assert_same(&file, &out.join("x.txt"));
}

#[test]
fn nobody_of_that_name_exits_5() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    let mut alone = lab.run("sender", [Path::new("broadcast"), &file]);
    assert_eq!(alone.wait(), 5, "{}", alone.stderr());
    let alice = lab.listen("alice", &[]);
    let send = |to: &str| lab.send("sender", &["--to", to], &[&file]);
    fails(send("nobody"), 5, &["nobody", "hint: "]);
    fails(send("alicia"), 5, &["alicia", "did you mean alice"]);
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    drop(alice);
    fails(send("alice"), 5, &["alice"]);
}

#[test]
fn a_name_that_two_peers_have_exits_5_and_lists_them() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("x.txt", 10);
    let twins: Vec<_> = ["one", "two"]
        .map(|who| {
            let out = lab.out(who);
            lab.run(
                who,
                ["listen", "--name", "twin", "--out", out.to_str().unwrap()],
            )
        })
        .into();
    let ids: Vec<_> = twins
        .iter()
        .map(|twin| text(&twin.wait_event("joined"), "id"))
        .collect();
    let said = fails(
        lab.send("sender", &["--to", "twin"], &[&file]),
        5,
        &["twin", "hint: "],
    );
    assert!(ids.iter().all(|id| said.contains(&id[..6])), "{said}");
    assert!(lab.stored("one").is_empty() && lab.stored("two").is_empty());
}

#[test]
fn a_recipient_that_declines_exits_6_with_its_reason() {
    let (lab, _relay) = Lab::new();
    let listeners = [
        lab.listen("wary", &["--accept", "trusted"]),
        lab.listen("mute", &["--accept", "ask"]),
        lab.listen("tiny", &["--max-size", "1k"]),
    ];
    let file = lab.file("x.bin", 2000);
    for (to, why) in [("wary", "trusted"), ("mute", "ask"), ("tiny", "")] {
        let said = fails(lab.send("sender", &["--to", to], &[&file]), 6, &[to]);
        assert!(said.contains(why), "{said}");
        assert!(lab.stored(to).is_empty());
    }
    drop(listeners);
}

#[test]
fn a_trusted_sender_is_taken() {
    let (lab, _relay) = Lab::new();
    let mut id = lab.run("sender", ["id"]);
    id.expect(0);
    let id = id.any_string("id");
    lab.run("wary", ["trust", "add", "friend", &id]).expect(0);
    let _wary = lab.listen("wary", &["--accept", "trusted"]);
    let file = lab.file("x.bin", 2000);
    lab.send("sender", &["--to", "wary"], &[&file]).expect(0);
    assert_same(&file, &lab.out("wary").join("x.bin"));
}

#[test]
fn a_file_that_cannot_be_read_exits_7() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let missing = lab.folder().join("missing.txt");
    let file = lab.file("plain", 1);
    for path in [missing, file.join("below"), "/proc/self/mem".into()] {
        let shown = path.to_string_lossy().into_owned();
        fails(
            lab.send("sender", &["--to", "alice"], &[&path]),
            7,
            &[shown.rsplit('/').next().unwrap()],
        );
    }
    assert!(lab.stored("alice").is_empty());
}

#[test]
fn a_source_that_changes_while_it_is_sent_exits_7_and_stores_nothing() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 3] = [
        ("truncated", |path| {
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(MIB)
                .unwrap();
        }),
        ("grown", |path| {
            let mut file = fs::File::options().append(true).open(path).unwrap();
            file.write_all(&[1; 4096]).unwrap();
        }),
        ("replaced", |path| {
            let other = path.with_extension("new");
            fill(&other, "other", 4 * MIB);
            fs::rename(&other, path).unwrap();
        }),
    ];
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let sending: Vec<_> = changes
        .iter()
        .map(|(name, change)| {
            let file = lab.file(&format!("{name}.bin"), 4 * MIB);
            let sender = lab.send(name, &["--to", "alice", "--limit", "1Mi"], &[&file]);
            sender.wait_event("progress");
            change(&file);
            (name, sender)
        })
        .collect();
    for (name, sender) in sending {
        fails(sender, 7, &[name, "while it was being sent"]);
    }
    alice.wait_where("done", 3, |_| true);
    assert!(alice.events("received").is_empty());
    assert!(lab.stored("alice").is_empty(), "{:?}", lab.stored("alice"));
    // Nobody can go on with them.
    disks::without_parts(&lab.out("alice"));
}

#[test]
fn a_place_that_cannot_be_written_exits_7() {
    let (lab, _relay) = Lab::new();
    let file = lab.file("plain", 1);
    let below = file.join("out");
    fails(
        lab.run(
            "alice",
            [
                "listen",
                "--name",
                "alice",
                "--out",
                below.to_str().unwrap(),
            ],
        ),
        7,
        &["plain/out"],
    );
}

#[test]
fn a_recipient_that_stops_moving_exits_10() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 16 * MIB);
    let options = ["--to", "alice", "--timeout", "3s", "--limit", "4Mi"];
    let sender = lab.send("sender", &options, &[&file]);
    alice.wait_event("progress");
    alice.signal(Signal::STOP);
    let stopped = Instant::now();
    fails(sender, 10, &["alice", "hint: "]);
    assert!(stopped.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_broadcast_that_some_refuse_exits_9_and_serves_the_others() {
    let (lab, _relay) = Lab::new();
    let _yes = lab.listen("yes", &[]);
    let _no = lab.listen("no", &["--max-size", "1k"]);
    let file = lab.file("x.bin", 5000);
    let mut sender = lab.run("sender", [Path::new("broadcast"), &file]);
    sender.expect(9);
    assert_same(&file, &lab.out("yes").join("x.bin"));
    assert!(lab.stored("no").is_empty());
    let failed = sender.wait_event("failed");
    assert_eq!(
        (&failed["peer_name"], &failed["code"]),
        (&"no".into(), &6.into())
    );
    let done = sender.wait_event("done");
    assert_eq!(
        (&done["delivered"], &done["failed"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn a_broadcast_goes_on_without_a_recipient_that_is_killed() {
    let (lab, _relay) = Lab::new();
    let stays = lab.listen("stays", &[]);
    let mut goes = lab.listen("goes", &[]);
    let file = lab.file("x.bin", 6 * MIB);
    let options = ["broadcast", "--limit", "2Mi", "--timeout", "4s"];
    let mut sender = lab.run(
        "sender",
        options.iter().map(Path::new).chain([file.as_path()]),
    );
    goes.wait_event("progress");
    goes.kill();
    stays.wait_event("received");
    sender.expect(9);
    assert_same(&file, &lab.out("stays").join("x.bin"));
    assert!(lab.stored("goes").is_empty());
}

#[test]
fn signals_exit_130_and_143_and_say_what_was_delivered() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    for (count, (signal, code)) in [(Signal::INT, 130), (Signal::TERM, 143)]
        .into_iter()
        .enumerate()
    {
        let file = lab.file(&format!("{code}.bin"), 64 * MIB);
        let sender = lab.send("sender", &["--to", "alice", "--limit", "1Mi"], &[&file]);
        alice.wait_where("progress", 1, |e| {
            text(e, "file").contains(&code.to_string())
        });
        sender.signal(signal);
        fails(sender, code, &["no file has arrived whole"]);
        assert!(alice.events("received").is_empty(), "{count}");
    }
    assert!(lab.stored("alice").is_empty());
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut listener = lab.listen("bob", &[]);
        listener.signal(signal);
        listener.expect(code);
        let mut watcher = lab.run("watcher", ["peers", "--watch"]);
        watcher.wait_event("peer");
        watcher.signal(signal);
        watcher.expect(code);
    }
}

#[test]
fn a_damaged_key_is_refused_and_never_replaced() {
    let (lab, _relay) = Lab::new();
    lab.run("sender", ["id"]).expect(0);
    let key = fs::read_dir(lab.home("sender"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("PRIVATE KEY")))
        .unwrap();
    fs::write(&key, "").unwrap();
    fails(lab.run("sender", ["id"]), 1, &["identity"]);
    assert_eq!(fs::read(&key).unwrap(), b"");
}

/// Asserts the exit code, and a message of one line (and a hint) that holds all of `words`.
#[track_caller]
fn fails(mut process: Proc, code: i32, words: &[&str]) -> String {
    process.expect(code);
    let said = process.stderr();
    let lines: Vec<_> = said
        .lines()
        .filter(|line| !line.starts_with("hint: "))
        .collect();
    assert_eq!(lines.len(), 1, "not one line: {said}");
    assert!(lines[0].starts_with("p2p: "), "{said}");
    assert!(said.lines().count() <= 2, "more than a hint: {said}");
    assert!(!said.contains('\u{1b}'), "escape sequences: {said:?}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    said
}
