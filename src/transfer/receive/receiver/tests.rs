use super::*;
use crate::{
    protocol::{PeerId, Road, SafeText},
    transfer::receive::outcome::Whole,
};

const FILES: u64 = 2;

fn terms() -> Terms {
    Terms {
        transfer: TransferId::from_bytes([1; 16]),
        from: PeerRef::new(PeerId::from_bytes([2; 32]), "alice".parse().unwrap()),
        files: Some(FILES),
        to_writer: false,
        compare: false,
        renames: true,
    }
}

fn receiver() -> Receiver {
    Receiver::new(terms())
}

fn stored(index: u64) -> Settlement {
    let whole = Whole {
        len: 10,
        hash: blake3::hash(b"x"),
        resumed_from: 0,
        road: Road::Relay,
    };
    Settlement {
        index: FileIndex(index),
        result: Ok(Stored {
            whole,
            already_there: false,
            is_renamed: false,
            is_user_visible: true,
        }),
    }
}

fn lost(index: u64, error: FileError) -> Settlement {
    Settlement {
        index: FileIndex(index),
        result: Err(error.of("a")),
    }
}

fn end() -> PeerMessage {
    PeerMessage::End { files: FILES }
}

fn sent(effects: &[Effect]) -> Vec<&PeerMessage> {
    let mut sent = Vec::new();
    for effect in effects {
        if let Effect::Send(message) = effect {
            sent.push(message);
        }
    }
    sent
}

fn events(effects: &[Effect]) -> Vec<&Event> {
    let mut events = Vec::new();
    for effect in effects {
        if let Effect::Emit(event) = effect {
            events.push(&**event);
        }
    }
    events
}

#[test]
fn it_is_complete_when_every_file_is_settled_in_whatever_order() {
    for end_at in 0..3 {
        let mut receiver = receiver();
        for step in 0..3 {
            assert_eq!(receiver.over(), None);
            match step.cmp(&end_at) {
                std::cmp::Ordering::Equal => receiver.on_message(end()),
                _ => {
                    receiver.on_file(FileIndex(step));
                    let effects = receiver.on_settled([stored(step)].into_iter());
                    assert!(matches!(&effects[..], [Effect::Sign(files)] if files.len() == 1));
                }
            }
        }
        assert_eq!(receiver.over(), Some(Code::Done));
        assert!(receiver.leaves_nothing());
        let (effects, ended) = receiver.finish(Duration::from_secs(1));
        assert_eq!(ended, Ended::Complete(None));
        assert!(matches!(
            events(&effects)[..],
            [Event::Done {
                files: FILES,
                bytes: 20,
                delivered: 1,
                ..
            }]
        ));
    }
}

#[test]
fn a_batch_is_signed_at_once() {
    let mut receiver = receiver();
    let effects = receiver.on_settled([stored(0), stored(1)].into_iter());
    assert!(matches!(&effects[..], [Effect::Sign(files)] if files.len() == 2));
}

#[test]
fn one_file_that_fails_does_not_end_the_others() {
    let mut receiver = receiver();
    let error = FileError::new(Code::Declined, "its name is refused");
    let effects = receiver.on_settled([lost(0, error)].into_iter());
    let file = Some(FileIndex(0));
    assert!(matches!(sent(&effects)[..], [PeerMessage::Failed { file: f, .. }] if *f == file));
    assert!(matches!(
        events(&effects)[..],
        [Event::Failed { file: Some(_), .. }]
    ));
    assert_eq!(receiver.over(), None);
    receiver.on_settled([stored(1)].into_iter());
    receiver.on_message(end());
    assert!(receiver.leaves_nothing());
    let (_, ended) = receiver.finish(Duration::ZERO);
    assert!(matches!(ended, Ended::Complete(Some(error)) if error.kind() == ErrorKind::Declined));
}

#[test]
fn a_write_error_leaves_a_part_for_the_next_run() {
    let mut receiver = receiver();
    receiver.on_settled(
        [
            lost(0, FileError::new(Code::Storage, "i/o error")),
            stored(1),
        ]
        .into_iter(),
    );
    receiver.on_message(end());
    assert_eq!(receiver.over(), Some(Code::Done));
    assert!(!receiver.leaves_nothing());
}

