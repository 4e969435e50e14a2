//! Asks the terminal itself whether it draws pixels, for those that no variable tells about.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    time::{Duration, Instant},
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

use super::Graphics;

/// What the terminal of this process says that it can draw; none if there is none, if it does
/// not answer in time, or if this process is not the one that it is listening to.
pub(super) fn graphics() -> Option<Graphics> {
    let tty = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .ok()?;
    // A process in the background that touches the terminal is stopped.
    if tcgetpgrp(&tty).ok()? != rustix::process::getpgrp() {
        return None;
    }
    let attributes = answer(&tty, ANSWER_TIME).ok()?;
    has_sixel(&attributes).then_some(Graphics::Sixel)
}

/// What the terminal answers to the question for its primary device attributes, which every
/// terminal knows and none shows.
fn answer(tty: &File, time: Duration) -> io::Result<Vec<u8>> {
    // What was typed ahead is for the shell, and would be mixed up with the answer.
    if rustix::io::ioctl_fionread(tty)? > 0 {
        return Ok(Vec::new());
    }
    let _quiet = Quiet::new(tty)?;
    let mut stream = tty;
    stream.write_all(b"\x1b[c")?;
    let start = Instant::now();
    let mut answer = Vec::new();
    let mut byte = [0];
    // Byte by byte, so as not to take what comes after it.
    while start.elapsed() < time && answer.len() < MAX_ANSWER {
        // A read ends without a byte when the time in `Quiet` has passed.
        if stream.read(&mut byte)? == 1 {
            answer.push(byte[0]);
            if byte[0] == b'c' {
                break;
            }
        }
    }
    Ok(answer)
}

/// Whether one of the attributes in `ESC [ ? 6 2 ; 4 ; … c` is 4, "sixel graphics".
fn has_sixel(answer: &[u8]) -> bool {
    let attributes = answer
        .strip_prefix(b"\x1b[?")
        .and_then(|rest| rest.strip_suffix(b"c"));
    let mut numbers = attributes.unwrap_or_default().split(|it| *it == b';');
    // The first is the terminal's class.
    numbers.next();
    numbers.any(|it| it == b"4")
}

/// A terminal that neither shows what is typed nor waits for the end of a line, until dropped.
struct Quiet<'t> {
    tty: &'t File,
    before: Termios,
}

impl<'t> Quiet<'t> {
    fn new(tty: &'t File) -> io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
        // Reads end after a tenth of a second, with or without a byte.
        quiet.special_codes[SpecialCodeIndex::VMIN] = 0;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 1;
        tcsetattr(tty, OptionalActions::Now, &quiet)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // There is nobody to tell if this fails.
        let _ = tcsetattr(self.tty, OptionalActions::Now, &self.before);
    }
}

/// How long to wait for an answer. Every terminal in use gives one, and one that came later than
/// this would end up on the command line, so this is longer than any network takes.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Bytes of an answer that are read; real ones have some thirty.
const MAX_ANSWER: usize = 256;

#[cfg(test)]
mod tests {
    use portable_pty::{MasterPty, PtySize, native_pty_system};

    use super::*;

    /// A terminal, and its other end, which the test holds.
    fn terminal() -> (Box<dyn MasterPty + Send>, File) {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let path = pair.master.tty_name().unwrap();
        let tty = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        (pair.master, tty)
    }

    fn modes(tty: &File) -> LocalModes {
        tcgetattr(tty).unwrap().local_modes
    }

    #[test]
    fn sixels_are_found_in_the_answer_and_the_terminal_is_left_as_it_was() {
        let (master, tty) = terminal();
        let before = modes(&tty);
        let mut screen = master.try_clone_reader().unwrap();
        let mut keyboard = master.take_writer().unwrap();
        let terminal = std::thread::spawn(move || {
            let mut question = [0; 3];
            screen.read_exact(&mut question).unwrap();
            keyboard.write_all(b"\x1b[?62;4;22cls\n").unwrap();
            (question, keyboard)
        });
        let answer = answer(&tty, Duration::from_secs(60)).unwrap();
        let (question, _keyboard) = terminal.join().unwrap();
        assert_eq!(&question, b"\x1b[c");
        assert!(has_sixel(&answer));
        assert_eq!(modes(&tty), before);
        // What was typed after the answer is still there.
        assert!(rustix::io::ioctl_fionread(&tty).unwrap() > 0);
    }

    #[test]
    fn a_terminal_that_does_not_answer_is_not_waited_for() {
        let (_master, tty) = terminal();
        let before = modes(&tty);
        assert_eq!(answer(&tty, Duration::from_millis(1)).unwrap(), b"");
        assert_eq!(modes(&tty), before);
    }

    #[test]
    fn only_the_attribute_itself_counts() {
        assert!(has_sixel(b"\x1b[?1;4c"));
        assert!(!has_sixel(b"\x1b[?4c"));
        assert!(!has_sixel(b"\x1b[?62;44;14c"));
        assert!(!has_sixel(b"\x1b[?62;4"));
        assert!(!has_sixel(b"4"));
        assert!(!has_sixel(b""));
    }
}
