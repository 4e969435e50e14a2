//! The terminal while the menu has it.

use std::{
    io::{self, Stdout, Write},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor::Show,
    event::{DisableBracketedPaste, EnableBracketedPaste},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Terminal, backend::CrosstermBackend};

use crate::display::menu::{State, view};

/// Whether the menu has the terminal.
static OPEN: AtomicBool = AtomicBool::new(false);
/// Whether something panicked meanwhile: what it printed is on the screen, so the menu must end.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// Has the terminal until it is dropped, or anything panics.
pub(super) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if restore() {
                    BROKEN.store(true, Ordering::Relaxed);
                }
                usual(panic);
            }));
        });
        let opened = take().and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        if opened.is_err() {
            restore();
        }
        opened.map(Self)
    }

    /// Whether the terminal was given back because something panicked.
    pub(super) fn is_broken() -> bool {
        BROKEN.load(Ordering::Relaxed)
    }

    pub(super) fn draw(&mut self, state: &State) -> io::Result<()> {
        self.0.draw(|frame| view(state, frame)).map(|_| ())
    }

    /// Gives the terminal to the shell until this process is to go on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        {
            use rustix::process::{Signal, getpid, kill_process};
            restore();
            kill_process(getpid(), Signal::TSTP)?;
            take()?;
            // Clearing would ask the terminal where its cursor is, while the keys are being read.
            self.0 = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        }
        Ok(())
    }

    /// Hands a text to the terminal's clipboard (xterm's OSC 52).
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        let text = data_encoding::BASE64.encode(text.as_bytes());
        let mut out = io::stdout().lock();
        write!(out, "\u{1b}]52;c;{text}\u{7}")?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Takes the terminal.
fn take() -> io::Result<()> {
    OPEN.store(true, Ordering::Relaxed);
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)
}

/// Gives the terminal back, once; says whether the menu had it.
fn restore() -> bool {
    let had = OPEN.swap(false, Ordering::Relaxed);
    if had {
        let _ = execute!(
            io::stdout(),
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        );
        let _ = disable_raw_mode();
    }
    had
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    use super::*;

    const CHILD: &str = "P2P_TEST_PANICS_IN_A_TERMINAL";

    /// Run by the test below, in a terminal of its own.
    #[test]
    #[ignore = "takes the terminal"]
    fn panics_in_a_terminal() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let _screen = Screen::open().unwrap();
        let _ = std::thread::spawn(|| panic!("a fault of its own")).join();
        assert!(Screen::is_broken());
        // Without clean-up of any other kind.
        std::process::abort();
    }

    #[test]
    fn a_panic_anywhere_gives_the_terminal_back_before_it_is_told() {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let mut child = CommandBuilder::new(std::env::current_exe().unwrap());
        let name = "commands::menu::screen::tests::panics_in_a_terminal";
        child.args([
            name,
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ]);
        child.env(CHILD, "1");
        let mut reader = pair.master.try_clone_reader().unwrap();
        let mut child = pair.slave.spawn_command(child).unwrap();
        let modes = {
            use rustix::termios::tcgetattr;
            let tty = std::fs::File::open(pair.master.tty_name().unwrap()).unwrap();
            move || tcgetattr(&tty).unwrap().local_modes
        };
        let before = modes();
        child.wait().unwrap();
        assert_eq!(modes(), before);
        drop((pair.slave, modes));
        let mut written = Vec::new();
        // The terminal is gone once all is read.
        let _ = reader.by_ref().take(1 << 16).read_to_end(&mut written);
        let written = String::from_utf8_lossy(&written);
        let at = |text: &str| {
            written
                .find(text)
                .unwrap_or_else(|| panic!("{text:?} in {written:?}"))
        };
        assert!(at("\u{1b}[?1049h") < at("\u{1b}[?1049l"));
        assert!(at("\u{1b}[?1049l") < at("a fault of its own"));
        assert!(at("\u{1b}[?25h") < at("a fault of its own"));
    }
}
