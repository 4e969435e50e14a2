//! What the viewer prints for real files, hostile ones among them.
//!
//! What people see is kept as snapshots beside this file; `INSTA_UPDATE=always cargo test --test
//! viewer` writes them anew. Files that are large are made here, small unless `P2P_TEST_SCALE`
//! is set to a larger number than 1.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use proptest::prelude::{Strategy as _, any};

use p2p::display::show::{ColorLevel, Graphics, Kind, ShowError, ShowOptions, detect_kind, show};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/samples")
        .join(name)
}

/// What is printed for a file, and the kind that it was shown as.
fn shown(path: &Path, options: &ShowOptions) -> (Kind, String) {
    let mut out = Vec::new();
    let kind = show(path, options, &mut out).unwrap();
    (kind, String::from_utf8(out).unwrap())
}

fn plain(width: u16) -> ShowOptions {
    let mut options = ShowOptions::plain();
    options.width = width;
    options
}

fn verbose() -> ShowOptions {
    let mut options = plain(80);
    options.verbose = true;
    options
}

fn colored(graphics: Graphics, color: ColorLevel) -> ShowOptions {
    let mut options = plain(80);
    options.color = color;
    options.graphics = graphics;
    options
}

/// A file of the given name and content in a directory of its own.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(name);
    std::fs::write(&path, content).unwrap();
    (home, path)
}

/// By how much files that are made here are larger than they need to be.
fn scale() -> usize {
    let scale = std::env::var("P2P_TEST_SCALE").ok();
    scale.and_then(|it| it.parse().ok()).unwrap_or(1)
}

/// What a terminal of 80 columns shows after `text`.
fn screen(text: &str, rows: u16) -> vt100::Parser {
    let mut parser = vt100::Parser::new(rows, 80, 0);
    parser.process(text.replace('\n', "\r\n").as_bytes());
    parser
}

/// Compares what is printed for a sample with its snapshot.
fn check(name: &str, manner: &str, options: &ShowOptions) {
    let (_, text) = shown(&sample(name), options);
    insta::assert_snapshot!(format!("{name}-{manner}"), text);
}

#[test]
fn json_keeps_the_order_of_names_and_every_digit_of_numbers() {
    check("order.json", "verbose", &verbose());
}

#[test]
fn json_on_lines_is_shown_value_by_value() {
    check("events.jsonl", "80-columns", &plain(80));
}

#[test]
fn damaged_json_is_told_by_line_and_column() {
    check("broken.json", "80-columns", &plain(80));
    check("truncated.json", "80-columns", &plain(80));
}

#[test]
fn csv_becomes_a_table_with_numbers_at_the_right() {
    check("people.csv", "verbose", &verbose());
    check("semicolon.csv", "80-columns", &plain(80));
    check("ragged.csv", "verbose", &verbose());
    check("utf16.csv", "80-columns", &plain(80));
}

#[test]
fn wide_letters_keep_the_columns_straight_at_any_width() {
    check("wide.csv", "80-columns", &plain(80));
    check("wide.csv", "40-columns", &plain(40));
}

#[test]
fn text_and_other_files_are_shown_in_part() {
    check("notes.txt", "80-columns", &plain(80));
    check("program.bin", "80-columns", &plain(80));
    check("program.bin", "40-columns", &plain(40));
    check("photo.png", "80-columns", &plain(80));
}

#[test]
fn no_line_is_wider_than_the_screen() {
    for width in [20, 40, 80, 200] {
        for name in [
            "wide.csv",
            "people.csv",
            "hostile.csv",
            "notes.txt",
            "hostile.txt",
        ] {
            let (_, text) = shown(&sample(name), &plain(width));
            for line in text.lines().filter(|it| !it.starts_with('[')) {
                let used = unicode_width::UnicodeWidthStr::width(line);
                assert!(used <= width.into(), "{name} at {width}: {line}");
            }
        }
    }
}

#[test]
fn pictures_are_described_where_they_cannot_be_drawn() {
    for (name, expected) in [
        ("quadrants.png", "PNG image, 12 x 8, 153 B\n"),
        ("quadrants.gif", "GIF image, 12 x 8, 75 B\n"),
        ("quadrants.webp", "WebP image, 12 x 8, 166 B\n"),
        ("quadrants.bmp", "BMP image, 12 x 8, 342 B\n"),
        ("quadrants.jpg", "JPEG image, 48 x 32, 714 B\n"),
        ("sideways.jpg", "JPEG image, 32 x 48, 750 B\n"),
    ] {
        let found = shown(&sample(name), &plain(80));
        assert_eq!(found, (Kind::Image, expected.to_owned()));
    }
}

