//! A relay under attack: what it holds in memory, and how honest peers fare, while the attack runs.

use std::{
    fs,
    future::Future,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use p2p::identity::Invite;

use super::common::{Lab, MIB, Proc, assert_same};

/// What a relay may take beside `--memory-limit`: the program itself, and what it costs to have
/// connections at all.
pub const BESIDE_THE_LIMIT: u64 = 32 * MIB;

/// Files that an honest sender sends while an attack runs.
const HONEST_FILES: usize = 3;
/// The same while an attack takes its time.
const HONEST_MOST: usize = 40;

/// A relay, an honest listener, and a file that an honest sender sends.
pub struct Siege {
    pub lab: Lab,
    pub relay: Proc,
    _alice: Proc,
    file: PathBuf,
}

/// What was seen while an attack ran.
pub struct Seen {
    /// Resident memory of the relay before the attack, in bytes.
    pub before: u64,
    /// The most that was seen during it, in bytes.
    pub most: u64,
    /// How long each honest file took.
    pub honest: Vec<Duration>,
}

impl Siege {
    pub fn new(options: &[&str]) -> Self {
        let (lab, relay) = Lab::with_relay(options);
        Self::with(lab, relay)
    }

    /// The same, with a relay that was started otherwise.
    pub fn with(lab: Lab, relay: Proc) -> Self {
        let alice = lab.listen("alice", &[]);
        let file = lab.file("honest.bin", 3 * MIB);
        let siege = Self {
            lab,
            relay,
            _alice: alice,
            file,
        };
        siege.honest_send("warmup", &[]);
        siege
    }

    pub fn invite(&self) -> Invite {
        self.lab.invite().parse().unwrap()
    }

    /// Sends the honest file, and says how long it took from the start of the process.
    #[track_caller]
    pub fn honest_send(&self, who: &str, options: &[&str]) -> Duration {
        let start = Instant::now();
        let options = [&["--to", "alice"], options].concat();
        self.lab.send(who, &options, &[&self.file]).expect(0);
        start.elapsed()
    }

    /// Runs an attack on a thread of its own and, once it says that it is in place, sends honest
    /// files; what the attack holds is held until they have arrived.
    ///
    /// The relay's memory is measured from the attack's first step to the last honest file.
    #[track_caller]
    pub fn under<F, H>(&self, attack: impl FnOnce(Invite) -> F + Send + 'static) -> Seen
    where
        F: Future<Output = H>,
    {
        let (ready, in_place) = mpsc::channel();
        let (over, until) = tokio::sync::oneshot::channel::<()>();
        let (before, invite) = (memory(&self.relay), self.invite());
        let meter = Meter::start(&self.relay);
        let attacker = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let held = attack(invite).await;
                ready.send(()).unwrap();
                let _ = until.await;
                drop(held);
            });
        });
        let placed = in_place.recv_timeout(Duration::from_secs(100));
        if placed.is_err() && attacker.is_finished() {
            std::panic::resume_unwind(attacker.join().unwrap_err());
        }
        placed.expect("the attack is in place in time");
        let honest = (0..HONEST_FILES)
            .map(|i| self.honest_send(&format!("honest-{i}"), &[]))
            .collect();
        let most = meter.most();
        let _ = over.send(());
        attacker.join().unwrap();
        for copy in self.lab.stored("alice") {
            assert_same(&self.file, &self.lab.out("alice").join(copy));
        }
        Seen {
            before,
            most,
            honest,
        }
    }
}

impl Siege {
    /// Runs an attack on a thread of its own, and sends honest files for as long as it lasts.
    #[track_caller]
    pub fn during<F: Future<Output = ()>>(&self, attack: impl FnOnce(Invite) -> F + Send) -> Seen {
        let (before, invite) = (memory(&self.relay), self.invite());
        let meter = Meter::start(&self.relay);
        let mut honest = Vec::new();
        thread::scope(|scope| {
            let attacker = scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(attack(invite));
            });
            while honest.is_empty() || (honest.len() < HONEST_MOST && !attacker.is_finished()) {
                honest.push(self.honest_send(&format!("honest-{}", honest.len()), &[]));
            }
            if let Err(panic) = attacker.join() {
                std::panic::resume_unwind(panic);
            }
        });
        Seen {
            before,
            most: meter.most(),
            honest,
        }
    }
}

impl Siege {
    /// Does something with other programs, and then sends honest files.
    #[track_caller]
    pub fn while_running(&self, attack: impl FnOnce(&Lab)) -> Seen {
        let (before, meter) = (memory(&self.relay), Meter::start(&self.relay));
        attack(&self.lab);
        let honest = (0..HONEST_FILES).map(|i| self.honest_send(&format!("honest-{i}"), &[]));
        Seen {
            before,
            honest: honest.collect(),
            most: meter.most(),
        }
    }
}

impl Seen {
    /// Asserts that the relay kept to its memory limit, and that honest files came in time.
    #[track_caller]
    pub fn harmless(&self, memory_limit: u64) {
        self.harmless_within(memory_limit, Duration::from_secs(10));
    }

    /// The same, where honest files may take so long.
    #[track_caller]
    pub fn harmless_within(&self, memory_limit: u64, limit: Duration) {
        println!(
            "{} KiB before, {} KiB at most; {} honest files took {:.1?} at most",
            self.before / 1024,
            self.most / 1024,
            self.honest.len(),
            self.honest.iter().max().unwrap()
        );
        assert!(
            self.most <= memory_limit + BESIDE_THE_LIMIT,
            "{} MiB of memory, with a limit of {} MiB",
            self.most / MIB,
            memory_limit / MIB
        );
        let slowest = self.honest.iter().max().unwrap();
        assert!(*slowest < limit, "{:?}", self.honest);
    }
}

/// Resident memory in a process's `status`, in bytes; of the program's own file no more than it takes
/// when it is optimised.
pub fn resident(status: &str) -> u64 {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        // A process that has ended has none.
        line.map_or(0, |line| {
            let kib = line.trim().trim_end_matches(" kB");
            kib.parse::<u64>().unwrap() * 1024
        })
    };
    field("RssAnon:") + field("RssShmem:") + field("RssFile:").min(PROGRAM)
}

/// What an optimised build has in memory of its own file.
const PROGRAM: u64 = 8 * MIB;

/// Resident memory of a process now, in bytes.
pub fn memory(process: &Proc) -> u64 {
    resident(&fs::read_to_string(process.proc_file("status")).unwrap_or_default())
}

/// Looks at a process's resident memory again and again.
struct Meter {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Meter {
    fn start(process: &Proc) -> Self {
        let (most, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let status = process.proc_file("status");
        let thread = thread::spawn({
            let (most, stop) = (most.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(text) = fs::read_to_string(&status) else {
                        break;
                    };
                    most.fetch_max(resident(&text), Ordering::Relaxed);
                    thread::park_timeout(Duration::from_millis(10));
                }
            }
        });
        Self {
            most,
            stop,
            thread: Some(thread),
        }
    }

    fn most(mut self) -> u64 {
        self.stop();
        self.most.load(Ordering::Relaxed)
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop();
    }
}
