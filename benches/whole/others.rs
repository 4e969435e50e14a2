//! Other tools, where they are installed: scp, rsync, qcp, sendme and wormhole-rs.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    machine::{Lines, median_time},
    settings::{rounds, row, scaled, skipped},
    world::{World, fill},
};

const MIB: u64 = 1 << 20;

/// One large file: by scp and the like directly, by `p2p` through its relay.
pub fn one_file() {
    let bytes = scaled(1024) * MIB;
    let world = World::new(None);
    let _listener = world.listen("alice");
    let file = world.file("file", bytes);
    let out = world.folder().join("copy");
    let p2p = || world.time(&["send", "--to", "alice"], &file);
    let what = |tool: &str| format!("{} MiB against {tool}", bytes / MIB);

    match Ssh::start(world.folder()) {
        Ok(ssh) => {
            let scp = || ssh.scp(&file, &out);
            compare(&what("scp"), Some(0.5), p2p, scp);
            let rsync = || ssh.rsync(&["--whole-file"], &file, &out);
            with_tool("rsync", |_| {
                compare(&what("rsync over ssh"), None, p2p, rsync)
            });
            with_tool("qcp", |qcp| {
                // It starts itself at the other end, where a shell without a profile looks in few places.
                if ssh.runs("command -v qcp") {
                    compare(&what("qcp"), None, p2p, || ssh.qcp(&qcp, &file, &out));
                } else {
                    skipped("qcp", "a login by ssh does not find it");
                }
            });
        }
        Err(why) => skipped("scp, rsync and qcp", &why),
    }
    with_tool("wormhole-rs", |tool| {
        match Wormhole::start(tool, world.folder()) {
            Ok(wormhole) => {
                let relayed = || wormhole.time(&file, world.folder());
                compare(
                    &what("wormhole-rs, its own relay"),
                    Some(0.25),
                    p2p,
                    relayed,
                );
            }
            Err(why) => skipped("wormhole-rs", &why),
        }
    });
    with_tool("sendme", |tool| {
        let direct = || sendme(&tool, &file, world.folder());
        compare(&what("sendme, direct"), Some(0.2), p2p, direct);
    });
}

/// A tree of 10,000 files of 4 KiB, against rsync.
pub fn small_files() {
    let count = scaled(10_000);
    let world = World::new(None);
    let tree = world.folder().join("tree");
    for number in 0..count {
        let folder = tree.join(format!("{:02}", number / 100));
        fs::create_dir_all(&folder).unwrap();
        fill(&folder.join(format!("{number}")), 4096);
    }
    let listener = world.listen("alice");
    let out = world.folder().join("copy");
    let received = world.folder().join("alice/out");
    let p2p = || {
        let elapsed = world.time(&["send", "--to", "alice"], &tree);
        for entry in fs::read_dir(&received).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        elapsed
    };
    match Ssh::start(world.folder()) {
        Ok(ssh) => with_tool("rsync", |_| {
            let rsync = || {
                let elapsed = ssh.rsync(&["-r"], &tree, &out);
                let _ = fs::remove_dir_all(&out);
                elapsed
            };
            compare(
                &format!("{count} files of 4 KiB against rsync over ssh"),
                Some(1.0),
                p2p,
                rsync,
            );
        }),
        Err(why) => skipped("small files against rsync", &why),
    }
    println!(
        "    listener's peak {} MiB, relay's {} MiB",
        listener.usage().peak / MIB,
        world.relay.usage().peak / MIB
    );
}

/// Runs both in turn, and prints the share of the other's time that `p2p` took.
fn compare(what: &str, aim: Option<f64>, p2p: impl Fn() -> Duration, other: impl Fn() -> Duration) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        theirs.push(other());
        ours.push(p2p());
    }
    let (ours, theirs) = (median_time(&ours), median_time(&theirs));
    let share = ours / theirs;
    row(
        what,
        &format!("{share:.2}x"),
        &aim.map_or("-".to_owned(), |aim| format!("<={aim:.2}")),
        aim.is_none_or(|aim| share <= aim),
        &format!("its time: {ours:.2} s against {theirs:.2} s"),
    );
}

