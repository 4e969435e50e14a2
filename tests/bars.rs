//! Bars as a person sees them: in pseudo-terminals of 80 to 40 columns, with a model of the screen.

#![cfg(unix)]

mod common;
#[path = "bars/tmux.rs"]
mod tmux;

use std::{fs, path::Path, process::Command};

use common::{Lab, MIB, Signal, assert_same, terminal::Terminal};

const LONG: &str = "旅行の写真と動画-a-rather-long-name-for-a-holiday-video-from-2024.mov";

/// Starts `p2p` with these arguments in a terminal of this size.
fn open(lab: &Lab, who: &str, args: &[&str], size: (u16, u16)) -> Terminal {
    lab.name(who, who);
    let mut command = lab.command(who);
    command.args(args);
    Terminal::open(&command, size)
}

/// The rows in which something moves.
fn bars(screen: &vt100::Screen) -> Vec<String> {
    let (_, columns) = screen.size();
    let rows = screen.rows(0, columns);
    rows.filter(|row| row.contains('%') || row.contains('╸'))
        .collect()
}

/// Whether what is on the screen is these bars and nothing of earlier ones.
fn shows(screen: &vt100::Screen, labels: &[&str]) -> bool {
    let bars = bars(screen);
    bars.len() == labels.len()
        && bars
            .iter()
            .zip(labels)
            .all(|(bar, label)| bar.contains(label))
}

/// What the transfer leaves on the screen: no bar, and a tick on one line with all of this.
#[track_caller]
fn assert_left(terminal: &Terminal, parts: &[&str]) {
    let text = terminal.text();
    assert!(!text.contains(['━', '╸', '%']), "{text}");
    let mut ticks = text.lines().filter(|line| line.contains('✓'));
    assert!(
        ticks.any(|line| parts.iter().all(|part| line.contains(part))),
        "no tick with {parts:?} on\n{text}"
    );
}

/// A sending that takes long enough to be looked at.
fn slowly_to_alice(file: &Path) -> [&str; 6] {
    let file = file.to_str().unwrap();
    ["send", "--to", "alice", "--limit", "2M", file]
}

#[test]
fn one_file_is_one_bar_and_one_last_line_in_any_window() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file(LONG, 4 * MIB);
    for (columns, facts) in [
        (80, &["mov → alice", "4.19 MB", " s  ", "MB/s"][..]),
        (60, &["mov → alice", "4.19 MB", " s  ", "MB/s"]),
        (40, &["mov → alice", "4.19 MB"]),
    ] {
        let send = ["send", "--to", "alice", "--limit", "2M"];
        let args = [&send[..], &[file.to_str().unwrap()]].concat();
        let mut sender = open(&lab, "carol", &args, (columns, 12));
        sender.until("one bar with its rate", |screen| {
            shows(screen, &["旅行"]) && screen.contents().contains("MB/s")
        });
        // Nothing wraps: the name is elided, and the line before it is whole.
        let bar = bars(sender.screen()).remove(0);
        assert!(bar.contains('…') && bar.contains('━'), "{bar}");
        assert_eq!(sender.ends(), 0);
        assert_left(&sender, facts);
        let text = sender.text();
        assert_eq!(text.trim_end().lines().count(), 2, "{text}");
        fs::remove_file(lab.out("alice").join(LONG)).unwrap();
    }
}

#[test]
fn each_recipient_has_a_bar_and_one_that_comes_back_is_told() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let mut bob = lab.listen("bob", &[]);
    let file = lab.file("data.bin", 12 * MIB);
    let args = ["broadcast", "--limit", "3M", file.to_str().unwrap()];
    let mut sender = open(&lab, "carol", &args, (80, 24));
    sender.until("a bar for each and one for all", |screen| {
        shows(screen, &["alice", "bob", "all 0 of 2 done"])
    });
    bob.signal(Signal::TERM);
    bob.expect(143);
    sender.until("what became of bob, in his row", |screen| {
        let text = screen.contents();
        let mut rows = text.lines().filter(|row| row.starts_with("bob "));
        rows.any(|row| row.contains("stopped listening; trying again"))
            && shows(screen, &["alice", "all 0 of 2 done"])
    });
    let _bob = lab.listen("bob", &[]);
    sender.until("what bob had before, in his bar", |screen| {
        bars(screen)
            .iter()
            .any(|bar| bar.starts_with("bob") && bar.contains('┅'))
    });
    assert_eq!(sender.ends(), 0);
    assert_left(&sender, &["data.bin → alice", "12.6 MB"]);
    let text = sender.text();
    let bob = text.lines().find(|line| line.contains("data.bin → bob"));
    assert!(bob.unwrap().contains("resumed from"), "{text}");
    assert_same(&file, &lab.out("bob").join("data.bin"));
}

#[test]
fn hundreds_of_small_files_are_one_bar_and_one_last_line() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    for i in 0..300 {
        lab.file(&format!("folder/inner/{i}.dat"), 200);
    }
    let args = ["send", "--to", "alice", "--limit", "20k", "folder"];
    let mut sender = open(&lab, "carol", &args, (60, 24));
    sender.until("one bar that counts files", |screen| {
        shows(screen, &["/300 files → alice"])
    });
    assert_eq!(sender.ends(), 0);
    assert_left(&sender, &["✓ 300 files, 60.0 kB in "]);
    let text = sender.text();
    assert_eq!(text.trim_end().lines().count(), 2, "{text}");
}