/// The colours in the four corners of a picture that takes `columns` and `rows` of the screen,
/// line by line.
fn corners(name: &str, (columns, rows): (u16, u16), color: ColorLevel) -> [vt100::Color; 4] {
    let (_, text) = shown(&sample(name), &colored(Graphics::HalfBlocks, color));
    let terminal = screen(&text, 40);
    let screen = terminal.screen();
    let at = |row, column| {
        let cell = screen.cell(row, column).unwrap();
        assert_eq!(cell.contents(), "▀", "{name} at {row}, {column}");
        cell.clone()
    };
    assert!(
        !screen.cell(1, columns).unwrap().has_contents(),
        "{name} is wider"
    );
    assert!(
        !screen.cell(rows + 1, 0).unwrap().has_contents(),
        "{name} is higher"
    );
    [
        at(1, 0).fgcolor(),
        at(1, columns - 1).fgcolor(),
        at(rows, 0).bgcolor(),
        at(rows, columns - 1).bgcolor(),
    ]
}

#[test]
fn every_kind_of_picture_is_drawn() {
    use vt100::Color::{Idx, Rgb};
    let expected = [
        Rgb(255, 0, 0),
        Rgb(0, 255, 0),
        Rgb(0, 0, 255),
        Rgb(255, 255, 255),
    ];
    for name in [
        "quadrants.png",
        "quadrants.gif",
        "quadrants.webp",
        "quadrants.bmp",
    ] {
        assert_eq!(
            corners(name, (12, 4), ColorLevel::TrueColor),
            expected,
            "{name}"
        );
    }
    let indexed = corners("quadrants.png", (12, 4), ColorLevel::Ansi256);
    assert_eq!(indexed, [Idx(196), Idx(46), Idx(21), Idx(231)]);
    let jpeg = corners("quadrants.jpg", (48, 16), ColorLevel::Ansi256);
    assert_eq!(jpeg, indexed);
}

#[test]
fn a_photograph_held_sideways_is_shown_upright() {
    use vt100::Color::Idx;
    // Orientation 6 is made upright by a quarter turn clockwise: blue, red / white, green.
    let found = corners("sideways.jpg", (29, 22), ColorLevel::Ansi256);
    assert_eq!(found, [Idx(21), Idx(196), Idx(231), Idx(46)]);
}

#[test]
fn of_a_moving_picture_the_first_frame_is_drawn() {
    let red = vt100::Color::Rgb(255, 0, 0);
    assert_eq!(
        corners("blink.gif", (6, 2), ColorLevel::TrueColor),
        [red; 4]
    );
}

#[test]
fn pictures_are_sent_in_the_protocol_that_the_terminal_has() {
    for (graphics, start) in [
        (Graphics::Kitty, "\u{1b}_Ga=T,f=100,"),
        (Graphics::Iterm, "\u{1b}]1337;File=inline=1;"),
        (Graphics::Sixel, "\u{1b}P"),
    ] {
        let options = colored(graphics, ColorLevel::TrueColor);
        let (_, text) = shown(&sample("quadrants.png"), &options);
        let picture = text.split_once('\n').unwrap().1;
        assert!(picture.starts_with(start), "{graphics:?}: {picture:?}");
    }
}

#[test]
fn a_picture_that_claims_ten_gigapixels_is_refused_by_its_header() {
    let (kind, text) = shown(&sample("claim.png"), &plain(80));
    assert_eq!(kind, Kind::Image);
    assert_eq!(
        text,
        "PNG image, 100000 x 100000, 69 B: too large to draw: 10,000,000,000 pixels, \
         more than 64,000,000 pixels are not decoded\n"
    );
}

#[test]
fn a_picture_cut_short_gives_one_clear_line() {
    for options in [
        plain(80),
        colored(Graphics::HalfBlocks, ColorLevel::TrueColor),
    ] {
        let (_, text) = shown(&sample("truncated.png"), &options);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("PNG image, 32 x 32"), "{text}");
        assert!(text.contains("cannot be drawn"), "{text}");
    }
}

