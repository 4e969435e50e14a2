use super::*;
use crate::{
    identity::{Bundle, Identity, Name},
    protocol::{FileIndex, PeerMessage, PeerState, Road},
    sealing::{FileDigest, OpenKeys},
    transfer::{ErrorKind, send::ledger::Delivered},
};

const PATIENCE: Patience = Patience {
    wait: Duration::from_secs(5),
    timeout: Duration::from_secs(30),
};

const RELAY: (WayId, Road) = (WayId::numbered(0), Road::Relay);
const LAN: (WayId, Road) = (WayId::numbered(1), Road::Lan);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn listener(name: &str) -> Peer {
    let identity = Identity::generate();
    let bundle = Bundle::new(
        identity.public_key(),
        &Name::chosen(name.parse().unwrap()),
        Some(OpenKeys::generate().current().public().clone()),
        u64::MAX,
    );
    Peer {
        id: identity.id(),
        name: bundle.name.clone(),
        state: PeerState::Listening,
        since: Duration::ZERO,
        bundle,
    }
}

/// A send to these, of whom the first so many are there.
fn sender(peers: &[Peer], present: usize) -> Sender {
    let recipients = peers.iter().map(|p| Recipient::new(p.id, p.name.clone()));
    let mut there = Presence::default();
    for peer in &peers[..present] {
        there.on_peer(RELAY.0, peer.clone());
    }
    Sender::new(recipients.collect(), there, PATIENCE)
}

fn transfer(number: u8) -> TransferId {
    TransferId::from_bytes([number; 16])
}

fn begin(sender: &mut Sender, number: u8, recipients: &[usize]) {
    sender.on_attempt((transfer(number), recipients), RELAY, (None, None, false));
}

fn over(sender: &mut Sender, now: Duration, number: u8, peer: &Peer, end: PartEnd) {
    let effect = Effect::PartOver { peer: peer.id, end };
    assert!(sender.on_effect(now, transfer(number), effect).is_none());
}

fn again(next: Next, progressed: bool) -> PartEnd {
    PartEnd::Again {
        error: Error::new(ErrorKind::NoSuchPeer, "went away"),
        next,
        answered: true,
        progressed,
    }
}

fn failed(sender: &mut Sender) -> Vec<(PeerId, ErrorKind)> {
    let failed = |event| match event {
        Event::Failed {
            peer: Some(peer),
            failure,
            ..
        } => Some((peer.id, failure.kind())),
        _ => None,
    };
    sender
        .take_events()
        .into_iter()
        .filter_map(failed)
        .collect()
}

#[test]
fn who_is_there_is_served_at_once_and_who_is_not_fails_when_the_wait_is_over() {
    let peers = ["a", "b", "c"].map(listener);
    let mut sender = sender(&peers, 2);
    assert_eq!(sender.next_attempt(at(0)), Some((RELAY.0, vec![0, 1])));
    begin(&mut sender, 1, &[0, 1]);
    assert_eq!(sender.next_attempt(at(0)), None);
    sender.on_tick(at(4));
    assert!(failed(&mut sender).is_empty());
    sender.on_tick(at(5));
    let absent = [(peers[2].id, ErrorKind::NoSuchPeer)];
    assert_eq!(failed(&mut sender), absent, "while the others are served");
    over(&mut sender, at(9), 1, &peers[0], PartEnd::Done);
    over(&mut sender, at(9), 1, &peers[1], PartEnd::Done);
    assert!(sender.is_over() && !sender.is_success());
    let summary = sender.finish(at(9));
    assert_eq!(summary.failure().unwrap().kind(), ErrorKind::Partial);
    assert!(failed(&mut sender).is_empty(), "it is said once");
}

#[test]
fn who_comes_later_is_served_beside_the_others() {
    let peers = ["a", "b"].map(listener);
    let mut sender = sender(&peers, 1);
    begin(&mut sender, 1, &[0]);
    sender.on_presence(RELAY.0, peers[1].clone());
    assert_eq!(sender.next_attempt(at(1)), Some((RELAY.0, vec![1])));
    begin(&mut sender, 2, &[1]);
    // Who went away and is back does not wait for the other either.
    over(&mut sender, at(2), 2, &peers[1], again(Next::Later, true));
    sender.on_attempt_over(transfer(2));
    assert_eq!(sender.next_attempt(at(2)), None, "after a pause");
    assert_eq!(sender.next_attempt(at(6)), Some((RELAY.0, vec![1])));
}

