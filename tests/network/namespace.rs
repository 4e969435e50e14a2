//! Network namespaces, made and removed by the tests.
#![allow(dead_code, reason = "benchmarks use their own part of it")]

use std::{
    ffi::OsStr,
    io::Write,
    process::{Command, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Whether namespaces, and what the tests put into them, can be had; a line on standard error says it
/// where not: a container's root may have less than root's powers.
pub fn available(test: &str) -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    let available = *AVAILABLE.get_or_init(|| {
        every_step_works(&[
            &["ip", "-n", PROBE, "link", "set", "lo", "up"],
            &[
                "ip", "-n", PROBE, "link", "add", "name", "veth0", "type", "veth", "peer", "name",
                "veth1",
            ],
            &[
                "ip", "-n", PROBE, "link", "add", "name", "bridge0", "type", "bridge",
            ],
            &["ip", "netns", "exec", PROBE, "nft", RULES],
        ])
    });
    if !available {
        skipped(test, "it needs root, iproute2 and nftables");
    }
    available
}

/// Whether TUN devices can be had besides.
pub fn tun_available(test: &str) -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    if !available(test) {
        return false;
    }
    let available = *AVAILABLE.get_or_init(|| {
        every_step_works(&[&[
            "ip", "netns", "exec", PROBE, "ip", "tuntap", "add", "dev", "t", "mode", "tun",
        ]])
    });
    if !available {
        skipped(test, "it needs TUN devices (/dev/net/tun)");
    }
    available
}

/// Stands for the namespace in which something is tried.
const PROBE: &str = "PROBE";

/// Of each kind that the tests use, one.
const RULES: &str = "add table ip n;
    add chain ip n post { type nat hook postrouting priority srcnat; };
    add rule ip n post oif lo masquerade fully-random;
    add chain ip n in { type filter hook input priority 0; };
    add rule ip n in iif lo ct state new meta l4proto udp drop";

/// Tries commands in a namespace of their own.
fn every_step_works(steps: &[&[&str]]) -> bool {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("p2p-probe-{}-{number}", std::process::id());
    let works = |args: &[&str]| {
        let args = args
            .iter()
            .map(|arg| if *arg == PROBE { &name } else { *arg });
        let args: Vec<_> = args.collect();
        let output = Command::new(args[0]).args(&args[1..]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let all = works(&["ip", "netns", "add", PROBE]) && steps.iter().all(|step| works(step));
    works(&["ip", "netns", "del", PROBE]);
    all
}

/// Whether a program is installed; a line on standard error says it where not.
pub fn installed(program: &str, test: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        let mut places: Vec<_> = std::env::split_paths(&path).collect();
        places.push("/usr/sbin".into());
        places.iter().any(|place| place.join(program).is_file())
    });
    if !found {
        skipped(test, &format!("{program} is not installed"));
    }
    found
}

/// Says so past what the harness captures, or nobody would see that nothing was tested.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped {test}: {why}");
}

/// A namespace, removed when it is dropped.
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub fn new(label: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("p2p{}-{number}-{label}", std::process::id());
        run("ip", ["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// By which `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A cable to another namespace, with these addresses at both ends.
    ///
    /// The name of the interface here.
    pub fn connect(&self, other: &Self, addresses: (&[&str], &[&str])) -> String {
        self.cable_to(other, addresses).0
    }

    /// The same; the names of the interfaces at both ends.
    pub fn cable_to(&self, other: &Self, (here, there): (&[&str], &[&str])) -> (String, String) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (a, b) = (format!("veth{number}a"), format!("veth{number}b"));
        run(
            "ip",
            [
                "link",
                "add",
                &a,
                "netns",
                &self.name,
                "type",
                "veth",
                "peer",
                "name",
                &b,
                "netns",
                &other.name,
            ],
        );
        for (namespace, device, addresses) in [(self, &a, here), (other, &b, there)] {
            for address in addresses {
                let nodad = if address.contains(':') { "nodad" } else { "" };
                namespace.ip(&format!("addr add {address} dev {device} {nodad}"));
            }
            namespace.ip(&format!("link set {device} up"));
        }
        (a, b)
    }

    /// Lets a file lie over the one of this name in `/etc` for what runs inside.
    pub fn etc(&self, name: &str, contents: &str) {
        let folder = format!("/etc/netns/{}", self.name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(format!("{folder}/{name}"), contents).unwrap();
    }

    /// `ip` inside.
    pub fn ip(&self, arguments: &str) {
        let arguments = arguments.split_whitespace();
        run("ip", ["-n", &self.name].into_iter().chain(arguments));
    }

    /// Bytes that have left it so far, over all interfaces but loopback.
    pub fn sent(&self) -> u64 {
        let output = run("ip", ["-n", &self.name, "-json", "-stats", "link"]);
        let links: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let links = links.as_array().unwrap().iter();
        links
            .filter(|link| link["link_type"] != "loopback")
            .map(|link| link["stats64"]["tx"]["bytes"].as_u64().unwrap())
            .sum()
    }

    /// Loads these rules of nftables inside.
    pub fn nft(&self, rules: &str) {
        let mut command = self.command("nft");
        command.args(["-f", "-"]);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(rules.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success(), "{rules}");
    }

    /// A command that runs inside.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// The same command, inside.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = self.command(command.get_program());
        inside.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            inside.current_dir(directory);
        }
        inside
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
        let _ = std::fs::remove_dir_all(format!("/etc/netns/{}", self.name));
    }
}

#[track_caller]
fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    output
}
