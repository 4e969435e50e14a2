//! A `nats-server` on loopback, and directories that meet there.

use std::{
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use p2p::{
    cluster::{ClusterKey, Directory, DirectoryEvent, DirectoryEvents, nats::Discovery},
    identity::Identity,
};
use tokio::time::timeout;

/// The longest wait for anything; on a quiet machine all of it takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is killed when it is dropped.
pub struct Nats {
    program: PathBuf,
    port: u16,
    args: Vec<String>,
    process: Option<Child>,
}

impl Nats {
    /// Starts one; nothing, and a line that says so, where the program is missing.
    pub fn start() -> Option<Self> {
        Self::start_with(Vec::new())
    }

    /// The same with more on its command line.
    pub fn start_with(args: Vec<String>) -> Option<Self> {
        let Some(program) = find() else {
            // Not through the test's captured output: who reads it is to know.
            let test = std::thread::current();
            let test = test.name().unwrap_or_default();
            let _ = writeln!(
                std::io::stderr(),
                "skipped {test}: there is no nats-server (Debian's package of that name)"
            );
            return None;
        };
        let mut nats = Self {
            program,
            port: free_port(),
            args,
            process: None,
        };
        nats.run();
        Some(nats)
    }

    /// Where relays and tests connect to.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again, on the same port.
    pub fn run(&mut self) {
        self.kill();
        let mut command = Command::new(&self.program);
        command
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string()])
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
    }

    /// A client like any other: knowing NATS admits nobody.
    pub async fn client(&self) -> async_nats::Client {
        let options = async_nats::ConnectOptions::new()
            .retry_on_initial_connect()
            .max_reconnects(None);
        let client = options.connect(self.url()).await.unwrap();
        timeout(PATIENCE, client.flush()).await.unwrap().unwrap();
        client
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]);
    folders
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A directory of one relay, and what happens there.
pub struct Node {
    pub directory: Directory,
    pub events: DirectoryEvents,
    discovery: Option<Discovery>,
}

impl Node {
    /// A node of this cluster that meets the others at `nats`.
    pub fn start(nats: &Nats, key: &ClusterKey, name: &str) -> Self {
        Self::of(nats, key, name, Identity::generate())
    }

    /// The same, with a key that it had before.
    pub fn of(nats: &Nats, key: &ClusterKey, name: &str, node: Identity) -> Self {
        let public = vec![format!("{name}.example:4433").parse().unwrap()];
        let directory = Directory::new(key.clone(), node, name.parse().unwrap(), public);
        directory.set_trunk(([127, 0, 0, 1], 9).into());
        let events = directory.subscribe();
        let servers = nats.url().parse().unwrap();
        let discovery = Discovery::start(directory.clone(), servers).unwrap();
        Self {
            directory,
            events,
            discovery: Some(discovery),
        }
    }

    /// Waits for an event, past others.
    pub async fn wait_for(&mut self, mut is: impl FnMut(&DirectoryEvent) -> bool) {
        let waiting = async {
            loop {
                let event = self.events.next().await;
                if is(&event) {
                    return;
                }
            }
        };
        timeout(PATIENCE, waiting).await.expect("the event");
    }

    /// Waits until this is so of the directory, which every change is asked for.
    pub async fn wait_until(&mut self, mut is: impl FnMut(&Directory) -> bool) {
        let directory = self.directory.clone();
        let waiting = async {
            while !is(&directory) {
                self.events.next().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("the change");
    }

    /// Ends it, as a relay that is stopped.
    pub fn stop(&mut self) {
        self.discovery = None;
    }
}

/// A cluster.
pub fn cluster() -> ClusterKey {
    ClusterKey::new(Identity::generate())
}
