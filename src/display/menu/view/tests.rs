use std::time::Duration;

use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::{
    display::menu::{
        Activity, Arrival, Arrived, Audience, Entry, Link, Movement, Notice, Outcome, Pane,
        PeerRow, Picker, Preview, Purpose,
    },
    protocol::{PeerId, PeerName, TransferId},
    transfer::receive::OfferView,
};

const USUAL: (u16, u16) = (80, 24);
const SMALL: (u16, u16) = (40, 12);

fn name(text: &str) -> PeerName {
    text.parse().unwrap()
}

fn id(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

/// A room with everything in it.
fn full() -> State {
    let mut state = State::new(name("vera"), id(0), "/home/vera/inbox".into(), true);
    state.home = Some("/home/vera".into());
    state.now = Duration::from_secs(100);
    state.mode = Mode::Main;
    state.link = Link::Joined("relay.example.org:4433".into());
    state.invite = Some(INVITE.into());
    let peers = [
        ("bob", true),
        ("élodie", true),
        ("日本語の長い名前です", true),
        ("zed", false),
    ];
    state.peers = peers
        .iter()
        .zip(1..)
        .map(|((peer, listening), n)| PeerRow {
            id: id(n),
            name: name(peer),
            listening: *listening,
            marked: n == 2,
        })
        .collect();
    let row = |activity, n: u8, peer: &str, what: &str| {
        let mut row = Movement::new(
            activity,
            (id(n), name(peer)),
            what.into(),
            Duration::from_secs(80),
        );
        row.expect(Some(1), Some(300_000_000));
        row
    };
    let mut running = row(Activity::Send(1), 1, "bob", "big.bin");
    for second in 90..=100 {
        let bytes = (second - 90) * 12_000_000;
        running.progress("big.bin".into(), bytes, Duration::from_secs(second));
    }
    let waiting = row(Activity::Send(1), 3, "日本語の長い名前です", "big.bin");
    let mut done = row(
        Activity::Receive(TransferId::from_bytes([1; 16])),
        2,
        "élodie",
        "写真.jpg",
    );
    done.arrive("x".as_ref(), 300_000_000, Duration::from_secs(90));
    let mut failed = row(Activity::Send(2), 4, "zed", "notes.txt");
    failed.end(
        Outcome::Failed("the relay was lost and did not come back".into()),
        state.now,
    );
    state.movements = vec![running, waiting, done, failed];
    let arrival = |what, title: &str| Arrival {
        what,
        title: title.into(),
        from: name("élodie"),
        bytes: 48_000,
    };
    state.arrivals = vec![
        arrival(
            Arrived::File("/home/vera/inbox/people.csv".into()),
            "people.csv",
        ),
        arrival(
            Arrived::Message("see you at five\nor six".into()),
            "see you at five",
        ),
    ];
    state.preview = Some(Preview {
        path: "/home/vera/inbox/people.csv".into(),
        text: "name  born\n\u{1b}[2m────  ────\u{1b}[0m\nAda   1815\n".into(),
    });
    state
}

const INVITE: &str = "p2p://192.0.2.2:4433/3fuahl-sev7rq-xuwnun-565fn5-plh6sl-r6krol-36p6pu-yta5gn-kmeajx#7lwj4vcydqzgzgmh457tl5moeqzd";

fn offer() -> OfferView {
    OfferView {
        transfer: TransferId::from_bytes([1; 16]),
        from: id(1),
        from_name: name("bob"),
        from_chosen: true,
        files: Some(12),
        bytes: Some(1_234_567),
        names: (0..12)
            .map(|n| (format!("photos/{n}.jpg"), Some(100_000)))
            .collect(),
        text: false,
    }
}

fn drawn(state: &State, (columns, rows): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| view(state, frame)).unwrap();
    terminal.backend().to_string()
}

fn assert_screens(scene: &str, state: &State) {
    for (size, suffix) in [(USUAL, "80x24"), (SMALL, "40x12")] {
        insta::assert_snapshot!(format!("{scene}-{suffix}"), drawn(state, size));
    }
}

#[test]
fn first_run() {
    let state = State::new(name("vera"), id(0), "/home/vera".into(), true);
    assert_screens("first-run", &state);
}

#[test]
fn empty_room() {
    let mut state = full();
    (state.peers, state.movements, state.arrivals) = Default::default();
    state.preview = None;
    assert_screens("empty-room", &state);
}

