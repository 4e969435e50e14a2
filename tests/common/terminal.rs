//! A pseudo-terminal with a model of its screen: what a person would see.

use std::{
    io::{Read, Write},
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take to appear.
const LIMIT: Duration = Duration::from_secs(30);

/// A program in a terminal of its own; killed when it is dropped.
pub struct Terminal {
    parser: vt100::Parser,
    output: mpsc::Receiver<Vec<u8>>,
    /// Everything that the program has written.
    written: Vec<u8>,
    keys: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
}

impl Terminal {
    /// Starts a program in a terminal of so many columns and rows, with 256 colours.
    pub fn open(command: &Command, (columns, rows): (u16, u16)) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        let mut program = CommandBuilder::new(command.get_program());
        program.args(command.get_args());
        program.env("TERM", "xterm-256color");
        program.env_remove("COLORTERM");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => program.env(name, value),
                None => program.env_remove(name),
            }
        }
        if let Some(folder) = command.get_current_dir() {
            program.cwd(folder);
        }
        let child = pair.slave.spawn_command(program).unwrap();
        let keys = pair.master.take_writer().unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = mpsc::sync_channel(16_384);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            parser: vt100::Parser::new(rows, columns, 0),
            output,
            written: Vec::new(),
            keys,
            master: pair.master,
            child,
        }
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Pastes, as terminals do where a program asked for brackets around it.
    pub fn paste(&mut self, text: &str) {
        self.press(&format!("\x1b[200~{text}\x1b[201~"));
    }

    /// Makes the window larger or smaller.
    pub fn resize(&mut self, (columns, rows): (u16, u16)) {
        self.parser.screen_mut().set_size(rows, columns);
        self.master.resize(size(columns, rows)).unwrap();
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub fn until(&mut self, what: &str, seen: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !seen(self.parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(_) => panic!("no {what} on\n{}", self.text()),
            }
        }
    }

    /// Waits until the screen has this text.
    #[track_caller]
    pub fn sees(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    /// Waits until the screen no longer has this text.
    #[track_caller]
    pub fn loses(&mut self, text: &str) {
        self.until(&format!("end of {text}"), |screen| {
            !screen.contents().contains(text)
        });
    }

    /// Waits until the program has written these bytes, whatever they do to the screen.
    #[track_caller]
    pub fn hears(&mut self, bytes: &[u8]) {
        let deadline = Instant::now() + LIMIT;
        while !self.written.windows(bytes.len()).any(|part| part == bytes) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(_) => panic!("never written, on\n{}", self.text()),
            }
        }
    }

    /// The screen as it is.
    pub fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// The screen's text, without the blanks at the ends of lines.
    pub fn text(&self) -> String {
        let (_, columns) = self.screen().size();
        let rows = self.screen().rows(0, columns);
        rows.map(|row| row.trim_end().to_owned() + "\n").collect()
    }

    /// Everything that the program has written so far.
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// Whether lines are edited and keys echoed as a shell expects it.
    pub fn is_cooked(&self) -> bool {
        use rustix::termios::{LocalModes, tcgetattr};
        let name = self.master.tty_name().expect("a terminal has a name");
        let tty = std::fs::File::open(name).unwrap();
        let modes = tcgetattr(tty).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits until lines are edited and keys echoed again.
    #[track_caller]
    pub fn cooks(&self) {
        let deadline = Instant::now() + LIMIT;
        while !self.is_cooked() {
            assert!(Instant::now() < deadline, "still raw");
            std::thread::yield_now();
        }
    }

    /// Asserts that the terminal is as it was before a full-screen program had it.
    #[track_caller]
    pub fn assert_given_back(&self) {
        let screen = self.screen();
        assert!(!screen.alternate_screen(), "still on the other screen");
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert!(!screen.bracketed_paste(), "pastes still come in brackets");
        assert!(self.is_cooked(), "still raw");
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.child.process_id().expect("it runs");
        let id = Pid::from_raw(id.try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits for the program's end, and takes in everything that it wrote; the exit code.
    #[track_caller]
    pub fn ends(&mut self) -> u32 {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "no end, on\n{}", self.text());
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(20)) {
                self.take(&bytes);
            }
        };
        // What is left of its output is in the pipe: a pause means that there is no more.
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(100)) {
            self.take(&bytes);
        }
        status.exit_code()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        self.parser.process(bytes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}
