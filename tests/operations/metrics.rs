//! What a monitoring system sees.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{Lab, MIB, PATIENCE, assert_same, text},
    http::{ask, get, get_open_metrics, sample, wait_sample},
};

const METRICS: [&str; 2] = ["--metrics", "127.0.0.1:0"];

#[test]
fn a_scrape_counts_what_went_through_and_names_nobody() {
    let (lab, relay) = Lab::with_relay(&METRICS);
    let alice = lab.listen("alice", &[]);
    let file = lab.file("secret-name.bin", MIB);
    lab.send("bob", &["--to", "alice"], &[&file]).expect(0);
    alice.wait_event("received");
    wait_sample(
        &relay,
        "p2p_relay_file_deliveries_total{code=\"done\"}",
        |n| n == 1.0,
    );
    wait_sample(&relay, "p2p_relay_connections{role=\"sender\"}", |n| {
        n == 0.0
    });
    wait_sample(&relay, "p2p_relay_transfers_active", |n| n == 0.0);
    let page = get(&relay, "/metrics").1;
    let count = |series| sample(&page, series).unwrap_or_else(|| panic!("no {series}:\n{page}"));
    let content = MIB as f64;
    for series in [
        "p2p_relay_received_bytes_total",
        "p2p_relay_sent_bytes_total{to=\"peer\"}",
    ] {
        let bytes = count(series);
        assert!(
            bytes >= content && bytes < 1.1 * content,
            "{series} {bytes}"
        );
    }
    assert_eq!(count("p2p_relay_connections{role=\"listener\"}"), 1.0);
    assert_eq!(count("p2p_relay_rooms"), 1.0);
    assert_eq!(count("p2p_relay_files_active"), 0.0);
    assert_eq!(count("p2p_relay_handshakes_total{result=\"done\"}"), 2.0);
    assert!(count("p2p_relay_worker_tick_seconds{worker=\"0\"}") < 30.0);
    assert!(count("p2p_relay_memory_limit_bytes") >= 4.0 * content);
    assert_eq!(count("p2p_relay_draining"), 0.0);
    assert!(page.contains("p2p_relay_build_info{version="));

    let open = get_open_metrics(&relay);
    assert!(open.ends_with("# EOF\n"), "{open}");
    let id = text(&alice.wait_event("joined"), "id");
    for page in [page, open] {
        for secret in [&id[..6], "secret-name", "alice", "bob"] {
            assert!(!page.contains(secret), "{secret} in {page}");
        }
    }
    assert_eq!(get(&relay, "/nothing").0, 404);
    let strange = TcpStream::connect(text(&relay.wait_event("ready"), "metrics")).unwrap();
    (&strange)
        .write_all(b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    (&strange).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[test]
fn promtool_finds_nothing_wrong_with_a_scrape() {
    if !there("promtool") {
        return;
    }
    let (_lab, relay) = Lab::with_relay(&METRICS);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let page = get(&relay, "/metrics").1;
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let said = promtool.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && text.is_empty(), "{text}\n{page}");
}

#[test]
fn prometheus_scrapes_a_relay() {
    if !there("prometheus") {
        return;
    }
    let (lab, relay) = Lab::with_relay(&METRICS);
    let _alice = lab.listen("alice", &[]);
    let target = text(&relay.wait_event("ready"), "metrics");
    let config = lab.folder().join("prometheus.yml");
    let jobs = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: p2p\n  static_configs:\n  \
         - targets: ['{target}']\n"
    );
    fs::write(&config, jobs).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let address = format!("127.0.0.1:{}", port.unwrap().port());
    let prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            lab.folder().join("tsdb").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _prometheus = Killed(prometheus);
    let end = Instant::now() + PATIENCE;
    loop {
        let query = "/api/v1/query?query=p2p_relay_connections%7Brole%3D%22listener%22%7D";
        let answer = ask(&address, query, "*/*").map_or_else(|e| e.to_string(), |a| a.1);
        if answer.contains("\"1\"]") {
            return;
        }
        assert!(Instant::now() < end, "prometheus says {answer}");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_relay_that_is_full_is_not_ready_and_healthy_all_the_same() {
    let (lab, relay) = Lab::with_relay(&[&METRICS[..], &["--max-peers", "1"]].concat());
    assert_eq!(get(&relay, "/readyz"), (200, "ready\n".to_owned()));
    let alice = lab.listen("alice", &[]);
    assert_eq!(get(&relay, "/readyz"), (503, "full\n".to_owned()));
    assert_eq!(get(&relay, "/healthz"), (200, "ok\n".to_owned()));
    drop(alice);
    wait_sample(&relay, "p2p_relay_full", |full| full == 0.0);
    assert_eq!(get(&relay, "/readyz").0, 200);
}

#[test]
fn a_flood_of_questions_costs_little_and_delays_nobody_for_long() {
    let (lab, relay) = Lab::with_relay(&METRICS);
    let alice = lab.listen("alice", &[]);
    let address = text(&relay.wait_event("ready"), "metrics");
    let _ = get(&relay, "/metrics");
    let before = relay.rss();
    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let flood: Vec<_> = (0..24)
        .map(|number| {
            let (address, stop, asked) = (address.clone(), stop.clone(), asked.clone());
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    bother(&address, number);
                    asked.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let end = Instant::now() + PATIENCE;
    while asked.load(Relaxed) < 100 {
        assert!(Instant::now() < end, "no flood");
        thread::sleep(Duration::from_millis(10));
    }
    let (mut most, mut descriptors) = (0, 0);
    let mut worst = Duration::ZERO;
    for round in 0..2 {
        let file = lab.file(&format!("{round}.bin"), MIB);
        lab.send("bob", &["--to", "alice"], &[&file]).expect(0);
        assert_same(&file, &lab.out("alice").join(format!("{round}.bin")));
        let start = Instant::now();
        let page = loop {
            match ask(&address, "/metrics", "*/*") {
                Ok((200, page)) => break page,
                other => assert!(start.elapsed() < PATIENCE, "no scrape: {other:?}"),
            }
        };
        assert!(sample(&page, "p2p_relay_rooms") == Some(1.0));
        worst = worst.max(start.elapsed());
        most = most.max(relay.rss());
        descriptors = descriptors.max(fs::read_dir(relay.proc_file("fd")).unwrap().count());
    }
    stop.store(true, Relaxed);
    flood
        .into_iter()
        .for_each(|flooder| flooder.join().unwrap());
    alice.wait_count("received", 2);
    let asked = asked.load(Relaxed);
    let grown = most.saturating_sub(before) / 1024;
    println!(
        "{asked} connections of a flood; an honest scrape took {worst:?} at most; memory grew by {grown} KiB"
    );
    assert!(descriptors < 80, "{descriptors} descriptors");
    // Files that were passed on meanwhile take some as well.
    assert!(grown < 16 << 10, "{grown} KiB");
}

/// One of several ways to be a nuisance.
fn bother(address: &str, number: usize) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
    let said = match number % 4 {
        // Says nothing, or too little.
        0 => stream.write_all(b"GET /metr"),
        // Has no end.
        1 => (0..1_000).try_for_each(|_| stream.write_all(&[b'a'; 1024])),
        // Asks, and does not read.
        2 => return drop(stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")),
        _ => stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
    };
    let mut answer = Vec::new();
    let _ = said.and_then(|()| stream.read_to_end(&mut answer));
}

/// Whether a program is installed; else says that the test is skipped.
pub fn there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        println!("skipped: there is no {program}");
    }
    found
}

/// A process that ends with the test.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn with_four_threads_nothing_is_lost_and_each_is_watched_over() {
    let (lab, relay) = Lab::with_relay(&[&METRICS[..], &["--threads", "4"]].concat());
    let names = ["ann", "ben", "cat", "dan", "eve"];
    let listeners = names.map(|name| lab.listen(name, &[]));
    let files: Vec<_> = (0..4)
        .map(|number| lab.file(&format!("{number}.bin"), 3 * MIB + number))
        .collect();
    let senders = ["one", "two", "three"].map(|who| {
        let args = ["broadcast"].iter().map(std::ffi::OsStr::new);
        lab.run(who, args.chain(files.iter().map(|file| file.as_os_str())))
    });
    for mut sender in senders {
        sender.expect(0);
    }
    for (name, listener) in names.iter().zip(&listeners) {
        listener.wait_count("received", 3 * files.len());
        for file in &files {
            assert_same(file, &lab.out(name).join(file.file_name().unwrap()));
        }
    }
    for worker in 0..4 {
        let series = format!("p2p_relay_worker_tick_seconds{{worker=\"{worker}\"}}");
        wait_sample(&relay, &series, |age| age < 30.0);
    }
    let failed = "p2p_relay_file_deliveries_total{code=\"peer_gone\"}";
    assert_eq!(sample(&get(&relay, "/metrics").1, failed), Some(0.0));
}