#[test]
fn every_list() {
    let mut state = full();
    assert_screens("room", &state);
    state.pane = Pane::Movements;
    assert_screens("transfers", &state);
    state.pane = Pane::Arrivals;
    assert_screens("arrived", &state);
}

#[test]
fn an_offer() {
    let mut state = full();
    state.offers.push_back(offer());
    assert_screens("offer", &state);
    state.mode = Mode::Keys(0);
    assert_screens("offer-behind-keys", &state);
}

#[test]
fn a_long_error_is_readable_and_moves_nothing() {
    let mut state = full();
    state.notice = Some(Notice {
        text: "✗ cannot enter the room at relay.example.org:4433: relay.example.org:4433 does not \
               answer: no answer within 6 seconds from 192.0.2.2:4433"
            .into(),
        bad: true,
        seen: false,
    });
    assert_screens("long-error", &state);
}

#[test]
fn picking_files() {
    let mut state = full();
    let to = Audience::Peers(vec![(id(1), name("bob")), (id(2), name("élodie"))]);
    let mut picker = Picker::new(Purpose::Send(to), "/home/vera/inbox".into());
    let folder = picker.folder.clone();
    let files = [
        ("photos", false),
        ("写真と書類.txt", true),
        ("evil\u{1b}[2J.txt", true),
        ("a.txt", true),
    ];
    let entries = files.map(|(name, is_file)| Entry::new(name.into(), is_file, 1_234));
    picker.listed(&folder, Ok(entries.into()));
    picker.mark();
    picker.cursor = 2;
    state.mode = Mode::Pick(picker);
    assert_screens("picker", &state);
}

#[test]
fn panels() {
    let mut state = full();
    for (scene, mode) in [
        ("keys", Mode::Keys(0)),
        ("invite", Mode::Invite(false)),
        ("qr", Mode::Invite(true)),
        ("receive", Mode::Receive),
        (
            "message",
            Mode::Message(Audience::Everyone, "see you\u{1b}[2J".into()),
        ),
        ("paste", Mode::Paste(INVITE.into())),
        ("quit", Mode::Quit),
    ] {
        state.mode = mode;
        assert_screens(scene, &state);
    }
}

#[test]
fn a_window_of_any_size_is_drawn_without_a_fault() {
    let mut state = full();
    state.offers.push_back(offer());
    let modes = [
        Mode::Main,
        Mode::Welcome(2),
        Mode::Keys(99),
        Mode::Invite(true),
        Mode::Show(99),
        Mode::Receive,
        Mode::Name("vera".into()),
        Mode::Quit,
        Mode::Pick(Picker::new(Purpose::Folder, "/".into())),
    ];
    for mode in modes {
        state.mode = mode;
        for pane in [Pane::Peers, Pane::Movements, Pane::Arrivals] {
            state.pane = pane;
            for size in [
                (1, 1),
                (2, 3),
                (5, 4),
                (20, 5),
                (39, 11),
                (64, 16),
                (300, 3),
                (3, 100),
            ] {
                drawn(&state, size);
                let _ = preview_size(&state.mode, size);
            }
        }
    }
}

#[test]
fn nothing_from_outside_can_drive_the_terminal() {
    const EVIL: &str = "x\u{1b}[2J\u{9b}31m\u{7}\r\n\u{202e}y";
    let mut state = full();
    let mut evil = offer();
    evil.names = vec![(EVIL.into(), Some(1))];
    state.offers.push_back(evil);
    state.preview = Some(Preview {
        path: "/home/vera/inbox/people.csv".into(),
        text: EVIL.into(),
    });
    state.folder = EVIL.into();
    state.arrivals[1].what = Arrived::Message(EVIL.into());
    let mut screens = Vec::new();
    for pane in [Pane::Peers, Pane::Movements, Pane::Arrivals] {
        state.pane = pane;
        screens.push(drawn(&state, USUAL));
    }
    state.offers.clear();
    for mode in [
        Mode::Show(0),
        Mode::Receive,
        Mode::Message(Audience::Everyone, EVIL.into()),
        Mode::Name(EVIL.into()),
    ] {
        state.mode = mode;
        state.cursors[Pane::Arrivals as usize] = 1;
        screens.push(drawn(&state, USUAL));
    }
    for screen in &screens {
        let driving = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!screen.contains(driving), "{screen}");
    }
    // It is to be seen that something was there.
    assert!(screens[0].contains(r"x\u001b[2J"), "{}", screens[0]);
    assert!(screens[3].contains(r"x\u001b[2J"), "{}", screens[3]);
}