#[test]
fn a_window_that_is_resized_keeps_one_bar_and_no_remains() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file(LONG, 10 * MIB);
    let args = slowly_to_alice(&file);
    let mut sender = open(&lab, "carol", &args, (80, 24));
    sender.until("a bar", |screen| shows(screen, &["旅行"]));
    for columns in [40, 100, 60] {
        sender.resize((columns, 24));
        sender.until("one bar as wide as the window allows", |screen| {
            let bars = bars(screen);
            let width = |bar: &str| unicode_width::UnicodeWidthStr::width(bar.trim_end());
            shows(screen, &["旅行"])
                && bars[0].contains("MB/s")
                && width(&bars[0]) < usize::from(columns)
                && width(&bars[0]) + 12 > usize::from(columns).min(90)
        });
    }
    assert_eq!(sender.ends(), 0);
    assert_left(&sender, &["10.5 MB"]);
}

#[test]
fn log_lines_messages_and_shown_files_leave_the_bar_whole() {
    let (lab, _relay) = Lab::new();
    let out = lab.out("alice");
    // Slower than bars are drawn, so that it would meet with one.
    let program = "sh -c 'sleep 0.4; echo a program speaks; sleep 0.2'";
    let out = out.to_str().unwrap();
    let args = ["-v", "listen", "--out", out, "--exec", program];
    let mut alice = open(&lab, "alice", &args, (80, 40));
    alice.sees("listening as alice");
    let large = lab.file("large.bin", 12 * MIB);
    let mut slow = lab.send("bob", &["--to", "alice", "--limit", "3M"], &[&large]);
    alice.until("a bar", |screen| shows(screen, &["large.bin ← "]));
    lab.run("carol", ["send", "--to", "alice", "--text", "hello there"])
        .expect(0);
    alice.until("a message above the bar", |screen| {
        screen.contents().contains(": hello there") && shows(screen, &["large.bin ← "])
    });
    let table = lab.folder().join("table.csv");
    fs::write(&table, "id,name\n1,one\n2,two\n").unwrap();
    lab.send("carol", &["--to", "alice"], &[&table]).expect(0);
    alice.until("a table above the bar", |screen| {
        screen.contents().contains("[2 rows x 2 columns]") && shows(screen, &["large.bin ← "])
    });
    alice.until("a program's line above the bar", |screen| {
        screen.contents().contains("a program speaks") && shows(screen, &["large.bin ← "])
    });
    let text = alice.text();
    let spoken: Vec<_> = text.lines().filter(|it| it.contains("speaks")).collect();
    assert_eq!(spoken, ["a program speaks"], "{text}");
    slow.expect(0);
    alice.sees("large.bin ← ");
    alice.until("the end of the bar", |screen| bars(screen).is_empty());
    assert!(!alice.text().contains('━'), "{}", alice.text());
    // What was shown is in one piece.
    let text = alice.text();
    let at = text.find("id  name").expect("the table's header");
    assert!(
        text[at..].starts_with("id  name\n──  ────\n 1  one\n 2  two\n[2 rows"),
        "{text}"
    );
}

#[test]
fn an_interrupted_listener_says_that_it_was_its_own_doing() {
    let (lab, _relay) = Lab::new();
    let out = lab.out("alice");
    let mut alice = open(
        &lab,
        "alice",
        &["listen", "--out", out.to_str().unwrap()],
        (80, 24),
    );
    alice.sees("listening as alice");
    let large = lab.file("large.bin", 40 * MIB);
    let _slow = lab.send("bob", &["--to", "alice", "--limit", "1M"], &[&large]);
    alice.until("a bar", |screen| shows(screen, &["large.bin ← "]));
    alice.press("\x03");
    assert_eq!(alice.ends(), 130);
    let text = alice.text();
    assert!(
        text.contains("stopped here before all of it came"),
        "{text}"
    );
    assert!(bars(alice.screen()).is_empty(), "{text}");
}

#[test]
fn without_a_capable_terminal_there_are_plain_lines() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    let file = lab.file("file.bin", 2 * MIB);
    let args = slowly_to_alice(&file);
    let output = lab.command("carol").args(args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains(['\x1b', '\r']), "{said:?}");
    assert!(said.contains("✓ file.bin → alice  2.10 MB"), "{said:?}");
    assert_eq!(said.lines().count(), 2, "{said:?}");
    let written = |set: &dyn Fn(&mut Command)| {
        let mut command = lab.command("carol");
        set(command.args(args));
        // What is there already would not be sent again.
        fs::remove_file(lab.out("alice").join("file.bin")).unwrap();
        let mut terminal = Terminal::open(&command, (80, 24));
        assert_eq!(terminal.ends(), 0);
        String::from_utf8(terminal.written().to_vec()).unwrap()
    };
    let dumb = written(&|command| {
        command.env("TERM", "dumb");
    });
    assert!(!dumb.contains(['\x1b', '%']), "{dumb:?}");
    let colorless = written(&|command| {
        command.env("NO_COLOR", "1");
    });
    assert!(colorless.contains('%'), "{colorless:?}");
    let colors = colorless.split("\x1b[").skip(1).filter(|it| {
        let end = it.find(|c: char| c.is_ascii_alphabetic());
        end.is_some_and(|end| it[end..].starts_with('m'))
    });
    assert_eq!(colors.count(), 0, "{colorless:?}");
}