#[test]
fn what_is_wrong_for_all_is_said_once_and_ends_it() {
    let mut receiver = receiver();
    let full = || FileError::of_all(Code::Storage, "full");
    let effects = receiver.on_settled([lost(0, full()), lost(1, full())].into_iter());
    assert!(matches!(
        sent(&effects)[..],
        [PeerMessage::Failed { file: None, .. }]
    ));
    assert_eq!(receiver.over(), Some(Code::Storage));
    assert!(!receiver.leaves_nothing());
    assert!(matches!(
        receiver.finish(Duration::ZERO).1,
        Ended::Complete(Some(_))
    ));
}

#[test]
fn what_is_cut_off_is_no_failure_and_the_rest_may_follow() {
    let mut receiver = receiver();
    let effects =
        receiver.on_settled([lost(0, FileError::new(Code::PeerGone, "gone"))].into_iter());
    assert!(events(&effects).is_empty());
    receiver.on_gone(Code::PeerGone);
    // The first reason stays.
    receiver.on_gone(Code::Done);
    assert!(!receiver.leaves_nothing());
    let (effects, ended) = receiver.finish(Duration::ZERO);
    assert_eq!(ended, Ended::Interrupted);
    assert!(matches!(
        events(&effects)[..],
        [Event::Failed { .. }, Event::Done { failed: 1, .. }]
    ));
}

#[test]
fn a_job_that_begins_again_is_no_failure() {
    let mut receiver = receiver();
    receiver.on_gone(Code::Replaced);
    let (effects, ended) = receiver.finish(Duration::ZERO);
    assert_eq!(ended, Ended::Interrupted);
    assert!(matches!(
        events(&effects)[..],
        [Event::Retrying { .. }, Event::Done { .. }]
    ));
}

#[test]
fn bytes_that_went_to_a_writer_cannot_follow_later() {
    let mut receiver = Receiver::new(Terms {
        to_writer: true,
        ..terms()
    });
    receiver.on_gone(Code::PeerGone);
    let (_, ended) = receiver.finish(Duration::ZERO);
    let Ended::Complete(Some(error)) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Verification);
}

#[test]
fn files_that_were_announced_and_did_not_come_are_a_failure() {
    let mut receiver = receiver();
    receiver.on_settled([stored(0)].into_iter());
    receiver.on_message(PeerMessage::Cancel { code: Code::Done });
    let (effects, ended) = receiver.finish(Duration::ZERO);
    assert!(matches!(
        events(&effects)[..],
        [Event::Failed { .. }, Event::Done { failed: 1, .. }]
    ));
    assert!(matches!(ended, Ended::Complete(Some(_))));
}

#[test]
fn a_transfer_that_never_begins_gives_its_place_back() {
    let second = Duration::from_secs(1);
    for (compare, crowded, limit) in [
        (false, false, BEGIN_LIMIT),
        (true, false, COMPARE_LIMIT),
        (true, true, CROWDED_LIMIT),
    ] {
        let idle = || Receiver::new(Terms { compare, ..terms() });
        let mut receiver = idle();
        assert!(receiver.on_tick(limit, crowded).is_empty());
        let effects = receiver.on_tick(limit + second, crowded);
        assert!(matches!(sent(&effects)[..], [PeerMessage::Cancel { .. }]));
        assert_eq!(receiver.over(), Some(Code::Timeout));
        let mut begun = idle();
        begun.on_file(FileIndex(0));
        begun.on_tick(limit, crowded);
        assert_eq!(begun.over(), None);
        begun.on_tick(COMPARE_LIMIT + second, false);
        assert_eq!(begun.over(), None, "a pipe may be quiet");
    }
}

