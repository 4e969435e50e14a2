//! Standard input and standard output.

use std::{
    fs,
    io::{Read, Write},
    process::{Child, Stdio},
};

use super::common::{Lab, MIB, Proc, assert_same, digest};

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
fn a_file_that_is_cut_off_on_its_way_to_standard_output_is_no_success() {
    let (lab, _relay) = Lab::new();
    let mut alice = to_stdout(&lab);
    let file = lab.file("x.bin", 16 * MIB);
    let options = ["--to", "alice", "--wait", "30s", "--limit", "4Mi"];
    let mut sender = lab.send("sender", &options, &[&file]);
    let mut out = alice.stdout.take().unwrap();
    let mut some = vec![0; MIB as usize];
    out.read_exact(&mut some).unwrap();
    sender.kill();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    assert!(((some.len() + rest.len()) as u64) < 16 * MIB);
    assert_eq!(alice.wait().unwrap().code(), Some(8));
    let mut said = String::new();
    alice
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(said.contains("not whole"), "{said}");
}

#[test]
fn a_reader_that_goes_away_is_a_failure_at_both_ends() {
    let (lab, _relay) = Lab::new();
    let mut alice = to_stdout(&lab);
    let file = lab.file("x.bin", 16 * MIB);
    let options = ["--to", "alice", "--wait", "30s", "--limit", "8Mi"];
    let mut sender = lab.send("sender", &options, &[&file]);
    let mut out = alice.stdout.take().unwrap();
    out.read_exact(&mut [0; 1000]).unwrap();
    drop(out);
    sender.expect(7);
    assert_eq!(alice.wait().unwrap().code(), Some(7));
}

#[test]
fn a_source_that_breaks_leaves_nothing_under_its_name() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    // A directory can be opened as standard input, and not be read.
    let mut command = lab.command("sender");
    command.args(["--json", "send", "--to", "alice", "--name", "p", "-"]);
    command.stdin(fs::File::open(lab.folder()).unwrap());
    let mut sender = Proc::start(command);
    sender.expect(7);
    assert!(
        sender.stderr().contains("standard input"),
        "{}",
        sender.stderr()
    );
    alice.wait_event("failed");
    assert!(lab.stored("alice").is_empty());

    // Killed with its pipe half read: what follows may be anything.
    let mut command = lab.command("sender");
    command.args(["--json", "send", "--to", "alice", "--name", "p", "-"]);
    let (read, mut write) = std::io::pipe().unwrap();
    command.stdin(read);
    let mut sender = Proc::start(command);
    write.write_all(&[7; 3 << 20]).unwrap();
    alice.wait_event("progress");
    sender.kill();
    alice.wait_event("done");
    assert!(lab.stored("alice").is_empty());
}

#[test]
fn a_pipe_that_is_quiet_for_long_is_no_failure() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let mut command = lab.command("sender");
    command.args(["--json", "send", "--to", "alice", "--timeout", "2s"]);
    command.args(["--name", "slow.txt", "-"]);
    let (read, mut write) = std::io::pipe().unwrap();
    command.stdin(read);
    let mut sender = Proc::start(command);
    sender.wait_event("offered");
    // Twice the patience for a recipient, of which this says nothing.
    std::thread::sleep(std::time::Duration::from_secs(4));
    write.write_all(b"at last").unwrap();
    drop(write);
    sender.expect(0);
    let stored = fs::read(lab.out("alice").join("slow.txt")).unwrap();
    assert_eq!(stored, b"at last");
}

/// A listener that writes one file to its standard output.
fn to_stdout(lab: &Lab) -> Child {
    lab.command("alice")
        .args(["listen", "--name", "alice", "--once", "--out", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}