#[test]
fn pictures_cut_anywhere_never_fail_otherwise() {
    let options = colored(Graphics::HalfBlocks, ColorLevel::TrueColor);
    for name in [
        "quadrants.png",
        "blink.gif",
        "quadrants.webp",
        "quadrants.bmp",
        "sideways.jpg",
    ] {
        let whole = std::fs::read(sample(name)).unwrap();
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(name);
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            shown(&path, &options);
            let mut spoilt = whole.clone();
            spoilt[len] ^= 0x55;
            std::fs::write(&path, &spoilt).unwrap();
            shown(&path, &options);
        }
    }
}

#[test]
fn escape_sequences_in_a_file_are_shown_and_never_obeyed() {
    let hostile = ["hostile.json", "hostile.csv", "hostile.txt", "program.bin"];
    for name in hostile {
        for options in [plain(80), verbose()] {
            let (_, text) = shown(&sample(name), &options);
            let bad: Vec<char> = text.chars().filter(|it| is_harmful(*it)).collect();
            assert!(bad.is_empty(), "{name}: {bad:?}");
        }
        // With colours, what is left on the screen is the same text.
        let (_, text) = shown(&sample(name), &plain(80));
        let (_, colors) = shown(
            &sample(name),
            &colored(Graphics::None, ColorLevel::TrueColor),
        );
        let terminal = screen(&colors, 40);
        assert_eq!(
            terminal.screen().contents(),
            screen(&text, 40).screen().contents()
        );
        assert!(
            !without_colors(&colors).chars().any(is_harmful),
            "{colors:?}"
        );
    }
    check("hostile.json", "80-columns", &plain(80));
    check("hostile.csv", "verbose", &verbose());
    check("hostile.txt", "80-columns", &plain(80));
}

/// The text without the sequences that set colours.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.split_once('m') {
        Some((sgr, rest)) if sgr.bytes().all(|it| it.is_ascii_digit() || it == b';') => text + rest,
        _ => text + "\u{1b}" + part,
    })
}

/// Whether a terminal would obey it, or show something else than what is there.
fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(unix)]
#[test]
fn an_escape_sequence_in_the_name_of_a_file_is_not_obeyed() {
    let path = Path::new("no\u{1b}[2J\u{202e}.json");
    let error = show(path, &plain(80), &mut Vec::new()).unwrap_err();
    assert!(!error.to_string().chars().any(is_harmful), "{error}");
    let (_home, path) = file("a.js\u{1b}[2Jon", b"[1");
    let (_, text) = shown(&path, &plain(80));
    assert!(!text.chars().any(is_harmful), "{text:?}");
}

#[test]
fn a_million_levels_of_json_are_shown_in_the_time_of_reading_them() {
    let levels = 1_000_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let text = [&open.repeat(levels), "1", &close.repeat(levels)].concat();
        let (_home, path) = file("deep.json", text.as_bytes());
        let start = Instant::now();
        let (kind, text) = shown(&path, &plain(80));
        // Quadratic time would be hours.
        assert!(start.elapsed() < Duration::from_secs(60));
        assert_eq!(kind, Kind::Json);
        assert!(text.contains(", 999,968 levels …"), "{text}");
        assert!(text.lines().count() <= ShowOptions::plain().max_lines);
        // Cut off at the bottom.
        let (_home, path) = file("deep.json", open.repeat(levels).as_bytes());
        let (_, text) = shown(&path, &plain(80));
        assert!(
            text.starts_with("not valid JSON: line 1, column "),
            "{text}"
        );
        assert!(text.lines().all(|it| it.chars().count() <= 80), "{text}");
    }
}

#[test]
fn long_json_is_shown_in_as_many_lines_as_there_may_be() {
    let record = |i| {
        format!(
            "{{\"id\": {i}, \"tags\": [1, 2, 3], \"name\": \"{}\"}}",
            "n".repeat(500)
        )
    };
    let records: Vec<String> = (0..5_000 * scale()).map(record).collect();
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
    for _ in 0..33 * 1024 * scale() {
        out.write_all(item.as_bytes()).unwrap();
    }
    out.write_all(b"]}").unwrap();
    drop(out);
    let (_, text) = shown(&path, &plain(80));
    assert!(text.contains("… at least "), "{text}");
    assert!(text.contains("[the first 32.0 MiB of "), "{text}");
    assert!(!text.contains("not valid"), "{text}");
}

