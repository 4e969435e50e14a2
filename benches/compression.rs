//! What `--compress auto` gains and costs, by data and link.
//!
//! `cargo bench --bench compression`. A relay, a listener and a sender on loopback, each on a thread
//! of its own. For each kind of data and each link it sends the same file with `--compress never`
//! and `--compress auto`, and prints two ratios, auto to never: bytes on the wire, and seconds (the
//! best of some runs, in turn). The slow link is `--limit`, the fast one is loopback itself.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use p2p::{
    home::KnownPeers,
    identity::{HostPort, Identity, Invite, Name, RoomSecret},
    protocol::{FileHeader, PeerId},
    quic::{Certificate, Credentials},
    relay::{Admission, FileHook, Hook, Relay, RelayConfig},
    storage::{Conflict, Target},
    transfer::{
        Event, Member, Observer,
        receive::{ListenConfig, listen},
        send::{SendRequest, SourceSpec, To, send},
    },
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Bytes of each file over the fast link.
const FAST_LEN: usize = 256 * MIB;
/// Bytes of each file over the slow link.
const SLOW_LEN: usize = 8 * MIB;
/// Bytes a second of the slow link.
const SLOW: u64 = 4 * MIB as u64;
/// Runs over the fast link with either setting: the best counts.
const RUNS: usize = 5;
const MIB: usize = 1 << 20;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let stage = Stage::new(folder.path());
    println!(
        "auto to never          slow link, {} MiB/s          fast link",
        SLOW >> 20
    );
    println!("data                bytes   seconds          bytes   seconds    MB/s never");
    let kinds: [(&str, Make); 5] = [
        ("text", text),
        ("CSV", csv),
        ("JSON", json),
        ("binary, 1/10 less", mixed),
        ("incompressible", noise),
    ];
    for (name, make) in kinds {
        let slow = folder.path().join("slow");
        fs::write(&slow, make(SLOW_LEN)).expect("room for a file");
        let never = stage.send(&slow, Some(SLOW), false);
        let auto = stage.send(&slow, Some(SLOW), true);
        let fast = folder.path().join("fast");
        fs::write(&fast, make(FAST_LEN)).expect("room for a file");
        stage.send(&fast, None, false);
        let (mut best_never, mut best_auto) = (Run::MAX, Run::MAX);
        for _ in 0..RUNS {
            best_never = best_never.min(stage.send(&fast, None, false));
            best_auto = best_auto.min(stage.send(&fast, None, true));
        }
        println!(
            "{name:18} {}          {}    {:10.0}",
            auto.to(&never),
            best_auto.to(&best_never),
            FAST_LEN as f64 / 1e6 / best_never.took.as_secs_f64()
        );
    }
}

/// Makes so many bytes of one kind.
type Make = fn(usize) -> Vec<u8>;

/// What one send took.
#[derive(Clone, Copy)]
struct Run {
    bytes: u64,
    took: Duration,
}

impl Run {
    const MAX: Self = Self {
        bytes: u64::MAX,
        took: Duration::MAX,
    };

    fn min(self, other: Self) -> Self {
        if other.took < self.took { other } else { self }
    }

    fn to(&self, never: &Self) -> String {
        let mut text = String::new();
        let bytes = self.bytes as f64 / never.bytes as f64;
        let took = self.took.as_secs_f64() / never.took.as_secs_f64();
        let _ = write!(text, "{bytes:6.3}    {took:6.3}");
        text
    }
}

/// A relay that counts, and a listener.
struct Stage {
    sender: Member,
    known: KnownPeers,
    jobs: PathBuf,
    wire: Wire,
}

impl Stage {
    fn new(folder: &Path) -> Self {
        let identity = Identity::generate();
        let certificate = Certificate::of(&identity);
        let credentials = Credentials::new(certificate.certificate, certificate.private_key);
        let secret = RoomSecret::generate();
        let wire = Wire::default();
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = RelayConfig::new(bind, Admission::of([secret.room_id()]));
        config.hook = Some(Arc::new(wire.clone()));
        let (bound, address) = std::sync::mpsc::channel();
        on_thread(async move {
            let relay = Relay::bind(config, &credentials).expect("a free port");
            let _ = bound.send(relay.local_addr().expect("bound"));
            relay.run(CancellationToken::new()).await;
        });
        let address = address.recv().expect("the relay starts");
        let at = HostPort::new(&address.ip().to_string(), address.port()).expect("an address");
        let invite = Invite::new(at, identity.id(), secret);
        let out = folder.join("out");
        let target = Target::open(&out).expect("a directory");
        let known = folder.join("known-listener");
        let known = KnownPeers::new(known, invite.secret.room_id());
        let listener = ListenConfig {
            conflict: Conflict::Overwrite,
            ..ListenConfig::new(target, out, folder.join("journal"), known)
        };
        let (alice, joined) = (
            Arc::new(member("alice", &invite)),
            Arc::new(Joined::default()),
        );
        let (observer, end) = (joined.clone(), CancellationToken::new());
        on_thread(async move {
            let _ = listen(alice, listener, observer, end).await;
        });
        runtime().block_on(joined.0.notified());
        Self {
            sender: member("bob", &invite),
            known: KnownPeers::new(folder.join("known"), invite.secret.room_id()),
            jobs: folder.join("jobs"),
            wire,
        }
    }

