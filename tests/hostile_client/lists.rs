//! Lists of a room that nobody reads.

use std::time::Duration;

use futures_util::future::join_all;
use p2p::{
    identity::{Bundle, Invite},
    protocol::{Base64, ClientToServer, ServerToClient, SignedBundle},
};

use tokio::time::timeout;

use super::{
    common::MIB,
    siege::Siege,
    wire::{Attacker, Control},
};

/// What bundles are signed as (`docs/protocol.md`).
const CONTEXT: &str = "p2p/1 bundle";
/// A connection that has been blocked for so long is full.
const FULL: Duration = Duration::from_secs(1);

/// A member whose bundle is as long as one may be, and who takes next to nothing at once.
async fn lengthy_and_deaf(invite: &Invite) -> (Attacker, Control) {
    let mut transport = quinn::TransportConfig::default();
    transport
        .receive_window(16_384u32.into())
        .stream_receive_window(2_048u32.into());
    let attacker = Attacker::tuned(invite, transport).await;
    let mut control = attacker.control().await;
    let hello = ClientToServer::Hello {
        room: invite.secret.room_id(),
        bundle: lengthy(&attacker, invite),
        listening: false,
    };
    control.say(&hello).await;
    let welcome = control.hear().await;
    assert!(matches!(welcome, ServerToClient::Welcome { .. }));
    (attacker, control)
}

/// Its body has a field that nobody knows.
fn lengthy(attacker: &Attacker, invite: &Invite) -> SignedBundle {
    let plain = super::wire::bundle(&attacker.identity)
        .sign(&attacker.identity, &invite.secret.member_key());
    let mut body: serde_json::Value = serde_json::from_slice(&plain.body.0).unwrap();
    body["padding"] = "x".repeat(8_000 - plain.body.0.len()).into();
    let body = serde_json::to_vec(&body).unwrap();
    let signature = attacker.identity.sign(CONTEXT, &body);
    let member_key = invite.secret.member_key();
    let mac = member_key.mac(CONTEXT, &[&body, &signature]);
    let bundle = SignedBundle {
        body: Base64(body),
        signature: Base64(signature.to_vec()),
        mac: Base64(mac.to_vec()),
    };
    Bundle::peek(&bundle, attacker.identity.id()).expect("the relay takes it");
    bundle
}

#[test]
fn lists_of_lengthy_members_that_nobody_reads_pin_no_memory() {
    let siege = Siege::new(&["--memory-limit", "32Mi"]);
    let seen = siege.under(|invite| async move {
        let mut members = Vec::new();
        for _ in 0..150 {
            members.push(lengthy_and_deaf(&invite).await);
        }
        let asking = members.iter_mut().map(async |(_, control)| {
            // Each is a list of 150 members; the relay reads the next question when it has told one list.
            for _ in 0..10 {
                let ask = ClientToServer::Peers { watch: false };
                let _ = timeout(FULL, control.try_say(&ask)).await;
            }
        });
        join_all(asking).await;
        members
    });
    seen.harmless_within(32 * MIB, Duration::from_secs(20));
}
