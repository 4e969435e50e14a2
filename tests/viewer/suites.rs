//! Public suites of hostile and odd files, run where they are at hand: in the directory that
//! `P2P_SUITES` names, which `.ci/suites` fills. Their kinds are among `samples` in any case.

use std::{
    fs,
    path::{Path, PathBuf},
};

use p2p::display::show::{ColorLevel, Graphics, Kind, ShowOptions};
use serde_json::Value;

use super::{colored, file, is_harmful, plain, shown};

/// A file or directory of the suites, if they are there.
fn suite(name: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("P2P_SUITES")?).join(name);
    let is_there = path.exists();
    if !is_there {
        eprintln!("{name} is not in P2P_SUITES, and not run");
    }
    is_there.then_some(path)
}

/// Asserts that a table is shown with these columns and rows, each an object as csv-spectrum has it.
#[track_caller]
fn check_table(name: &str, csv: &[u8], rows: &[Value]) {
    let (_home, path) = file(name, csv);
    let (kind, text) = shown(&path, &plain(1000));
    assert_eq!(kind, Kind::Csv, "{name}");
    let columns = rows[0].as_object().unwrap().len();
    let s = |n: usize| if n == 1 { "" } else { "s" };
    let size = format!(
        "[{} row{} x {columns} column{}]\n",
        rows.len(),
        s(rows.len()),
        s(columns)
    );
    assert!(text.ends_with(&size), "{name}: {text}");
    let lines: Vec<&str> = text.lines().collect();
    for (row, line) in rows.iter().zip(&lines[2..]) {
        for (column, value) in row.as_object().unwrap() {
            assert!(
                lines[0].contains(column.as_str()),
                "{name}: no {column} in {text}"
            );
            let value = value
                .as_str()
                .unwrap()
                .replace('\n', "\\n")
                .replace('\r', "\\r");
            assert!(
                line.contains(value.trim()),
                "{name}: no {value:?} in {line:?}"
            );
        }
    }
}

#[test]
fn tables_of_every_kind_in_csv_spectrum_are_read_right() {
    let object = |pairs: &[(&str, &str)]| -> Value {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), Value::from(*value));
        Value::Object(pairs.iter().map(text).collect())
    };
    for (csv, rows) in [
        (
            "who,where\n\"Lovelace, Ada\",London\n",
            vec![object(&[("who", "Lovelace, Ada"), ("where", "London")])],
        ),
        (
            "k,v\n1,\"she said \"\"no\"\"\"\n",
            vec![object(&[("k", "1"), ("v", "she said \"no\"")])],
        ),
        (
            "k,v\r\n\"two\r\nlines\",x\r\n",
            vec![object(&[("k", "two\r\nlines"), ("v", "x")])],
        ),
        (
            "k,v,w\n\"\",,z\n1,\"\",\"\"\n",
            vec![object(&[("w", "z")]), object(&[("k", "1")])],
        ),
        ("k,v\n1,ʤ\n", vec![object(&[("k", "1"), ("v", "ʤ")])]),
        (
            "k,geo\n1,\"{\"\"at\"\": [1.5, 2]}\"\n",
            vec![object(&[("geo", "{\"at\": [1.5, 2]}"), ("k", "1")])],
        ),
    ] {
        let columns = csv.lines().next().unwrap().split(',');
        let mut rows = rows;
        for column in columns {
            for row in &mut rows {
                row.as_object_mut()
                    .unwrap()
                    .entry(column)
                    .or_insert("".into());
            }
        }
        check_table("kind.csv", csv.as_bytes(), &rows);
    }
    let Some(folder) = suite("csv-spectrum") else {
        return;
    };
    let mut count = 0;
    for entry in fs::read_dir(folder.join("csvs")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let expected = fs::read_to_string(folder.join(format!("json/{stem}.json"))).unwrap();
        let rows = match serde_json::from_str(&expected).unwrap() {
            Value::Array(rows) => rows,
            // What it says of this one is not what is in the file: only the columns are.
            row => vec![without_values(row)],
        };
        check_table(&format!("{stem}.csv"), &fs::read(&path).unwrap(), &rows);
        count += 1;
    }
    assert_eq!(count, 12);
}

fn without_values(mut row: Value) -> Value {
    for (_, value) in row.as_object_mut().unwrap() {
        *value = "".into();
    }
    row
}

