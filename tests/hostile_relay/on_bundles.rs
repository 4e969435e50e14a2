//! The relay lies about who is in the room: at most, somebody is not seen.

use std::time::{SystemTime, UNIX_EPOCH};

use p2p::{
    identity::{Bundle, Identity, RoomSecret},
    protocol::{PeerId, PeerState, ServerToClient, SignedBundle},
    sealing::OpenKeys,
    transfer::ErrorKind,
};

use super::stage::{Stage, assert_delivered, assert_unverified, failure};

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A bundle by that name, for a key that only the relay has.
fn invented(identity: &Identity, name: &str) -> Bundle {
    Bundle {
        key: identity.public_key(),
        name: name.parse().unwrap(),
        chosen: true,
        hpke: Some(OpenKeys::generate().current().public().clone()),
        direct: false,
        hard_links: false,
        expires_unix: now() + 3600,
    }
}

/// Puts `lie` in place of what is told of Bob: he is not found, and nobody else is found for him.
async fn bob_is_not_seen(
    lie: impl Fn(&Stage, PeerId, SignedBundle) -> Option<(PeerId, SignedBundle)>,
) {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let (listening, carol) = (bob.listen().await, carol.listen().await);
    let (path, _) = stage.file("plan.bin", 1000);
    let hpke = Some(OpenKeys::generate().current().public().clone());
    let told = lie(&stage, bob.id(), bob.member.bundle(hpke));
    let victim = bob.id();
    stage.liar.on_messages(move |_, message| match message {
        ServerToClient::Peer { id, state, .. } if id == victim => {
            let peer = |(id, bundle): &(PeerId, SignedBundle)| ServerToClient::Peer {
                id: *id,
                bundle: bundle.clone(),
                state,
                since_secs: 0,
            };
            told.iter().map(peer).collect()
        }
        other => vec![other],
    });
    let unseen = failure(alice.send(&["bob"], &[&path]).await);
    assert_eq!(unseen.kind(), ErrorKind::NoSuchPeer, "{unseen}");
    let unseen = failure(alice.send(&[&bob.id().to_string()], &[&path]).await);
    assert_eq!(unseen.kind(), ErrorKind::NoSuchPeer, "{unseen}");
    let summary = alice.broadcast(&[&path]).await.unwrap();
    let served: Vec<_> = summary
        .recipients
        .iter()
        .map(|recipient| recipient.id)
        .collect();
    assert_eq!(served, [carol.id]);
    assert_delivered(Ok(summary));
    assert_eq!((listening.received().len(), carol.received().len()), (0, 1));
    stage.liar.be_honest();
    assert_delivered(alice.send(&["bob"], &[&path]).await);
    assert_eq!(listening.received().len(), 1);
}

#[tokio::test]
async fn a_dropped_bundle_hides_its_peer_and_no_more() {
    bob_is_not_seen(|_, _, _| None).await;
}

#[tokio::test]
async fn a_bundle_of_the_relays_own_key_is_ignored() {
    // The relay knows the room's ID, and not what the members vouch with.
    let guess = RoomSecret::generate().member_key();
    let eve = Identity::generate();
    let ghost = invented(&eve, "bob").sign(&eve, &guess);
    let under = ghost.clone();
    bob_is_not_seen(move |_, _, _| Some((eve.id(), ghost.clone()))).await;
    bob_is_not_seen(move |_, bob, _| Some((bob, under.clone()))).await;
}

#[tokio::test]
async fn a_bundle_of_another_member_is_not_taken_for_bobs() {
    // Even when that member works for the relay: the ID is that of the key that signs.
    bob_is_not_seen(|stage, bob, _| {
        let eve = Identity::generate();
        let bundle = invented(&eve, "bob");
        Some((bob, bundle.sign(&eve, &stage.invite.secret.member_key())))
    })
    .await;
}

