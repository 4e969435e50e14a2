//! What sealing, hashing and opening add to the processor time of relaying one file.
//!
//! `cargo bench --bench seal_cost` relays a file between real processes (relay, listener, sender),
//! adds up their processor time, then seals and opens as many bytes in this process with the same
//! code, and prints the share. `P2P_BENCH_MIB` sets the size (default 1024).

use std::{
    fs,
    io::{BufRead, BufReader},
    num::NonZeroU32,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use p2p::{
    identity::{Bundle, Identity, Name, RoomSecret},
    protocol::{CHUNK_SIZE, FRAME_HEADER_LEN, FrameHeader},
    sealing::{
        Compression, Head, HeadKind, Inbox, JobId, Manifest, NewTransfer, OpenKeys, Suite,
        TransferSealer, chunk_frame, open_offer,
    },
};

/// Clock ticks a second in /proc (`getconf CLK_TCK`): 100 on every Linux that Rust supports.
const TICKS: f64 = 100.0;

fn main() {
    let mib = std::env::var("P2P_BENCH_MIB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1024);
    let whole = relay(mib);
    let sealing = seal_and_open(mib);
    let share = sealing / (whole - sealing);
    println!("relaying {mib} MiB sealed: {whole:.2} s of processor time (sender, relay, listener)");
    println!("sealing, hashing and opening {mib} MiB: {sealing:.2} s");
    println!(
        "ratio: sealing adds {:.1} % to relaying unsealed",
        share * 100.0
    );
}

/// Relays a file, and returns the processor time of all three processes in seconds.
fn relay(mib: u64) -> f64 {
    let folder = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() {
        "/dev/shm"
    } else {
        "."
    })
    .unwrap();
    let file = folder.path().join("file");
    let mut content = vec![0; 1 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    let mut out = fs::File::create(&file).unwrap();
    for _ in 0..mib {
        std::io::Write::write_all(&mut out, &content).unwrap();
    }
    let p2p = |home: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p2p"));
        command
            .arg("--home")
            .arg(folder.path().join(home))
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    };
    let mut server = p2p("relay")
        .args(["server", "--bind", "127.0.0.1:0"])
        .spawn()
        .unwrap();
    let invite = event(&mut server, "ready")["invite"]
        .as_str()
        .unwrap()
        .to_owned();
    let out = folder.path().join("out");
    let mut listener = p2p("alice")
        .args(["--server", &invite, "listen", "--name", "alice", "--out"])
        .arg(&out)
        .spawn()
        .unwrap();
    event(&mut listener, "joined");
    let before = children_time();
    let status = p2p("sender")
        .args(["--server", &invite, "send", "--to", "alice"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success());
    let sender = children_time() - before;
    let total = sender + process_time(server.id()) + process_time(listener.id());
    for mut child in [server, listener] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    total
}

/// Seals and opens as the transfer does, and returns this process's time for it.
fn seal_and_open(mib: u64) -> f64 {
    let (sender, recipient) = (
        Arc::new(Identity::generate()),
        Arc::new(Identity::generate()),
    );
    let (room, keys) = (RoomSecret::generate(), OpenKeys::generate());
    let name = Name {
        name: "bench".parse().unwrap(),
        chosen: true,
    };
    let manifest = Manifest::new(JobId::generate());
    let sealer = TransferSealer::new(&NewTransfer {
        identity: &sender,
        name: &name,
        room: room.room_id(),
        member_key: &room.member_key(),
        suite: Suite::preferred(),
        recipients: NonZeroU32::MIN,
        manifest: &manifest,
    });
    let bundle = Bundle::new(
        recipient.public_key(),
        &name,
        Some(keys.current().public().clone()),
        u64::MAX,
    );
    let offer = sealer.offer_to(&bundle).unwrap();
    let inbox = Inbox {
        me: &recipient,
        room: room.room_id(),
        member_key: &room.member_key(),
        keys: &keys,
    };
    let offer = open_offer(&offer, sealer.transfer(), sender.id(), &inbox).unwrap();
    let head = Head::new(HeadKind::File, "file", None);
    let (mut file, mut frame) = sealer.seal_file(&head).unwrap();
    let split = |frame: &mut [u8]| {
        FrameHeader::decode(frame[..FRAME_HEADER_LEN].try_into().unwrap()).unwrap()
    };
    let header = split(&mut frame);
    let (opener, _) = offer.claim().unwrap();
    let (_, mut opened) = opener
        .open_head(file.file(), header, &mut frame[FRAME_HEADER_LEN..])
        .unwrap();
    let content = vec![0x5a; CHUNK_SIZE];
    let before = process_time(std::process::id());
    let mut copying = Duration::ZERO;
    for _ in 0..mib * (1 << 20) / CHUNK_SIZE as u64 {
        let mut frame = chunk_frame();
        let start = std::time::Instant::now();
        // Reading and writing the file are not sealing.
        frame.extend_from_slice(&content);
        copying += start.elapsed();
        file.seal_chunk(&mut frame, Compression::Never).unwrap();
        let header = split(&mut frame);
        opened
            .open_chunk(header, &mut frame[FRAME_HEADER_LEN..])
            .unwrap();
    }
    process_time(std::process::id()) - before - copying.as_secs_f64()
}

/// Waits for an event of a child, and goes on reading in the background.
fn event(child: &mut Child, name: &str) -> serde_json::Value {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let value: serde_json::Value = serde_json::from_str(&line).ok()?;
        (value["event"] == name).then_some(value)
    });
    std::thread::spawn(move || lines.for_each(drop));
    found.unwrap_or_else(|| panic!("no event {name}"))
}

/// User and system time of a process, in seconds (proc(5)).
fn process_time(pid: u32) -> f64 {
    fields(&format!("/proc/{pid}/stat"), 11)
}

/// The same of this process's children that have ended.
fn children_time() -> f64 {
    fields("/proc/self/stat", 13)
}

fn fields(path: &str, first: usize) -> f64 {
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.rsplit_once(')').unwrap();
    let ticks: Vec<f64> = rest
        .split_whitespace()
        .skip(first)
        .take(2)
        .map(|t| t.parse().unwrap())
        .collect();
    (ticks[0] + ticks[1]) / TICKS
}
