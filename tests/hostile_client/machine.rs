//! What the relay's machine does to it: file limits, full pipes, read-only mounts, few descriptors.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    common::{Lab, MIB, Proc, assert_same},
    memory::{fill, head, sender_and_sink, write_and_read},
    siege::Siege,
    wire::{Attacker, file_header, transfer},
};

/// What somebody runs, by a shell that does `first` before it: `sh`, or one that `unshare` starts.
fn by_shell(shell: &[&str], lab: &Lab, who: &str, first: &str, args: &[&str]) -> Command {
    let plain = lab.command(who);
    let mut command = Command::new(shell[0]);
    command
        .args(&shell[1..])
        .arg("-c")
        .arg(format!("{first} && exec \"$0\" \"$@\""))
        .arg(plain.get_program())
        .args(plain.get_args())
        .arg("--json")
        .args(args)
        .current_dir(lab.folder())
        .stdin(Stdio::null());
    // As the plain command has it.
    for (variable, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    command
}

/// In a mount namespace of its own.
const UNSHARED: [&str; 3] = ["unshare", "-rm", "sh"];

/// Whether there can be one; says so where a test is skipped for it.
fn can_unshare() -> bool {
    let unshared = Command::new("unshare").args(["-rm", "true"]).status();
    let can = unshared.is_ok_and(|status| status.success());
    if !can {
        println!("skipped: no mount namespace can be made here");
    }
    can
}

fn read_only(path: &str) -> String {
    format!("mount --bind '{path}' '{path}' && mount -o remount,ro,bind '{path}'")
}

fn after(lab: &Lab, who: &str, first: &str, args: &[&str]) -> Command {
    by_shell(&["sh"], lab, who, first, args)
}

/// A listener of the name `alice` that is started so.
fn listener_after(lab: &Lab, first: &str) -> Proc {
    let out = lab.out("alice");
    let args = ["listen", "--name", "alice", "--out", out.to_str().unwrap()];
    let listener = Proc::start(after(lab, "alice", first, &args));
    listener.wait_event("joined");
    listener
}

/// Starts a relay by a shell that does `first` before it.
fn relay_after(lab: &mut Lab, shell: &[&str], first: &str, options: &[&str]) -> Proc {
    let args = [&["server", "--bind", "127.0.0.1:0"], options].concat();
    let command = by_shell(shell, lab, "relay", first, &args);
    let relay = Proc::start(command);
    let ready = relay.wait_event("ready");
    lab.use_invite(Some(super::common::text(&ready, "invite")));
    relay
}

#[test]
fn a_file_size_limit_costs_the_laggard_and_not_the_relay() {
    let mut lab = Lab::empty();
    // 512 bytes a block, or 1 KiB: a segment of the spool outgrows it.
    let relay = relay_after(
        &mut lab,
        &["sh"],
        "ulimit -f 1000",
        &["--spool-limit", "256Mi"],
    );
    let siege = Siege::with(lab, relay);
    siege.under(|invite| async move {
        let (reader, mut reads) = Attacker::member(&invite, true).await;
        let (deaf, mut hears_nothing) = Attacker::member(&invite, true).await;
        let (sender, mut control) = Attacker::member(&invite, false).await;
        let (id, to) = (transfer(1), [reader.identity.id(), deaf.identity.id()]);
        tokio::join!(
            control.begin_with(&to, id),
            reads.accept(),
            hears_nothing.accept()
        );
        let mut stream = sender.connection.open_uni().await.unwrap();
        stream.write_all(&file_header(id, 0)).await.unwrap();
        stream.write_all(&head()).await.unwrap();
        let mut file = reader.connection.accept_uni().await.unwrap();
        let taken = write_and_read(&mut stream, &mut file, 32 * MIB).await;
        assert!(taken > 32 * MIB, "the reader got all: {taken}");
        (reader, deaf, sender)
    });
}

#[test]
fn a_relay_whose_certificates_are_on_a_read_only_mount_starts() {
    if !can_unshare() {
        return;
    }
    let mut lab = Lab::empty();
    let certs = lab.folder().join("certs");
    let certs = certs.to_str().unwrap();
    let mut first = lab.relay(&["--certs", certs]);
    first.kill();
    let relay = relay_after(&mut lab, &UNSHARED, &read_only(certs), &["--certs", certs]);
    drop(Siege::with(lab, relay));
}

#[test]
fn a_listener_whose_home_is_on_a_read_only_mount_starts_and_receives() {
    if !can_unshare() {
        return;
    }
    let (lab, _relay) = Lab::new();
    // Its key and its name are there from before.
    lab.listen("alice", &[]).kill();
    let home = lab.home("alice");
    let (out, first) = (lab.out("alice"), read_only(home.to_str().unwrap()));
    let args = ["listen", "--name", "alice", "--out", out.to_str().unwrap()];
    let mut listener = Proc::start(by_shell(&UNSHARED, &lab, "alice", &first, &args));
    listener.wait_event("joined");
    // What cannot be noted is that recipient's own fault, and says nothing of its paths.
    let file = lab.file("x.bin", 100_000);
    let mut sender = lab.send("sender", &["--to", "alice"], &[&file]);
    let code = sender.wait();
    let said = sender.stderr() + &sender.raw();
    assert!([0, 7].contains(&code), "{code}: {said}");
    assert!(!said.contains(home.to_str().unwrap()), "{said}");
    assert_eq!(code == 0, out.join("x.bin").exists());
    listener.signal(super::common::Signal::TERM);
    listener.expect(143);
}

#[test]
fn a_relay_whose_log_nobody_reads_goes_on() {
    let mut lab = Lab::empty();
    let mut command = lab.command("relay");
    command
        .args(["-vvv", "--json", "server", "--bind", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut relay = command.spawn().unwrap();
    // The pipe is held open, and nothing is read from it.
    let _full = relay.stderr.take();
    let mut ready = String::new();
    let mut stdout = BufReader::new(relay.stdout.take().unwrap());
    stdout.read_line(&mut ready).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    lab.use_invite(Some(super::common::text(&ready, "invite")));
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("honest.bin", 3 * MIB);
    for number in 0..3 {
        lab.send(&format!("honest-{number}"), &["--to", "alice"], &[&file])
            .expect(0);
    }
    assert_same(&file, &lab.out("alice").join("honest.bin"));
    let _ = relay.kill();
    let _ = relay.wait();
}

#[test]
fn few_descriptors_are_budgeted_and_the_line_names_the_limit() {
    let mut lab = Lab::empty();
    let relay = relay_after(
        &mut lab,
        &["sh"],
        "ulimit -n 24",
        &["--spool-limit", "512Mi"],
    );
    let siege = Siege::with(lab, relay);
    let seen = siege.under(|invite| async move {
        // Each of these transfers has a laggard, whose bytes want a file of the spool.
        let mut held = Vec::new();
        for number in 0..12 {
            let (reader, mut reads) = Attacker::member(&invite, true).await;
            let (deaf, mut hears_nothing) = Attacker::member(&invite, true).await;
            let (sender, mut control) = Attacker::member(&invite, false).await;
            let (id, to) = (transfer(number), [reader.identity.id(), deaf.identity.id()]);
            tokio::join!(
                control.begin_with(&to, id),
                reads.accept(),
                hears_nothing.accept()
            );
            let mut stream = sender.connection.open_uni().await.unwrap();
            stream.write_all(&file_header(id, 0)).await.unwrap();
            stream.write_all(&head()).await.unwrap();
            let mut file = reader.connection.accept_uni().await.unwrap();
            let pump = async {
                for _ in 0..12 * 16 {
                    if stream.write_all(&[7; 64 * 1024]).await.is_err() {
                        break;
                    }
                }
            };
            let drain =
                async { while let Ok(Some(_)) = file.read_chunk(usize::MAX, true).await {} };
            let _ = timeout(Duration::from_secs(3), async {
                tokio::select! { () = pump => {}, () = drain => {} }
            })
            .await;
            held.push((reader, deaf, sender, stream));
        }
        held
    });
    seen.harmless(64 * MIB);
    let said = siege.relay.stderr();
    assert!(said.contains("open files") && said.contains("24"), "{said}");
}

#[test]
fn a_listener_at_a_file_size_limit_says_so_and_goes_on() {
    let (lab, _relay) = Lab::new();
    // 512 bytes a block, or 1 KiB.
    let alice = listener_after(&lab, "ulimit -f 1000");
    let large = lab.file("large.bin", 3 * MIB);
    let mut sender = lab.send("sender", &["--to", "alice"], &[&large]);
    sender.expect(7);
    alice.wait_where("failed", 1, |e| e["code"] == 7);
    let small = lab.file("small.bin", 100_000);
    lab.send("sender", &["--to", "alice"], &[&small]).expect(0);
    assert_same(&small, &lab.out("alice").join("small.bin"));
}

#[test]
fn few_descriptors_are_enough_for_a_listener_and_a_sender() {
    let (lab, _relay) = Lab::new();
    let _alice = listener_after(&lab, "ulimit -n 64");
    for i in 0..400 {
        lab.file(&format!("tree/{}/{i}", i % 20), 3000);
    }
    lab.file("tree/large.bin", 2 * MIB);
    let args = ["send", "--to", "alice", "tree"];
    let mut sender = Proc::start(after(&lab, "sender", "ulimit -n 64", &args));
    sender.expect(0);
    assert_eq!(lab.stored("alice").len(), 401);
}

/// A control group of so many bytes; removed with the test, once its processes are gone.
struct Group(PathBuf);

impl Group {
    fn make(limit: u64) -> Option<Self> {
        let name = format!("p2p-test-{}", std::process::id());
        let versions = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        versions.iter().find_map(|(root, file)| {
            let group = Self(Path::new(root).join(&name));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join(file), limit.to_string()).ok()?;
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_relay_in_a_small_control_group_is_not_killed() {
    let Some(group) = Group::make(64 * MIB) else {
        println!("skipped: no control group with a memory limit can be made here");
        return;
    };
    let mut lab = Lab::empty();
    let enter = format!("echo $$ > {}/cgroup.procs", group.0.display());
    let relay = relay_after(&mut lab, &["sh"], &enter, &[]);
    let siege = Siege::with(lab, relay);
    // Its own choice of a limit holds against whoever wants all of it.
    let seen = siege.under(|invite| async move {
        let pairs = (0..16).map(async |number| {
            let pair = sender_and_sink(&invite, number).await;
            let header = file_header(transfer(number), 0);
            let streams = fill(&pair.0, 12 << 20, &[header, head()].concat()).await;
            (pair, streams)
        });
        futures_util::future::join_all(pairs).await
    });
    seen.harmless(16 * MIB);
    let mut status = siege.lab.run("relay", ["server", "status"]);
    status.expect(0);
    // Half of what the group leaves beside the program.
    assert_eq!(status.wait_event("status")["memory_limit"], 16 * MIB);
    drop(siege);
}
