//! Files that are made to do harm.

use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use p2p::display::show::{ColorLevel, Graphics, Kind, ShowError, ShowOptions, detect_kind, show};
use proptest::prelude::{Strategy as _, any};

use super::{check, colored, file, is_harmful, plain, sample, screen, shown, verbose};

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
