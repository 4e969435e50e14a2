//! What a new user does in the first hour, through the real binary.

#![cfg(unix)]

mod common;
#[path = "first_hour/decisions.rs"]
mod decisions;
#[path = "first_hour/demo.rs"]
mod demo;
#[path = "first_hour/endings.rs"]
mod endings;
#[path = "first_hour/names.rs"]
mod names;
#[path = "first_hour/words.rs"]
mod words;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use common::{Lab, Proc, Signal, assert_same, terminal::Terminal, text};

fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// What somebody runs without `--json`: exit code, standard output, standard error.
fn plain(lab: &Lab, who: &str, args: &[&str]) -> (i32, String, String) {
    run(lab.command(who).args(args))
}

/// A listener that is not called as its home is.
fn listen_as(lab: &Lab, who: &str, name: &str) -> Proc {
    let out = lab.out(who);
    let out = out.to_str().unwrap();
    let listener = lab.run(who, ["listen", "--name", name, "--out", out]);
    listener.wait_event("joined");
    listener
}

#[test]
fn no_message_repeats_the_secret_of_an_invite() {
    let (mut lab, _relay) = Lab::new();
    let invite = lab.invite().to_owned();
    let secret = invite.split_once('#').unwrap().1.to_owned();
    lab.use_invite(None);
    let typo = invite.replace("p2p://", "p2p:/");
    let wrong = format!("{invite}x");
    for args in [
        &["--server", &typo, "peers"][..],
        &["--server", &wrong, "peers"],
        &["join", &typo],
        &["join", &wrong],
        &["listen", &invite],
        &["room", "new", &typo],
        &["send", "--to", "a", "--limit", &invite, "f"],
    ] {
        let (code, out, said) = plain(&lab, "bob", args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {said}");
        assert!(!said.contains(&secret[..12]), "{args:?}: {said}");
    }
    for typo in [&typo, &wrong] {
        let (code, _, said) = run(lab.command("bob").env("P2P_SERVER", typo).arg("peers"));
        assert!(code == 2 && said.contains("P2P_SERVER"), "{said}");
        assert!(!said.contains(&secret[..12]), "{said}");
    }
}

#[test]
fn a_program_that_runs_after_a_file_does_not_inherit_the_invite() {
    let (lab, _relay) = Lab::new();
    let seen = lab.folder().join("seen");
    let script = lab.folder().join("hook");
    let text = format!(
        "#!/bin/sh\nenv > {}.part && mv {0}.part {0}\n",
        seen.display()
    );
    fs::write(&script, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).unwrap();
    let mut alice = lab.listen("alice", &["--once", "--exec", script.to_str().unwrap()]);
    let file = lab.file("x.txt", 10);
    lab.send("bob", &["--to", "alice"], &[&file]).expect(0);
    alice.expect(0);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(
        seen.contains("P2P_FROM=") && !seen.contains("P2P_SERVER"),
        "{seen}"
    );
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let lab = Lab::empty();
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2p"));
    command
        .env("HOME", lab.folder())
        .env_remove("XDG_DATA_HOME");
    let (code, out, said) = run(command.env("P2P_HOME", "").env("P2P_SERVER", "").arg("id"));
    assert_eq!(code, 0, "{said}");
    assert!(out.len() > 54, "{out}");
    assert!(lab.folder().join(".local/share/p2p/identity.pem").exists());
}

#[test]
fn join_asks_for_the_invite_takes_one_line_and_says_what_it_joined() {
    let (mut lab, _relay) = Lab::new();
    let invite = lab.invite().to_owned();
    let address = lab.address().to_owned();
    lab.use_invite(None);
    let mut command = lab.command("bob");
    command.args(["join", "-", "--name", "bob"]);
    let mut terminal = Terminal::open(&command, (100, 24));
    terminal.sees("invite (p2p://…): ");
    terminal.press(&format!("{invite}\r"));
    terminal.sees(&format!("joined the room at {address} as bob"));
    assert_eq!(terminal.ends(), 0);
    // From a pipe that stays open, without a prompt.
    let mut command = lab.command("carol");
    command
        .args(["join", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    writeln!(pipe, "{invite}").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(pipe);
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert!(
        said.starts_with("joined the room") && said.contains("p2p id --name"),
        "{said}"
    );
    assert!(!said.contains("invite ("), "{said}");
}

#[test]
fn a_machine_is_named_without_listening() {
    let (lab, _relay) = Lab::new();
    let (code, out, _) = plain(&lab, "bob", &["id", "--name", "bob"]);
    assert!(code == 0 && out.ends_with("  bob\n"), "{out}");
    let (_, out, _) = plain(&lab, "bob", &["id"]);
    assert!(out.ends_with("  bob\n"), "{out}");
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.txt", 10);
    lab.send("bob", &["--to", "alice"], &[&file]).expect(0);
    assert_eq!(alice.wait_event("received")["from_name"], "bob");
}

#[test]
fn a_recipient_without_to_gets_the_line_that_works() {
    let (lab, _relay) = Lab::new();
    lab.file("f", 1);
    let (code, _, said) = plain(&lab, "bob", &["send", "alice", "f"]);
    assert_eq!(code, 2);
    assert!(
        said.ends_with("with --to: p2p send --to alice f\n"),
        "{said}"
    );
}

#[test]
fn trust_ls_says_who_is_trusted_and_why_and_to_receive_binds_nobody() {
    let (lab, _relay) = Lab::new();
    let mut bob = lab.listen("bob", &[]);
    let file = lab.file("x.txt", 10);
    lab.name("alice", "alice");
    lab.name("other", "alice");
    lab.send("alice", &["--to", "bob"], &[&file]).expect(0);
    bob.wait_event("done");
    bob.signal(Signal::TERM);
    bob.expect(143);
    let (_, out, _) = plain(&lab, "bob", &["trust", "ls"]);
    assert!(
        out.starts_with("alice  not trusted: only received from"),
        "{out}"
    );
    // Another alice listens: bob has chosen neither, and sends to the one who is there.
    let _other = listen_as(&lab, "other", "alice");
    let mut sender = lab.send("bob", &["--to", "alice"], &[&file]);
    sender.expect(0);
    let notice = text(&sender.wait_event("notice"), "text");
    assert!(
        notice.contains("is not the alice that files came from before"),
        "{notice}"
    );
    let (_, out, _) = plain(&lab, "bob", &["trust", "ls"]);
    assert!(out.starts_with("alice  trusted: you sent to it"), "{out}");
    let id = out.split_whitespace().last().unwrap().to_owned();
    plain(&lab, "bob", &["trust", "add", "alice", &id]);
    let (_, out, _) = plain(&lab, "bob", &["trust", "ls"]);
    assert!(out.starts_with("alice  trusted: you added it"), "{out}");
    let mut list = lab.run("bob", ["trust", "ls"]);
    list.expect(0);
    let known = list.wait_event("known");
    assert_eq!(
        (&known["trusted"], &known["origin"]),
        (&true.into(), &"added".into())
    );
}

#[test]
fn a_second_room_is_added_and_each_is_reached_by_its_name() {
    let (mut lab, _first) = Lab::new();
    let (mut other, _second) = Lab::new();
    let invites = [lab.invite().to_owned(), other.invite().to_owned()];
    let _alice = lab.listen("alice", &[]);
    let _carol = other.listen("carol", &[]);
    lab.use_invite(None);
    other.use_invite(None);
    let (code, _, said) = plain(&lab, "bob", &["join", "--name", "bob", &invites[0]]);
    assert_eq!(code, 0, "{said}");
    let (code, _, said) = plain(&lab, "bob", &["--room", "work", "join", &invites[1]]);
    assert!(code == 0 && said.contains("--room work"), "{said}");
    let (_, out, _) = plain(&lab, "bob", &["rooms"]);
    let lines: Vec<_> = out.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("* 127.0.0.1  "),
        "{out}"
    );
    assert!(lines[1].starts_with("  work       "), "{out}");
    let peers = |args: &[&str]| plain(&lab, "bob", &[args, &["peers"]].concat()).1;
    assert!(peers(&[]).contains("alice") && !peers(&[]).contains("carol"));
    assert!(peers(&["--room", "work"]).contains("carol"));
    plain(&lab, "bob", &["rooms", "--default", "work"]);
    assert!(peers(&[]).contains("carol"));
    let (code, _, said) = plain(&lab, "bob", &["--room", "nowhere", "peers"]);
    assert!(
        code == 2 && said.contains("no room is called nowhere"),
        "{said}"
    );
    let (code, _, said) = plain(&lab, "bob", &["rooms", "--forget", "work"]);
    assert!(code == 2 && said.contains("hint: "), "{said}");
    let (code, out, _) = plain(&lab, "bob", &["rooms", "--forget", "127.0.0.1"]);
    assert!(code == 0 && out.lines().count() == 1, "{out}");
}

#[test]
fn a_second_listener_of_a_home_says_so_and_the_first_goes_on() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let elsewhere = lab.folder().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let out = elsewhere.to_str().unwrap();
    let (code, _, said) = plain(&lab, "alice", &["listen", "--out", out]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("listens in this room already (process "),
        "{said}"
    );
    let mut menu = Terminal::open(lab.command("alice").current_dir(&elsewhere), (100, 24));
    menu.sees("this menu only sends");
    let file = lab.file("x.txt", 10);
    lab.send("bob", &["--to", "alice"], &[&file]).expect(0);
    alice.wait_event("received");
    assert_same(&file, &lab.out("alice").join("x.txt"));
    assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
    menu.press("q");
    assert_eq!(menu.ends(), 0);
    assert!(alice.events("disconnected").is_empty());
}

#[test]
fn the_c_locale_gets_plain_ascii() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("日本.txt", 10);
    let mut command = lab.command("bob");
    command
        .env("LC_ALL", "C")
        .args(["send", "--to", "alice"])
        .arg(&file);
    let (code, _, said) = run(&mut command);
    assert_eq!(code, 0, "{said}");
    assert!(said.is_ascii(), "{said}");
    assert!(said.contains("ok \\u65e5\\u672c.txt -> alice"), "{said}");
    command.env("LC_ALL", "C.UTF-8");
    assert!(run(&mut command).2.contains("✓ 日本.txt → alice"));
}

