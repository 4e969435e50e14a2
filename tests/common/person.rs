//! Somebody at a terminal, where `p2p listen --accept ask` runs.

use std::{
    io::{BufRead, BufReader, Write},
    sync::mpsc,
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use super::{Lab, PATIENCE};

/// Somebody at a terminal, where `p2p listen --accept ask` runs.
pub struct Person {
    keys: Box<dyn Write + Send>,
    lines: mpsc::Receiver<String>,
    /// What was seen and not looked for yet.
    ahead: String,
    questions: usize,
    child: Box<dyn portable_pty::Child + Send + Sync>,
}

impl Person {
    pub fn listen(lab: &Lab, name: &str) -> Self {
        let size = PtySize {
            rows: 24,
            cols: 200,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_p2p"));
        command.env("P2P_SERVER", lab.invite());
        command.env("NO_COLOR", "1");
        command.args(["--progress", "never", "--home"]);
        command.arg(lab.home(name));
        command.args(["listen", "--accept", "ask", "--name", name, "--out"]);
        command.arg(lab.out(name));
        let child = pair.slave.spawn_command(command).unwrap();
        let keys = pair.master.take_writer().unwrap();
        let reader = BufReader::new(pair.master.try_clone_reader().unwrap());
        let (sender, lines) = mpsc::channel();
        // The terminal must live as long as its reader.
        std::thread::spawn(move || {
            let _master = pair.master;
            let mut reader = reader;
            while let Ok(bytes) = reader.fill_buf() {
                let text = String::from_utf8_lossy(bytes).into_owned();
                let read = bytes.len();
                reader.consume(read);
                if read == 0 || sender.send(text).is_err() {
                    return;
                }
            }
        });
        let mut person = Self {
            keys,
            lines,
            ahead: String::new(),
            questions: 0,
            child,
        };
        person.sees("listening as");
        person
    }

    /// Waits until this appears, and forgets everything up to it, which it returns.
    #[track_caller]
    pub fn sees(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.ahead.find(text) {
                let seen: String = self.ahead.drain(..at + text.len()).collect();
                self.questions += seen.matches("accept? [y/N]").count();
                return seen;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(more) => self.ahead.push_str(&more),
                Err(_) => panic!("no {text:?} in {:?}", self.ahead),
            }
        }
    }

    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// How often it was asked, once nothing more comes.
    pub fn questions(&mut self) -> usize {
        while let Ok(more) = self.lines.recv_timeout(Duration::from_millis(300)) {
            self.ahead.push_str(&more);
        }
        self.questions + self.ahead.matches("accept? [y/N]").count()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
