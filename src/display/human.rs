//! Events as lines for people, on standard error.

use std::time::Duration;

use console::{Style as Paint, measure_text_width};

use super::{
    Bars, Stage, Style, bars::elide, bytes, duration, rate, show::sanitise, stage::window,
};
use crate::transfer::{Event, Observer};

/// Below this size and this time, a rate is mostly the time that answers take.
const RATE_LEAST: (u64, Duration) = (1_000_000, Duration::from_secs(1));
/// Columns of a name below which the numbers after it give way.
const NAME_LEAST: usize = 16;

/// Prints events for people, and keeps their bars.
#[derive(Debug)]
pub struct Human {
    style: Style,
    stage: Stage,
    bars: Bars,
}

impl Human {
    /// For this style, on this stage.
    #[must_use]
    pub fn new(style: Style, stage: Stage) -> Self {
        Self {
            style,
            bars: Bars::new(stage.clone(), style.bars, style.color),
            stage,
        }
    }

    fn paint(&self, paint: &Paint, text: &str) -> String {
        if self.style.color {
            paint.clone().force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }

    fn line(&self, line: &str) {
        if !self.style.quiet {
            self.stage.line(line);
        }
    }

    fn tick(&self) -> String {
        self.paint(&Paint::new().green(), "✓")
    }

    fn cross(&self) -> String {
        self.paint(&Paint::new().red(), "✗")
    }

    fn dim(&self, text: &str) -> String {
        self.paint(&Paint::new().dim(), text)
    }

    /// The last word on one file: `✓ name → peer  40.0 MB  8.3 s  4.82 MB/s`.
    ///
    /// On a terminal it is one line: the numbers at the end give way first, then the name's middle.
    fn last_word(
        &self,
        (name, peer): (&str, String),
        (size, resumed_from): (u64, u64),
        elapsed: Option<Duration>,
        already_there: bool,
    ) {
        let Some(elapsed) = elapsed else { return };
        let moved = size.saturating_sub(resumed_from);
        let mut facts = vec![bytes(size)];
        if already_there {
            facts.push("was there already".to_owned());
        } else {
            if resumed_from > 0 {
                facts.push(format!("resumed from {}", bytes(resumed_from)));
            }
            if moved >= RATE_LEAST.0 || elapsed >= RATE_LEAST.1 {
                facts.push(duration(elapsed));
                facts.push(rate(moved, elapsed));
            }
        }
        let mut name = name.to_owned();
        if self.style.terminal {
            let room = window().0.saturating_sub(3 + measure_text_width(&peer));
            let taken = |facts: &[String]| facts.iter().map(|fact| fact.len() + 2).sum::<usize>();
            let least = measure_text_width(&name).min(NAME_LEAST);
            while facts.len() > 1 && taken(&facts) + least > room {
                facts.pop();
            }
            name = elide(&name, room.saturating_sub(taken(&facts)));
        }
        let size = facts.remove(0);
        let mut line = format!("{} {name}{peer}  {size}", self.tick());
        if !facts.is_empty() {
            line.push_str(&self.dim(&format!("  {}", facts.join("  "))));
        }
        self.line(&line);
    }
}

/// `3 files, 1.2 MB`, as far as it is known.
fn what(files: Option<u64>, size: Option<u64>) -> String {
    let files = match files {
        Some(1) => "1 file".to_owned(),
        Some(n) => format!("{n} files"),
        None => "files".to_owned(),
    };
    match size {
        Some(size) => format!("{files}, {}", bytes(size)),
        None => files,
    }
}

impl Observer for Human {
    fn event(&self, event: Event) {
        match event {
            Event::Joined { id, name, relay } => {
                self.line(&format!(
                    "{} listening as {name} ({}) at {}",
                    self.tick(),
                    id.short(),
                    sanitise(&relay)
                ));
            }
            Event::Disconnected { reason, retry_in } => {
                self.line(&format!(
                    "{} relay lost: {}; trying again in {}",
                    self.cross(),
                    sanitise(&reason),
                    duration(retry_in)
                ));
            }
            Event::Peer {
                id,
                name,
                state,
                since,
            } => {
                let state = state.as_str();
                self.line(&format!("{name}  {id}  {state}  {}", duration(since)));
            }
            Event::Offer {
                transfer,
                from,
                from_name,
                files,
                bytes: size,
            } => {
                self.bars.offer(transfer, (from, &from_name), files, size);
                self.line(&self.dim(&format!("{from_name} offers {}", what(files, size))));
            }
            Event::Offered {
                to,
                files,
                bytes: size,
                ..
            } => {
                let whom = match to.as_slice() {
                    [(_, name)] => name.to_string(),
                    several => format!("{} recipients", several.len()),
                };
                self.bars.offered(&to, files, size);
                self.line(&self.dim(&format!("offering {} to {whom}", what(files, size))));
            }
            Event::Progress {
                transfer,
                peer,
                peer_name,
                file,
                bytes,
                total,
                resumed_from,
            } => {
                let file = sanitise(&file).into_owned();
                self.bars.progress(
                    transfer,
                    (peer, &peer_name),
                    (file, total),
                    (bytes, resumed_from),
                );
            }
            Event::Received {
                transfer,
                path,
                file,
                bytes: size,
                from,
                from_name,
                resumed_from,
                already_there,
                ..
            } => {
                let elapsed =
                    self.bars
                        .arrived(transfer, (from, &from_name), &sanitise(&file), size);
                let path = path.display().to_string();
                self.last_word(
                    (&sanitise(&path), format!(" ← {from_name}")),
                    (size, resumed_from),
                    elapsed,
                    already_there,
                );
            }
            Event::Message {
                from_name, text, ..
            } => {
                let text: Vec<_> = text.lines().map(sanitise).collect();
                self.line(&format!("{from_name}: {}", text.join("\n  ")));
            }
            Event::Delivered {
                transfer,
                peer,
                peer_name,
                file,
                bytes: size,
                resumed_from,
                already_there,
                ..
            } => {
                let file = sanitise(&file);
                let elapsed = self.bars.arrived(transfer, (peer, &peer_name), &file, size);
                self.last_word(
                    (&file, format!(" → {peer_name}")),
                    (size, resumed_from),
                    elapsed,
                    already_there,
                );
            }
            Event::Failed {
                transfer,
                peer,
                file,
                failure,
            } => {
                let mut line = self.cross();
                if let Some(file) = &file {
                    line.push_str(&format!(" {}", sanitise(file)));
                }
                if let Some((_, name)) = &peer {
                    line.push_str(&format!(" {name}"));
                }
                if let (Some((peer, _)), None) = (peer, file) {
                    self.bars.failed(transfer, peer, format!("{failure:#}"));
                }
                self.stage.line(&format!("{line}: {failure:#}"));
            }
            Event::Retrying { peer, reason } => {
                let reason = sanitise(&reason).into_owned();
                let who = match &peer {
                    Some((_, name)) => format!("{name}: "),
                    None => String::new(),
                };
                self.line(&self.dim(&format!("{who}{reason}; trying again")));
                if let Some((peer, _)) = peer {
                    self.bars.away(peer, reason);
                }
            }
            Event::Done {
                transfer,
                files,
                bytes: size,
                elapsed,
                failed,
                ..
            } => {
                if self.bars.end(transfer) {
                    let mark = if failed == 0 {
                        self.tick()
                    } else {
                        self.cross()
                    };
                    self.line(&format!(
                        "{mark} {} in {}, {}",
                        what(Some(files), Some(size)),
                        duration(elapsed),
                        rate(size, elapsed)
                    ));
                }
            }
            Event::Notice(text) => self.line(&sanitise(&text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::{
        protocol::{PeerId, PeerName, PeerState, TransferId},
        transfer::{Error, ErrorKind},
    };

    /// What could move the cursor, ring, recolour, retitle, reorder, hide, or ask the terminal.
    const HOSTILE: &str =
        "a\x1b[2J\x1b]0;title\x07\u{9b}31m\r\n\x08\u{202e}\u{2066}\u{200b}\x1b[6nz";

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, part: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(part);
            Ok(part.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// Every event, with hostile text wherever its type lets it be.
    fn hostile_events() -> Vec<Event> {
        let transfer = TransferId::from_bytes([0; 16]);
        let peer = PeerId::from_bytes([1; 32]);
        // What a name or a reason from the wire can be at worst.
        let name = || PeerName::from_lossy(HOSTILE);
        let failure = Error::new(ErrorKind::Other, HOSTILE);
        let text = || HOSTILE.to_owned();
        let blake3 = blake3::hash(b"");
        vec![
            Event::Joined {
                id: peer,
                name: name(),
                relay: text(),
            },
            Event::Disconnected {
                reason: text(),
                retry_in: Duration::from_secs(1),
            },
            Event::Peer {
                id: peer,
                name: name(),
                state: PeerState::Listening,
                since: Duration::ZERO,
            },
            Event::Offer {
                transfer,
                from: peer,
                from_name: name(),
                files: Some(1),
                bytes: Some(9),
            },
            Event::Offered {
                transfer,
                to: vec![(peer, name())],
                files: Some(1),
                bytes: Some(9),
            },
            Event::Progress {
                transfer,
                peer,
                peer_name: name(),
                file: text(),
                bytes: 5,
                total: Some(9),
                resumed_from: 0,
            },
            Event::Retrying {
                peer: Some((peer, name())),
                reason: text(),
            },
            Event::Received {
                transfer,
                path: text().into(),
                file: text(),
                bytes: 9,
                blake3,
                from: peer,
                from_name: name(),
                resumed_from: 3,
                already_there: false,
            },
            Event::Delivered {
                transfer,
                peer,
                peer_name: name(),
                file: text(),
                bytes: 9,
                blake3,
                resumed_from: 0,
                already_there: true,
            },
            Event::Message {
                transfer,
                from: peer,
                from_name: name(),
                text: text(),
            },
            Event::Failed {
                transfer,
                peer: Some((peer, name())),
                file: Some(text()),
                failure,
            },
            Event::Notice(text()),
            Event::Done {
                transfer,
                files: 1,
                bytes: 9,
                elapsed: Duration::from_secs(1),
                delivered: 1,
                failed: 0,
            },
        ]
    }

    fn style() -> Style {
        Style {
            json: false,
            quiet: false,
            color: false,
            terminal: true,
            bars: false,
        }
    }

    fn is_harmful(c: char) -> bool {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }

    #[test]
    fn no_event_brings_an_escape_sequence_to_the_terminal() {
        for event in hostile_events() {
            let paper = Paper::default();
            let human = Human::new(style(), Stage::on(paper.clone()));
            let about = format!("{event:?}");
            human.event(event);
            let text = paper.text();
            assert!(!text.contains(is_harmful), "{about}: {text:?}");
        }
    }

    #[test]
    fn bars_and_log_lines_bring_none_either() {
        use std::io::Write as _;
        use tracing_subscriber::fmt::MakeWriter as _;

        let paper = Paper::default();
        let stage = Stage::on(paper.clone());
        let style = Style {
            bars: true,
            ..style()
        };
        let human = Human::new(style, stage.clone());
        for event in hostile_events().into_iter().take(6) {
            human.event(event);
        }
        while !paper.text().contains('%') {
            std::thread::yield_now();
        }
        stage.make_writer().write_all(HOSTILE.as_bytes()).unwrap();
        drop(human);
        // All that is left are the bars' own sequences, which move the cursor and erase below it.
        let text = paper.text();
        let mut rest = text.replace("\x1b[J", "").replace("\r", "");
        for rows in 1..9 {
            rest = rest.replace(&format!("\x1b[{rows}A"), "");
        }
        assert!(!rest.contains(is_harmful), "{rest:?}");
    }
}
