//! A laboratory for the real binary: processes on loopback, each with a home of its own.
//!
//! Nothing here sleeps: every wait is for an event, or for a process's end, and has a deadline.
//!
//! `P2P_TEST_SCALE` multiplies the heavy tests' sizes and counts up to their full measure: 1 (the
//! default) is tens of mebibytes, a thousand small files and five kills; 100 is 1 GiB, 100,000
//! files and fifty kills. `P2P_TEST_BINARY` is another build of the program to test, an optimised one for instance.
#![allow(
    dead_code,
    reason = "every test binary compiles this file and uses its own part of it"
)]

pub mod person;
pub mod terminal;

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The longest wait for anything, in the default scale.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// One mebibyte.
pub const MIB: u64 = 1 << 20;

/// `small` times the scale, and never more than `full`.
pub fn scaled(small: u64, full: u64) -> u64 {
    let scale = std::env::var("P2P_TEST_SCALE").map_or(1, |s| s.parse().expect("a number"));
    small.saturating_mul(scale).min(full).max(small)
}

/// The longest wait in this scale.
fn patience() -> Duration {
    PATIENCE * u32::try_from(scaled(1, 10)).expect("small")
}

/// A relay, homes, outboxes and the processes of one test.
pub struct Lab {
    folder: TempDir,
    invite: Option<String>,
    address: String,
    binary: PathBuf,
}

