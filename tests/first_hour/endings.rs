//! How transfers end that do not go well, in words.

use std::{fs, process::Command};

use super::{
    common::{Lab, Signal, terminal::Terminal},
    listen_as, plain,
};

#[test]
fn a_listener_says_how_many_files_came_before_the_sender_left() {
    let (lab, _relay) = Lab::new();
    for i in 0..300 {
        lab.file(&format!("tree/{i}"), 1000);
    }
    lab.name("bob", "bob");
    let out = lab.out("alice");
    let mut command = lab.command("alice");
    command.args(["listen", "--name", "alice", "--out", out.to_str().unwrap()]);
    let mut alice = Terminal::open(&command, (100, 24));
    alice.sees("listening as alice");
    for (signal, why) in [
        (Signal::INT, "bob stopped"),
        (Signal::KILL, "bob went away"),
    ] {
        let options = ["--to", "alice", "--limit", "50k", "--compress", "never"];
        let mut bob = lab.send("bob", &options, &["tree"]);
        bob.wait_event("delivered");
        bob.signal(signal);
        bob.wait();
        alice.sees(&format!("of 300 files arrived, then {why}"));
    }
}

#[test]
fn whoever_interrupts_a_tree_reads_one_line_and_how_to_go_on() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    for i in 0..300 {
        lab.file(&format!("tree/{i}"), 1000);
    }
    let mut command = lab.command("bob");
    let options = ["--to", "alice", "--limit", "50k", "--compress", "never"];
    command.arg("send").args(options).arg("tree");
    let mut bob = Terminal::open(&command, (100, 24));
    alice.wait_event("received");
    bob.press("\x03");
    assert_eq!(bob.ends(), 130);
    let said = bob.text();
    let said: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[1].contains("p2p: interrupted: "), "{said:?}");
    assert!(said[2].contains("run the same command again"), "{said:?}");
}

#[test]
fn a_long_list_of_what_was_not_sent_is_counted_and_kept_in_a_file() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    for i in 0..14 {
        lab.file(&format!("tree/file{i}"), 10);
    }
    for i in 0..12 {
        let pipe = lab.folder().join(format!("tree/pipe{i}"));
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    let (code, _, said) = plain(&lab, "bob", &["send", "--to", "alice", "tree"]);
    assert_eq!(code, 7, "{said}");
    assert_eq!(said.matches("it is a pipe\n").count(), 11, "{said}");
    let list = lab.home("bob").join("not-sent.txt");
    let last = format!("✗ 12 of 26 not sent; all of them are in {}", list.display());
    assert!(said.contains(&last), "{said}");
    let list = fs::read_to_string(list).unwrap();
    assert_eq!(list.lines().count(), 12, "{list}");
    assert!(
        list.lines().all(|line| line.contains("tree/pipe")),
        "{list}"
    );
    let mut json = lab.send("bob", &["--to", "alice"], &["tree"]);
    json.expect(7);
    assert_eq!(json.events("failed").len(), 12);
}

#[test]
fn what_is_no_file_is_called_what_it_is() {
    let (lab, _relay) = Lab::new();
    let said = |path: &str| plain(&lab, "bob", &["send", "--to", "a", path]).2;
    assert!(said("/dev/null").contains("it is a device\n"));
    let none = said("nowhere");
    assert!(none.ends_with("No such file or directory\n"), "{none}");
}

#[test]
fn a_directory_without_files_arrives_and_says_so() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    fs::create_dir_all(lab.folder().join("empty/inner")).unwrap();
    let (code, _, said) = plain(&lab, "bob", &["send", "--to", "alice", "empty"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        said,
        "offering directories only to alice\n✓ directories only\n"
    );
    assert!(lab.out("alice").join("empty/inner").is_dir());
}

