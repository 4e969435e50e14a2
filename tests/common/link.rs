//! A long link between two network namespaces: rate, delay, queue, losses, and late packets.
//!
//! Two TUN devices, with threads between them that hold packets for as long as the link would. UDP and
//! TCP take it alike. Needs root.
#![allow(dead_code, reason = "every binary uses its own part of it")]

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    os::fd::AsFd,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::namespace::Namespace;

/// What a packet of IP may come to, in bytes.
const MTU: u16 = 1_500;
/// Packets that a direction holds at most: 200 MB.
const HELD_MAX: usize = 1 << 17;

/// What a link is like, in each direction.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Bits per second.
    pub rate: f64,
    /// One way.
    pub delay: Duration,
    /// What waits at most, in time.
    pub queue: Duration,
    /// The share of packets that is lost by chance.
    pub loss: f64,
    /// The share of packets that is late, and by how much.
    pub late: (f64, Duration),
}

impl Shape {
    /// A link with a drop-tail queue.
    pub fn new(mbit: f64, round_trip_ms: u64, queue_ms: u64, loss_percent: f64) -> Self {
        Self {
            rate: mbit * 1e6,
            delay: Duration::from_micros(round_trip_ms * 500),
            queue: Duration::from_millis(queue_ms),
            loss: loss_percent / 100.0,
            late: (0.0, Duration::ZERO),
        }
    }

    /// The same, with such a percentage of packets late.
    pub fn late(self, percent: f64, by_ms: u64) -> Self {
        Self {
            late: (percent / 100.0, Duration::from_millis(by_ms)),
            ..self
        }
    }

    /// Bytes of content per second, in packets of the largest size that QUIC packs them in.
    pub fn content_rate(&self) -> f64 {
        self.rate / 8.0 * 1_452.0 / f64::from(MTU)
    }
}

/// What a direction has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Packets and their bytes that came through.
    pub packets: AtomicU64,
    pub bytes: AtomicU64,
    /// Packets lost by chance, and for want of room in the queue.
    pub lost: AtomicU64,
    pub dropped: AtomicU64,
    /// The longest and the summed wait in the queue, in microseconds.
    pub longest: AtomicU64,
    pub waited: AtomicU64,
}

/// A link; gone when it is dropped.
pub struct LongLink {
    ends: [(String, String); 2],
    /// From the first namespace to the second, and back.
    pub seen: [Arc<Seen>; 2],
}

impl LongLink {
    /// Connects two namespaces, which get the addresses `10.9.NUMBER.1` and `.2`.
    pub fn new(a: &Namespace, b: &Namespace, number: u8, shape: Shape) -> Self {
        let [first, second] = [(a, 1_u8), (b, 2)].map(|(namespace, host)| {
            let device = format!("long{number}-{host}");
            let tun = Arc::new(open(namespace, &device));
            namespace.ip(&format!("addr add 10.9.{number}.{host}/24 dev {device}"));
            namespace.ip(&format!("link set {device} mtu {MTU} txqueuelen 5000 up"));
            ((namespace.name().to_owned(), device), tun)
        });
        let seen = [Arc::default(), Arc::default()];
        carry((&first.1, &second.1), shape, u64::from(number), &seen[0]);
        carry(
            (&second.1, &first.1),
            shape,
            91 + u64::from(number),
            &seen[1],
        );
        Self {
            ends: [first.0, second.0],
            seen,
        }
    }
}

impl Drop for LongLink {
    fn drop(&mut self) {
        // Reading from a device that is gone fails, which ends the threads.
        for (namespace, device) in &self.ends {
            let _ = Command::new("ip")
                .args(["-n", namespace, "link", "del", device])
                .output();
        }
    }
}

/// Opens a TUN device in a namespace.
fn open(namespace: &Namespace, device: &str) -> SyncDevice {
    let path = format!("/run/netns/{}", namespace.name());
    let device = device.to_owned();
    // The thread stays in the namespace, and so is one of its own.
    let opening = thread::spawn(move || {
        let namespace = File::open(path).unwrap();
        let network = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), network).unwrap();
        DeviceBuilder::new()
            .name(device)
            .layer(Layer::L3)
            .enable(false)
            .build_sync()
            .unwrap()
    });
    opening.join().unwrap()
}

/// Numbers that are the same in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

type Held = (Instant, u64, Vec<u8>);

fn carry(
    (from, to): (&Arc<SyncDevice>, &Arc<SyncDevice>),
    shape: Shape,
    seed: u64,
    seen: &Arc<Seen>,
) {
    let (held, holds) = mpsc::sync_channel(HELD_MAX);
    let (from, to, seen) = (from.clone(), to.clone(), seen.clone());
    thread::spawn(move || take_in(&from, shape, seed, &seen, &held));
    thread::spawn(move || hand_on(&to, &holds));
}

/// Decides for every packet whether it arrives, and when.
fn take_in(from: &SyncDevice, shape: Shape, seed: u64, seen: &Seen, held: &mpsc::SyncSender<Held>) {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut buffer = [0; MTU as usize + 4];
    let mut free_at = Instant::now();
    while let Ok(len @ 1..) = from.recv(&mut buffer) {
        let now = Instant::now();
        if chance.next() < shape.loss {
            seen.lost.fetch_add(1, Relaxed);
            continue;
        }
        free_at = free_at.max(now);
        let wait = free_at - now;
        if wait > shape.queue {
            seen.dropped.fetch_add(1, Relaxed);
            continue;
        }
        let micros = wait.as_micros() as u64;
        seen.longest.fetch_max(micros, Relaxed);
        seen.waited.fetch_add(micros, Relaxed);
        let number = seen.packets.fetch_add(1, Relaxed);
        seen.bytes.fetch_add(len as u64, Relaxed);
        free_at += Duration::from_secs_f64(len as f64 * 8.0 / shape.rate);
        let mut due = free_at + shape.delay;
        if shape.late.0 > 0.0 && chance.next() < shape.late.0 {
            due += shape.late.1;
        }
        if held.send((due, number, buffer[..len].to_vec())).is_err() {
            return;
        }
    }
}

/// How often it is looked whether packets are due, at most: waking for each of 42,000 a second would take the
/// processor that is measured.
const STEP: Duration = Duration::from_micros(200);

/// Writes packets when they are due; one that is late is overtaken.
fn hand_on(to: &SyncDevice, holds: &mpsc::Receiver<Held>) {
    let mut waiting: BinaryHeap<Reverse<Held>> = BinaryHeap::new();
    loop {
        match waiting.peek() {
            None => match holds.recv() {
                Ok(packet) => waiting.push(Reverse(packet)),
                Err(mpsc::RecvError) => return,
            },
            Some(Reverse((due, ..))) => {
                thread::sleep(due.saturating_duration_since(Instant::now()).min(STEP));
            }
        }
        waiting.extend(holds.try_iter().map(Reverse));
        let now = Instant::now();
        while waiting.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, packet))) = waiting.pop() else {
                break;
            };
            let _ = to.send(&packet);
        }
    }
}
