//! The menu as a person sees it: in a pseudo-terminal, with a model of the screen.

#![cfg(unix)]

use std::{
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long anything may take to appear.
const LIMIT: Duration = Duration::from_secs(30);
const P2P: &str = env!("CARGO_BIN_EXE_p2p");

/// A menu in a terminal of its own.
struct Menu {
    parser: vt100::Parser,
    output: mpsc::Receiver<Vec<u8>>,
    keys: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
}

impl Menu {
    fn open(home: &Path, (columns, rows): (u16, u16)) -> Self {
        let size = size(columns, rows);
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(P2P);
        command.env("P2P_HOME", home.join("home"));
        command.env_remove("P2P_SERVER");
        command.env("TERM", "xterm-256color");
        std::fs::create_dir_all(home.join("out")).unwrap();
        command.cwd(home.join("out"));
        let child = pair.slave.spawn_command(command).unwrap();
        let keys = pair.master.take_writer().unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = mpsc::channel();
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
            keys,
            master: pair.master,
            child,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the screen is as wanted.
    fn until(&mut self, what: &str, seen: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !seen(self.parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(_) => panic!("no {what} on\n{}", self.parser.screen().contents()),
            }
        }
    }

    fn sees(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    fn ends(mut self) -> u32 {
        self.until("end of the alternate screen", |screen| {
            !screen.alternate_screen()
        });
        assert!(!self.parser.screen().hide_cursor());
        assert!(!self.parser.screen().bracketed_paste());
        self.child.wait().unwrap().exit_code()
    }
}

impl Drop for Menu {
    fn drop(&mut self) {
        let _ = self.child.kill();
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

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn p2p(home: &Path, invite: &str, args: &[&str]) -> Command {
    let mut command = Command::new(P2P);
    command
        .env("P2P_HOME", home)
        .env("P2P_SERVER", invite)
        .args(args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn a_session(columns: u16, rows: u16) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut menu = Menu::open(folder.path(), (columns, rows));
    menu.sees("Paste an invite");
    menu.press("r");
    menu.sees(" at ");
    let invite = std::fs::read_to_string(at("home/relay/invite")).unwrap();
    let invite = invite.trim();

    std::fs::create_dir(at("bob-out")).unwrap();
    let out = at("bob-out");
    let listen = ["listen", "--name", "bob", "--out", out.to_str().unwrap()];
    let _bob = Running(p2p(&at("bob"), invite, &listen).spawn().unwrap());
    menu.sees("● bob");

    std::fs::write(at("out/letter.txt"), "hello").unwrap();
    menu.press("s");
    menu.sees("letter.txt");
    menu.press("let\t");
    menu.sees("letter.txt▏");
    menu.press("\r");
    menu.sees("✓ delivered");
    assert_eq!(std::fs::read(at("bob-out/letter.txt")).unwrap(), b"hello");

    let hostname = menu_name(&menu);
    let offered = at("numbers.json");
    std::fs::write(&offered, "{\"answer\": 42}").unwrap();
    let send = ["send", "--to", &hostname, offered.to_str().unwrap()];
    let sending = p2p(&at("bob"), invite, &send).spawn().unwrap();
    menu.sees("accept? y / n");
    menu.sees("numbers.json");
    menu.press("y");
    menu.sees("✓ received");
    assert!(Running(sending).0.wait().unwrap().success());
    menu.press("\t\t\r");
    menu.sees("\"answer\": 42");
    menu.press("\x1b");
    menu.sees("Arrived 1");

    let sending = p2p(&at("bob"), invite, &send).spawn().unwrap();
    menu.sees("accept? y / n");
    menu.press("n");
    menu.sees("bob: declined");
    assert_eq!(Running(sending).0.wait().unwrap().code(), Some(6));
    assert!(!at("out/numbers (1).json").exists());

    menu.master.resize(size(columns + 10, rows + 3)).unwrap();
    menu.parser.screen_mut().set_size(rows + 3, columns + 10);
    menu.until("the footer in the new last row", |screen| {
        screen
            .contents_between(rows + 2, 0, rows + 2, columns)
            .contains("quit")
    });
    menu.press("q");
    assert_eq!(menu.ends(), 0);
}

/// What the menu's header says that it is called.
fn menu_name(menu: &Menu) -> String {
    let head = menu.parser.screen().contents();
    head.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn a_whole_session_works_at_80_by_24() {
    a_session(80, 24);
}

#[test]
fn a_whole_session_works_at_40_by_12() {
    a_session(40, 12);
}

#[test]
fn sigterm_leaves_the_terminal_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut menu = Menu::open(folder.path(), (80, 24));
    menu.sees("Paste an invite");
    let id = menu.child.process_id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(menu.ends(), 143);
}
