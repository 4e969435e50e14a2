//! The relay changes, repeats, misdirects and invents what peers say to each other.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use p2p::{
    identity::{Identity, MemberKey},
    protocol::{Base64, FileHeader, PeerId, PeerMessage, ServerToClient, SignedOffer},
    relay::FileHook,
    transfer::ErrorKind,
};
use serde_json::json;

use super::{
    relay::{Recorded, lock},
    stage::{Stage, assert_delivered, assert_split, assert_unverified, failure},
};

/// Changes offers to Bob in every one of these ways; each is refused, alone and in a broadcast.
async fn offers_refused(changes: impl Fn(&Stage) -> Vec<Change>) {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let (bob, carol) = (bob.listen().await, carol.listen().await);
    let (path, content) = stage.file("plan.bin", 1000);
    for change in changes(&stage) {
        let victim = bob.id;
        stage.liar.on_messages(move |to, mut message| {
            if let Some(offer) = offer_in(&mut message)
                && to == victim
            {
                let before = offer.clone();
                change(offer);
                assert_ne!(*offer, before, "a relay that changes nothing tells no lie");
            }
            vec![message]
        });
        assert_unverified(alice.send(&["bob"], &[&path]).await);
        bob.refuses().await;
        carol.clear();
        assert_split(alice.broadcast(&[&path]).await, bob.id, carol.id);
        bob.refuses().await;
        assert_eq!(carol.received().len(), 1);
        assert_eq!(bob.received(), []);
    }
    stage.liar.be_honest();
    assert_delivered(alice.send(&["bob"], &[&path]).await);
    assert_eq!(bob.received(), [("plan.bin".to_owned(), content)]);
}

type Change = Box<dyn Fn(&mut SignedOffer) + Send>;

fn offer_in(message: &mut ServerToClient) -> Option<&mut SignedOffer> {
    match message {
        ServerToClient::Told {
            message: PeerMessage::Offer { offer },
            ..
        } => Some(offer),
        _ => None,
    }
}

#[tokio::test]
async fn an_offer_with_a_flipped_bit_is_refused() {
    offers_refused(|_| {
        let parts: [fn(&mut SignedOffer) -> &mut Base64; 4] = [
            |offer| &mut offer.body,
            |offer| &mut offer.signature,
            |offer| &mut offer.mac,
            |offer| &mut offer.manifest,
        ];
        let flips = parts.into_iter().flat_map(|part| {
            let first: Change = Box::new(move |offer| part(offer).0[0] ^= 1);
            let last: Change = Box::new(move |offer| *part(offer).0.last_mut().unwrap() ^= 1);
            let cut: Change = Box::new(move |offer| {
                part(offer).0.pop();
            });
            [first, last, cut]
        });
        flips.collect()
    })
    .await;
}

/// The offer with other terms in its header, as its bytes say them.
fn renegotiate(offer: &mut SignedOffer, field: &str, value: impl Into<serde_json::Value>) {
    let mut body: serde_json::Value = serde_json::from_slice(&offer.body.0).unwrap();
    body[field] = value.into();
    offer.body.0 = serde_json::to_vec(&body).unwrap();
}

/// Vouches for a changed offer, as every member of the room can.
fn vouch(offer: &mut SignedOffer, member_key: &MemberKey) {
    let parts: [&[u8]; 2] = [&offer.body.0, &offer.signature.0];
    offer.mac.0 = member_key.mac("p2p/1 offer", &parts).to_vec();
}

#[tokio::test]
async fn the_suite_cannot_be_downgraded() {
    offers_refused(|stage| {
        // No suite, the weakest that may come, the other one that is known; by the relay alone, and
        // by a relay that a member of the room works for.
        let mut changes: Vec<Change> = Vec::new();
        for flip in [0xff_u64, 1, 2, 3] {
            let other = move |offer: &mut SignedOffer| {
                let body: serde_json::Value = serde_json::from_slice(&offer.body.0).unwrap();
                let suite = body["suite"].as_u64().unwrap();
                renegotiate(offer, "suite", suite ^ flip);
            };
            let member_key = stage.invite.secret.member_key();
            changes.push(Box::new(other));
            changes.push(Box::new(move |offer| {
                other(offer);
                vouch(offer, &member_key);
            }));
        }
        changes
    })
    .await;
}

