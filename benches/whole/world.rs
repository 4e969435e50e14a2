//! A relay and listeners of `p2p`, as users start them, with everything on a memory file system.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::machine::Lines;

/// A folder for one case, with a relay under way.
pub struct World {
    folder: TempDir,
    mtu: Option<u16>,
    invite: String,
    address: String,
    /// The relay.
    pub relay: Lines,
}

impl World {
    /// Starts a relay; `mtu` limits the packets of every process of this world.
    pub fn new(mtu: Option<u16>) -> Self {
        let folder = folder();
        let (relay, ready) = start_relay(folder.path(), mtu, "127.0.0.1:0");
        let text = |field: &str| ready[field].as_str().unwrap().to_owned();
        Self {
            folder,
            mtu,
            invite: text("invite"),
            address: text("address"),
            relay,
        }
    }

    /// Kills the relay, and starts it again where it was.
    pub fn restart(&mut self) {
        self.relay.kill();
        (self.relay, _) = start_relay(self.folder.path(), self.mtu, &self.address);
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// By which its peers reach its relay.
    pub fn invite(&self) -> &str {
        &self.invite
    }

    /// A command of `who`.
    pub fn command(&self, who: &str) -> Command {
        command(self.folder(), who, self.mtu, Some(&self.invite))
    }

    /// Starts a listener, and waits until it has joined.
    pub fn listen(&self, name: &str) -> Lines {
        self.listen_with(name, &[])
    }

    /// The same, with these variables.
    pub fn listen_with(&self, name: &str, variables: &[(&str, &str)]) -> Lines {
        let mut command = self.command(name);
        command.envs(variables.iter().copied());
        command.args(["listen", "--conflict", "overwrite", "--name", name, "--out"]);
        command.arg(self.folder().join(name).join("out"));
        let mut listener = Lines::spawn(command);
        listener.event("joined");
        listener.drain();
        listener
    }

    /// Starts so many listeners.
    pub fn listen_all(&self, count: usize) -> Vec<Lines> {
        (0..count)
            .map(|number| self.listen(&format!("peer{number}")))
            .collect()
    }

    /// Removes what the listeners have received: what is there already would only be compared.
    pub fn forget(&self) {
        for home in fs::read_dir(self.folder()).unwrap() {
            let Ok(received) = fs::read_dir(home.unwrap().path().join("out")) else {
                continue;
            };
            for entry in received {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => fs::remove_dir_all(path).unwrap(),
                    false => fs::remove_file(path).unwrap(),
                }
            }
        }
    }

    /// Sends as the user `sender` would, and says how long the command took.
    pub fn time(&self, args: &[&str], path: &Path) -> Duration {
        self.forget();
        let mut command = self.command("sender");
        command.args(args).arg(path).stdout(Stdio::null());
        let start = Instant::now();
        let status = command.status().unwrap();
        let elapsed = start.elapsed();
        assert!(status.success(), "{command:?}: {status}");
        elapsed
    }

    /// A file of so many bytes that do not shrink.
    pub fn file(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.folder().join(name);
        fill(&path, bytes);
        path
    }
}

/// Starts a relay, and gives what it says when it is ready.
fn start_relay(folder: &Path, mtu: Option<u16>, bind: &str) -> (Lines, serde_json::Value) {
    let mut command = command(folder, "relay", mtu, None);
    command.args(["server", "--bind", bind, "--max-peers", "20000", "--spool"]);
    command.arg(folder);
    let mut relay = Lines::spawn(command);
    let ready = relay.event("ready");
    relay.drain();
    (relay, ready)
}

/// A folder on a memory file system where there is one.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory
    } else {
        Path::new(".")
    };
    tempfile::tempdir_in(parent).unwrap()
}

/// Writes so many bytes that do not shrink.
pub fn fill(path: &Path, bytes: u64) {
    let mut content = vec![0; 1 << 20];
    let mut random = blake3::Hasher::new()
        .update(path.as_os_str().as_encoded_bytes())
        .finalize_xof();
    let mut file = fs::File::create(path).unwrap();
    let mut left = bytes;
    while left > 0 {
        let len = content.len().min(usize::try_from(left).unwrap_or(1 << 20));
        random.fill(&mut content[..len]);
        file.write_all(&content[..len]).unwrap();
        left -= len as u64;
    }
}

fn command(folder: &Path, who: &str, mtu: Option<u16>, invite: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2p"));
    command.arg("--json").arg("--home").arg(folder.join(who));
    command.env_remove("P2P_MTU").env_remove("P2P_ROAD");
    if let Some(mtu) = mtu {
        command.env("P2P_MTU", mtu.to_string());
    }
    if let Some(invite) = invite {
        command.args(["--server", invite]);
    }
    command.stderr(Stdio::null());
    command
}
