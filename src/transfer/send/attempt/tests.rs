use std::{num::NonZeroU32, sync::Arc};

use super::{
    under_way::{SMALL_BYTES, SMALL_TIMES},
    *,
};
use crate::{
    identity::{Bundle, Identity, Name, RoomSecret},
    protocol::{Answer, Base64, DeclineReason, SafeText},
    sealing::{
        FileDigest, HeadKind, Inbox, JobId, Manifest, NewTransfer, OpenKeys, Outcome, Receipt,
        ReceiptSealer, Suite, TransferSealer, open_offer,
    },
};

const TIMEOUT: Duration = Duration::from_secs(30);
const PLACES: Places = Places { small: 4, bulk: 2 };

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A recipient with real keys: its receipts are genuine.
struct Recipient {
    id: PeerId,
    receipts: ReceiptSealer,
}

/// An attempt with so many recipients, whose offers left at 0.
fn attempt(count: u32) -> (Attempt, Vec<Recipient>) {
    let secret = RoomSecret::generate();
    let (room, member_key) = (secret.room_id(), secret.member_key());
    let sender = Arc::new(Identity::generate());
    let name = |name: &str| Name {
        name: name.parse().unwrap(),
        chosen: true,
    };
    let sealer = TransferSealer::new(&NewTransfer {
        identity: &sender,
        name: &name("alice"),
        room,
        member_key: &member_key,
        suite: Suite::preferred(),
        recipients: NonZeroU32::new(count).unwrap(),
        manifest: &Manifest::new(JobId::generate()),
    });
    let mut parts = Vec::new();
    let mut recipients = Vec::new();
    for _ in 0..count {
        let (me, keys) = (Arc::new(Identity::generate()), OpenKeys::generate());
        let bundle = Bundle::new(
            me.public_key(),
            &Name::chosen("bob".parse().unwrap()),
            Some(keys.current().public().clone()),
            u64::MAX,
        );
        let offer = sealer.offer_to(&bundle).unwrap();
        let inbox = Inbox {
            me: &me,
            room,
            member_key: &member_key,
            keys: &keys,
        };
        let opened = open_offer(&offer, sealer.transfer(), sender.id(), &inbox).unwrap();
        let (_, receipts) = opened.claim().unwrap();
        parts.push((me.id(), sealer.receipts(bundle.key)));
        recipients.push(Recipient {
            id: me.id(),
            receipts,
        });
    }
    let attempt = Attempt::new(parts, (TIMEOUT, PLACES), at(0));
    (attempt, recipients)
}

fn accept(each: bool) -> PeerMessage {
    let compare = false;
    PeerMessage::Answer {
        answer: Answer::Accept { each, compare },
    }
}

fn head(size: Option<u64>) -> Head {
    Head::new(HeadKind::File, "a", size)
}

fn digest() -> FileDigest {
    FileDigest {
        len: 3,
        blake3: [7; 32],
    }
}

fn receipts(recipient: &mut Recipient, files: u64) -> PeerMessage {
    let receipt = |file| Receipt {
        file: FileIndex(file),
        len: digest().len,
        blake3: digest().blake3,
        outcome: Outcome::Stored,
    };
    let batch: Vec<_> = (0..files).map(receipt).collect();
    let batch = recipient.receipts.seal(&batch).unwrap().into();
    PeerMessage::Receipts { batch }
}

fn start(file: u64) -> PeerMessage {
    PeerMessage::Start {
        file: FileIndex(file),
        have: Base64(vec![]),
    }
}

fn begins(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::Begin { .. }))
}

/// How parts ended.
fn ends(effects: Vec<Effect>) -> Vec<(PeerId, PartEnd)> {
    let end = |effect| match effect {
        Effect::PartOver { peer, end } => Some((peer, end)),
        _ => None,
    };
    effects.into_iter().filter_map(end).collect()
}

#[test]
fn a_file_is_delivered_by_a_receipt_for_what_was_sent() {
    let (mut attempt, mut to) = attempt(1);
    attempt.on_message(at(5), to[0].id, accept(false));
    assert!(begins(&attempt.take_effects()), "nobody else is asked");
    for index in 0..2 {
        attempt.on_launch(FileIndex(index), &head(Some(3)), FileClass::Small);
        attempt.on_note(at(6), FileNote::Sealed(FileIndex(index), digest()));
    }
    attempt.on_all_found(at(7), 2);
    let batch = receipts(&mut to[0], 1);
    attempt.on_message(at(8), to[0].id, batch);
    let effects = attempt.take_effects();
    let delivered = |e: &&Effect| matches!(e, Effect::Delivered { file, .. } if file.path == "a");
    assert_eq!(effects.iter().filter(delivered).count(), 1);
    assert!(!attempt.is_over());
    // A file that nobody sent counts for nothing.
    let batch = receipts(&mut to[0], 9);
    attempt.on_message(at(9), to[0].id, batch);
    let effects = attempt.take_effects();
    assert_eq!(effects.iter().filter(delivered).count(), 1);
    assert_eq!(ends(effects), [(to[0].id, PartEnd::Done)]);
    assert!(attempt.is_over());
}