#[test]
fn a_csv_field_of_a_gigabyte_costs_no_memory_and_no_time() {
    // A gigabyte at scale 10; beyond what is read in any case.
    let len = 100_000_000 * scale();
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
    let rows = 1_000_000 * scale();
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

#[test]
fn a_quotation_that_is_never_closed_is_noticed() {
    let (_home, path) = file("open.csv", b"a,b\n1,2\n3,\"4\n5,6\n");
    let (_, text) = shown(&path, &plain(80));
    assert!(text.contains("a quotation is open"), "{text}");
    let (_home, path) = file("inches.csv", b"size,b\n5\" pipe,2\nx,3\n");
    let (_, text) = shown(&path, &plain(80));
    assert!(!text.contains("a quotation is open"), "{text}");
}

#[test]
fn files_with_nothing_in_them_are_shown_as_that() {
    for name in ["a", "a.json", "a.csv", "a.png"] {
        let (_home, path) = file(name, b"");
        let expected = (Kind::Empty, "empty file\n".to_owned());
        assert_eq!(shown(&path, &plain(80)), expected, "{name}");
    }
    let (_home, path) = file("a.json", b" \n");
    let (_, text) = shown(&path, &plain(80));
    assert!(
        text.starts_with("not valid JSON: there is no value in it\n"),
        "{text}"
    );
    let (_home, path) = file("a.csv", b"\n\n");
    assert_eq!(shown(&path, &plain(80)), (Kind::Csv, "\n\n".to_owned()));
}

/// How files that are not plain text begin.
const MAGIC: &[&[u8]] = &[
    b"\xff\xfe",
    b"\xfe\xff",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
];

proptest::proptest! {
    #[test]
    fn no_file_does_harm(
        parts in proptest::collection::vec(proptest::prop_oneof![
            "[ -~]{0,12}".prop_map(String::into_bytes),
            any::<Vec<u8>>(),
            proptest::sample::select(&[
                "{", "}", "[", "]", ",", ":", "\"", "\\u001b", "\n", "\r\n", "\t", ";", "|", "1", "-2.5",
                "\u{1b}[2J", "\u{9b}", "\u{202e}", "日本", "e\u{301}\u{301}", "GIF89a", "BM", "\u{feff}",
            ][..]).prop_map(|it| it.as_bytes().to_vec()),
            proptest::sample::select(MAGIC).prop_map(<[u8]>::to_vec),
        ], 0..40),
        extension in proptest::sample::select(&["json", "csv", "png", "txt", "jsonl", "x"][..]),
        width in 20u16..100,
    ) {
        let (_home, path) = file(&format!("a.{extension}"), &parts.concat());
        let mut options = plain(width);
        options.verbose = true;
        let (kind, text) = shown(&path, &options);
        proptest::prop_assert!(!text.chars().any(is_harmful), "{:?}", text);
        if matches!(kind, Kind::Csv | Kind::Text) {
            for line in text.lines().filter(|it| !it.starts_with('[') && !it.starts_with("named")) {
                let used = unicode_width::UnicodeWidthStr::width(line);
                proptest::prop_assert!(used <= width.max(40).into(), "{}: {}", used, line);
            }
        }
        options.color = ColorLevel::TrueColor;
        options.graphics = Graphics::HalfBlocks;
        shown(&path, &options);
    }
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let directory = show(home.path(), &plain(80), &mut Vec::new()).unwrap_err();
    assert!(matches!(
        directory,
        ShowError::NotAFile {
            found: "a directory",
            ..
        }
    ));
    let missing = home.path().join("missing");
    let error = detect_kind(&missing).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("missing"), "{error}");
    if cfg!(unix) {
        let device = show(Path::new("/dev/zero"), &plain(80), &mut Vec::new()).unwrap_err();
        assert!(matches!(
            device,
            ShowError::NotAFile {
                found: "a device",
                ..
            }
        ));
    }
}

#[test]
fn an_output_that_is_closed_ends_the_printing() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for name in [
        "order.json",
        "people.csv",
        "quadrants.png",
        "notes.txt",
        "program.bin",
    ] {
        let error = show(&sample(name), &plain(80), &mut Closed).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{name}");
    }
}
