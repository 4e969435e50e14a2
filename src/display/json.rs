//! Events as JSON, one object a line on standard output.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{self, Write},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{ascii::localised, events::Printer};
use crate::{
    protocol::{TransferId, is_printable},
    transfer::Event,
};

/// At most four progress events a second for each transfer.
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);

/// Prints events for programs.
#[derive(Debug, Default)]
pub(super) struct Json {
    /// When each transfer's last progress was printed.
    progress: HashMap<TransferId, Instant>,
}

impl Printer for Json {
    fn print(&mut self, event: Event) -> io::Result<()> {
        match &event {
            Event::Progress { transfer, .. } if !self.is_due(*transfer, Instant::now()) => {
                return Ok(());
            }
            Event::Done { transfer, .. } => drop(self.progress.remove(transfer)),
            _ => {}
        }
        print_json(&event)
    }
}

impl Json {
    fn is_due(&mut self, transfer: TransferId, now: Instant) -> bool {
        let last = self.progress.get(&transfer);
        let due = last.is_none_or(|at| now.duration_since(*at) >= PROGRESS_PAUSE);
        if due {
            self.progress.insert(transfer, now);
        }
        due
    }
}

/// Prints a value on a line of its own, at once.
///
/// # Errors
/// When standard output cannot be written to; [`io::ErrorKind::BrokenPipe`] when nobody reads it any more.
pub fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", to_line(value))?;
    out.flush()
}

/// Prints a line for people on standard output, at once.
///
/// # Errors
/// As [`print_json`].
pub fn print_line(line: &str) -> io::Result<()> {
    let line = localised(line);
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// JSON in which nothing can act on a terminal: what JSON itself lets pass of control and
/// invisible characters is escaped as well.
fn to_line(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("events have text keys and finite numbers");
    if json.chars().all(is_printable) {
        return json;
    }
    let mut line = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_printable(c) {
            line.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(line, "\\u{unit:04x}").expect("a string takes everything");
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_a_transfer_is_printed_four_times_a_second_at_most() {
        let (mut json, start) = (Json::default(), Instant::now());
        let [one, other] = [1, 2].map(|n| TransferId::from_bytes([n; 16]));
        let printed = |millis: &u64| json.is_due(one, start + Duration::from_millis(*millis));
        let times: Vec<u64> = (0..=1000).step_by(10).filter(printed).collect();
        assert_eq!(times, [0, 250, 500, 750, 1000]);
        assert!(json.is_due(other, start));
    }

    #[test]
    fn no_control_or_invisible_character_is_printed_raw_and_all_read_back() {
        let text: String = ('\0'..='\u{a0}')
            .chain([
                '\u{200b}',
                '\u{202e}',
                '\u{2066}',
                '\u{feff}',
                '\u{e0041}',
                '文',
            ])
            .collect();
        let line = to_line(&serde_json::json!({ "text": text }));
        assert!(line.chars().all(is_printable), "{line:?}");
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["text"], *text);
    }
}