#[tokio::test]
async fn a_changed_bundle_is_ignored() {
    for part in 0..3 {
        bob_is_not_seen(|_, bob, mut bundle| {
            let bytes = [&mut bundle.body, &mut bundle.signature, &mut bundle.mac];
            let bytes = bytes.into_iter().nth(part).unwrap();
            let middle = bytes.0.len() / 2;
            bytes.0[middle] ^= 1;
            Some((bob, bundle))
        })
        .await;
    }
}

#[tokio::test]
async fn a_bundle_that_has_expired_or_is_from_years_ahead_is_ignored_and_the_clock_is_named() {
    let stage = Stage::new();
    let (alice, bob) = (stage.peer("alice"), stage.peer("bob"));
    let listening = bob.listen().await;
    let (path, _) = stage.file("plan.bin", 1000);
    let twenty_years = 20 * 365 * 24 * 60 * 60;
    for (expires_unix, clock) in [
        (now() - 1, "behind this machine's"),
        (now() + twenty_years, "ahead of this machine's"),
    ] {
        let aged = Bundle {
            expires_unix,
            ..invented(&bob.member.identity, "bob")
        };
        let aged = aged.sign(&bob.member.identity, &bob.member.member_key());
        stage.liar.on_messages(move |_, mut message| {
            if let ServerToClient::Peer { bundle, .. } = &mut message {
                *bundle = aged.clone();
            }
            vec![message]
        });
        let unseen = failure(alice.send(&["bob"], &[&path]).await);
        assert_eq!(unseen.kind(), ErrorKind::NoSuchPeer, "{unseen}");
        assert_eq!(listening.received(), []);
        let mut channel = alice.member.enter(None).await.unwrap();
        channel.peers(false).await.unwrap();
        let said = channel.take_ignored().join("");
        assert!(said.contains(clock), "{said}");
    }
    stage.liar.be_honest();
    assert_delivered(alice.send(&["bob"], &[&path]).await);
}

/// Until it expires, a relay can pass off Bob's last bundle as his current one: he cannot open what
/// is sealed to it, and says so.
#[tokio::test]
async fn what_is_sealed_to_an_old_bundle_is_refused() {
    let stage = Stage::new();
    let (alice, bob) = (stage.peer("alice"), stage.peer("bob"));
    let listening = bob.listen().await;
    let (path, _) = stage.file("plan.bin", 1000);
    let old = invented(&bob.member.identity, "bob");
    let old = old.sign(&bob.member.identity, &bob.member.member_key());
    stage.liar.on_messages(move |_, mut message| {
        if let ServerToClient::Peer { bundle, .. } = &mut message {
            *bundle = old.clone();
        }
        vec![message]
    });
    assert_unverified(alice.send(&["bob"], &[&path]).await);
    listening.refuses().await;
    assert_eq!(listening.received(), []);
    stage.liar.be_honest();
    assert_delivered(alice.send(&["bob"], &[&path]).await);
}

#[tokio::test]
async fn a_ghost_that_the_relay_adds_is_offered_nothing() {
    let stage = Stage::new();
    let (alice, bob) = (stage.peer("alice"), stage.peer("bob"));
    let listening = bob.listen().await;
    let (path, _) = stage.file("plan.bin", 1000);
    let eve = Identity::generate();
    let ghost = ServerToClient::Peer {
        id: eve.id(),
        bundle: invented(&eve, "eve").sign(&eve, &RoomSecret::generate().member_key()),
        state: PeerState::Listening,
        since_secs: 0,
    };
    stage.liar.on_messages(move |_, message| match message {
        end @ ServerToClient::PeersEnd {} => vec![ghost.clone(), end],
        other => vec![other],
    });
    let summary = alice.broadcast(&[&path]).await.unwrap();
    let served: Vec<_> = summary
        .recipients
        .iter()
        .map(|recipient| recipient.id)
        .collect();
    assert_eq!(served, [listening.id]);
    assert_delivered(Ok(summary));
    let unseen = failure(alice.send(&["eve"], &[&path]).await);
    assert_eq!(unseen.kind(), ErrorKind::NoSuchPeer, "{unseen}");
}
