//! What TCP makes of the same links: `iperf3`, and `scp`.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    cases::{median, rounds, scaled},
    far::{Far, RELAY, Row, time},
    namespace::{self, Namespace},
};

/// A process that is killed when it is dropped.
pub struct Server(std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `iperf3` is installed and the kernel has this congestion control.
pub fn available(algorithm: &str) -> bool {
    let known = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
    let has = known.is_ok_and(|known| known.split_whitespace().any(|name| name == algorithm));
    if !has {
        println!("skipped TCP {algorithm}: the kernel does not have it");
    }
    has && namespace::installed("iperf3", "TCP")
}

/// Starts `iperf3 -s`.
pub fn serve(place: &Namespace) -> Server {
    let mut command = place.command("iperf3");
    command
        .args(["-s", "--forceflush"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // It says so when it listens.
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    while let Some(Ok(line)) = lines.next() {
        if line.contains("listening") {
            break;
        }
    }
    std::thread::spawn(move || lines.for_each(drop));
    Server(child)
}

/// Bits per second of content that a flow with this congestion control gets.
pub fn client(place: &Namespace, algorithm: &str, seconds: u32) -> f64 {
    let mut command = place.command("iperf3");
    command.args([
        "-c",
        RELAY,
        "-J",
        "-C",
        algorithm,
        "-t",
        &seconds.to_string(),
    ]);
    let output = command.output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    value["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .unwrap_or(0.0)
}

/// One flow of 8 s with each congestion control.
pub fn iperf3(row: &Row) {
    for algorithm in ["cubic", "bbr"] {
        if !available(algorithm) {
            continue;
        }
        let shares = (0..rounds()).map(|_| {
            let far = Far::new(&[row.shape], &[]);
            let _server = serve(&far.relay);
            client(&far.sender, algorithm, 8) / (row.shape.rate * 1_448.0 / 1_500.0)
        });
        let share = median(shares.collect());
        println!(
            "{:>2} {:<38} 1 {algorithm:<6} {share:.2}",
            row.name, row.what
        );
    }
}

/// A file of a tenth of the row's size, with the system's congestion control.
pub fn scp(row: &Row) {
    if !namespace::installed("sshd", "scp") {
        return;
    }
    let far = Far::new(&[row.shape], &[]);
    let folder = far.lab.folder().join("ssh");
    fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    for key in ["host", "user"] {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
        time(&mut command);
    }
    let config = format!(
        "ListenAddress {RELAY}:2222\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\n",
        path("host"),
        path("user.pub"),
    );
    fs::write(folder.join("config"), config).unwrap();
    // It refuses to start without the folder that its service would have made.
    let _ = fs::create_dir_all("/run/sshd");
    let sshd = if std::path::Path::new("/usr/sbin/sshd").is_file() {
        "/usr/sbin/sshd"
    } else {
        "/usr/bin/sshd"
    };
    let mut command = far.relay.command(sshd);
    command
        .args(["-D", "-f", &path("config")])
        .stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    let options = [
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "BatchMode=yes",
    ];
    let file = far.file("file", scaled(row.megabytes * 100_000).max(1_000_000));
    let out = far.lab.folder().join("copy");
    let shares = (0..rounds()).map(|_| {
        let mut elapsed = Duration::MAX;
        // Until it listens.
        for _ in 0..50 {
            let mut command = far.sender.command("scp");
            command
                .args(options)
                .args(["-q", "-P", "2222", "-i", &path("user")]);
            command
                .arg(&file)
                .arg(format!("root@{RELAY}:{}", out.display()));
            let start = std::time::Instant::now();
            if command.stderr(Stdio::null()).status().unwrap().success() {
                elapsed = start.elapsed();
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let bytes = fs::metadata(&file).unwrap().len();
        bytes as f64 / row.shape.content_rate() / elapsed.as_secs_f64()
    });
    let share = median(shares.collect());
    println!(
        "{:>2} {:<38} 1 scp    {share:.2} ({} MB)",
        row.name,
        row.what,
        scaled(row.megabytes * 100_000) / 1_000_000
    );
}