#[tokio::test]
async fn a_member_cannot_change_the_terms_of_anothers_offer() {
    offers_refused(|stage| {
        let eve = Identity::generate();
        let key = data_encoding::BASE64_NOPAD.encode(eve.public_key().as_bytes());
        let terms = [
            ("v", json!(0)),
            ("chunk_size", json!(1024)),
            ("recipients", json!(7)),
            ("name", json!("mallory")),
            ("key", json!(key)),
        ];
        let change = |(field, value): (&'static str, serde_json::Value)| -> Change {
            let member_key = stage.invite.secret.member_key();
            Box::new(move |offer| {
                renegotiate(offer, field, value.clone());
                vouch(offer, &member_key);
            })
        };
        let mut changes: Vec<_> = terms.map(change).into();
        // Signed anew, by somebody who is not the sender.
        let member_key = stage.invite.secret.member_key();
        changes.push(Box::new(move |offer| {
            renegotiate(offer, "key", key.clone());
            offer.signature.0 = eve.sign("p2p/1 offer", &offer.body.0).to_vec();
            vouch(offer, &member_key);
        }));
        changes
    })
    .await;
}

#[tokio::test]
async fn an_offer_to_another_recipient_of_the_broadcast_is_refused() {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let (bob, carol) = (bob.listen().await, carol.listen().await);
    let (path, _) = stage.file("plan.bin", 1000);
    let mut first = None;
    stage.liar.on_messages(move |_, mut message| {
        if let Some(offer) = offer_in(&mut message) {
            *offer = first.get_or_insert(offer.clone()).clone();
        }
        vec![message]
    });
    // Offers go out in the order of names: Bob's is first, and Carol gets it as well.
    assert_split(alice.broadcast(&[&path]).await, carol.id, bob.id);
    carol.refuses().await;
    assert_eq!((bob.received().len(), carol.received().len()), (1, 0));
    stage.liar.be_honest();
    assert_delivered(alice.broadcast(&[&path]).await);
    assert_eq!((bob.received().len(), carol.received().len()), (1, 1));
}

/// Keeps what goes to one peer about its first transfer.
#[derive(Clone, Default)]
struct Recording {
    offer: Arc<Mutex<Option<ServerToClient>>>,
    header: Arc<Mutex<Option<FileHeader>>>,
    stream: Arc<Mutex<Vec<u8>>>,
}

impl Recording {
    fn start(&self, stage: &Stage) {
        let (offer, header, stream) =
            (self.offer.clone(), self.header.clone(), self.stream.clone());
        stage.liar.on_messages(move |_, mut message| {
            if offer_in(&mut message).is_some() {
                *lock(&offer) = Some(message.clone());
            }
            vec![message]
        });
        stage.liar.on_files(move |clear, _| {
            *lock(&header) = Some(*clear);
            Some(Box::new(Recorded(stream.clone())))
        });
    }

    fn offer(&self) -> ServerToClient {
        lock(&self.offer).clone().unwrap()
    }

    /// Delivers the recorded offer before every other, and the recorded file in place of others.
    fn replay(&self, stage: &Stage, to: PeerId) {
        let (offer, header) = (self.offer(), lock(&self.header).unwrap());
        let stream = self.stream.clone();
        stage.liar.on_messages(move |peer, mut message| {
            let again = peer == to && offer_in(&mut message).is_some();
            let again = again.then(|| offer.clone());
            again.into_iter().chain([message]).collect()
        });
        stage.liar.on_files(move |_, peer| {
            let stream = lock(&stream).clone();
            (peer == to).then(|| Box::new(Replayed(header, stream)) as Box<dyn FileHook>)
        });
    }
}

/// A recorded stream, under its own header, in place of another.
#[derive(Debug)]
struct Replayed(FileHeader, Vec<u8>);

