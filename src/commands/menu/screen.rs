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
            self.0.clear()?;
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
