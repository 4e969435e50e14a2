//! Bob and Carol get the same broadcast; Carol works with the relay against Bob.

use std::num::NonZeroU32;

use zeroize::Zeroizing;

use crate::{
    protocol::FileIndex,
    sealing::{fixture::*, *},
};

struct Broadcast {
    sealer: TransferSealer,
    bob: OpenedOffer,
    carol: Peer,
    hers: OpenedOffer,
    /// Carol's: it has Alice's transfer and its secret.
    forger: TransferSealer,
}

fn broadcast() -> Broadcast {
    let (alice, bob, carol) = (Peer::new(), Peer::new(), Peer::new());
    let sealer = sealer(&alice, Suite::preferred(), 2);
    let open = |peer: &Peer| {
        let offer = sealer.offer_to(&peer.bundle()).unwrap();
        let transfer = sealer.transfer();
        peer.open(&room(), &offer, transfer, &alice).unwrap()
    };
    let (bob, hers) = (open(&bob), open(&carol));
    let forger = forger(&carol, &hers, 2);
    Broadcast {
        sealer,
        bob,
        carol,
        hers,
        forger,
    }
}

fn forger(carol: &Peer, hers: &OpenedOffer, recipients: u32) -> TransferSealer {
    TransferSealer::with_secret(
        &NewTransfer {
            identity: &carol.identity,
            name: &name(),
            room: room().room_id(),
            member_key: &room().member_key(),
            suite: hers.suite,
            recipients: NonZeroU32::new(recipients).unwrap(),
            manifest: &manifest(),
        },
        hers.opener.transfer(),
        Zeroizing::new(*hers.opener.key.secret()),
    )
}

#[test]
fn a_file_that_she_makes_is_refused_signed_by_her_or_not_at_all() {
    let broadcast = broadcast();
    let unsigned = forger(&broadcast.carol, &broadcast.hers, 1);
    for forger in [&broadcast.forger, &unsigned] {
        let forged = seal(forger, &head(None), b"evil", Compression::Never);
        let again = broadcast.bob.opener.forgetful();
        assert_eq!(
            open(&again, 0, &forged).unwrap_err(),
            Failure::Open(OpenError::Signature)
        );
    }
    let real = seal(&broadcast.sealer, &head(None), b"good", Compression::Never);
    open(&broadcast.bob.opener, 0, &real).unwrap();
}

#[test]
fn content_or_a_name_that_she_changes_does_not_fit_the_senders_trailer() {
    let broadcast = broadcast();
    let real = seal(&broadcast.sealer, &head(None), b"good", Compression::Never);
    let forged = seal(&broadcast.forger, &head(None), b"evil", Compression::Never);
    let renamed = Head {
        path: ".profile".to_owned(),
        ..head(None)
    };
    let forger = forger(&broadcast.carol, &broadcast.hers, 2);
    let renamed = seal(&forger, &renamed, b"good", Compression::Never);
    for (frames, expected) in [
        ([&real[0], &forged[1], &real[2]], OpenError::Hash),
        ([&renamed[0], &real[1], &real[2]], OpenError::Signature),
        ([&real[0], &forged[1], &forged[2]], OpenError::Signature),
    ] {
        let again = broadcast.bob.opener.forgetful();
        let error = open(&again, 0, &frames).unwrap_err();
        assert_eq!(error, Failure::Open(expected));
    }
}

#[test]
fn receipts_that_she_makes_in_his_name_are_not_believed() {
    let mut broadcast = broadcast();
    let receipt = Receipt {
        file: FileIndex(0),
        len: 4,
        blake3: [1; 32],
        outcome: Outcome::Stored,
    };
    let bob = broadcast.bob.receipts.key();
    let mut opener = broadcast.sealer.receipts(bob);

    let hers = broadcast.hers.receipts.seal(&[receipt]).unwrap();
    let expected = ReceiptError::NotAuthentic { expected: 0 };
    assert_eq!(opener.open(&hers), Err(expected));

    let key = broadcast.hers.opener.key.receipt(bob.peer_id());
    let mut plain = vec![0; 49];
    let signature = broadcast.carol.identity.sign("p2p/1 receipt", &plain);
    plain.extend_from_slice(&signature);
    let forged = key.seal_copy(aead::Stage::Head, 0, b"", &plain);
    assert_eq!(opener.open(&forged), Err(ReceiptError::Signature));

    let his = broadcast.bob.receipts.seal(&[receipt]).unwrap();
    assert_eq!(opener.open(&his), Ok(vec![receipt]));
}