impl FileHook for Replayed {
    fn header(&mut self, _: FileHeader) -> FileHeader {
        self.0
    }

    fn piece(&mut self, _: Bytes) -> Vec<Bytes> {
        Vec::new()
    }

    fn end(&mut self) -> Vec<Bytes> {
        vec![std::mem::take(&mut self.1).into()]
    }
}

#[tokio::test]
async fn a_whole_transfer_that_is_delivered_again_is_refused() {
    let stage = Stage::new();
    let (alice, bob) = (stage.peer("alice"), stage.peer("bob"));
    let listening = bob.listen().await;
    let (path, content) = stage.file("plan.bin", 1000);
    let recording = Recording::default();
    recording.start(&stage);
    assert_delivered(alice.send(&["bob"], &[&path]).await);
    let received = [("plan.bin".to_owned(), content)];
    assert_eq!(listening.received(), received);

    // The relay needs a stream of Alice's to deliver the recorded one in place of it: to keep a file
    // back is in its power, and ends in a timeout.
    recording.replay(&stage, listening.id);
    let kept_back = failure(alice.send(&["bob"], &[&path]).await);
    assert_eq!(kept_back.kind(), ErrorKind::TimedOut);
    assert!(listening.refuses().await.contains("delivered before"));
    assert_eq!(listening.received(), received);

    listening.stop().await;
    let restarted = bob.listen().await;
    let kept_back = failure(alice.send(&["bob"], &[&path]).await);
    assert_eq!(kept_back.kind(), ErrorKind::TimedOut);
    assert!(
        restarted
            .refuses()
            .await
            .contains("not, or no longer, ours")
    );
    assert_eq!(restarted.received(), received);

    stage.liar.be_honest();
    assert_delivered(alice.send(&["bob"], &[&path]).await);
    assert_eq!(restarted.received(), received, "it was there already");
}

#[tokio::test]
async fn an_offer_of_an_earlier_transfer_is_not_taken_for_a_later_one() {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let listening = bob.listen().await;
    let carol = carol.listen().await;
    let (path, _) = stage.file("plan.bin", 1000);
    let recording = Recording::default();
    recording.start(&stage);
    assert_delivered(alice.send(&["bob"], &[&path]).await);
    let received = listening.received();

    // To Bob again, to Bob who has restarted, and to Carol, to whom it never was addressed.
    let old = recording.offer();
    let replace = move |_: PeerId, mut message: ServerToClient| {
        if let Some(offer) = offer_in(&mut message) {
            *offer = offer_in(&mut old.clone()).unwrap().clone();
        }
        vec![message]
    };
    stage.liar.be_honest();
    stage.liar.on_messages(replace);
    assert_unverified(alice.send(&["bob"], &[&path]).await);
    listening.refuses().await;
    assert_unverified(alice.send(&["carol"], &[&path]).await);
    carol.refuses().await;
    assert_eq!(listening.received(), received);
    listening.stop().await;
    let restarted = bob.listen().await;
    assert_unverified(alice.send(&["bob"], &[&path]).await);
    restarted.refuses().await;
    assert_eq!((restarted.received(), carol.received()), (received, vec![]));

    stage.liar.be_honest();
    assert_delivered(alice.broadcast(&[&path]).await);
}

#[tokio::test]
async fn a_transfer_is_not_opened_by_a_peer_that_was_not_addressed() {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let (bob, carol) = (bob.listen().await, carol.listen().await);
    let (path, _) = stage.file("plan.bin", 1000);
    let recording = Recording::default();
    recording.start(&stage);
    assert_delivered(alice.send(&["bob"], &[&path]).await);
    recording.replay(&stage, carol.id);
    let kept_back = failure(alice.send(&["carol"], &[&path]).await);
    assert_eq!(kept_back.kind(), ErrorKind::TimedOut);
    let reason = carol.refuses().await;
    assert!(reason.contains(&bob.id.to_string()), "{reason}");
    assert_eq!((bob.received().len(), carol.received()), (1, vec![]));
    stage.liar.be_honest();
    assert_delivered(alice.broadcast(&[&path]).await);
}
