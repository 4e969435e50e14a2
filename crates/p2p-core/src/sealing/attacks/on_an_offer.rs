//! By the relay, strangers and members, on an offer on its way.

use std::num::NonZeroU32;

use serde_json::Value;

use crate::{
    identity::{Bundle, Identity, RoomSecret},
    protocol::{Base64, SignedOffer, TransferId},
    sealing::{fixture::*, wrap::SystemRng, *},
};

const CONTEXT: &str = "p2p/1 offer";

/// The offer with a changed header, signed and vouched for like a real one.
fn resigned(offer: &SignedOffer, by: &Identity, edit: impl FnOnce(&mut Value)) -> SignedOffer {
    let mut header: Value = serde_json::from_slice(&offer.body.0).unwrap();
    edit(&mut header);
    let body = serde_json::to_vec(&header).unwrap();
    let signature = by.sign(CONTEXT, &body);
    let mac = room().member_key().mac(CONTEXT, &[&body, &signature]);
    SignedOffer {
        body: Base64(body),
        signature: Base64(signature.to_vec()),
        mac: Base64(mac.to_vec()),
        manifest: offer.manifest.clone(),
    }
}

/// An offer from Alice to Bob that has not been opened yet.
struct Offered {
    alice: Peer,
    bob: Peer,
    sealer: TransferSealer,
    offer: SignedOffer,
}

fn offered() -> Offered {
    let (alice, bob) = (Peer::new(), Peer::new());
    let sealer = sealer(&alice, Suite::preferred(), 1);
    let offer = sealer.offer_to(&bob.bundle()).unwrap();
    Offered {
        alice,
        bob,
        sealer,
        offer,
    }
}

impl Offered {
    fn open(&self, offer: &SignedOffer) -> Result<OpenedOffer, OfferError> {
        let transfer = self.sealer.transfer();
        self.bob.open(&room(), offer, transfer, &self.alice)
    }

    fn refused(&self, edit: impl FnOnce(&mut Value)) -> OfferError {
        let forged = resigned(&self.offer, &self.alice.identity, edit);
        self.open(&forged).unwrap_err()
    }
}

#[test]
fn nothing_of_it_can_be_changed_by_the_relay() {
    let offered = offered();
    for part in 0..4 {
        for at in [0, 20, usize::MAX] {
            let mut forged = offered.offer.clone();
            let parts = [
                &mut forged.body,
                &mut forged.signature,
                &mut forged.mac,
                &mut forged.manifest,
            ];
            let bytes = &mut parts.into_iter().nth(part).unwrap().0;
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1;
            let expected = match part {
                3 => OfferError::ManifestHash,
                _ => OfferError::Mac,
            };
            assert_eq!(offered.open(&forged).unwrap_err(), expected);
        }
    }
    offered.open(&offered.offer).unwrap();
}

#[test]
fn a_stranger_to_the_room_cannot_make_one() {
    let offered = offered();
    let mut forged = offered.offer.clone();
    let guess = RoomSecret::generate().member_key();
    let parts: [&[u8]; 2] = [&forged.body.0, &forged.signature.0];
    forged.mac = Base64(guess.mac(CONTEXT, &parts).to_vec());
    assert_eq!(offered.open(&forged).unwrap_err(), OfferError::Mac);
}

#[test]
fn it_does_not_cross_into_another_room_of_the_same_people() {
    let offered = offered();
    let (transfer, other) = (offered.sealer.transfer(), RoomSecret::generate());
    let opened = offered
        .bob
        .open(&other, &offered.offer, transfer, &offered.alice);
    assert_eq!(opened.unwrap_err(), OfferError::Mac);
    // Nor when a member of both vouches for it anew.
    let mut forged = offered.offer.clone();
    let parts: [&[u8]; 2] = [&forged.body.0, &forged.signature.0];
    forged.mac = Base64(other.member_key().mac(CONTEXT, &parts).to_vec());
    let opened = offered.bob.open(&other, &forged, transfer, &offered.alice);
    assert_eq!(opened.unwrap_err(), OfferError::Wrap);
}

#[test]
fn a_member_cannot_make_one_in_the_name_of_another() {
    let offered = offered();
    let eve = Peer::new();
    let forged = resigned(&offered.offer, &eve.identity, |_| ());
    let error = offered.open(&forged).unwrap_err();
    assert_eq!(error, OfferError::Signature);
}

#[test]
fn the_relay_cannot_say_that_it_is_from_another() {
    let offered = offered();
    let eve = Peer::new();
    let transfer = offered.sealer.transfer();
    let opened = offered.bob.open(&room(), &offered.offer, transfer, &eve);
    let expected = OfferError::Sender {
        expected: eve.identity.id(),
        got: offered.alice.identity.id(),
    };
    assert_eq!(opened.unwrap_err(), expected);
}

#[test]
fn it_opens_for_nobody_that_it_is_not_for() {
    let offered = offered();
    let (carol, transfer) = (Peer::new(), offered.sealer.transfer());
    let opened = carol.open(&room(), &offered.offer, transfer, &offered.alice);
    let expected = OfferError::Recipient {
        expected: carol.identity.id(),
        got: offered.bob.identity.id(),
    };
    assert_eq!(opened.unwrap_err(), expected);
}

#[test]
fn it_cannot_be_passed_off_as_another_transfer() {
    let offered = offered();
    let other = TransferId::from_bytes([0; 16]);
    let opened = offered
        .bob
        .open(&room(), &offered.offer, other, &offered.alice);
    let expected = OfferError::Transfer {
        expected: other,
        got: offered.sealer.transfer(),
    };
    assert_eq!(opened.unwrap_err(), expected);
}

