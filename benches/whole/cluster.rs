//! Two relays of one cluster against one: what it costs that a member is at the other.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    cases::{at_most, ratio},
    machine::{Lines, median_time},
    settings::{rounds, scaled, skipped},
    world,
};

const MIB: u64 = 1 << 20;

/// A nats-server and two relays, on a memory file system.
struct Pair {
    folder: tempfile::TempDir,
    /// Where each relay is reached.
    invites: [String; 2],
    relays: [Lines; 2],
    _nats: Lines,
}

impl Pair {
    fn start() -> Option<Self> {
        let program = ["/usr/sbin/nats-server", "/usr/bin/nats-server"];
        let program = program.into_iter().find(|path| Path::new(path).exists())?;
        let folder = world::folder();
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let mut nats = Command::new(program);
        nats.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
        nats.stderr(Stdio::null());
        let nats = Lines::spawn(nats);
        let start = |name: &str| {
            let mut relay = command(folder.path(), name, None);
            relay.args(["server", "--bind", "127.0.0.1:0", "--trunk", "127.0.0.1:0"]);
            relay.arg("--certs").arg(folder.path().join("certs"));
            relay
                .arg("--cluster-key")
                .arg(folder.path().join("cluster.pem"));
            relay.args([
                "--cluster",
                &format!("nats://127.0.0.1:{port}"),
                "--node",
                name,
            ]);
            relay.arg("--no-direct").arg("--spool").arg(folder.path());
            let mut relay = Lines::spawn(relay);
            let ready = relay.event("ready");
            relay.drain();
            (ready["invite"].as_str().unwrap().to_owned(), relay)
        };
        let ((first, one), (second, two)) = (start("one"), start("two"));
        Some(Self {
            folder,
            invites: [first, second],
            relays: [one, two],
            _nats: nats,
        })
    }

    fn command(&self, who: &str, at: usize) -> Command {
        command(self.folder.path(), who, Some(&self.invites[at]))
    }

    fn listen(&self, name: &str, at: usize) -> Lines {
        let mut command = self.command(name, at);
        command.args(["listen", "--conflict", "overwrite", "--name", name, "--out"]);
        command.arg(self.folder.path().join(format!("out-{name}")));
        let mut listener = Lines::spawn(command);
        listener.event("joined");
        listener
    }

    fn file(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.folder.path().join(name);
        world::fill(&path, bytes);
        path
    }

    /// How long a command of the sender's takes, which is at the first relay.
    fn time(&self, args: &[&str], path: &Path) -> Duration {
        self.forget();
        let mut command = self.command("sender", 0);
        command.args(args).arg(path).stdout(Stdio::null());
        let start = Instant::now();
        let status = command.status().unwrap();
        assert!(status.success(), "{command:?}: {status}");
        start.elapsed()
    }

    /// Takes away what was received: whoever has a file already is not sent it again.
    ///
    /// And what the sender knows of the cluster: it would choose its relay by that.
    fn forget(&self) {
        let _ = fs::remove_file(self.folder.path().join("sender/relays.json"));
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("out-") {
                for file in fs::read_dir(&path).into_iter().flatten() {
                    let _ = fs::remove_file(file.unwrap().path());
                }
            }
        }
    }

    /// Bytes that the first relay has sent to the second so far.
    fn on_trunk(&self) -> u64 {
        let mut status = self.command("one", 0);
        let out = status.args(["server", "status"]).output().unwrap();
        let out = String::from_utf8_lossy(&out.stdout).into_owned();
        let last = out.lines().last().unwrap_or_default();
        let status: serde_json::Value = serde_json::from_str(last).unwrap();
        let trunks = status["trunks"].as_array().cloned().unwrap_or_default();
        trunks
            .iter()
            .filter_map(|trunk| trunk["sent"].as_u64())
            .sum()
    }
}

fn command(folder: &Path, who: &str, invite: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2p"));
    command.arg("--json").arg("--home").arg(folder.join(who));
    command.env_remove("P2P_MTU").env_remove("P2P_ROAD");
    if let Some(invite) = invite {
        command.args(["--server", invite]);
    }
    command.stderr(Stdio::null());
    command
}

/// One file to a listener at the other relay and to one at the same; a broadcast to both sides, and what of it
/// crosses; the time of the others while one at the other relay stands still.
pub fn cluster() {
    let Some(pair) = Pair::start() else {
        return skipped("two relays of a cluster", "there is no nats-server");
    };
    let (mut near, mut far) = (pair.listen("near", 0), pair.listen("far", 1));
    near.drain();
    far.drain();
    let bytes = scaled(1024) * MIB;
    let file = pair.file("file", bytes);
    let (mut through_one, mut across) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        through_one.push(pair.time(&["send", "--to", "near", "--wait", "30s"], &file));
        across.push(pair.time(&["send", "--to", "far", "--wait", "30s"], &file));
    }
    let (through_one, across) = (median_time(&through_one), median_time(&across));
    ratio(
        &format!("{} MiB across two relays, through one", bytes / MIB),
        (through_one / across, 0.70),
        &format!("{across:.2} s, {through_one:.2} s"),
    );
    fs::remove_file(&file).unwrap();

    let bytes = scaled(256) * MIB;
    let file = pair.file("all", bytes);
    // Those two are of the sixteen: the relays would have them for a while longer.
    let mut listeners: Vec<Lines> = (0..14)
        .map(|n| pair.listen(&format!("peer{n}"), n % 2))
        .collect();
    listeners.iter_mut().for_each(Lines::drain);
    listeners.extend([near, far]);
    let broadcast = ["broadcast", "--wait", "30s"];
    let before = pair.on_trunk();
    let mut healthy = vec![pair.time(&broadcast, &file).as_secs_f64()];
    let crossed = (pair.on_trunk() - before) as f64 / bytes as f64;
    assert!(crossed > 1.0, "the sender is not where it should be");
    at_most(
        &format!(
            "8 + 8 recipients of {} MiB, bytes on the trunk",
            bytes / MIB
        ),
        (crossed, 1.03),
        &format!(
            "relays' peaks {} and {} MiB",
            pair.relays[0].usage().peak / MIB,
            pair.relays[1].usage().peak / MIB
        ),
    );
    let mut stalled = Vec::new();
    for _ in 0..rounds() {
        healthy.push(pair.time(&broadcast, &file).as_secs_f64());
        stalled.push(others_while_one_stands_still(&pair, &mut listeners, &file));
    }
    let (healthy, stalled) = (
        super::machine::median(healthy),
        super::machine::median(stalled),
    );
    at_most(
        "15 recipients while one at the other relay stands still",
        (stalled / healthy, 1.05),
        &format!("{stalled:.2} s, {healthy:.2} s"),
    );
}

/// How long it takes until all but one have the file.
fn others_while_one_stands_still(pair: &Pair, listeners: &mut [Lines], file: &Path) -> f64 {
    pair.forget();
    let mut command = pair.command("sender", 0);
    command.args(["broadcast", "--wait", "30s"]).arg(file);
    let start = Instant::now();
    let mut sender = Lines::spawn(command);
    sender.event("progress");
    // An odd one: at the other relay.
    listeners[1].signal(Signal::STOP);
    for _ in 0..listeners.len() - 1 {
        sender.event("delivered");
    }
    let took = start.elapsed().as_secs_f64();
    listeners[1].signal(Signal::CONT);
    sender.event("delivered");
    sender.drain();
    sender.wait();
    took
}
