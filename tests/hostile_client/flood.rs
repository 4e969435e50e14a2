//! A recipient that accepts, and then says everything that a recipient can say, again and again, and wrong.

use std::{path::Path, time::Duration};

use p2p::{
    protocol::{Answer, Base64, Code, DeclineReason, FileIndex, PeerMessage, SafeText},
    transfer::{Channel, PeerEvent},
};

use super::{
    common::{Lab, MIB, assert_same},
    recipient::{accept, enter},
    siege::memory,
};

/// All of it about one file; none of it ends its part of the transfer.
fn nonsense(file: u64) -> Vec<PeerMessage> {
    let file = FileIndex(file);
    let have = |len: usize| Base64(vec![7; len]);
    vec![
        PeerMessage::Stored {
            file,
            bytes: u64::MAX,
        },
        PeerMessage::Stored { file, bytes: 0 },
        PeerMessage::Start {
            file,
            have: have(0),
        },
        PeerMessage::Start {
            file,
            have: have(53),
        },
        PeerMessage::Start {
            file,
            have: have(40_000),
        },
        PeerMessage::Again {
            file,
            chunk: u32::MAX,
        },
        PeerMessage::Again { file, chunk: 0 },
        PeerMessage::Path { sealed: have(540) },
        PeerMessage::Path {
            sealed: have(40_000),
        },
        PeerMessage::Asking {},
        accept(),
        PeerMessage::End { files: u64::MAX },
        PeerMessage::Unknown,
    ]
}

/// What ends its part: each alone would.
fn last_words() -> Vec<PeerMessage> {
    let reason = SafeText::new("\u{1b}]0;owned\u{7}\u{9b}2J");
    vec![
        PeerMessage::Failed {
            file: Some(FileIndex(u64::MAX)),
            code: Code::Storage,
            reason: reason.clone(),
        },
        PeerMessage::Receipts {
            batch: Base64(vec![7; 45_000]),
        },
        PeerMessage::Answer {
            answer: Answer::Decline {
                reason: DeclineReason::Refused,
                text: reason,
            },
        },
    ]
}

async fn flood(mut channel: Channel) {
    let messages = channel.messages();
    while let Some(event) = channel.recv().await {
        let PeerEvent::Message {
            transfer,
            from,
            message: PeerMessage::Offer { .. },
        } = event
        else {
            continue;
        };
        messages.send(Some(from), transfer, accept()).await;
        for round in 0..60_u64 {
            for file in [0, 1, round, u64::MAX - round, u64::MAX] {
                for message in nonsense(file) {
                    messages.send(Some(from), transfer, message).await;
                }
            }
        }
        for message in last_words() {
            messages.send(Some(from), transfer, message).await;
        }
    }
}

#[test]
fn a_recipient_that_says_everything_wrong_costs_the_sender_little_and_the_others_nothing() {
    let (lab, _relay) = Lab::new();
    let _alice = lab.listen("alice", &[]);
    for i in 0..50 {
        lab.file(&format!("tree/f{i}"), 20_000);
    }
    let large = lab.file("tree/large", 8 * MIB);
    let invite = lab.invite().parse().unwrap();
    let (entered, is_there) = std::sync::mpsc::channel();
    // It ends with the test's process.
    std::thread::spawn(move || {
        super::listener::run(async {
            let channel = enter(&invite).await;
            entered.send(()).unwrap();
            flood(channel).await;
        });
    });
    is_there.recv().unwrap();
    let tree = lab.folder().join("tree");
    let args = ["broadcast", "--timeout", "5s"].map(Path::new);
    let mut sender = lab.run("sender", args.into_iter().chain([tree.as_path()]));
    sender.wait_event("offered");
    let mut most = 0;
    while sender.events("done").is_empty() {
        most = most.max(memory(&sender));
        std::thread::sleep(Duration::from_millis(20));
    }
    sender.expect(9);
    println!("the sender had {} KiB at most", most / 1024);
    assert!(most < 100 * MIB, "{most}");
    assert_eq!(lab.stored("alice").len(), 51);
    assert_same(&large, &lab.out("alice").join("tree/large"));
    let failed = sender.events("failed");
    assert!(
        failed.iter().all(|e| e["peer_name"] == "mute"),
        "{failed:?}"
    );
    let said = sender.stderr() + &sender.raw();
    assert!(!said.contains("panicked"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{9b}', '\u{7}']), "{said:?}");
}
