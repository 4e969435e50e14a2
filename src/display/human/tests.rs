//! Hostile text in every event.

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::*;
use crate::{
    protocol::{PeerId, PeerName, PeerState, TransferId},
    transfer::{Error, ErrorKind, PeerRef},
};

/// What could move the cursor, ring, recolour, retitle, reorder, hide, or ask the terminal.
const HOSTILE: &str = "a\x1b[2J\x1b]0;title\x07\u{9b}31m\r\n\x08\u{202e}\u{2066}\u{200b}\x1b[6nz";

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
    // What a name or a reason from the wire can be at worst.
    let peer = || PeerRef::new(PeerId::from_bytes([1; 32]), PeerName::from_lossy(HOSTILE));
    let failure = Error::new(ErrorKind::Other, HOSTILE);
    let text = || HOSTILE.to_owned();
    let blake3 = blake3::hash(b"");
    vec![
        Event::Joined {
            me: peer(),
            relay: text(),
        },
        Event::Disconnected {
            reason: text(),
            retry_in: Duration::from_secs(1),
        },
        Event::Peer {
            peer: peer(),
            state: PeerState::Listening,
            since: Duration::ZERO,
        },
        Event::Offer {
            transfer,
            from: peer(),
            files: Some(1),
            bytes: Some(9),
            text: false,
            asks: false,
        },
        Event::Offered {
            transfer,
            to: vec![peer()],
            files: Some(1),
            bytes: Some(9),
            text: false,
        },
        Event::Progress {
            transfer,
            peer: peer(),
            file: text(),
            bytes: 5,
            total: Some(9),
            resumed_from: 0,
            road: Road::Relay,
            limited_by: None,
        },
        Event::Retrying {
            peer: Some(peer()),
            reason: text(),
        },
        Event::Received {
            transfer,
            path: text().into(),
            file: text(),
            bytes: 9,
            blake3,
            from: peer(),
            resumed_from: 3,
            already_there: false,
            road: Road::Relay,
            ticket: None,
        },
        Event::Delivered {
            transfer,
            peer: peer(),
            file: text(),
            bytes: 9,
            blake3,
            resumed_from: 0,
            already_there: true,
            renamed: true,
            road: Road::Relay,
        },
        Event::Message {
            transfer,
            from: peer(),
            text: text(),
        },
        Event::Failed {
            transfer,
            peer: Some(peer()),
            file: Some(text()),
            failure,
        },
        Event::Notice { text: text() },
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
        let mut human = Human::new(style(), Stage::on(paper.clone()), None);
        let about = format!("{event:?}");
        human.print(event).unwrap();
        let text = paper.text();
        assert!(!text.contains(is_harmful), "{about}: {text:?}");
    }
}

#[test]
fn bars_and_log_lines_bring_none_either() {
    use std::io::Write as _;
    use tracing_subscriber::fmt::MakeWriter as _;

    use crate::display::Log;

    let paper = Paper::default();
    let stage = Stage::on(paper.clone());
    let style = Style {
        bars: true,
        ..style()
    };
    let mut human = Human::new(style, stage.clone(), None);
    for event in hostile_events().into_iter().take(6) {
        human.print(event).unwrap();
    }
    while !paper.text().contains('%') {
        std::thread::yield_now();
    }
    let log = Log::start(stage.clone()).unwrap();
    log.make_writer().write_all(HOSTILE.as_bytes()).unwrap();
    log.flush();
    drop(human);
    // All that is left are the bars' own sequences, which move the cursor, erase its row and what
    // is below it, and keep long lines from taking a second row.
    let mut rest = paper.text().replace('\r', "");
    for own in ["\x1b[J", "\x1b[2K", "\x1b[?7l", "\x1b[?7h"] {
        rest = rest.replace(own, "");
    }
    for rows in 1..9 {
        rest = rest.replace(&format!("\x1b[{rows}A"), "");
    }
    assert!(!rest.contains(is_harmful), "{rest:?}");
}