    fn send(&self, file: &Path, limit: Option<u64>, compress: bool) -> Run {
        let request = SendRequest {
            source: SourceSpec::Paths {
                roots: vec![file.to_owned()],
                filter: p2p::storage::Filter::default(),
            },
            to: To::Peers(vec!["alice".to_owned()]),
            wait: Duration::ZERO,
            timeout: Duration::from_secs(30),
            limit,
            compress,
            jobs: self.jobs.clone(),
        };
        let before = self.wire.0.load(Ordering::Relaxed);
        let observer: Arc<dyn Observer> = Arc::new(Joined::default());
        let start = Instant::now();
        let end = CancellationToken::new();
        let sending = send(&self.sender, &self.known, request, &observer, &end);
        let summary = runtime().block_on(sending).expect("it is sent");
        assert_eq!(summary.failure(), None);
        Run {
            bytes: self.wire.0.load(Ordering::Relaxed) - before,
            took: start.elapsed(),
        }
    }
}

fn member(name: &str, invite: &Invite) -> Member {
    let name = Name::chosen(name.parse().expect("a name"));
    Member::new(Arc::new(Identity::generate()), name, invite.clone())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn on_thread(future: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || runtime().block_on(future));
}

/// Counts what leaves the relay for recipients.
#[derive(Debug, Default, Clone)]
struct Wire(Arc<AtomicU64>);

impl Hook for Wire {
    fn file(&self, _: &FileHeader, _: PeerId) -> Option<Box<dyn FileHook>> {
        Some(Box::new(Counted(self.clone())))
    }
}

/// One file's stream, counted.
#[derive(Debug)]
struct Counted(Wire);

impl FileHook for Counted {
    fn piece(&mut self, piece: Bytes) -> Vec<Bytes> {
        let bytes = piece.len() as u64;
        self.0.0.fetch_add(bytes, Ordering::Relaxed);
        vec![piece]
    }
}

/// Says when the listener is there.
#[derive(Default)]
struct Joined(Notify);

impl Observer for Joined {
    fn event(&self, event: Event) {
        if let Event::Joined { .. } = event {
            self.0.notify_one();
        }
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

/// A tenth of it is text.
fn mixed(len: usize) -> Vec<u8> {
    let (mut out, words) = (noise(len), text(len));
    for (mixed, words) in out.chunks_mut(4096).zip(words.chunks(4096)) {
        let tenth = words.len() / 10;
        mixed[..tenth].copy_from_slice(&words[..tenth]);
    }
    out
}

/// Numbers that look random and are the same each time.
fn numbers() -> impl Iterator<Item = u32> {
    let mut stream = blake3::Hasher::new_derive_key("p2p bench numbers").finalize_xof();
    std::iter::repeat_with(move || {
        let mut four = [0; 4];
        stream.fill(&mut four);
        u32::from_le_bytes(four)
    })
}

fn lines(len: usize, mut line: impl FnMut(&mut String, &mut dyn FnMut() -> u32)) -> Vec<u8> {
    let (mut out, mut numbers) = (String::with_capacity(len + 200), numbers());
    let mut next = || numbers.next().expect("endless");
    while out.len() < len {
        line(&mut out, &mut next);
    }
    out.truncate(len);
    out.into_bytes()
}

fn text(len: usize) -> Vec<u8> {
    const WORDS: &str = "the of and to in is that it was for on are as with his they at be this \
        from have or by one had not but what all were when we there can an your which their said \
        if do will each about how up out them then she many some so these would other into has \
        more her two like him see time could no make than first been its who now people my made";
    let words: Vec<_> = WORDS.split(' ').filter(|word| !word.is_empty()).collect();
    lines(len, |out, next| {
        for _ in 0..12 {
            out.push_str(words[next() as usize % words.len()]);
            out.push(' ');
        }
        out.push('\n');
    })
}

fn csv(len: usize) -> Vec<u8> {
    let mut row = 0;
    lines(len, |out, next| {
        row += 1;
        let (a, b) = (f64::from(next() % 100_000) / 100.0, next() % 1000);
        let _ = writeln!(
            out,
            "{row},2026-11-22T10:{:02}:00Z,station-{},{a:.2},{b}",
            row % 60,
            b % 40
        );
    })
}

fn json(len: usize) -> Vec<u8> {
    lines(len, |out, next| {
        let (id, price, count) = (next(), next() % 10_000, next() % 50);
        let _ = writeln!(
            out,
            "{{\"id\":\"{id:08x}\",\"name\":\"item {}\",\"price\":{price},\"count\":{count},\"active\":{}}}",
            id % 500,
            count % 2 == 0
        );
    })
}
