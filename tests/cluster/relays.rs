//! Relays of one cluster in this process, which find each other without NATS.
#![allow(dead_code, reason = "what a test needs may come with the next one")]

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use p2p::{
    cluster::{ClusterKey, Directory, Instance, NodeId, RelayBeat},
    identity::{HostPort, Identity, Invite, RoomSecret},
    protocol::PeerId,
    quic::{Certificate, Credentials},
    relay::{Admission, ClusterConfig, Relay, RelayConfig, RelayHandle, TcpListen},
};
use tokio_util::sync::CancellationToken;

/// A cluster: its key, the key that its relays show to clients, and one room.
pub struct Cluster {
    pub key: ClusterKey,
    pub secret: RoomSecret,
    client_facing: Arc<Identity>,
    discovery: Discovery,
}

/// One relay of it, on a thread of its own.
pub struct Node {
    pub handle: RelayHandle,
    pub directory: Directory,
    pub address: SocketAddr,
    pub trunk: SocketAddr,
    invite: Invite,
    end: CancellationToken,
    crash: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What NATS would do: tells every directory what the others say.
#[derive(Clone, Default)]
pub struct Discovery(Arc<Mutex<Vec<Directory>>>);

impl Cluster {
    pub fn new() -> Self {
        log();
        Self {
            key: ClusterKey::new(Identity::generate()),
            secret: RoomSecret::generate(),
            client_facing: Arc::new(Identity::generate()),
            discovery: Discovery::default(),
        }
    }

    /// Starts another relay.
    pub fn node(&self, name: &str) -> Node {
        self.node_with(name, |_| {})
    }

    /// Kills a relay, and starts it anew at its address.
    pub fn again(&self, node: Node) -> Node {
        let (name, address) = (node.directory.name().clone(), node.address);
        let gone = node.directory.instance();
        node.crash();
        self.discovery.forget(gone);
        self.node_with(name.as_str(), |config| config.bind = address)
    }

    /// The same, with other settings.
    pub fn node_with(&self, name: &str, set: impl FnOnce(&mut RelayConfig)) -> Node {
        let name = name.parse().unwrap();
        let directory = Directory::new(self.key.clone(), Identity::generate(), name, Vec::new());
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let mut config = RelayConfig {
            tcp: TcpListen::Off,
            cluster: Some(ClusterConfig {
                directory: directory.clone(),
                bind: any,
                public: None,
            }),
            ..RelayConfig::new(any, Admission::of([self.secret.room_id()]))
        };
        set(&mut config);
        let Certificate {
            certificate,
            private_key,
        } = Certificate::of(&self.client_facing);
        let credentials = Credentials::new(certificate, private_key);
        let (end, crash) = (CancellationToken::new(), CancellationToken::new());
        let (ended, crashed) = (end.clone(), crash.clone());
        let (started, starting) = mpsc::sync_channel(1);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let relay = Relay::bind(config, &credentials).unwrap();
                let address = relay.local_addr().unwrap();
                let trunk = relay.trunk_addr().unwrap();
                started.send((relay.handle(), address, trunk)).unwrap();
                tokio::select! {
                    () = relay.run(ended) => {}
                    () = crashed.cancelled() => {}
                }
            });
            runtime.shutdown_background();
        });
        let (handle, address, trunk) = starting.recv().unwrap();
        self.discovery.add(&directory);
        let host = HostPort::new(&address.ip().to_string(), address.port()).unwrap();
        Node {
            handle,
            directory,
            address,
            trunk,
            invite: Invite::new(host, self.client_facing.id(), self.secret.clone()),
            end,
            crash,
            thread: Some(thread),
        }
    }
}

impl Node {
    pub fn invite(&self) -> Option<String> {
        Some(self.invite.to_string())
    }

    /// Who it is on trunks.
    pub fn id(&self) -> PeerId {
        self.directory.node().0
    }

    /// Ends it as a power cut would: nobody is told.
    pub fn crash(mut self) {
        self.crash.cancel();
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Discovery {
    fn add(&self, directory: &Directory) {
        self.0.lock().unwrap().push(directory.clone());
        self.tell();
        let (here, directory) = (self.clone(), directory.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        () = directory.rooms_changed() => {}
                        () = directory.own_changed() => {}
                    }
                    here.tell();
                    // News take their time.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        });
    }

    /// A relay is not heard of any more.
    fn forget(&self, gone: Instance) {
        let mut all = self.0.lock().unwrap();
        all.retain(|directory| directory.instance() != gone);
        all.iter().for_each(|directory| directory.relay_gone(gone));
    }

    fn tell(&self) {
        let all = self.0.lock().unwrap();
        for to in all.iter() {
            for from in all.iter().filter(|from| from.instance() != to.instance()) {
                say(from, to);
            }
        }
    }
}

fn say(from: &Directory, to: &Directory) {
    let Some(trunk) = from.own().trunk else {
        return;
    };
    let instance: Instance = from.instance();
    to.relay_up(RelayBeat {
        node: NodeId(from.node().0),
        name: from.name().clone(),
        instance,
        public: Vec::new(),
        trunk,
        draining: from.own().draining,
        load: from.own().load,
    });
    let open: HashSet<_> = from.local_rooms().into_keys().collect();
    for room in &open {
        to.room_shared(*room, instance);
    }
    for (room, at) in to.picture().rooms {
        if at.contains(&instance) && !open.contains(&room) {
            to.room_left(room, instance);
        }
    }
}

/// Shows what the relays of this process log, for whoever looks into a failure.
pub fn log() {
    if std::env::var_os("P2P_TEST_LOG").is_some() {
        let filter =
            tracing_subscriber::filter::Targets::new().with_target("p2p", tracing::Level::DEBUG);
        use tracing_subscriber::prelude::*;
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let _ = tracing_subscriber::registry()
            .with(lines)
            .with(filter)
            .try_init();
    }
}
