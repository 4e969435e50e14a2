//! Rows in windows of many widths.

use std::time::Duration;

use super::{super::canvas::Canvas, *};
use crate::{protocol::PeerId, transfer::PeerRef};

const WIDTHS: [usize; 7] = [20, 30, 40, 60, 80, 120, 300];

/// A job of three seconds, in which each peer was given these files at a steady rate.
fn job(files: u64, peers: &[&str], paths: &[&str]) -> (JobProgress, Instant) {
    let start = Instant::now();
    let mut job = JobProgress::new(Direction::To);
    (job.files, job.bytes) = (Some(files), Some(100_000_000 * files));
    for (i, name) in peers.iter().enumerate() {
        let id = PeerId::from_bytes([u8::try_from(i).unwrap(); 32]);
        let one = job.peer(&PeerRef::new(id, name.parse().unwrap()));
        for second in 0..4 {
            for path in paths {
                let at = start + Duration::from_secs(second);
                let bytes = 30_000_000 + second * 10_000_000;
                one.progress(at, path.to_string(), bytes, Some(100_000_000), 30_000_000);
            }
        }
    }
    (job, start + Duration::from_secs(3))
}

fn lines((job, now): &(JobProgress, Instant), columns: usize, color: bool) -> Vec<String> {
    let view = View {
        columns,
        rows: 24,
        color,
    };
    Canvas::default().lines(view.rows(job, *now))
}

#[test]
fn no_line_fills_the_window_at_any_width() {
    let long = "文".repeat(60);
    let jobs = [
        job(1, &["alice"], &["big.bin"]),
        job(1, &["a-peer-with-a-name-of-some-length"], &[&long]),
        job(300, &["alice"], &["one.bin", "two.bin", &long]),
        job(2, &["alice", "bob", "日本のサーバー"], &["one.bin"]),
    ];
    for columns in WIDTHS {
        for job in &jobs {
            let plain = lines(job, columns, false);
            for line in &plain {
                let width = measure_text_width(line);
                assert!(width < columns, "{width} of {columns}: {line:?}");
            }
            let colored = lines(job, columns, true).join("\n");
            assert_eq!(console::strip_ansi_codes(&colored), plain.join("\n"));
        }
    }
}

#[test]
fn a_line_tells_all_there_is_room_for() {
    let one = job(1, &["alice"], &["big.bin"]);
    assert_eq!(
        lines(&one, 80, false),
        ["big.bin → alice                ┅┅┅┅┅┅┅━━━━━━━━╸            60% 10.0 MB/s     4s"]
    );
    assert_eq!(
        lines(&one, 40, false),
        ["big.bin → alice ┅┅━━╸     60% 10.0 MB/s"]
    );
}

#[test]
fn several_recipients_have_a_bar_each_and_one_together() {
    let mut several = job(2, &["alice", "bob", "carol", "dave"], &["x"]);
    several.0.peers[1].state = State::Away("stopped listening".into());
    several.0.peers[2].state = State::Done;
    several.0.peers[3].state = State::Failed("declined".into());
    let lines = lines(&several, 60, false);
    assert_eq!(lines.len(), 5);
    assert!(lines[0].starts_with("alice 0/2 files  "), "{}", lines[0]);
    assert!(lines[1].ends_with("stopped listening; trying again"));
    assert!(lines[2].ends_with(" ✓"));
    assert!(lines[3].ends_with("✗ declined"));
    assert!(lines[4].starts_with("all 1 of 4 done "), "{}", lines[4]);
    assert!(lines[4].contains("10.0 MB/s"), "{}", lines[4]);
}

#[test]
fn hundreds_of_small_files_are_one_bar() {
    let (mut job, now) = job(300, &["alice"], &[]);
    let peer = PeerRef::new(PeerId::from_bytes([0; 32]), "alice".parse().unwrap());
    for i in 0..120 {
        job.settle(&peer, &format!("file{i}"), 100);
    }
    let lines = lines(&(job, now), 80, false);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("120/300 files → alice "),
        "{}",
        lines[0]
    );
}

#[test]
fn more_recipients_than_rows_leave_room_for_the_prompt() {
    let names: Vec<_> = (0..50).map(|i| format!("peer{i}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let (mut job, now) = job(1, &names, &["x"]);
    job.peers[0].state = State::Done;
    let view = View {
        columns: 80,
        rows: 10,
        color: false,
    };
    let lines = Canvas::default().lines(view.rows(&job, now));
    assert_eq!(lines.len(), 9);
    // Those that are done make room for those that are not.
    assert!(lines[0].starts_with("peer1 "), "{}", lines[0]);
    assert!(lines[7].contains("43 more"), "{}", lines[7]);
}

#[test]
fn a_long_name_keeps_its_beginning_and_its_end() {
    let short = elide("a-very-long-file-name-indeed.tar.gz", 18);
    assert!(
        short.starts_with("a-very") && short.ends_with("tar.gz") && short.contains('…'),
        "{short}"
    );
    for columns in 0..20 {
        assert!(measure_text_width(&elide(&"文".repeat(40), columns)) <= columns);
    }
}
