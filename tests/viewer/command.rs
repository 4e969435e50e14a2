//! `p2p show` itself, and the process that a listener starts to show what it received.

use std::{fs, path::Path, process::Command};

use super::{
    common::{Lab, PATIENCE, Proc},
    file, sample,
};

/// What `p2p show` of a file prints, and its exit code.
fn show(options: &[&str], path: &Path) -> (String, i32) {
    let output = Lab::empty()
        .command("vera")
        .arg("show")
        .args(options)
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (text, output.status.code().unwrap())
}

#[test]
fn as_many_rows_are_shown_as_are_asked_for() {
    let rows: String = (0..500).map(|i| format!("{i},name {i}\n")).collect();
    let (_home, table) = file("a.csv", format!("id,name\n{rows}").as_bytes());
    let (_home, text) = file("a.log", rows.as_bytes());
    let items: Vec<String> = (1000..1500).map(|i| i.to_string()).collect();
    let (_home, json) = file("a.json", format!("[{}]", items.join(",")).as_bytes());
    let (_home, binary) = file("a.bin", &[0x7f; 1000]);
    for rows in [7, 100, 300] {
        let option = ["--rows", &rows.to_string()];
        // Two lines of header, the line below the table, and the mark among the rows.
        assert_eq!(show(&option, &table).0.lines().count(), rows + 3, "{rows}");
        assert_eq!(show(&option, &text).0.lines().count(), rows + 1, "{rows}");
        let lines = show(&option, &json).0.lines().count();
        assert!(
            lines <= rows && lines + 3 >= rows.min(300),
            "{rows}: {lines}"
        );
        let dump = 2 + rows.min(1000 / 16 + 1);
        assert_eq!(
            show(&option, &binary).0.lines().count(),
            dump.min(64),
            "{rows}"
        );
    }
    // An array that is not longer is whole.
    assert!(!show(&["--rows", "502"], &json).0.contains("more"));
    assert_eq!(show(&["--rows", "0"], &table).1, 2);
    assert_eq!(show(&["--rows", "9", "--all"], &table).1, 2);
}

#[test]
fn everything_is_shown_to_who_asks_for_all() {
    let rows: String = (0..20_000)
        .map(|i| format!("{i},\"name, {i}\"\n"))
        .collect();
    let (_home, table) = file("a.csv", format!("id,name\n{rows}").as_bytes());
    let (text, code) = show(&["--all"], &table);
    assert_eq!((text.lines().count(), code), (20_003, 0));
    assert!(text.contains("\n 9999  name, 9999\n"), "{}", &text[..200]);
    assert!(text.ends_with("\n[20,000 rows x 2 columns]\n"));

    let long = format!("{}end\n", "long ".repeat(1000));
    let (_home, lines) = file("a.txt", long.repeat(300).as_bytes());
    assert_eq!(show(&["--all"], &lines).0, long.repeat(300));

    let (_home, binary) = file("a.bin", &[0x7f; 100_000]);
    assert_eq!(
        show(&["--all"], &binary).0.lines().count(),
        1 + 100_000 / 16
    );
}

#[test]
fn all_of_a_json_file_is_the_same_json() {
    let deep = [&"[".repeat(3000), "1", &"]".repeat(3000)].concat();
    let long = format!(
        "{{\"a\":[{}],\"b\":{{}},\"c\":[]}}",
        vec!["{\"x\":[1]}"; 500].join(",")
    );
    for text in [
        "{\"n\":12345678901234567890.50,\"s\":\"\\ud83d \\u001b\",\"e\":[],\"l\":[true,null]}",
        &long,
        &deep,
        "7",
    ] {
        let (_home, path) = file("a.json", text.as_bytes());
        let (shown, code) = show(&["--all"], &path);
        let compact: String = shown.split_whitespace().collect();
        assert_eq!(compact, text.replace(' ', ""));
        assert_eq!(code, 0);
        assert!(shown.lines().count() > text.matches(',').count());
    }
    let (_home, path) = file("a.jsonl", b"{\"a\":1}\n[2]\n\"3\"\n");
    assert_eq!(
        show(&["--all"], &path).0,
        "{\n  \"a\": 1\n}\n[\n  2\n]\n\"3\"\n"
    );
    let (_home, path) = file("a.json", b"{\"a\":1,}");
    let (shown, _) = show(&["--all"], &path);
    assert!(
        shown.contains("\"a\": 1") && shown.contains("not valid JSON: line 1, column 8"),
        "{shown}"
    );
}

#[test]
fn json_gets_one_object_that_says_what_the_file_is() {
    for (name, kind) in [
        ("order.json", "json"),
        ("people.csv", "csv"),
        ("quadrants.png", "image"),
    ] {
        let path = sample(name);
        let (text, code) = show(&["--json"], &path);
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({"event": "shown", "path": path.to_str(), "kind": kind});
        assert_eq!(
            (shown, code, text.lines().count()),
            (expected, 0, 1),
            "{name}"
        );
    }
    let (text, code) = show(&["--json"], Path::new("missing.json"));
    assert!(
        text.starts_with('{') && text.contains("\"error\""),
        "{text}"
    );
    assert_eq!(code, 7);
}

#[test]
fn a_listener_shows_files_after_its_program_was_replaced() {
    let (lab, _relay) = Lab::new();
    let program = lab.folder().join("p2p");
    if fs::hard_link(env!("CARGO_BIN_EXE_p2p"), &program).is_err() {
        fs::copy(env!("CARGO_BIN_EXE_p2p"), &program).unwrap();
    }
    let mut command = Command::new(&program);
    let plain = lab.command("alice");
    command.args(plain.get_args()).current_dir(lab.folder());
    for (name, value) in plain.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.args(["listen", "--name", "alice", "--show", "always", "--out"]);
    command.arg(lab.out("alice"));
    let alice = Proc::start(command);
    let wait = PATIENCE.as_secs().to_string() + "s";
    let to_alice = ["--to", "alice", "--wait", &wait];
    // It is there once a message has arrived.
    let message = [&to_alice[..], &["--text", "hello"]].concat();
    lab.send("bob", &message, &[""; 0]).expect(0);
    fs::remove_file(&program).unwrap();
    fs::write(&program, "not a program").unwrap();
    lab.send("bob", &to_alice, &[sample("people.csv")])
        .expect(0);
    alice.wait_where("NOT JSON", 1, |it| it["line"] == "[3 rows x 4 columns]");
}