#[test]
fn json_is_accepted_and_refused_as_json_test_suite_says() {
    let is_valid = |name: &str, content: &[u8]| {
        let (_home, path) = file(name, content);
        let (kind, text) = shown(&path, &plain(80));
        assert!(!text.contains(is_harmful), "{name}: {text:?}");
        kind == Kind::Json && !text.starts_with("not valid JSON")
    };
    for valid in [
        "[]",
        "[1]\n",
        " [1,-0,0e+1,1.5E-2] ",
        "{\"\":0}",
        "{\"a\":1,\"a\":2}",
        "\"\\u0012 \\ud83d\\ude39\u{7f}\"",
        "null",
        "[\"\\uDFAA\"]",
        "[1e999999]",
    ] {
        assert!(is_valid("y.json", valid.as_bytes()), "{valid}");
    }
    for invalid in [
        "[1,]",
        "[,1]",
        "[1 2]",
        "[01]",
        "[-]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[0x1]",
        "[1e]",
        "[NaN]",
        "[tru]",
        "{a:1}",
        "{\"a\"}",
        "{\"a\":1,}",
        "{'a':1}",
        "[\"\t\"]",
        "[\"\\x\"]",
        "[\"\\u00g0\"]",
        "[\"a",
        "[1]]",
        "[1] [2]",
        "//\n[]",
        "[\u{a0}]",
        "",
        " ",
        "\"",
    ] {
        assert!(!is_valid("n.json", invalid.as_bytes()), "{invalid}");
    }
    assert!(!is_valid("n.json", b"[\"\xff\"]"));
    let Some(folder) = suite("json-test-suite") else {
        return;
    };
    let script = fs::read_to_string(folder.join("data/parsing.js")).unwrap();
    let cases = script.split_once("export default ").unwrap().1;
    let cases: Vec<Value> = serde_json::from_str(cases.trim().trim_end_matches(';')).unwrap();
    let mut counts = [0, 0];
    for case in &cases {
        let (name, input) = (
            case["name"].as_str().unwrap(),
            case["input"].as_str().unwrap(),
        );
        let valid = is_valid(name, input.as_bytes());
        match name.split_once('_').unwrap().0 {
            "y" => assert!(valid, "{name} is valid"),
            "n" => assert!(!valid, "{name} is not valid"),
            _ => continue,
        }
        counts[usize::from(valid)] += 1;
    }
    assert_eq!(counts, [188, 95]);
}

#[test]
fn pictures_of_png_suite_are_drawn_unless_they_are_damaged() {
    if let Some(folder) = suite("pngsuite") {
        let mut counts = [0, 0];
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.extension().is_some_and(|it| it == "png") {
                check_picture(&name, &fs::read(path).unwrap());
                counts[usize::from(name.starts_with('x'))] += 1;
            }
        }
        assert!(counts[0] >= 160 && counts[1] >= 14, "{counts:?}");
    }
    let Some(path) = suite("pngsuite.py") else {
        return;
    };
    // A dictionary in which each name stands before the bytes in hexadecimal.
    let script = fs::read_to_string(path).unwrap();
    let parts: Vec<&str> = script.split(": _dehex(b\"\"\"").collect();
    assert!(parts.len() > 20);
    for pair in parts.windows(2) {
        let name = pair[0].trim_end_matches('\'').rsplit('\'').next().unwrap();
        let hex = pair[1].split("\"\"\"").next().unwrap();
        let hex: String = hex.split_whitespace().collect();
        let content = data_encoding::HEXLOWER_PERMISSIVE
            .decode(hex.as_bytes())
            .unwrap();
        check_picture(name, &content);
    }
}

/// Asserts that a picture is drawn; one whose name begins with an x is damaged.
fn check_picture(name: &str, content: &[u8]) {
    let is_damaged = name.starts_with('x');
    let (_home, path) = file(&format!("{name}.png"), content);
    let options: ShowOptions = colored(Graphics::HalfBlocks, ColorLevel::TrueColor);
    let (kind, text) = shown(&path, &options);
    let is_drawn = kind == Kind::Image && !text.contains("cannot be drawn");
    assert_eq!(is_drawn, !is_damaged, "{name}: {text}");
    assert!(is_damaged || text.lines().count() > 1, "{name}: {text}");
}
