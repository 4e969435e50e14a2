//! A relay with very many listeners that have nothing to do.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use p2p::{
    home::KnownPeers,
    identity::{Identity, Invite, Name},
    quic::Tuning,
    storage::Conflict,
    transfer::{
        Event, Member, Observer,
        receive::{AcceptAll, Destination, ListenConfig, SharedWriter, listen},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    machine::{Lines, resident},
    settings::{row, scaled},
    world::World,
};

/// How long the relay is watched: several rounds of keep-alives.
const WATCHED: Duration = Duration::from_secs(24);
/// From one listener to the next: a crowd that comes as fast as it can is measured with the restart.
const BETWEEN: Duration = Duration::from_millis(2);
/// A broadcast goes to no more than this: in one process, each listener that receives takes threads.
const BROADCAST_TO: u64 = 2_000;
/// What is sent to all of them, in bytes.
const BROADCAST: u64 = 1 << 20;

/// Memory for each listener, before and after its first file; processor time while nothing happens; and
/// how long it takes until all are back after a relay was killed.
///
/// Once as it is on loopback, which takes packets of 8 kB, and once with those that the Internet takes.
pub fn idle() {
    for mtu in [None, Some(1452)] {
        with_packets(mtu);
    }
}

fn with_packets(mtu: Option<u16>) {
    let peers = scaled(1000);
    let details = mtu.map_or("packets as large as loopback takes".to_owned(), |mtu| {
        format!("packets of {mtu} bytes")
    });
    let mut world = World::new(mtu);
    let before = resident(world.relay.pid());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["idle-peers", &peers.to_string()])
        .env("P2P_SERVER", world.invite());
    if let Some(mtu) = mtu {
        command.env("P2P_MTU", mtu.to_string());
    }
    let mut crowd = Lines::spawn(command);
    assert_eq!(crowd.line(), "all here");
    sleep(Duration::from_secs(2));
    let start = Instant::now();
    let usage = world.relay.usage();
    sleep(WATCHED);
    let share = world.relay.usage().since(&usage).cpu / start.elapsed().as_secs_f64();
    let each =
        |world: &World| (resident(world.relay.pid()) - before) as f64 / peers as f64 / 1024.0;
    let idle = each(&world);
    row(
        &format!("relay's memory for each of {peers} idle listeners"),
        &format!("{idle:.1} KiB"),
        "<40 KiB",
        idle < 40.0,
        &details,
    );
    let goal = 0.01 * peers as f64 / 1000.0;
    row(
        &format!("relay's processor time with {peers} idle listeners"),
        &format!("{:.2} %", share * 100.0),
        &format!("<{:.0} %", goal * 100.0),
        share < goal,
        "of one core",
    );
    if peers <= BROADCAST_TO {
        let file = world.file("broadcast.bin", BROADCAST);
        let took = world.time(&["broadcast", "--timeout", "10m"], &file);
        assert_eq!(crowd.line(), "all received");
        let served = each(&world);
        row(
            &format!("the same, after a broadcast of 1 MiB to {peers}"),
            &format!("{served:.1} KiB"),
            "<60 KiB",
            served < 60.0,
            &format!("{details}; it took {:.1} s", took.as_secs_f64()),
        );
    }
    world.restart();
    let start = Instant::now();
    assert_eq!(crowd.line(), "all here");
    let back = start.elapsed().as_secs_f64();
    row(
        &format!("until {peers} listeners are back after a kill"),
        &format!("{back:.1} s"),
        "<15 s",
        back < 15.0,
        "one process for all of them",
    );
}

/// Runs so many listeners, each with its own key. Says when all are in their room, each time, and when
/// all have received a file.
pub fn play(args: &[String]) {
    let peers: u64 = args[0].parse().unwrap();
    raise_file_limit();
    let invite: Invite = std::env::var("P2P_SERVER").unwrap().parse().unwrap();
    let crowd = Arc::new(Crowd {
        peers,
        joined: AtomicU64::new(0),
        received: AtomicU64::new(0),
    });
    let folder = tempfile::tempdir().unwrap();
    // Each listener that receives has a thread for its disk.
    let threads = usize::try_from(4 * peers.min(BROADCAST_TO)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(threads)
        .thread_stack_size(256 << 10)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut listeners = tokio::task::JoinSet::new();
        for number in 0..peers {
            let name = Name {
                name: format!("idle{number}").parse().unwrap(),
                chosen: true,
            };
            let identity = Arc::new(Identity::generate());
            let mut member = Member::new(identity, name, invite.clone());
            member.tuning = Tuning::from_env();
            let room = invite.secret.room_id();
            // Each a home of its own, as on machines of their own.
            let own = folder.path().join(number.to_string());
            std::fs::create_dir(&own).unwrap();
            let known = KnownPeers::new(own.join("known"), room);
            let sink = Destination::Writer(SharedWriter::new(std::io::sink()));
            let config = ListenConfig {
                destination: sink,
                out: "-".into(),
                conflict: Conflict::Rename,
                max_size: None,
                between_keys: ListenConfig::BETWEEN_KEYS,
                once: false,
                journal: own.join("journal"),
                policy: Arc::new(AcceptAll),
                known,
                after: None,
                runs_program: false,
            };
            let (crowd, cancel) = (crowd.clone(), CancellationToken::new());
            listeners.spawn(async move { listen(Arc::new(member), config, crowd, cancel).await });
            tokio::time::sleep(BETWEEN).await;
        }
        let ended = listeners.join_next().await;
        panic!("a listener ended: {ended:?}");
    });
}

/// Counts what happens to all of them.
struct Crowd {
    peers: u64,
    joined: AtomicU64,
    received: AtomicU64,
}

impl Observer for Crowd {
    fn event(&self, event: Event) {
        let (count, what) = match event {
            Event::Joined { .. } => (&self.joined, "all here"),
            Event::Received { .. } => (&self.received, "all received"),
            _ => return,
        };
        if (count.fetch_add(1, Relaxed) + 1).is_multiple_of(self.peers) {
            println!("{what}");
        }
    }
}

/// Every peer has a socket.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