impl Lab {
    /// A laboratory without a relay.
    pub fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            invite: None,
            address: "127.0.0.1:0".into(),
            binary: std::env::var_os("P2P_TEST_BINARY")
                .unwrap_or_else(|| env!("CARGO_BIN_EXE_p2p").into())
                .into(),
        }
    }

    /// A laboratory with a relay, which every other process knows by its invite.
    pub fn new() -> (Self, Proc) {
        Self::with_relay(&[])
    }

    /// The same, with more options for the relay.
    pub fn with_relay(options: &[&str]) -> (Self, Proc) {
        let mut lab = Self::empty();
        let relay = lab.relay(options);
        (lab, relay)
    }

    /// Starts the relay; a second time at the same address.
    pub fn relay(&mut self, options: &[&str]) -> Proc {
        self.invite = None;
        let address = self.address.clone();
        let relay = self.run("relay", [&["server", "--bind", &address], options].concat());
        let ready = relay.wait_event("ready");
        self.address = text(&ready, "address");
        self.invite = Some(text(&ready, "invite"));
        relay
    }

    /// The relay's invite.
    pub fn invite(&self) -> &str {
        self.invite.as_deref().expect("a relay was started")
    }

    /// The relay's address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What others use as their invite from here on.
    pub fn use_invite(&mut self, invite: Option<String>) {
        self.invite = invite;
    }

    /// Which `p2p` its processes are.
    pub fn use_binary(&mut self, binary: PathBuf) {
        self.binary = binary;
    }

    /// Everything of this laboratory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The home of `who`, made on first use.
    pub fn home(&self, who: &str) -> PathBuf {
        let path = self.folder().join(format!("home-{who}"));
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Names the machine of `who`, as `p2p listen --name` does.
    pub fn name(&self, who: &str, name: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.home(who).join("name");
        fs::write(&path, format!("{name}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Where `who` stores what it receives.
    pub fn out(&self, who: &str) -> PathBuf {
        let path = self.folder().join(format!("out-{who}"));
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// `p2p` as `who`, without any option yet.
    pub fn command(&self, who: &str) -> Command {
        let mut command = Command::new(&self.binary);
        for variable in [
            "P2P_SERVER",
            "P2P_HOME",
            "P2P_ROAD",
            "NO_COLOR",
            "HTTPS_PROXY",
            "https_proxy",
        ] {
            command.env_remove(variable);
        }
        if let Some(invite) = &self.invite {
            command.env("P2P_SERVER", invite);
        }
        command
            .arg("--home")
            .arg(self.home(who))
            .current_dir(self.folder())
            .stdin(Stdio::null());
        command
    }

    /// Starts `p2p --json` as `who`.
    pub fn run<A: AsRef<OsStr>>(&self, who: &str, args: impl IntoIterator<Item = A>) -> Proc {
        let mut command = self.command(who);
        command.arg("--json").args(args);
        Proc::start(command)
    }

    /// Starts `p2p send` of these files.
    pub fn send<P: AsRef<OsStr>>(&self, who: &str, options: &[&str], files: &[P]) -> Proc {
        let args = ["send"].iter().chain(options).map(OsStr::new);
        self.run(who, args.chain(files.iter().map(AsRef::as_ref)))
    }

    /// Starts a listener of this name, and waits until it is in its room.
    pub fn listen(&self, name: &str, options: &[&str]) -> Proc {
        let out = self.out(name);
        let out = out.to_str().expect("a path of the tests' own");
        let listener = self.run(
            name,
            [&["listen", "--name", name, "--out", out], options].concat(),
        );
        listener.wait_event("joined");
        listener
    }

    /// Makes a file of bytes that do not compress and that are the same for the same name.
    pub fn file(&self, name: &str, size: u64) -> PathBuf {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().expect("inside the folder")).unwrap();
        fill(&path, name, size);
        path
    }

    /// Makes a sparse file with content at both ends and in the middle.
    pub fn sparse(&self, name: &str, size: u64) -> PathBuf {
        use std::os::unix::fs::FileExt;
        let path = self.folder().join(name);
        let file = File::create(&path).unwrap();
        file.set_len(size).unwrap();
        for at in [0, size / 2, size - 8] {
            file.write_all_at(b"contents", at).unwrap();
        }
        path
    }

    /// Everything under a listener's directory except its unfinished files, as paths within it.
    pub fn stored(&self, who: &str) -> Vec<String> {
        let out = self.out(who);
        let mut found: Vec<_> = walkdir::WalkDir::new(&out)
            .min_depth(1)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| !entry.file_type().is_dir())
            .map(|entry| {
                let path = entry.path().strip_prefix(&out).unwrap();
                path.to_string_lossy().into_owned()
            })
            .filter(|path| !path.split('/').any(|part| part.starts_with('.')))
            .collect();
        found.sort();
        found
    }
}

/// A `p2p` process whose events are collected; killed when it is dropped.
pub struct Proc {
    child: Child,
    output: Arc<Output>,
}

#[derive(Default)]
struct Output {
    heard: Mutex<Heard>,
    news: Condvar,
}

#[derive(Default)]
struct Heard {
    events: Vec<Value>,
    /// How many there are of each name.
    counts: HashMap<String, usize>,
    /// Standard output as it came.
    raw: String,
    stderr: String,
    open: usize,
}

impl Output {
    /// A failed assertion in the test must not bring down the threads that read.
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proc {
    /// Starts a command whose standard output is JSON lines.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Output::default());
        output.lock().open = 2;
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        follow(stdout, output.clone(), |heard, line| {
            let value = serde_json::from_str(line)
                .unwrap_or_else(|_| serde_json::json!({"event": "NOT JSON", "line": line}));
            let name = value["event"].as_str().unwrap_or_default();
            *heard.counts.entry(name.to_owned()).or_default() += 1;
            heard.events.push(value);
            heard.raw.push_str(line);
            heard.raw.push('\n');
        });
        follow(stderr, output.clone(), |heard, line| {
            heard.stderr.push_str(line);
            heard.stderr.push('\n');
        });
        Self { child, output }
    }

    /// The first event of this name.
    pub fn wait_event(&self, name: &str) -> Value {
        self.wait_where(name, 1, |_| true)
    }

    /// The first event of any of these names.
    pub fn wait_first(&self, names: &[&str]) -> Value {
        let mut found = None;
        self.wait_until(&format!("event of {names:?}"), |heard| {
            let is_one = |event: &&Value| names.iter().any(|name| event["event"] == *name);
            found = heard.events.iter().find(is_one).cloned();
            found.is_some()
        });
        found.expect("waited for")
    }

    /// The `count`th event of this name that the predicate holds for.
    pub fn wait_where(
        &self,
        name: &str,
        count: usize,
        predicate: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut found = None;
        self.wait_until(&format!("event {name} number {count}"), |heard| {
            let mut matching = heard
                .events
                .iter()
                .filter(|e| e["event"] == name && predicate(e));
            found = matching.nth(count - 1).cloned();
            found.is_some()
        });
        found.expect("waited for")
    }

    /// Waits until there are so many events of this name, however many there may be.
    pub fn wait_count(&self, name: &str, count: usize) {
        self.wait_until(&format!("{count} events {name}"), |heard| {
            heard.counts.get(name).is_some_and(|there| *there >= count)
        });
    }

    /// Waits until a relay is ready.
    pub fn ready(self) -> Self {
        self.wait_event("ready");
        self
    }

    /// The first string field of this name in any event.
    pub fn any_string(&self, field: &str) -> String {
        let heard = self.output.lock();
        let found = heard.events.iter().find_map(|e| e[field].as_str());
        found.expect("such a field").to_owned()
    }

    /// All events of this name so far.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let heard = self.output.lock();
        let matching = heard.events.iter().filter(|e| e["event"] == name);
        matching.cloned().collect()
    }

    /// Standard output so far, as it came.
    pub fn raw(&self) -> String {
        self.output.lock().raw.clone()
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        self.output.lock().stderr.clone()
    }

    /// Waits for the end; the exit code, or minus the signal.
    pub fn wait(&mut self) -> i32 {
        let mut heard = self.output.lock();
        let end = Instant::now() + patience();
        while heard.open > 0 {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it does not end: {}", heard.describe());
            heard = self.output.news.wait_timeout(heard, left).unwrap().0;
        }
        drop(heard);
        let status = self.child.wait().unwrap();
        status
            .code()
            .unwrap_or_else(|| -status.signal().expect("neither code nor signal"))
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end and asserts this exit code.
    #[track_caller]
    pub fn expect(&mut self, code: i32) {
        let got = self.wait();
        assert_eq!(got, code, "{}", self.output.lock().describe());
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Largest resident memory so far, in bytes.
    pub fn peak_rss(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Resident memory now, in bytes.
    pub fn rss(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// What the system says of the process in this file of `/proc`.
    pub fn proc_file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(self.proc_file("status")).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix(field));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }

    #[track_caller]
    fn wait_until(&self, what: &str, mut done: impl FnMut(&Heard) -> bool) {
        let end = Instant::now() + patience();
        let mut heard = self.output.lock();
        while !done(&heard) {
            let left = end.saturating_duration_since(Instant::now());
            let over = heard.open == 0 || left.is_zero();
            assert!(!over, "no {what}: {}", heard.describe());
            heard = self.output.news.wait_timeout(heard, left).unwrap().0;
        }
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        // A process that was stopped does not even die of SIGTERM.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Heard {
    fn describe(&self) -> String {
        let last = self.events.len().saturating_sub(4);
        format!(
            "{} events, the last: {:?}\nstandard error: {}",
            self.events.len(),
            &self.events[last..],
            self.stderr
        )
    }
}

fn follow(
    pipe: impl Read + Send + 'static,
    output: Arc<Output>,
    take: impl Fn(&mut Heard, &str) + Send + 'static,
) {
    thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line);
            take(&mut output.lock(), text.trim_end_matches('\n'));
            output.news.notify_all();
            line.clear();
        }
        output.lock().open -= 1;
        output.news.notify_all();
    });
}

/// A string field of an event.
#[track_caller]
pub fn text(event: &Value, field: &str) -> String {
    let value = event[field].as_str();
    value
        .unwrap_or_else(|| panic!("no {field} in {event}"))
        .to_owned()
}

/// BLAKE3 of a file, in hex.
#[track_caller]
pub fn digest(path: &Path) -> String {
    let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).unwrap();
    hasher.finalize().to_hex().to_string()
}

/// Asserts that two files have the same bytes.
#[track_caller]
pub fn assert_same(sent: &Path, received: &Path) {
    assert_eq!(digest(sent), digest(received), "{}", received.display());
}

/// Fills a file with `size` bytes that follow from `seed`.
pub fn fill(path: &Path, seed: &str, size: u64) {
    let mut stream = blake3::Hasher::new().update(seed.as_bytes()).finalize_xof();
    let mut file = File::create(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let part = &mut buffer[..left.min(1 << 20) as usize];
        stream.fill(part);
        file.write_all(part).unwrap();
        left -= part.len() as u64;
    }
}