pub fn with_tool(name: &str, run: impl FnOnce(PathBuf)) {
    match find(name) {
        Some(path) => run(path),
        None => skipped(name, "it is not installed"),
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// An SSH server of our own on loopback, with keys made for this run.
pub struct Ssh {
    _server: Lines,
    options: Vec<String>,
    port: u16,
    user: String,
}

impl Ssh {
    pub fn start(folder: &Path) -> Result<Self, String> {
        let sshd = find("sshd").ok_or("sshd is not installed")?;
        let folder = folder.join("ssh");
        fs::create_dir_all(&folder).unwrap();
        for key in ["host", "user"] {
            let made = quiet(
                Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(folder.join(key)),
            );
            if !made {
                return Err("ssh-keygen failed".into());
            }
        }
        let port = free_port();
        let path = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\nMaxStartups 100\nAcceptEnv *\n",
            path("host"),
            path("user.pub"),
        );
        fs::write(folder.join("config"), config).unwrap();
        // It refuses to start without the folder that its service would have made.
        let _ = fs::create_dir_all("/run/sshd");
        let mut command = Command::new(sshd);
        command.arg("-D").arg("-f").arg(folder.join("config"));
        command.stderr(Stdio::null());
        let server = Lines::spawn(command);
        let options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
        ];
        let mut options: Vec<String> = options
            .iter()
            .flat_map(|o| ["-o".to_owned(), (*o).to_owned()])
            .collect();
        options.extend(["-i".to_owned(), path("user")]);
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let ssh = Self {
            _server: server,
            options,
            port,
            user,
        };
        for _ in 0..50 {
            if ssh.runs("true") {
                return Ok(ssh);
            }
            sleep(Duration::from_millis(100));
        }
        Err("no login to an SSH server of our own".into())
    }

    /// Whether a login runs this command, and it succeeds.
    fn runs(&self, command: &str) -> bool {
        let mut login = Command::new("ssh");
        login
            .args(&self.options)
            .args(["-p", &self.port.to_string(), &self.host(), command]);
        quiet(&mut login)
    }

    fn host(&self) -> String {
        format!("{}@127.0.0.1", self.user)
    }

    pub fn scp(&self, from: &Path, to: &Path) -> Duration {
        let mut command = Command::new("scp");
        command
            .arg("-q")
            .args(&self.options)
            .args(["-P", &self.port.to_string()]);
        command
            .arg(from)
            .arg(format!("{}:{}", self.host(), to.display()));
        time(&mut command)
    }

    fn rsync(&self, options: &[&str], from: &Path, to: &Path) -> Duration {
        let shell = format!("ssh {} -p {}", self.options.join(" "), self.port);
        let mut command = Command::new("rsync");
        command.args(options).args(["--ignore-times", "-e", &shell]);
        command
            .arg(from)
            .arg(format!("{}:{}", self.host(), to.display()));
        time(&mut command)
    }

    fn qcp(&self, qcp: &Path, from: &Path, to: &Path) -> Duration {
        let mut command = Command::new(qcp);
        command.arg("-q");
        for option in &self.options {
            command.args(["-S", option]);
        }
        command.args(["-S", "-p", "-S", &self.port.to_string()]);
        command
            .arg(from)
            .arg(format!("{}:{}", self.host(), to.display()));
        time(&mut command)
    }
}

/// The wormhole's mailbox and relay, of our own on loopback.
struct Wormhole {
    tool: PathBuf,
    mailbox: u16,
    relay: u16,
    _servers: [Lines; 2],
}

impl Wormhole {
    fn start(tool: PathBuf, folder: &Path) -> Result<Self, String> {
        let twist = find("twist").ok_or("twist, for its mailbox and relay, is not installed")?;
        let serve = |plugin: &str, port: u16| {
            let mut command = Command::new(&twist);
            command
                .arg(plugin)
                .arg(format!("--port=tcp:{port}:interface=127.0.0.1"));
            // The mailbox leaves its database where it runs.
            command.current_dir(folder).stderr(Stdio::null());
            let mut server = Lines::spawn(command);
            server.drain();
            wait_for(port)
                .then_some(server)
                .ok_or(format!("twist {plugin} did not start"))
        };
        let (mailbox, relay) = (free_port(), free_port());
        let servers = [
            serve("wormhole-mailbox", mailbox)?,
            serve("transitrelay", relay)?,
        ];
        Ok(Self {
            tool,
            mailbox,
            relay,
            _servers: servers,
        })
    }

    /// From the receiver's start to its end, with the sender waiting.
    fn time(&self, file: &Path, folder: &Path) -> Duration {
        let code = format!("{}-bench-whole", std::process::id());
        let command = |verb: &str| {
            let mut command = Command::new(&self.tool);
            command.arg(verb);
            command.arg(format!(
                "--rendezvous-server=ws://127.0.0.1:{}/v1",
                self.mailbox
            ));
            command.arg(format!("--relay-server=tcp://127.0.0.1:{}", self.relay));
            command
                .arg("--force-relay")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        };
        let mut send = command("send");
        send.arg(format!("--code={code}")).arg(file);
        let mut sender = Lines::spawn(send);
        sender.drain();
        sleep(Duration::from_millis(500));
        let out = folder.join("wormhole");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).unwrap();
        let mut receive = command("receive");
        receive
            .arg("--noconfirm")
            .arg("--out-dir")
            .arg(&out)
            .arg(&code);
        let elapsed = time(&mut receive);
        let _ = fs::remove_dir_all(&out);
        elapsed
    }
}

/// From the receiver's start to its end; the sender has the file hashed by then.
pub fn sendme(tool: &Path, file: &Path, folder: &Path) -> Duration {
    let out = folder.join("sendme");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).unwrap();
    let mut send = Command::new(tool);
    send.arg("send")
        .args(["--relay", "disabled", "--ticket-type", "addresses"])
        .arg(file);
    send.current_dir(folder).stderr(Stdio::null());
    let mut sender = Lines::spawn(send);
    let ticket = loop {
        let line = sender.line();
        if let Some(ticket) = line.trim().strip_prefix("sendme receive ") {
            break ticket.to_owned();
        }
    };
    let mut receive = Command::new(tool);
    receive
        .arg("receive")
        .args(["--relay", "disabled"])
        .arg(ticket)
        .current_dir(&out);
    receive.stdout(Stdio::null()).stderr(Stdio::null());
    let elapsed = time(&mut receive);
    let _ = fs::remove_dir_all(&out);
    elapsed
}

fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).status().unwrap();
    let elapsed = start.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    elapsed
}

fn quiet(command: &mut Command) -> bool {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn free_port() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

fn wait_for(port: u16) -> bool {
    (0..100).any(|_| {
        let open = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        if !open {
            sleep(Duration::from_millis(100));
        }
        open
    })
}
