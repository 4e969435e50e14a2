use std::{path::Path, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::{
    display::menu::{Activity, Link, Outcome, Pane},
    protocol::Road,
    transfer::{Error, ErrorKind, PeerRef},
};

fn id(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn name(text: &str) -> PeerName {
    text.parse().unwrap()
}

fn transfer(n: u8) -> TransferId {
    TransferId::from_bytes([n; 16])
}

/// A menu in its room, with these peers listening.
fn menu(peers: &[&str]) -> State {
    let mut state = State::new(name("vera"), id(0), "/in".into(), false);
    on_news(
        &mut state,
        News::Entering {
            invite: "p2p://relay:4433/f#s".into(),
            relay: "relay:4433".into(),
            hosting: false,
        },
    );
    let peers = peers.iter().zip(1..);
    let peers = peers.map(|(peer, n)| (id(n), name(peer), PeerState::Listening));
    on_news(&mut state, News::Peers(peers.collect()));
    let relay = "relay:4433".to_owned();
    let joined = Event::Joined {
        me: PeerRef::new(id(0), name("vera")),
        relay,
    };
    on_news(&mut state, News::Transfer(None, joined));
    state
}

fn on_news(state: &mut State, news: News) -> Vec<Effect> {
    update(state, Input::News(news))
}

fn press(state: &mut State, code: KeyCode) -> Vec<Effect> {
    update(state, Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn typed(state: &mut State, text: &str) -> Vec<Effect> {
    text.chars()
        .flat_map(|c| press(state, KeyCode::Char(c)))
        .collect()
}

fn offer(n: u8) -> OfferView {
    OfferView {
        transfer: transfer(n),
        from: id(1),
        from_name: name("bob"),
        from_chosen: true,
        files: Some(2),
        bytes: Some(300),
        names: vec![("a".into(), Some(100)), ("b".into(), Some(200))],
        text: false,
    }
}

fn listed(state: &mut State, files: &[&str]) -> Vec<Effect> {
    let Mode::Pick(picker) = &state.mode else {
        panic!("no picker in {:?}", state.mode)
    };
    let folder = picker.folder.clone();
    let entries = files
        .iter()
        .map(|file| Entry::new(file.into(), true, 1))
        .collect();
    on_news(state, News::Listed(folder, Ok(entries)))
}

fn progress(n: u8, bytes: u64) -> Event {
    Event::Progress {
        transfer: transfer(n),
        peer: PeerRef::new(id(1), name("bob")),
        file: "a".into(),
        bytes,
        total: Some(1000),
        resumed_from: 0,
        road: Road::Relay,
        limited_by: None,
    }
}

#[test]
fn a_key_meets_the_peer_that_was_seen_whoever_comes_and_goes() {
    let mut state = menu(&["bob", "carol"]);
    press(&mut state, KeyCode::Down);
    on_news(
        &mut state,
        News::Peer(id(9), name("anna"), PeerState::Listening),
    );
    assert_eq!(state.peer().unwrap().name, name("carol"));
    on_news(&mut state, News::Peer(id(1), name("bob"), PeerState::Gone));
    assert_eq!(state.peer().unwrap().name, name("carol"));
    press(&mut state, KeyCode::Char('s'));
    let Mode::Pick(picker) = &state.mode else {
        panic!()
    };
    let to = Audience::Peers(vec![(id(2), name("carol"))]);
    assert_eq!(picker.purpose, crate::display::menu::Purpose::Send(to));
}

#[test]
fn marks_outlive_a_relay_that_was_lost_and_a_peer_that_stopped_listening_loses_its_own() {
    let mut state = menu(&["bob", "carol"]);
    press(&mut state, KeyCode::Char('a'));
    let lost = Event::Disconnected {
        reason: "gone".into(),
        retry_in: Duration::ZERO,
    };
    on_news(&mut state, News::Transfer(None, lost));
    assert_eq!(state.link, Link::Lost);
    on_news(
        &mut state,
        News::Peers(vec![
            (id(1), name("bob"), PeerState::Listening),
            (id(2), name("carol"), PeerState::Sending),
        ]),
    );
    let marks: Vec<_> = state.peers.iter().map(|peer| peer.marked).collect();
    assert_eq!(marks, [true, false]);
}

#[test]
fn keys_pressed_while_a_folder_is_read_are_meant_for_what_is_in_it() {
    let mut state = menu(&["bob"]);
    assert_eq!(
        press(&mut state, KeyCode::Char('s')),
        [Effect::List("/in".into())]
    );
    assert!(typed(&mut state, "rep").is_empty());
    assert!(press(&mut state, KeyCode::Enter).is_empty());
    let effects = listed(&mut state, &["letter", "report"]);
    let Some(Effect::Send(1, _, Content::Paths(paths))) = effects.first() else {
        panic!("{effects:?}")
    };
    assert_eq!(paths, &[Path::new("/in/report")]);
    assert_eq!(state.movements[0].outcome, Outcome::Waiting);
    assert_eq!(state.movements[0].what, "report");
}

#[test]
fn an_offer_is_answered_by_y_and_n_only_and_never_from_a_field() {
    let mut state = menu(&["bob"]);
    typed(&mut state, "m");
    on_news(&mut state, News::Offer(offer(1)));
    assert!(typed(&mut state, "yn").is_empty());
    assert_eq!(state.offers.len(), 1);
    press(&mut state, KeyCode::Esc);
    for other in [
        KeyCode::Esc,
        KeyCode::Enter,
        KeyCode::Char('s'),
        KeyCode::Char(' '),
    ] {
        assert!(press(&mut state, other).is_empty(), "{other:?}");
    }
    assert_eq!(typed(&mut state, "y"), [Effect::Answer(transfer(1), true)]);
    on_news(&mut state, News::Offer(offer(2)));
    assert_eq!(typed(&mut state, "n"), [Effect::Answer(transfer(2), false)]);
    assert!(state.offers.is_empty());
}

#[test]
fn offers_beyond_what_anyone_answers_are_declined_at_once() {
    let mut state = menu(&["bob"]);
    for n in 0..64 {
        assert!(on_news(&mut state, News::Offer(offer(n))).is_empty());
    }
    assert_eq!(
        on_news(&mut state, News::Offer(offer(99))),
        [Effect::Answer(transfer(99), false)]
    );
}

#[test]
fn each_row_ends_with_what_became_of_its_own_peer() {
    let mut state = menu(&["bob", "carol", "dave"]);
    typed(&mut state, "b");
    listed(&mut state, &["report"]);
    press(&mut state, KeyCode::Enter);
    let served = vec![
        (id(1), name("bob"), None),
        (id(2), name("carol"), Some("disk full".into())),
    ];
    on_news(
        &mut state,
        News::Sent(1, served, Some("1 of 2 recipients failed".into())),
    );
    let outcomes: Vec<_> = state.movements.iter().map(|m| m.outcome.clone()).collect();
    assert_eq!(outcomes[0], Outcome::Done);
    assert_eq!(outcomes[1], Outcome::Failed("disk full".into()));
    // dave was never offered anything.
    assert!(matches!(outcomes[2], Outcome::Failed(_)));
}

#[test]
fn a_file_that_fails_does_not_end_the_row_of_all_others() {
    let mut state = menu(&["bob"]);
    on_news(&mut state, News::Offer(offer(1)));
    typed(&mut state, "y");
    let failed = Event::Failed {
        transfer: transfer(1),
        peer: Some(PeerRef::new(id(1), name("bob"))),
        file: Some("a\u{1b}[2J".into()),
        failure: Error::new(ErrorKind::LocalFile, "disk full"),
    };
    on_news(&mut state, News::Transfer(None, failed));
    assert_eq!(state.movements[0].outcome, Outcome::Running);
    let notice = state.notice.clone().unwrap();
    assert!(notice.bad);
    assert_eq!(notice.text, r"✗ a\u001b[2J bob: disk full");
}

#[test]
fn bad_news_stays_until_a_key_was_pressed() {
    let mut state = menu(&["bob"]);
    on_news(&mut state, News::Warning("no".into()));
    on_news(&mut state, News::Folder("/elsewhere".into()));
    assert_eq!(state.notice.as_ref().unwrap().text, "no");
    press(&mut state, KeyCode::Down);
    on_news(&mut state, News::Folder("/elsewhere".into()));
    assert_eq!(
        state.notice.as_ref().unwrap().text,
        "files go to /elsewhere"
    );
}

#[test]
fn what_is_looked_at_stays_while_more_arrives() {
    let mut state = menu(&["bob"]);
    let received = |n: u8| Event::Received {
        transfer: transfer(n),
        path: format!("/in/{n}").into(),
        file: n.to_string(),
        bytes: 1,
        blake3: blake3::hash(b""),
        from: PeerRef::new(id(1), name("bob")),
        resumed_from: 0,
        already_there: false,
        road: Road::Relay,
        ticket: None,
    };
    let effects = on_news(&mut state, News::Transfer(None, received(1)));
    assert_eq!(effects, [Effect::Preview("/in/1".into())]);
    state.pane = Pane::Arrivals;
    press(&mut state, KeyCode::Enter);
    on_news(&mut state, News::Transfer(None, received(2)));
    assert_eq!(state.arrival().unwrap().title, "1");
    assert_eq!(state.mode, Mode::Show(0));
}

#[test]
fn a_transfer_has_a_rate_and_a_time_that_is_left() {
    let mut state = menu(&["bob"]);
    let mut one = offer(1);
    (one.files, one.bytes) = (Some(1), Some(1000));
    on_news(&mut state, News::Offer(one));
    typed(&mut state, "y");
    for second in 0..=4 {
        state.now = Duration::from_secs(second);
        on_news(&mut state, News::Transfer(None, progress(1, second * 100)));
    }
    let movement = &state.movements[0];
    assert_eq!(movement.activity, Activity::Receive(transfer(1)));
    assert_eq!(movement.rate(state.now), Some(100));
    assert_eq!(movement.left(state.now), Some(Duration::from_secs(6)));
    // A stopped one has neither.
    assert_eq!(movement.left(Duration::from_secs(20)), None);
}

#[test]
fn a_pasted_invite_stays_in_its_field_until_the_relay_has_let_us_in() {
    let mut state = State::new(name("vera"), id(0), "/in".into(), false);
    update(&mut state, Input::Paste(" p2p://relay:1/f#s\n".into()));
    assert_eq!(state.mode, Mode::Paste("p2p://relay:1/f#s".into()));
    let join = Effect::Join("p2p://relay:1/f#s".into());
    assert_eq!(press(&mut state, KeyCode::Enter), [join]);
    on_news(&mut state, News::NotJoined("no answer".into()));
    assert_eq!(state.mode, Mode::Paste("p2p://relay:1/f#s".into()));
    assert!(state.notice.as_ref().unwrap().bad);
    press(&mut state, KeyCode::Enter);
    let reached = on_news(&mut state, News::Reached("p2p://relay:1/f#s".into()));
    assert_eq!(reached, [Effect::Enter("p2p://relay:1/f#s".into())]);
}

#[test]
fn nothing_that_others_tell_makes_the_state_grow_without_a_bound() {
    let mut state = menu(&[]);
    for n in 0..10_000u32 {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        let peer = PeerId::from_bytes(bytes);
        on_news(
            &mut state,
            News::Peer(peer, name("x"), PeerState::Listening),
        );
        let mut event = progress(1, 1);
        if let Event::Progress { file, .. } = &mut event {
            *file = n.to_string();
        }
        on_news(&mut state, News::Transfer(None, event));
        let text = "x".repeat(10);
        let message = Event::Message {
            transfer: transfer(1),
            from: PeerRef::new(peer, name("x")),
            text,
        };
        on_news(&mut state, News::Transfer(None, message));
        let mut done = [0; 16];
        done[..4].copy_from_slice(&n.to_be_bytes());
        let failed = Event::Failed {
            transfer: TransferId::from_bytes(done),
            peer: Some(PeerRef::new(peer, name("x"))),
            file: None,
            failure: Error::new(ErrorKind::Other, "no"),
        };
        on_news(&mut state, News::Transfer(None, failed));
    }
    assert!(state.peers.len() <= 4096, "{}", state.peers.len());
    assert!(state.movements.len() <= 201, "{}", state.movements.len());
    assert!(state.arrivals.len() <= 200, "{}", state.arrivals.len());
    let moving = state.movements.iter().map(|m| m.bytes()).max().unwrap();
    assert!(moving <= 1024, "{moving}");
}
