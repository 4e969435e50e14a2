//! A recipient that accepts and then does nothing, so that others wait for it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use p2p::{
    identity::{Identity, Invite, Name},
    protocol::{Answer, PeerMessage},
    sealing::OpenKeys,
    transfer::{Channel, Member, PeerEvent},
};

use super::common::Lab;

/// Enters as a listener of the name `mute`.
pub async fn enter(invite: &Invite) -> Channel {
    let member = Member::new(
        Arc::new(Identity::generate()),
        Name::chosen("mute".parse().unwrap()),
        invite.clone(),
    );
    let hpke = OpenKeys::generate().current().public().clone();
    member.enter(Some(hpke)).await.unwrap()
}

/// A yes of one that will say where each file begins.
pub fn accept() -> PeerMessage {
    let answer = Answer::Accept {
        each: true,
        compare: false,
    };
    PeerMessage::Answer { answer }
}

/// Says yes to everything, that it will say where each file begins, and that a person is asked; and
/// never says where any begins.
async fn accept_and_say_nothing(mut channel: Channel) {
    let messages = channel.messages();
    while let Some(event) = channel.recv().await {
        if let PeerEvent::Message {
            transfer,
            from,
            message: PeerMessage::Offer { .. },
        } = event
        {
            for message in [accept(), PeerMessage::Asking {}] {
                messages.send(Some(from), transfer, message).await;
            }
        }
    }
}

#[test]
fn a_recipient_that_never_says_where_files_begin_delays_no_other() {
    let (lab, _relay) = Lab::new();
    let alice = lab.listen("alice", &[]);
    for i in 0..500 {
        lab.file(&format!("tree/f{i}"), 2000);
    }
    let tree = lab.folder().join("tree");
    let invite = lab.invite().parse().unwrap();
    let (entered, is_there) = std::sync::mpsc::channel();
    // It ends with the test's process.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mute = enter(&invite).await;
            entered.send(()).unwrap();
            accept_and_say_nothing(mute).await;
        });
    });
    is_there.recv().unwrap();
    let args = ["broadcast", "--timeout", "8s"].map(Path::new);
    let mut sender = lab.run("sender", args.into_iter().chain([tree.as_path()]));
    sender.wait_event("offered");
    let start = Instant::now();
    alice.wait_count("received", 500);
    let took = start.elapsed();
    println!("500 files beside a mute recipient: {took:.2?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    sender.expect(9);
    let failed = sender.events("failed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["peer_name"], "mute");
    assert_eq!(failed[0]["code"], 10);
    assert!(start.elapsed() < Duration::from_secs(8 + 6));
}
