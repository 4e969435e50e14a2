//! What happens once something has arrived.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::common::{Lab, digest, text};

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
fn a_listener_for_one_transfer_ends_with_it_and_says_whether_it_was_whole() {
    let (lab, _relay) = Lab::new();
    let mut alice = lab.listen("alice", &["--once"]);
    let file = lab.file("x.txt", 10);
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    alice.expect(0);
    // What is declined is not the one.
    let mut alice = lab.listen("alice", &["--once", "--max-size", "1k"]);
    let large = lab.file("large.bin", 5000);
    lab.send("sender", &["--to", "alice"], &[&large]).expect(6);
    lab.send("sender", &["--to", "alice"], &[&file]).expect(0);
    alice.expect(0);
}
