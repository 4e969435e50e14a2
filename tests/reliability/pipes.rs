//! Standard input and standard output.

use std::{fs, io::Read, process::Stdio};

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