#[test]
fn a_name_that_two_peers_have_is_asked_about_by_what_to_takes() {
    let (lab, _relay) = Lab::new();
    let _twins = ["one", "two"].map(|who| listen_as(&lab, who, "alice"));
    lab.file("x", 1);
    let (code, _, said) = plain(&lab, "bob", &["send", "--to", "alice", "x"]);
    assert_eq!(code, 5, "{said}");
    let at = said.find("--to id:").expect("a hint with an ID") + "--to ".len();
    let id = said[at..].split('`').next().unwrap();
    assert!(
        said.contains(&format!("may mean {id} (alice) or id:")),
        "{said}"
    );
    let (code, _, said) = plain(&lab, "bob", &["send", "--to", id, "x"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn the_same_send_again_compares_and_stores_nothing() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    for i in 0..40 {
        lab.file(&format!("tree/{i}"), 3000);
    }
    let again = || lab.send("bob", &["--to", "alice"], &["tree"]);
    again().expect(0);
    let stored = lab.stored("alice");
    assert_eq!(stored.len(), 40);
    let mut second = again();
    second.expect(0);
    assert_eq!(lab.stored("alice"), stored);
    let delivered = second.events("delivered");
    assert_eq!(delivered.len(), 40);
    assert!(delivered.iter().all(|file| file["already_there"] == true));
    let (_, _, said) = plain(&lab, "bob", &["send", "--to", "alice", "tree/1"]);
    assert!(!said.contains("was there already"), "another name: {said}");
    let (_, _, said) = plain(&lab, "bob", &["send", "--to", "alice", "tree/1"]);
    assert!(said.contains("was there already"), "{said}");
}

#[test]
fn a_name_that_was_taken_stands_on_the_senders_line() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    lab.file("x.txt", 10);
    fs::write(lab.out("alice").join("x.txt"), "mine").unwrap();
    let (code, _, said) = plain(&lab, "bob", &["send", "--to", "alice", "x.txt"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("x.txt → alice  10 B  under another name\n"),
        "{said}"
    );
    assert_eq!(lab.stored("alice"), ["x (1).txt", "x.txt"]);
    for i in 0..30 {
        lab.file(&format!("tree/{i}"), 10 + i);
    }
    fs::create_dir(lab.out("alice").join("tree")).unwrap();
    fs::write(lab.out("alice").join("tree/0"), "mine").unwrap();
    let (code, _, said) = plain(&lab, "bob", &["send", "--to", "alice", "tree"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with(", 30 under other names\n"), "{said}");
}

#[test]
fn a_limit_holds_for_a_message_as_well() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let text = "no two parts alike ".repeat(3000);
    let options = ["--to", "alice", "--limit", "20k", "--compress", "never"];
    let mut sender = lab.send(
        "bob",
        &[&options[..], &["--text", &text]].concat(),
        &[""; 0],
    );
    sender.expect(0);
    alice.wait_event("message");
    let seconds = sender.wait_event("done")["seconds"].as_f64().unwrap();
    // 57 kB at 20 kB a second, less what the limit lets through at once.
    assert!(seconds > 1.5, "{seconds}");
}

#[test]
fn since_is_in_seconds_since_1970_wherever_it_stands() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("a", 10);
    lab.send("bob", &["--to", "alice"], &[file.to_str().unwrap()])
        .expect(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for args in [&["peers", "--json"][..], &["trust", "ls", "--json"]] {
        let output = lab.command("bob").args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let since = line["since"].as_u64().unwrap_or_else(|| panic!("{line}"));
        assert!(since.abs_diff(now) < 120, "{since} of {now}: {line}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_desktop_is_told_what_came_by_its_own_program() {
    use std::{
        os::unix::fs::PermissionsExt,
        time::{Duration, Instant},
    };
    let (lab, _relay) = Lab::new();
    let (programs, said) = (lab.folder().join("programs"), lab.folder().join("said"));
    fs::create_dir(&programs).unwrap();
    let program = programs.join("notify-send");
    // Given its name at the end: what is read is whole.
    let script = format!(
        "#!/bin/sh\nprintf '%s|' \"$@\" > '{0}.new' && mv '{0}.new' '{0}'\n",
        said.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    lab.name("bob", "bob");
    let mut command = lab.command("alice");
    command.args(["listen", "--name", "alice", "--notify", "--out"]);
    command.arg(lab.out("alice")).env("PATH", path);
    let mut alice = Terminal::open(&command, (100, 24));
    alice.sees("listening as alice");
    let file = lab.file("re<b>port.bin", 10);
    lab.send("bob", &["--to", "alice"], &[file.to_str().unwrap()])
        .expect(0);
    let start = Instant::now();
    let said = loop {
        if let Ok(said) = fs::read_to_string(&said) {
            break said;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "no notification");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(
        said,
        "--app-name=p2p|--|From bob|re&lt;b&gt;port.bin, 10 B|"
    );
}
