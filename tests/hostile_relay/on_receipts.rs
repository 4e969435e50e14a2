//! The relay wants the sender to believe in a delivery.

use std::sync::{Arc, Mutex};

use p2p::protocol::{PeerMessage, ServerToClient};

use super::{
    relay::lock,
    stage::{Stage, assert_delivered, assert_split, assert_unverified},
};

/// Puts receipts in place of those that Bob signs, and in place of his word that a file is spoilt.
///
/// `forge` gets a batch that Bob has signed for an earlier transfer of the same file, and the one that
/// he signed now, if he did.
async fn receipts_refused(forge: fn(&[u8], Option<&[u8]>) -> Vec<u8>) {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let (bob, carol) = (bob.listen().await, carol.listen().await);
    let (path, _) = stage.file("plan.bin", 1000);
    let earlier: Arc<Mutex<Vec<u8>>> = Arc::default();
    let recorded = earlier.clone();
    stage.liar.on_messages(move |_, message| {
        if let ServerToClient::Told {
            message: PeerMessage::Receipts { batch },
            ..
        } = &message
        {
            *lock(&recorded) = batch.0.clone();
        }
        vec![message]
    });
    assert_delivered(alice.send(&["bob"], &[&path]).await);

    let victim = bob.id;
    stage.liar.on_messages(move |_, mut message| {
        if let ServerToClient::Told { from, message, .. } = &mut message
            && *from == victim
        {
            let real = match message {
                PeerMessage::Receipts { batch } => Some(Some(batch.0.clone())),
                PeerMessage::Failed { .. } => Some(None),
                _ => None,
            };
            if let Some(real) = real {
                let batch = forge(&lock(&earlier), real.as_deref()).into();
                *message = PeerMessage::Receipts { batch };
            }
        }
        vec![message]
    });
    // What is there already would be settled without its content.
    bob.clear();
    assert_unverified(alice.send(&["bob"], &[&path]).await);
    bob.clear();
    assert_split(alice.broadcast(&[&path]).await, bob.id, carol.id);

    bob.clear();
    carol.clear();
    let received = bob.received();
    stage
        .liar
        .rewrite_files(bob.id, |stream| stream[..stream.len() - 1].to_vec());
    assert_unverified(alice.send(&["bob"], &[&path]).await);
    bob.refuses().await;
    assert_split(alice.broadcast(&[&path]).await, bob.id, carol.id);
    bob.refuses().await;
    assert_eq!(bob.received(), received);

    stage.liar.be_honest();
    assert_delivered(alice.broadcast(&[&path]).await);
}

#[tokio::test]
async fn a_receipt_that_is_made_up_is_refused() {
    receipts_refused(|earlier, _| vec![0; earlier.len()]).await;
}

#[tokio::test]
async fn a_receipt_of_an_earlier_transfer_is_refused() {
    receipts_refused(|earlier, _| earlier.to_vec()).await;
}

#[tokio::test]
async fn a_receipt_with_a_flipped_bit_is_refused() {
    receipts_refused(|earlier, real| {
        let mut batch = real.unwrap_or(earlier).to_vec();
        batch[0] ^= 1;
        batch
    })
    .await;
}

#[tokio::test]
async fn a_receipt_that_is_cut_or_extended_is_refused() {
    receipts_refused(|earlier, real| [real.unwrap_or(earlier), &[0; 49]].concat()).await;
    receipts_refused(|earlier, real| real.unwrap_or(earlier)[49..].to_vec()).await;
}

/// Bob hears nothing of the transfer; all that Carol says, the relay says in his name as well.
#[tokio::test]
async fn the_relay_cannot_play_a_recipient() {
    let stage = Stage::new();
    let (alice, bob, carol) = (stage.peer("alice"), stage.peer("bob"), stage.peer("carol"));
    let sender = alice.id();
    let (bob, carol) = (bob.listen().await, carol.listen().await);
    let (path, _) = stage.file("plan.bin", 1000);
    let (victim, model) = (bob.id, carol.id);
    stage.liar.on_messages(move |to, message| match &message {
        ServerToClient::Told { .. } if to == victim => vec![],
        ServerToClient::Told {
            transfer,
            from,
            message: said,
            at,
        } if to == sender && *from == model => {
            let played = ServerToClient::Told {
                transfer: *transfer,
                from: victim,
                message: said.clone(),
                at: *at,
            };
            vec![played, message]
        }
        _ => vec![message],
    });
    assert_split(alice.broadcast(&[&path]).await, bob.id, carol.id);
    assert_eq!((bob.received().len(), carol.received().len()), (0, 1));
    stage.liar.be_honest();
    assert_delivered(alice.broadcast(&[&path]).await);
    assert_eq!((bob.received().len(), carol.received().len()), (1, 1));
}
