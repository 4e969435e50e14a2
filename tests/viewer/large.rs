//! Files of any size, shown in a moment and in bounded memory.

use std::{
    fs::File,
    io::{BufWriter, Write},
    time::{Duration, Instant},
};

use p2p::display::show::Kind;

use super::{common::scaled, file, plain, shown};

#[test]
fn long_json_is_shown_in_as_many_lines_as_there_may_be() {
    let record = |i| {
        format!(
            "{{\"id\": {i}, \"tags\": [1, 2, 3], \"name\": \"{}\"}}",
            "n".repeat(500)
        )
    };
    let records: Vec<String> = (0..scaled(5_000, 100_000)).map(record).collect();
    let text = format!("{{\"records\": [{}], \"last\": true}}", records.join(","));
    let (_home, path) = file("long.json", text.as_bytes());
    for max_lines in [20, 60, 200] {
        let mut options = plain(80);
        options.max_lines = max_lines;
        let (_, text) = shown(&path, &options);
        let lines = text.lines().count();
        assert!(
            lines <= max_lines && lines > max_lines / 3,
            "{max_lines}: {lines}"
        );
        assert!(text.contains(" more items …"), "{text}");
        assert!(text.contains("more characters …"), "{text}");
        assert!(text.ends_with("  \"last\": true\n}\n"), "{text}");
    }
}

#[test]
fn json_larger_than_is_read_shows_its_beginning_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("large.json");
    let mut out = BufWriter::new(File::create(&path).unwrap());
    out.write_all(b"{\"a\": [0").unwrap();
    let item = format!(",\"{}\"", "x".repeat(1021));
    for _ in 0..scaled(33 * 1024, 2 << 20) {
        out.write_all(item.as_bytes()).unwrap();
    }
    out.write_all(b"]}").unwrap();
    drop(out);
    let (_, text) = shown(&path, &plain(80));
    assert!(text.contains("… at least "), "{text}");
    assert!(text.contains("[the first 33.6 MB of "), "{text}");
    assert!(!text.contains("not valid"), "{text}");
}

#[test]
fn a_csv_field_of_a_gigabyte_costs_no_memory_and_no_time() {
    // Beyond what is read in any case; a gigabyte in the end.
    let len = usize::try_from(scaled(100_000_000, 1_000_000_000)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("field.csv");
    let mut out = BufWriter::new(File::create(&path).unwrap());
    out.write_all(b"id,field\n1,\"").unwrap();
    let part = vec![b'x'; 1_000_000];
    for _ in 0..len / part.len() {
        out.write_all(&part).unwrap();
    }
    out.write_all(b"\"\n2,last\n").unwrap();
    drop(out);
    let before = peak_memory();
    let start = Instant::now();
    let (kind, text) = shown(&path, &plain(80));
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(kind, Kind::Csv);
    assert!(text.contains("xxx…\n"), "{text}");
    assert!(text.contains("\n 2  last\n"), "{text}");
    // Other tests of this process run at the same time, and need some as well.
    assert!(peak_memory() - before < len as u64 / 2);
}

/// The most memory that this process has had, in bytes; zero where that is not known.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let number = line.and_then(|it| it.trim().strip_suffix(" kB"));
    number.map_or(0, |it| it.parse::<u64>().unwrap() * 1024)
}

#[test]
fn of_a_large_csv_file_the_beginning_and_the_end_are_shown_at_once() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("large.csv");
    let mut out = BufWriter::new(File::create(&path).unwrap());
    out.write_all(b"id,name,value\n").unwrap();
    // Two gigabytes in the end.
    let rows = scaled(1_000_000, 50_000_000);
    for i in 0..rows {
        writeln!(out, "{i},\"name, with\nnumber {i}\",{}.5", i * 7).unwrap();
    }
    drop(out);
    let start = Instant::now();
    let (_, text) = shown(&path, &plain(80));
    assert!(start.elapsed() < Duration::from_secs(5));
    let last = format!("{}  name, with\\nnumber {}", rows - 1, rows - 1);
    assert!(text.contains(&last), "{text}");
    assert!(text.contains(" 0  name, with\\nnumber 0 "), "{text}");
    // About as many rows as there are, and marked as such.
    let about = text
        .split_once("[~")
        .unwrap()
        .1
        .split_once(" rows")
        .unwrap()
        .0;
    let about: f64 = about.replace(',', "").parse().unwrap();
    assert!((about / rows as f64 - 1.0).abs() < 0.1, "{about}");
    assert!(text.contains("the end of "), "{text}");
    // The record that reading stopped in is not taken for a ragged one.
    assert!(!text.contains("more or fewer"), "{text}");
}

#[test]
fn a_table_of_thousands_of_columns_fits_the_screen() {
    let header: Vec<String> = (0..5_000).map(|i| format!("column {i}")).collect();
    let row: Vec<String> = (0..5_000).map(|i| i.to_string()).collect();
    let text = format!("{}\n{}\n", header.join(","), row.join(","));
    let (_home, path) = file("wide.csv", text.as_bytes());
    let (_, text) = shown(&path, &plain(80));
    assert!(text.ends_with("[1 row x 5,000 columns]\n"), "{text}");
    assert!(text.lines().all(|it| it.chars().count() <= 80), "{text}");
}
