//! Completion as a person meets it: Tab in a real shell, in a pseudo-terminal.

#![cfg(unix)]

mod common;

use std::{fs, path::Path, process::Command, time::Instant};

use common::{Lab, Signal, terminal::Terminal};

/// A shell, and how it is started and given the script.
struct Shell {
    name: &'static str,
    options: &'static [&'static str],
    setup: &'static str,
}

const SHELLS: [Shell; 3] = [
    Shell {
        name: "bash",
        options: &["--norc", "--noprofile", "-i"],
        setup: "source <(p2p completions bash)",
    },
    // As a file in `fpath`, the way it is installed.
    Shell {
        name: "zsh",
        options: &["-f", "-i"],
        setup: "p2p completions zsh > $PWD/_p2p; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D",
    },
    Shell {
        name: "fish",
        options: &["--no-config", "--interactive"],
        setup: "p2p completions fish | source",
    },
];

impl Shell {
    /// None where it is not installed.
    fn open(&self, lab: &Lab) -> Option<Terminal> {
        let found = Command::new(self.name).arg("--version").output();
        if found.is_err() {
            eprintln!("{} is not installed", self.name);
            return None;
        }
        let p2p = Path::new(env!("CARGO_BIN_EXE_p2p"));
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", p2p.parent().unwrap().display());
        let mut command = Command::new(self.name);
        command
            .args(self.options)
            .current_dir(lab.folder())
            .env("PATH", path)
            .env("HOME", lab.folder())
            .env("P2P_HOME", lab.home("carol"))
            .env("P2P_SERVER", lab.invite());
        let mut terminal = Terminal::open(&command, (100, 40));
        terminal.press(&format!("{}; echo rea''dy\r", self.setup));
        terminal.sees("ready");
        Some(terminal)
    }
}

/// A room with two listeners, which carol knows by name.
fn room() -> (Lab, Vec<common::Proc>) {
    let (lab, relay) = Lab::new();
    let mut running = vec![relay];
    for name in ["alexander", "barbara"] {
        running.push(lab.listen(name, &[]));
    }
    // It makes carol's key; without one there is nobody to ask as.
    lab.run("carol", ["peers"]).expect(0);
    fs::write(lab.folder().join("holiday-photos.zip"), "x").unwrap();
    fs::write(lab.folder().join("my summer (2024) $1.txt"), "x").unwrap();
    fs::create_dir(lab.folder().join("old things")).unwrap();
    fs::write(lab.folder().join("old things/one.txt"), "x").unwrap();
    (lab, running)
}

#[test]
fn shells_complete_commands_options_peers_of_the_room_and_files() {
    let (lab, _running) = room();
    for shell in &SHELLS {
        let Some(mut terminal) = shell.open(&lab) else {
            continue;
        };
        for (typed, completed) in [
            ("p2p broadc\t", "p2p broadcast "),
            ("p2p send --comp\t", "p2p send --compress "),
            ("p2p send --to alex\t", "p2p send --to alexander "),
            ("p2p send --to barbara hol\t", "barbara holiday-photos.zip"),
        ] {
            terminal.press(typed);
            terminal.sees(completed);
            // Away with the line.
            terminal.press("\x15");
            terminal.loses(completed);
        }
    }
}

#[test]
fn names_with_spaces_arrive_as_one_word() {
    let (lab, _running) = room();
    // Put before what was completed, it shows each word of it.
    let words = "words() { printf '<%s>' \"$@\"; echo; }";
    for shell in SHELLS.iter().filter(|shell| shell.name != "fish") {
        let Some(mut terminal) = shell.open(&lab) else {
            continue;
        };
        terminal.press(&format!("{words}; echo chan''ged\r"));
        terminal.sees("changed");
        for (typed, seen) in [
            ("p2p send my\t", "<p2p><send><my summer (2024) $1.txt>"),
            (
                "p2p send my\\ sum\t",
                "<p2p><send><my summer (2024) $1.txt>",
            ),
            (
                "p2p send \"my sum\t",
                "<p2p><send><my summer (2024) $1.txt>",
            ),
            ("p2p send old\tone\t", "<p2p><send><old things/one.txt>"),
        ] {
            terminal.press(typed);
            terminal.press("\x01words \r");
            terminal.sees(seen);
            terminal.press("clear\r");
            terminal.loses(seen);
        }
    }
}

#[test]
fn a_relay_that_is_away_delays_a_shell_by_a_moment_only() {
    let (lab, running) = room();
    // It is there, and does not answer: the worst case.
    running[0].signal(Signal::STOP);
    for shell in &SHELLS {
        let Some(mut terminal) = shell.open(&lab) else {
            continue;
        };
        let since = Instant::now();
        terminal.press("p2p send --to alex\t");
        terminal.press("-is-away");
        terminal.sees("alex-is-away");
        let waited = since.elapsed().as_secs_f64();
        assert!(waited < 6.0, "{}: {waited} s", shell.name);
    }
}
