//! The largest and the strangest numbers that a relay can tell.

use std::time::Duration;

use p2p::protocol::{PeerMessage, ServerToClient};

use super::stage::{Stage, assert_delivered};

#[tokio::test]
async fn the_largest_numbers_of_a_relay_break_neither_end() {
    for most in [0, 1, i64::MAX as u64, u64::MAX] {
        let stage = Stage::new();
        stage.liar.on_messages(move |_, message| match message {
            ServerToClient::Welcome { .. } => vec![
                ServerToClient::Welcome {
                    now_unix: Some(most),
                    ping_secs: Some(most),
                    relays: vec![
                        "\u{1b}[2J:70000".to_owned(),
                        ":".to_owned(),
                        "x".repeat(3_000),
                    ],
                },
                ServerToClient::Draining {
                    within_secs: Some(most),
                },
            ],
            ServerToClient::Peer {
                id, bundle, state, ..
            } => vec![ServerToClient::Peer {
                id,
                bundle,
                state,
                since_secs: most,
            }],
            ServerToClient::Told {
                transfer,
                from,
                message: PeerMessage::Stored { file, .. },
                at,
            } => vec![ServerToClient::Told {
                transfer,
                from,
                message: PeerMessage::Stored { file, bytes: most },
                at,
            }],
            message => vec![message],
        });
        let (alice, bob) = (stage.peer("alice"), stage.peer("bob").listen().await);
        let (path, content) = stage.file("plan.bin", 3_000_000);
        assert_delivered(alice.send(&["bob"], &[&path]).await);
        assert_eq!(bob.received(), [("plan.bin".to_owned(), content)]);
        // Whoever would ping without a pause would be busy with it.
        tokio::time::timeout(Duration::from_secs(20), bob.stop())
            .await
            .expect("it ends");
    }
}