#[test]
fn while_others_wait_a_transfer_that_does_not_get_on_gives_its_place_back() {
    let second = Duration::from_secs(1);
    let begun = |to_writer| {
        let mut receiver = Receiver::new(Terms {
            to_writer,
            ..terms()
        });
        let progress = receiver.on_file(FileIndex(0));
        progress.describe("a", None);
        (receiver, progress)
    };
    // Now and then so little that it could go on for ever.
    for (each, stays) in [(CROWDED_LEAST, true), (100, false), (0, false)] {
        let (mut receiver, progress) = begun(false);
        for tick in 1..10 {
            progress.reached(u64::from(tick) * each);
            receiver.on_tick(tick * CROWDED_LIMIT, true);
        }
        assert_eq!(receiver.over().is_none(), stays, "{each}");
    }
    let (mut receiver, progress) = begun(false);
    progress.reached(CROWDED_LEAST);
    receiver.on_tick(9 * second, false);
    receiver.on_tick(19 * second, true);
    assert_eq!(receiver.over(), None);
    for index in 1..=100 {
        receiver.on_file(FileIndex(index));
        receiver.on_settled([stored(index)].into_iter());
    }
    receiver.on_tick(20 * second, true);
    receiver.on_tick(30 * second, true);
    assert_eq!(receiver.over(), None, "small files are progress");
    let effects = receiver.on_tick(31 * second, true);
    assert!(matches!(sent(&effects)[..], [PeerMessage::Cancel { .. }]));
    let (mut to_writer, _) = begun(true);
    to_writer.on_tick(100 * second, true);
    assert_eq!(to_writer.over(), None);
}

/// A full disk under standard output is this machine's own failure; whatever else cuts a file off is not.
#[test]
fn a_file_that_was_not_written_whole_ends_with_the_cause() {
    let disk = FileError::of_all(Code::Storage, "no space is left");
    let cut = FileError::new(Code::PeerGone, "gone");
    for (error, kind) in [(disk, ErrorKind::LocalFile), (cut, ErrorKind::Verification)] {
        let mut receiver = Receiver::new(Terms {
            to_writer: true,
            ..terms()
        });
        receiver.on_settled([lost(0, error)].into_iter());
        receiver.on_gone(Code::PeerGone);
        let (_, ended) = receiver.finish(Duration::ZERO);
        let Ended::Complete(Some(failure)) = ended else {
            panic!("{ended:?}");
        };
        assert_eq!(failure.kind(), kind, "{failure}");
    }
}

#[test]
fn progress_is_said_when_there_is_some() {
    let mut receiver = receiver();
    let progress = receiver.on_file(FileIndex(0));
    progress.reached(5);
    assert!(
        receiver.on_tick(Duration::ZERO, false).is_empty(),
        "no head yet"
    );
    progress.describe("a", Some(10));
    let effects = receiver.on_tick(Duration::ZERO, false);
    let file = FileIndex(0);
    assert_eq!(sent(&effects), [&PeerMessage::Stored { file, bytes: 5 }]);
    assert!(matches!(
        events(&effects)[..],
        [Event::Progress { bytes: 5, .. }]
    ));
    assert!(receiver.on_tick(Duration::ZERO, false).is_empty());
    receiver.on_settled([stored(0)].into_iter());
    progress.reached(10);
    assert!(receiver.on_tick(Duration::ZERO, false).is_empty());
}

#[test]
fn a_stop_is_said_to_the_sender_and_no_word_of_the_far_end_is_trusted_to_be_short() {
    let mut receiver = receiver();
    let effects = receiver.on_stop(Code::Shutdown);
    let code = Code::Shutdown;
    assert_eq!(sent(&effects), [&PeerMessage::Cancel { code }]);
    assert!(receiver.on_stop(Code::Shutdown).is_empty());
    let (effects, _) = receiver.finish(Duration::ZERO);
    let Event::Failed { failure, .. } = events(&effects)[0] else {
        panic!("{effects:?}");
    };
    assert_eq!(failure.kind(), ErrorKind::Interrupted);
    let reason = FileError::new(Code::Declined, "x".repeat(1000)).reason;
    assert_eq!(reason.as_str().chars().count(), SafeText::MAX_CHARS);
}
