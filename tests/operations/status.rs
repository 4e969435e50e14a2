//! `p2p server status`, and who may read it.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::{
    common::{Lab, MIB, Proc, text},
    metrics::there,
};

#[test]
fn status_says_who_is_there_and_what_the_relay_holds() {
    let (lab, relay) = Lab::new();
    let socket = lab.home("relay").join("relay/status.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let alice = lab.listen("alice", &[]);
    let file = lab.file("x.bin", 64 * MIB);
    let sender = lab.send("bob", &["--to", "alice", "--limit", "4Mi"], &[&file]);
    sender.wait_event("progress");
    let watching = lab.run("relay", ["server", "status", "--watch"]);
    let status = watching.wait_where("status", 1, |status| {
        let peers = status["rooms"][0]["peers"].as_array().unwrap();
        peers
            .iter()
            .any(|peer| peer["received_per_second"].as_u64() > Some(100_000))
    });
    let peers = status["rooms"][0]["peers"].as_array().unwrap();
    assert_eq!(peers.len(), 2, "{status}");
    let id = text(&alice.wait_event("joined"), "id");
    let listener = peers.iter().find(|peer| peer["id"] == id.as_str()).unwrap();
    assert_eq!(listener["state"], "listening");
    assert!(listener["sent"].as_u64() > Some(0) && listener["rtt_ms"].as_f64() > Some(0.0));
    assert_eq!(status["rooms"][0]["transfers"], 1);
    assert_eq!(status["files_active"], 1);
    assert!(status["memory_used"].as_u64() > Some(0));

    let mut command = lab.command("relay");
    command.args(["server", "status"]);
    let said = command.output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.contains("2 of 1,024 connections in 1 room, 1 transfer, 1 file;"),
        "{said}"
    );
    assert!(
        said.contains(&id.replace('-', "")[..12]) && !said.contains('\u{1b}'),
        "{said}"
    );
    drop((sender, relay));
    let mut nobody = lab.run("relay", ["server", "status"]);
    nobody.expect(3);
    assert!(
        nobody.stderr().contains("no relay runs"),
        "{}",
        nobody.stderr()
    );
}

#[test]
fn a_member_who_is_another_user_cannot_read_the_status() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can be another user");
        return;
    }
    if !there("setpriv") {
        return;
    }
    let (lab, relay) = Lab::new();
    // As careless as it gets: everybody may reach and open the socket.
    let home = lab.home("relay");
    let opened = [
        (lab.folder().to_owned(), 0o755),
        (home.clone(), 0o755),
        (home.join("relay"), 0o755),
        (home.join("relay/status.sock"), 0o666),
    ];
    for (path, mode) in &opened {
        fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
    }
    let program = lab.folder().join("p2p");
    fs::copy(env!("CARGO_BIN_EXE_p2p"), &program).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--json", "--home"])
        .arg(&home)
        .args(["server", "status"])
        .current_dir(lab.folder());
    let mut member = Proc::start(command);
    member.expect(1);
    assert!(member.events("status").is_empty());
    assert!(
        member
            .stderr()
            .contains("only root and the relay's own user"),
        "{}",
        member.stderr()
    );
    drop(relay);
}
