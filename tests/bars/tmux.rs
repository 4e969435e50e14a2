//! Bars in a real tmux, which lays lines out anew when its window changes, and keeps what scrolls
//! off the screen.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use crate::common::{Lab, MIB, PATIENCE};

/// A tmux with a server of its own, in which `p2p send` runs.
struct Tmux {
    socket: String,
}

impl Tmux {
    /// Sends a file at 2 MB a second in a window of 80 by 24; none where tmux is not installed.
    fn sends(lab: &Lab, file: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("tmux is not installed");
            return None;
        }
        let folder = lab.folder().to_str().unwrap();
        let socket = format!("{folder}/tmux");
        let send = format!(
            "'{}' --home '{folder}/home-carol' send --to alice --limit 2M {file}; \
             tmux wait-for -S done; read line",
            env!("CARGO_BIN_EXE_p2p")
        );
        let tmux = Self { socket };
        tmux.run(
            &[
                "-f",
                "/dev/null",
                "new-session",
                "-d",
                "-x",
                "80",
                "-y",
                "24",
            ],
            |command| {
                command
                    .args(["sh", "-c", &send])
                    .current_dir(folder)
                    .env("P2P_SERVER", lab.invite());
            },
        );
        Some(tmux)
    }

    fn run(&self, args: &[&str], more: impl Fn(&mut Command)) -> String {
        let mut command = Command::new("tmux");
        command.args(["-S", &self.socket]).args(args);
        command.env_remove("TMUX").stdin(Stdio::null());
        more(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn resize(&self, columns: u16) {
        self.run(&["resize-window", "-x", &columns.to_string()], |_| ());
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"], |_| ())
    }

    /// Waits for a bar of about this width.
    fn bar(&self, columns: usize) {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            let mut bars = screen.lines().filter(|it| it.contains('%'));
            if let (Some(bar), None) = (bars.next(), bars.next())
                && (columns - 15..columns).contains(&bar.chars().count())
            {
                return;
            }
            assert!(
                Instant::now() < end,
                "no bar of {columns} columns:\n{screen}"
            );
        }
    }

    /// Waits for the end of the send: what is on the screen then, and the lines above it.
    fn ends(&self) -> (String, usize) {
        // It ends on its own, in as many seconds as the rate allows.
        self.run(&["wait-for", "done"], |_| ());
        let history = self.run(&["display", "-p", "#{history_size}"], |_| ());
        (self.screen(), history.trim().parse().unwrap())
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-S", &self.socket, "kill-server"])
            .output();
    }
}

const FILE: &str = "a-holiday-video-with-a-rather-long-name-from-2024.mov";

#[test]
fn a_bar_in_the_top_row_leaves_no_copies_of_itself_to_scroll_back_to() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    lab.file(FILE, 8 * MIB);
    let Some(tmux) = Tmux::sends(&lab, FILE) else {
        return;
    };
    tmux.bar(80);
    // The bar takes two rows now, for which tmux makes room at the top.
    tmux.resize(50);
    tmux.bar(50);
    let (screen, above) = tmux.ends();
    assert!(screen.contains('✓'), "{screen}");
    assert!(above <= 2, "{above} lines above\n{screen}");
}

#[test]
fn a_window_that_is_dragged_narrow_and_wide_keeps_no_ghost_of_a_bar() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    lab.file(FILE, 8 * MIB);
    let Some(tmux) = Tmux::sends(&lab, FILE) else {
        return;
    };
    tmux.bar(80);
    for columns in [60, 90] {
        (0..10).for_each(|step| tmux.resize(columns - 3 * step));
        (0..10).for_each(|step| tmux.resize(columns - 27 + 3 * step));
        tmux.bar(columns.into());
    }
    let (screen, _) = tmux.ends();
    assert!(screen.contains('✓'), "{screen}");
    assert!(!screen.contains(['━', '╸', '%']), "{screen}");
}