#[test]
fn a_receipt_for_other_content_fails_the_file() {
    let (mut attempt, mut to) = attempt(1);
    attempt.on_message(at(5), to[0].id, accept(false));
    attempt.on_launch(FileIndex(0), &head(Some(3)), FileClass::Small);
    let batch = receipts(&mut to[0], 1);
    attempt.on_message(at(6), to[0].id, batch);
    let effects = attempt.take_effects();
    assert!(effects.iter().any(|e| matches!(e,
        Effect::FileFailed { error, .. } if error.kind() == ErrorKind::Verification)));
}

#[test]
fn whoever_does_not_answer_holds_up_the_others_for_a_moment_only() {
    let (mut attempt, to) = attempt(3);
    attempt.on_message(at(100), to[0].id, accept(false));
    assert_eq!(attempt.deadline(), Some(at(500)), "four times the first");
    attempt.on_tick(at(499));
    assert!(!begins(&attempt.take_effects()));
    attempt.on_tick(at(500));
    assert!(begins(&attempt.take_effects()));
    // A late yes is not lost: it has an attempt of its own, at once.
    attempt.on_gone(at(900), to[1].id, Code::TooLate);
    let ended = ends(attempt.take_effects());
    assert!(matches!(
        &ended[..],
        [(
            peer,
            PartEnd::Again {
                next: Next::Now,
                ..
            }
        )] if *peer == to[1].id
    ));
}

#[test]
fn whoever_never_says_where_a_file_begins_is_served_beside_the_others() {
    let (mut attempt, to) = attempt(2);
    for recipient in &to {
        attempt.on_message(at(10), recipient.id, accept(true));
    }
    let launched = attempt.on_launch(FileIndex(0), &head(Some(3)), FileClass::Small);
    assert!(launched.waits);
    attempt.on_note(at(20), FileNote::HeadSent(FileIndex(0)));
    attempt.on_message(at(30), to[0].id, start(0));
    attempt.take_effects();
    let deadline = attempt.deadline().expect("somebody is held up");
    assert_eq!(deadline, at(20) + START_PATIENCE.1);
    attempt.on_tick(deadline);
    let effects = attempt.take_effects();
    let content = effects.iter().find_map(|e| match e {
        Effect::Content { starts, .. } => Some((starts.starts.len(), starts.recipients)),
        _ => None,
    });
    assert_eq!(content, Some((1, 1)), "the other one's file begins");
    let ended = ends(effects);
    assert!(matches!(
        &ended[..],
        [(
            peer,
            PartEnd::Again {
                next: Next::Alone,
                ..
            }
        )] if *peer == to[1].id
    ));
}

#[test]
fn whoever_is_always_nearly_late_is_served_beside_the_others_too() {
    let (mut attempt, to) = attempt(2);
    for recipient in &to {
        attempt.on_message(at(10), recipient.id, accept(true));
    }
    let mut now = 20;
    for file in 0.. {
        attempt.on_launch(FileIndex(file), &head(Some(3)), FileClass::Small);
        attempt.on_note(at(now), FileNote::HeadSent(FileIndex(file)));
        attempt.on_message(at(now), to[0].id, start(file));
        now += 200;
        attempt.on_message(at(now), to[1].id, start(file));
        attempt.on_note(at(now), FileNote::Ended(FileIndex(file), FileClass::Small));
        if ends(attempt.take_effects())
            .iter()
            .any(|(peer, _)| *peer == to[1].id)
        {
            break;
        }
        assert!(now < 1000, "the others wait in vain");
    }
    assert!(!attempt.is_over());
}