#[test]
fn after_a_loss_of_the_relay_those_who_are_back_share_an_attempt() {
    let peers = ["a", "b", "c"].map(listener);
    let mut sender = sender(&peers, 3);
    begin(&mut sender, 1, &[0, 1, 2]);
    for peer in &peers {
        over(&mut sender, at(10), 1, peer, again(Next::Later, true));
    }
    sender.on_attempt_over(transfer(1));
    sender.on_way_lost(RELAY.0);
    sender.on_connected(at(30));
    sender.on_tick(at(30));
    assert!(
        failed(&mut sender).is_empty(),
        "nobody could move meanwhile"
    );
    sender.on_presence(RELAY.0, peers[0].clone());
    assert_eq!(sender.next_attempt(at(30)), None);
    sender.on_presence(RELAY.0, peers[2].clone());
    assert_eq!(
        sender.next_attempt(at(30) + GATHER),
        Some((RELAY.0, vec![0, 2]))
    );
    begin(&mut sender, 2, &[0, 2]);
    sender.on_presence(RELAY.0, peers[1].clone());
    assert_eq!(sender.next_attempt(at(40)), Some((RELAY.0, vec![1])));
}

#[test]
fn who_holds_up_others_is_served_alone_from_then_on() {
    let peers = ["a", "b"].map(listener);
    let mut sender = sender(&peers, 2);
    begin(&mut sender, 1, &[0, 1]);
    over(&mut sender, at(1), 1, &peers[1], again(Next::Alone, false));
    assert_eq!(sender.next_attempt(at(1)), Some((RELAY.0, vec![1])));
    begin(&mut sender, 2, &[1]);
    for (number, peer) in [(1, &peers[0]), (2, &peers[1])] {
        over(&mut sender, at(2), number, peer, again(Next::Now, false));
        sender.on_attempt_over(transfer(number));
    }
    assert_eq!(sender.next_attempt(at(2)), Some((RELAY.0, vec![1])));
}

#[test]
fn refusals_that_pass_are_waited_for_until_the_timeout() {
    let peers = ["a"].map(listener);
    let mut sender = sender(&peers, 1);
    let mut asked = 0;
    for second in 0..=30 {
        if let Some((_, recipients)) = sender.next_attempt(at(second)) {
            asked += 1;
            begin(&mut sender, 1, &recipients);
            over(
                &mut sender,
                at(second),
                1,
                &peers[0],
                again(Next::Later, false),
            );
            sender.on_attempt_over(transfer(1));
        }
        assert!(!sender.is_over(), "{second}");
        sender.on_tick(at(second));
    }
    assert!(asked > 5, "{asked}");
    assert_eq!(failed(&mut sender), [(peers[0].id, ErrorKind::TimedOut)]);
}

#[test]
fn a_loss_before_any_progress_explains_the_silence_once() {
    let peers = ["a"].map(listener);
    let mut sender = sender(&peers, 1);
    let lost_at = |sender: &mut Sender, second| {
        let (_, recipients) = sender.next_attempt(at(second)).expect("it is asked");
        begin(sender, 1, &recipients);
        over(sender, at(second), 1, &peers[0], again(Next::Later, false));
        sender.on_attempt_over(transfer(1));
    };
    // It accepted, was frozen, and was missed after 20 s.
    lost_at(&mut sender, 20);
    sender.on_tick(at(49));
    assert!(failed(&mut sender).is_empty(), "30 s from the loss on");
    lost_at(&mut sender, 49);
    sender.on_tick(at(50));
    assert_eq!(failed(&mut sender), [(peers[0].id, ErrorKind::TimedOut)]);
}

#[test]
fn a_file_is_shown_and_counted_once_over_all_attempts() {
    let peers = ["a"].map(listener);
    let mut sender = sender(&peers, 1);
    let delivered = || Effect::Delivered {
        peer: peers[0].id,
        file: Delivered {
            path: "x".into(),
            is_user_visible: true,
            resumed_from: 0,
            content: FileDigest {
                len: 5,
                blake3: [0; 32],
            },
            already_there: false,
            renamed: false,
            road: None,
        },
    };
    for number in 1..=3 {
        begin(&mut sender, number, &[0]);
        sender.on_effect(at(1), transfer(number), delivered());
        over(
            &mut sender,
            at(1),
            number,
            &peers[0],
            again(Next::Now, true),
        );
        sender.on_attempt_over(transfer(number));
    }
    let shown = |event: &Event| matches!(event, Event::Delivered { .. });
    assert_eq!(sender.take_events().iter().filter(|e| shown(e)).count(), 1);
    let summary = sender.finish(at(1));
    assert_eq!(
        (summary.recipients[0].files, summary.recipients[0].bytes),
        (1, 5)
    );
}

