//! Names belong to keys: who comes with another's is refused, and who shares one is never guessed.

use p2p::{
    identity::{Identity, ResolveError},
    transfer::ErrorKind,
};

use super::stage::{Stage, assert_delivered, failure};

#[tokio::test]
async fn a_known_name_with_another_key_is_sent_nothing() {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let (listening, carol) = (bob.listen().await, carol.listen().await);
    let (path, _) = stage.file("plan.bin", 1000);
    let name = "bob".parse().unwrap();
    let real = Identity::generate().id();
    alice.known.add(&name, real, 1).unwrap();

    let refused = failure(alice.send(&["bob"], &[&path]).await);
    assert_eq!(refused.kind(), ErrorKind::NotTrusted);
    assert_eq!(refused.kind().exit_code(), 4);
    for id in [real, bob.id()] {
        assert!(refused.to_string().contains(&id.to_string()), "{refused}");
    }
    // In a broadcast, everyone else is served.
    let summary = alice.broadcast(&[&path]).await.unwrap();
    for recipient in &summary.recipients {
        let kind = recipient.failure().map(|failure| failure.kind());
        let expected = (recipient.id == bob.id()).then_some(ErrorKind::NotTrusted);
        assert_eq!(kind, expected);
    }
    assert_eq!((listening.received().len(), carol.received().len()), (0, 1));

    alice.known.add(&name, bob.id(), 2).unwrap();
    assert_delivered(alice.send(&["bob"], &[&path]).await);
}

#[tokio::test]
async fn a_sender_with_the_name_of_another_key_is_declined() {
    let stage = Stage::new();
    let (alice, bob) = (stage.peer("alice"), stage.peer("bob"));
    let impostor = stage.peer_at("impostor", "alice");
    let bob = bob.listen().await;
    let (path, _) = stage.file("plan.bin", 1000);
    // The first contact pins.
    assert_delivered(alice.send(&["bob"], &[&path]).await);
    let received = bob.received();
    let declined = failure(impostor.send(&["bob"], &[&path]).await);
    let reason = bob.fails_with(ErrorKind::NotTrusted).await;
    for id in [alice.id(), impostor.id()] {
        assert!(declined.to_string().contains(&id.to_string()), "{declined}");
        assert!(reason.contains(&id.to_string()), "{reason}");
    }
    assert_eq!(bob.received(), received);
    assert_delivered(alice.send(&["bob"], &[&path]).await);
}

#[tokio::test]
async fn a_name_that_two_peers_hold_means_neither_until_it_is_known() {
    let stage = Stage::new();
    let alice = stage.peer("alice");
    let (one, two) = (stage.peer_at("one", "bob"), stage.peer_at("two", "bob"));
    let (first, second) = (one.listen().await, two.listen().await);
    let (path, _) = stage.file("plan.bin", 1000);
    let counts = || (first.received().len(), second.received().len());

    let ambiguous = alice.send(&["bob"], &[&path]).await;
    let ambiguous = failure(ambiguous);
    let cause = ambiguous.cause::<ResolveError>();
    assert!(matches!(cause, Some(ResolveError::Ambiguous { .. })));
    for id in [one.id(), two.id()] {
        assert!(
            ambiguous.to_string().contains(&id.to_string()[..13]),
            "{ambiguous}"
        );
    }
    assert_eq!(counts(), (0, 0));

    assert_delivered(alice.send(&[&two.id().to_string()], &[&path]).await);
    assert_eq!(counts(), (0, 1));
    alice
        .known
        .add(&"bob".parse().unwrap(), one.id(), 1)
        .unwrap();
    assert_delivered(alice.send(&["bob"], &[&path]).await);
    assert_eq!(counts(), (1, 1));
    // The pinned name is whose it is; once he is gone, the other does not inherit it.
    first.stop().await;
    let refused = failure(alice.send(&["bob"], &[&path]).await);
    assert_eq!(refused.kind(), ErrorKind::NotTrusted, "{refused}");
    assert_eq!(second.received().len(), 1);
}

#[tokio::test]
async fn several_names_of_one_peer_reach_it_once() {
    let stage = Stage::new();
    let (alice, bob) = (stage.peer("alice"), stage.peer("bob"));
    let listening = bob.listen().await;
    let (path, _) = stage.file("plan.bin", 1000);
    for name in ["bob", "work laptop"] {
        alice
            .known
            .add(&name.parse().unwrap(), bob.id(), 1)
            .unwrap();
    }
    let id = bob.id().to_string();
    let summary = alice.send(&["bob", "work laptop", &id], &[&path]).await;
    assert_eq!(summary.as_ref().unwrap().recipients.len(), 1);
    assert_delivered(summary);
    assert_eq!(listening.received().len(), 1);
    listening.clear();
    assert_delivered(alice.send(&["work laptop"], &[&path]).await);
    assert_eq!(listening.received().len(), 1);
}