#[test]
fn alone_a_recipient_may_hash_for_as_long_as_that_moves() {
    let (mut attempt, to) = attempt(1);
    attempt.on_message(at(10), to[0].id, accept(true));
    attempt.on_launch(FileIndex(0), &head(Some(1 << 30)), FileClass::Bulk);
    attempt.on_note(at(20), FileNote::HeadSent(FileIndex(0)));
    let file = FileIndex(0);
    for second in 1..=100 {
        let message = PeerMessage::Stored {
            file,
            bytes: second << 20,
        };
        attempt.on_message(at(second * 1000), to[0].id, message);
        attempt.on_tick(at(second * 1000 + 500));
    }
    attempt.take_effects();
    // So may this side, when it compares; and then nobody moves for too long.
    attempt.on_message(at(100_600), to[0].id, start(0));
    for second in 101..=200 {
        attempt.on_note(at(second * 1000), FileNote::Hashing(file));
        attempt.on_tick(at(second * 1000 + 500));
    }
    assert!(ends(attempt.take_effects()).is_empty());
    attempt.on_tick(at(200_000) + TIMEOUT + at(1));
    assert_eq!(ends(attempt.take_effects()).len(), 1);
}

#[test]
fn a_recipient_that_only_pretends_to_move_is_given_up() {
    let (mut attempt, to) = attempt(1);
    let file = FileIndex(0);
    attempt.on_message(at(10), to[0].id, accept(true));
    attempt.on_launch(file, &head(Some(3)), FileClass::Small);
    attempt.on_note(at(20), FileNote::HeadSent(file));
    attempt.on_message(at(30), to[0].id, start(0));
    for second in 1..=31 {
        let now = at(second * 1000);
        attempt.on_message(now, to[0].id, PeerMessage::Asking {});
        attempt.on_message(now, to[0].id, start(0));
        attempt.on_message(now, to[0].id, start(77));
        let bytes = 3 + second;
        attempt.on_message(at(30), to[0].id, PeerMessage::Stored { file, bytes });
        attempt.on_tick(now);
    }
    let ended = ends(attempt.take_effects());
    assert!(
        matches!(&ended[..], [(_, PartEnd::Failed(error))] if error.kind() == ErrorKind::TimedOut)
    );
}

#[test]
fn a_full_listener_is_asked_again_and_a_no_is_a_no() {
    let decline = |reason| PeerMessage::Answer {
        answer: Answer::Decline {
            reason,
            text: SafeText::new("no"),
        },
    };
    let (mut attempt, to) = attempt(2);
    attempt.on_message(at(1), to[0].id, decline(DeclineReason::Busy));
    attempt.on_message(at(1), to[1].id, decline(DeclineReason::Refused));
    let ended = ends(attempt.take_effects());
    assert!(matches!(
        &ended[..],
        [
            (
                _,
                PartEnd::Again {
                    next: Next::Later,
                    answered: true,
                    progressed: false,
                    ..
                }
            ),
            (_, PartEnd::Failed(_))
        ]
    ));
    assert!(attempt.is_over());
}

#[test]
fn no_more_files_are_under_way_than_there_are_places() {
    let (mut attempt, to) = attempt(1);
    attempt.on_message(at(1), to[0].id, accept(false));
    let small = PLACES.small * SMALL_TIMES.0 / SMALL_TIMES.1;
    for index in 0..small as u64 {
        assert!(attempt.has_room_for(FileClass::Small));
        attempt.on_launch(FileIndex(index), &head(Some(3)), FileClass::Small);
    }
    assert!(!attempt.has_room_for(FileClass::Small));
    assert!(attempt.has_room_for(FileClass::Bulk));
    attempt.on_note(at(2), FileNote::Ended(FileIndex(0), FileClass::Small));
    assert!(attempt.has_room_for(FileClass::Small));
}

#[test]
fn a_sender_is_no_further_ahead_than_the_fastest_recipient_can_make_up_for() {
    let (mut attempt, to) = attempt(1);
    attempt.on_message(at(1), to[0].id, accept(false));
    // Each leaves at once, and none is settled.
    for index in 0..AHEAD_MAX as u64 {
        assert!(attempt.has_room_for(FileClass::Small), "{index}");
        let index = FileIndex(index);
        attempt.on_launch(index, &head(Some(3)), FileClass::Small);
        attempt.on_note(at(2), FileNote::Ended(index, FileClass::Small));
    }
    assert!(!attempt.has_room_for(FileClass::Small));
    assert!(!attempt.has_room_for(FileClass::Bulk));
}

#[test]
fn fewer_small_files_are_under_way_where_they_are_not_so_small() {
    let (mut attempt, to) = attempt(1);
    attempt.on_message(at(1), to[0].id, accept(false));
    for index in 0..PLACES.small as u64 {
        assert!(attempt.has_room_for(FileClass::Small));
        let head = head(Some(SMALL_BYTES / PLACES.small as u64));
        attempt.on_launch(FileIndex(index), &head, FileClass::Small);
    }
    assert!(!attempt.has_room_for(FileClass::Small));
}