#[test]
fn what_can_be_read_once_is_offered_once() {
    let peers = ["a", "b"].map(listener);
    let mut sender = sender(&peers, 1);
    begin(&mut sender, 1, &[0]);
    sender.on_payload_taken_for_good();
    sender.on_presence(RELAY.0, peers[1].clone());
    assert_eq!(sender.next_attempt(at(1)), None);
    over(&mut sender, at(1), 1, &peers[0], again(Next::Now, true));
    sender.on_tick(at(1));
    assert!(sender.is_over());
    assert_eq!(failed(&mut sender).len(), 2);
}

#[test]
fn what_an_attempt_asks_for_comes_back_to_be_carried_out() {
    let mut sender = sender(&["a"].map(listener), 1);
    begin(&mut sender, 1, &[0]);
    let effect = Effect::Send {
        to: None,
        message: PeerMessage::End { files: 1 },
    };
    assert!(sender.on_effect(at(0), transfer(1), effect).is_some());
    let file = FileIndex(0);
    let starts = crate::transfer::send::attempt::FileStarts {
        starts: vec![],
        recipients: 1,
    };
    let effect = Effect::Content { file, starts };
    assert!(sender.on_effect(at(0), transfer(1), effect).is_some());
}

#[test]
fn recipients_on_several_ways_are_served_side_by_side_each_on_its_own() {
    let peers = ["a", "b", "c"].map(listener);
    let mut sender = sender(&peers, 2);
    sender.on_presence(LAN.0, peers[2].clone());
    // Known by both: by the first that had it.
    sender.on_presence(LAN.0, peers[1].clone());
    assert_eq!(sender.next_attempt(at(0)), Some((RELAY.0, vec![0, 1])));
    begin(&mut sender, 1, &[0, 1]);
    assert_eq!(sender.next_attempt(at(0)), Some((LAN.0, vec![2])));
    sender.on_attempt((transfer(2), &[2]), LAN, (None, None, false));
    let progress = Effect::Progress {
        peer: peers[2].id,
        file: "x".into(),
        bytes: 1,
        total: None,
        resumed_from: 0,
        road: None,
        limited_by: None,
    };
    sender.take_events();
    sender.on_effect(at(1), transfer(2), progress);
    let events = sender.take_events();
    let road = match &events[..] {
        [Event::Progress { road, .. }] => *road,
        other => panic!("{other:?}"),
    };
    assert_eq!(road, Road::Lan);
    // What could not be served by one way is served by the other.
    over(&mut sender, at(2), 1, &peers[1], again(Next::Now, false));
    sender.on_attempt_over(transfer(1));
    assert_eq!(sender.next_attempt(at(2)), Some((LAN.0, vec![1])));
    // And one that is lost leaves those who are known by another.
    sender.on_way_lost(LAN.0);
    assert_eq!(sender.next_attempt(at(2)), Some((RELAY.0, vec![1])));
}

#[test]
fn a_crowd_of_ways_is_served_some_at_a_time() {
    let peers: Vec<_> = (0..30).map(|n| listener(&format!("p{n}"))).collect();
    let mut sender = sender(&peers, 0);
    for (n, peer) in (1..).zip(&peers) {
        sender.on_presence(WayId::numbered(n), peer.clone());
    }
    let mut begun = Vec::new();
    while let Some((way, recipients)) = sender.next_attempt(at(0)) {
        let number = u8::try_from(begun.len()).unwrap();
        let on = (way, Road::Lan);
        sender.on_attempt((transfer(number), &recipients), on, (None, None, false));
        begun.push((number, recipients));
    }
    assert_eq!(begun.len(), ATTEMPTS_MAX);
    let (number, first) = &begun[0];
    over(&mut sender, at(1), *number, &peers[first[0]], PartEnd::Done);
    sender.on_attempt_over(transfer(*number));
    assert!(sender.next_attempt(at(1)).is_some());
}