#[test]
fn a_dry_run_lists_what_gitignore_rules_leave_and_sends_nothing() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let tree = lab.folder().join("tree");
    for path in [
        "target/a",
        "e/b",
        "src/e/c",
        "src/d.tmp",
        "src/keep.tmp",
        "log/x",
        "f",
    ] {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "1").unwrap();
    }
    let rules = lab.folder().join("rules");
    fs::write(&rules, "# generated\n*.tmp\n!keep.tmp\n").unwrap();
    fs::write(tree.join(".gitignore"), "log/\n").unwrap();
    let list = |options: &[&str]| {
        let args = [&["broadcast", "--dry-run"], options, &["tree"]].concat();
        let (code, out, said) = plain(&lab, "bob", &args);
        assert_eq!(code, 0, "{said}");
        assert!(said.ends_with("nothing was sent\n"), "{said}");
        let files = out.lines().filter(|line| !line.ends_with('/'));
        files
            .map(|line| line.strip_prefix("tree/").unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let sorted = |mut files: Vec<String>| {
        files.sort();
        files.join(" ")
    };
    let all = ".gitignore e/b f log/x src/d.tmp src/e/c src/keep.tmp target/a";
    assert_eq!(sorted(list(&[])), all);
    let without = |options: &[&str], left: &str| assert_eq!(sorted(list(options)), left);
    without(
        &["--exclude", "/e"],
        ".gitignore f log/x src/d.tmp src/e/c src/keep.tmp target/a",
    );
    without(
        &["--exclude", "e/"],
        ".gitignore f log/x src/d.tmp src/keep.tmp target/a",
    );
    let rules = rules.to_str().unwrap();
    let options = [
        "--exclude-from",
        rules,
        "--exclude",
        "/target",
        "--gitignore",
    ];
    without(&options, ".gitignore e/b f src/e/c src/keep.tmp");
    let (code, _, said) = plain(
        &lab,
        "bob",
        &["broadcast", "--exclude-from", "none", "tree"],
    );
    assert!(code == 7 && said.contains("none"), "{said}");
    assert!(alice.events("offer").is_empty());
    let tree = Path::new("tree");
    let args = [&["broadcast"], &options[..]].concat();
    let mut sender = lab.run("bob", args.iter().map(Path::new).chain([tree]));
    sender.expect(0);
    assert_eq!(sender.events("delivered").len(), 5);
}

#[test]
fn two_recipients_of_one_name_are_told_apart() {
    let (lab, _relay) = Lab::new();
    let twins = ["one", "two"].map(|who| listen_as(&lab, who, "alice"));
    let ids = twins
        .each_ref()
        .map(|twin| text(&twin.wait_event("joined"), "id"));
    lab.file("x.txt", 10);
    let (code, _, said) = plain(&lab, "bob", &["broadcast", "x.txt"]);
    assert_eq!(code, 0, "{said}");
    for id in ids {
        assert!(
            said.contains(&format!("x.txt → alice ({})", &id[..6])),
            "{said}"
        );
    }
}

#[test]
fn a_room_is_made_with_the_whole_invite_of_another() {
    let (lab, _relay) = Lab::new();
    let (relay, secret) = lab.invite().split_once('#').unwrap();
    let (code, out, said) = plain(&lab, "bob", &["room", "new", lab.invite()]);
    assert_eq!(code, 0, "{said}");
    assert!(
        out.starts_with(&format!("{relay}#")) && !out.contains(secret),
        "{out}"
    );
}

#[test]
fn a_listener_that_is_started_before_its_relay_waits_for_it() {
    let (mut lab, mut relay) = Lab::new();
    let invite = lab.invite().to_owned();
    relay.signal(Signal::TERM);
    relay.expect(0);
    let out = lab.out("alice");
    let alice = lab.run(
        "alice",
        ["listen", "--name", "alice", "--out", out.to_str().unwrap()],
    );
    let waiting = alice.wait_event("waiting");
    assert!(!text(&waiting, "reason").is_empty() && waiting["retry_in"].is_number());
    let _relay = lab.relay(&[]);
    assert_eq!(lab.invite(), invite);
    alice.wait_event("joined");
    let file = lab.file("x.txt", 10);
    lab.send("bob", &["--to", "alice"], &[&file]).expect(0);
    alice.wait_event("received");
}

#[test]
fn half_a_second_without_an_answer_is_explained() {
    // Somebody who takes every packet and answers none.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = socket.local_addr().unwrap().to_string();
    let (mut lab, _relay) = Lab::new();
    let invite = lab.invite().replace(lab.address(), &silent);
    lab.use_invite(Some(invite));
    lab.file("x", 1);
    for args in [
        &["peers"][..],
        &["join", lab.invite()],
        &["listen"],
        &["send", "--to", "alice", "x"],
        &["broadcast", "--text", "hello"],
    ] {
        let mut terminal = Terminal::open(lab.command("bob").args(args), (100, 24));
        terminal.sees(&format!("connecting to {silent}…"));
        terminal.press("\x03");
        terminal.ends();
    }
}
