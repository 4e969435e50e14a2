//! What people see of ordinary files, damaged ones among them.

use p2p::display::show::Kind;

use super::{check, file, plain, sample, shown, verbose};

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
