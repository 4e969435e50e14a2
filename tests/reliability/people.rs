//! What people see of a send: a line for everyone, and a terminal that is given back.

use std::io::{Read, Write};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use super::common::{Lab, MIB};

#[test]
fn several_recipients_make_a_table_of_who_has_what() {
    let (lab, _relay) = Lab::new();
    let _yes = lab.listen("yes", &[]);
    let _no = lab.listen("declines", &["--max-size", "1k"]);
    let file = lab.file("x.bin", 5000);
    let mut command = lab.command("sender");
    let output = command.arg("broadcast").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(9));
    assert!(output.stdout.is_empty(), "standard output is for data");
    let said = String::from_utf8(output.stderr).unwrap();
    let line = |start: &str| {
        said.lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no line {start:?} in {said}"))
    };
    assert_eq!(line("  yes     "), "  yes       ✓ 1 file, 5.00 kB");
    assert!(line("  declines  ✗ ").contains("takes at most 1.00 kB (--max-size); this is 5.00 kB"));
    assert!(
        !said.contains('\u{1b}'),
        "no escapes without a terminal: {said:?}"
    );
}

#[test]
fn an_interrupt_gives_the_terminal_back_and_says_what_was_delivered() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    let (small, large) = (lab.file("a.txt", 10), lab.file("b.bin", 64 * MIB));
    let size = PtySize {
        rows: 24,
        cols: 100,
        pixel_width: 0,
        pixel_height: 0,
    };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_p2p"));
    command.env("P2P_SERVER", lab.invite());
    command.env("TERM", "xterm-256color");
    command.arg("--home");
    command.arg(lab.home("sender"));
    command.args(["send", "--to", "alice", "--limit", "1Mi"]);
    command.arg(&small);
    command.arg(&large);
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let reading = std::thread::spawn(move || {
        let mut seen = Vec::new();
        // A terminal whose last user is gone reads as an error.
        let _ = reader.read_to_end(&mut seen);
        String::from_utf8_lossy(&seen).into_owned()
    });
    alice.wait_event("received");
    alice.wait_where("progress", 1, |e| e["file"] == "b.bin");
    // As the key does: through the terminal, not as a signal of ours.
    pair.master
        .take_writer()
        .unwrap()
        .write_all(b"\x03")
        .unwrap();
    assert_eq!(child.wait().unwrap().exit_code(), 130);
    drop(pair.master);
    let seen = reading.join().unwrap();
    assert!(seen.contains("a.txt → alice"), "{seen}");
    assert!(seen.contains("interrupted: 1 file has arrived"), "{seen}");
    // Whatever was hidden is shown again, and nothing is left half drawn.
    let (hidden, shown) = (seen.rfind("\u{1b}[?25l"), seen.rfind("\u{1b}[?25h"));
    assert!(hidden.is_none() || shown > hidden, "{seen:?}");
    let mut screen = vt100::Parser::new(24, 100, 0);
    screen.process(seen.as_bytes());
    let screen = screen.screen();
    assert!(!screen.hide_cursor() && !screen.alternate_screen());
    assert_eq!(lab.stored("alice"), ["a.txt"]);
}