#[test]
fn it_is_taken_up_once_and_never_again() {
    let offered = offered();
    // Opened and turned down: it may come again.
    let turned_down = offered.open(&offered.offer).unwrap();
    let meanwhile = offered.open(&offered.offer).unwrap();
    meanwhile.claim().unwrap();
    let again = offered.open(&offered.offer).unwrap_err();
    assert_eq!(again, OfferError::Replayed);
    assert_eq!(turned_down.claim().unwrap_err(), OfferError::Replayed);
}

#[test]
fn it_does_not_open_for_a_listener_that_was_restarted() {
    let mut offered = offered();
    offered.open(&offered.offer).unwrap();
    offered.bob.keys = OpenKeys::generate();
    let again = offered.open(&offered.offer).unwrap_err();
    assert_eq!(again, OfferError::Wrap);
}

#[test]
fn it_opens_under_the_key_before_the_current_one_and_no_older() {
    let mut offered = offered();
    let transfer = offered.sealer.transfer();
    offered.bob.keys.rotate();
    offered.open(&offered.offer).unwrap().claim().unwrap();
    let again = offered.open(&offered.offer).unwrap_err();
    assert_eq!(again, OfferError::Replayed);
    offered.bob.keys.rotate();
    let late = offered
        .bob
        .open(&room(), &offered.offer, transfer, &offered.alice);
    assert_eq!(late.unwrap_err(), OfferError::Wrap);
}

#[test]
fn garbage_in_its_place_does_not_keep_it_out() {
    let offered = offered();
    let mut garbage = offered.offer.clone();
    garbage.manifest.0.clear();
    offered.open(&garbage).unwrap_err();
    offered.open(&offered.offer).unwrap();
}

#[test]
fn terms_that_are_unknown_here_are_refused_and_never_guessed() {
    let offered = offered();
    let suite = offered.refused(|header| header["suite"] = 3.into());
    assert_eq!(suite, OfferError::Suite(UnknownSuite { got: 3 }));
    let version = offered.refused(|header| header["v"] = 2.into());
    assert_eq!(version, OfferError::Version { got: 2 });
    let chunk = offered.refused(|header| header["chunk_size"] = 512.into());
    assert_eq!(chunk, OfferError::ChunkSize { got: 512 });
    let nobody = offered.refused(|header| header["recipients"] = 0.into());
    assert_eq!(nobody, OfferError::NoRecipients);
    let malformed = offered.refused(|header| header["suite"] = 256.into());
    assert_eq!(malformed, OfferError::Malformed);
    for name in ["key", "commitment", "encapsulated", "wrapped", "manifest"] {
        let error = offered.refused(|header| header[name] = "AAAA".into());
        assert!(matches!(error, OfferError::Field { got: 3, .. }), "{error}");
    }
}

#[test]
fn the_other_suite_opens_nothing() {
    let offered = offered();
    let other = 3 - offered.sealer.suite().byte();
    let error = offered.refused(|header| header["suite"] = other.into());
    assert_eq!(error, OfferError::Manifest);
}

#[test]
fn a_sender_cannot_wrap_another_key_than_it_commits_to() {
    let offered = offered();
    let other = sealer(&offered.alice, Suite::preferred(), 1);
    let context = wrap::WrapContext {
        room: room().room_id(),
        transfer: offered.sealer.transfer(),
        sender: offered.alice.identity.id(),
        recipient: offered.bob.identity.id(),
    };
    let to = offered.bob.bundle().hpke.unwrap();
    let (wrapped, _) = wrap::wrap(&to, &context, other.key.secret(), &mut SystemRng);
    let base64 = |bytes: Vec<u8>| serde_json::to_value(Base64(bytes)).unwrap();
    let error = offered.refused(|header| {
        header["encapsulated"] = base64(wrapped.encapsulated);
        header["wrapped"] = base64(wrapped.sealed);
    });
    assert_eq!(error, OfferError::Commitment);
}

#[test]
fn one_that_is_too_long_is_refused_before_it_is_read() {
    let offered = offered();
    for (part, len) in [("header", 8193), ("manifest", 16 * 1024 + 17)] {
        let mut long = offered.offer.clone();
        match part {
            "header" => long.body.0.resize(len, b' '),
            _ => long.manifest.0.resize(len, 0),
        }
        let error = offered.open(&long).unwrap_err();
        assert!(
            matches!(error, OfferError::TooLong { part: p, got, .. } if p == part && got == len)
        );
    }
}

#[test]
fn neither_name_nor_content_occurs_in_what_the_relay_sees() {
    let offered = offered();
    let content = b"distinctive content".repeat(10);
    let frames = seal(&offered.sealer, &head(None), &content, Compression::Never);
    let seen = serde_json::to_vec(&offered.offer).unwrap();
    for bytes in frames
        .iter()
        .chain([&seen, &offered.offer.body.0, &offered.offer.manifest.0])
    {
        for secret in ["distinctive name", "distinctive content"] {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{secret}");
        }
    }
}

#[test]
fn a_sender_cannot_lose_count_of_who_has_the_key() {
    let (alice, bob, carol) = (Peer::new(), Peer::new(), Peer::new());
    let sealer = sealer(&alice, Suite::preferred(), 1);
    sealer.offer_to(&bob.bundle()).unwrap();
    let (bob, carol) = (bob.bundle(), carol.bundle());
    let again = OfferToError::Again(bob.key.peer_id());
    assert_eq!(sealer.offer_to(&bob), Err(again));
    let expected = NonZeroU32::MIN;
    let too_many = OfferToError::TooMany { expected };
    assert_eq!(sealer.offer_to(&carol), Err(too_many));
    let deaf = Bundle {
        hpke: None,
        ..carol
    };
    let not_listening = OfferToError::NotListening(deaf.key.peer_id());
    assert_eq!(sealer.offer_to(&deaf), Err(not_listening));
}
