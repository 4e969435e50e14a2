//! Whether the threads of an endpoint still turn, and what the kernel dropped on its way to them.

use std::{
    io,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often a thread gives a sign.
const TICK: Duration = Duration::from_secs(1);

/// A relay's endpoint, for whoever watches over it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RelayHealth {
    ticks: Vec<Tick>,
    /// The inodes of the UDP sockets, which `/proc` knows them by.
    sockets: Vec<u64>,
}

/// When one thread last gave a sign.
#[derive(Debug, Clone)]
pub(super) struct Tick {
    started: Instant,
    /// Milliseconds after that.
    last: Arc<AtomicU64>,
}

impl RelayHealth {
    pub(super) fn new(ticks: Vec<Tick>, sockets: Vec<u64>) -> Self {
        Self { ticks, sockets }
    }

    /// For how long each thread has given no sign; one that turns gives one a second.
    #[must_use]
    pub fn ticks(&self) -> Vec<Duration> {
        self.ticks.iter().map(Tick::age).collect()
    }

    /// Packets that the kernel dropped since there was no room in the sockets' buffers.
    ///
    /// Blocks on a read of `/proc`; nothing where that does not say.
    #[must_use]
    pub fn udp_drops(&self) -> Option<u64> {
        let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"];
        let tables = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default());
        let of_one = |inode: &u64| tables.iter().find_map(|table| drops(table, *inode));
        self.sockets.iter().map(of_one).sum()
    }
}

impl Tick {
    /// Has a runtime's thread give signs until `stop`.
    pub(super) fn on(runtime: &Handle, stop: CancellationToken) -> Self {
        let tick = Self {
            started: Instant::now(),
            last: Arc::default(),
        };
        let (started, last) = (tick.started, tick.last.clone());
        runtime.spawn(stop.run_until_cancelled_owned(async move {
            let mut interval = tokio::time::interval(TICK);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                last.store(millis(started.elapsed()), Relaxed);
            }
        }));
        tick
    }

    fn age(&self) -> Duration {
        let now = millis(self.started.elapsed());
        Duration::from_millis(now.saturating_sub(self.last.load(Relaxed)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What `/proc` calls a socket.
pub(super) fn inode(socket: &UdpSocket) -> io::Result<u64> {
    #[cfg(unix)]
    return Ok(rustix::fs::fstat(socket)?.st_ino);
    #[cfg(not(unix))]
    {
        let _ = socket;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The last column of a socket's line in `/proc/net/udp` (proc(5)), found by its inode.
fn drops(table: &str, inode: u64) -> Option<u64> {
    let inode = inode.to_string();
    let mut lines = table.lines().map(str::split_whitespace);
    let mut line = lines.find(|line| line.clone().nth(9) == Some(&inode))?;
    line.next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_by_its_inode_and_its_drops_are_the_last_column() {
        let table = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1117: 0100007F:1151 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0000000000000000 17
 1118: 0100007F:1152 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 17 2 0000000000000000 3
";
        assert_eq!(drops(table, 4242), Some(17));
        assert_eq!(drops(table, 17), Some(3));
        assert_eq!(drops(table, 1), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_says_what_it_dropped_of_a_real_socket() {
        let (socket, buffers) = super::super::bind_udp(([127, 0, 0, 1], 0).into()).unwrap();
        let health = RelayHealth::new(Vec::new(), vec![inode(&socket).unwrap()]);
        assert_eq!(health.udp_drops(), Some(0));
        let sender = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let address = socket.local_addr().unwrap();
        for _ in 0..2 * buffers.receive / 1_000 {
            sender.send_to(&[0; 1_400], address).unwrap();
        }
        assert!(health.udp_drops().unwrap() > 0);
    }
}
