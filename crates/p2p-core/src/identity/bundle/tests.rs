use super::*;
use crate::identity::RoomSecret;

const NOW: u64 = 1_800_000_000;

fn made() -> (Identity, MemberKey, Bundle, SignedBundle) {
    let me = Identity::generate();
    let room = RoomSecret::from_bytes([1; 16]).member_key();
    let (_, hpke) = <hpke::kem::XWing as hpke::Kem>::derive_keypair(&[1; 32]);
    let bundle = Bundle {
        key: me.public_key(),
        name: "alice".parse().unwrap(),
        chosen: true,
        hpke: Some(HpkePublicKey::new(hpke)),
        direct: true,
        hard_links: true,
        expires_unix: NOW + BUNDLE_LIFETIME.as_secs(),
    };
    let signed = bundle.sign(&me, &room);
    (me, room, bundle, signed)
}

#[test]
fn a_bundle_of_an_earlier_version_takes_no_hard_links() {
    let json = r#"{"v":1,"key":"AAAA","name":"a","chosen":true,"expires":1}"#;
    assert!(!serde_json::from_str::<Body>(json).unwrap().hard_links);
}

#[test]
fn a_bundle_reads_back_for_members_and_for_the_relay() {
    let (me, room, bundle, signed) = made();
    assert_eq!(
        Bundle::verify(&signed, &room, me.id(), NOW).as_ref(),
        Ok(&bundle)
    );
    assert_eq!(Bundle::peek(&signed, me.id()).as_ref(), Ok(&bundle));
    assert!(signed.body.0.len() < BODY_MAX / 2);
}

#[test]
fn a_relay_cannot_add_a_ghost_or_change_a_member() {
    let (me, room, bundle, signed) = made();
    let verify = |signed: &SignedBundle| Bundle::verify(signed, &room, me.id(), NOW);
    let ghost = Identity::generate();
    let guess = RoomSecret::generate().member_key();
    let bundle = Bundle {
        key: ghost.public_key(),
        ..bundle
    };
    let forged = bundle.sign(&ghost, &guess);
    assert_eq!(
        Bundle::verify(&forged, &room, ghost.id(), NOW),
        Err(BundleError::Mac)
    );
    for part in 0..3 {
        let mut changed = signed.clone();
        let bytes = [&mut changed.body, &mut changed.signature, &mut changed.mac];
        bytes[part].0[7] ^= 1;
        assert_eq!(verify(&changed), Err(BundleError::Mac), "part {part}");
        let mut cut = signed.clone();
        let bytes = [&mut cut.body, &mut cut.signature, &mut cut.mac];
        bytes[part].0.pop();
        assert_eq!(verify(&cut), Err(BundleError::Mac), "part {part}");
    }
}

#[test]
fn a_member_cannot_speak_for_another() {
    let (me, room, bundle, signed) = made();
    let other = Identity::generate();
    assert_eq!(
        Bundle::verify(&signed, &room, other.id(), NOW),
        Err(BundleError::Peer {
            expected: other.id(),
            got: me.id()
        })
    );
    let signature = other.sign(CONTEXT, &signed.body.0);
    let forged = SignedBundle {
        signature: Base64(signature.to_vec()),
        mac: Base64(room.mac(CONTEXT, &[&signed.body.0, &signature]).to_vec()),
        ..bundle.sign(&me, &room)
    };
    assert_eq!(
        Bundle::verify(&forged, &room, me.id(), NOW),
        Err(BundleError::Signature)
    );
    assert_eq!(Bundle::peek(&forged, me.id()), Err(BundleError::Signature));
}

#[test]
fn an_old_bundle_is_void() {
    let (me, room, bundle, signed) = made();
    let at = |now| Bundle::verify(&signed, &room, me.id(), now);
    assert!(at(bundle.expires_unix - 1).is_ok());
    assert_eq!(
        at(bundle.expires_unix),
        Err(BundleError::Expired { late_secs: 0 })
    );
}

#[test]
fn a_bundle_from_far_ahead_is_not_believed() {
    let (me, room, bundle, signed) = made();
    let at = |now| Bundle::verify(&signed, &room, me.id(), now);
    let day = BUNDLE_LIFETIME.as_secs();
    assert!(at(bundle.expires_unix - 2 * day).is_ok());
    let twenty_years = 20 * 365 * day;
    let early = BundleError::Early {
        ahead_secs: twenty_years,
    };
    assert_eq!(at(bundle.expires_unix - day - twenty_years), Err(early));
}

#[test]
fn an_oversize_bundle_is_refused_before_it_is_read() {
    let (me, room, _, signed) = made();
    let mut long = signed;
    long.body.0.resize(BODY_MAX + 1, b' ');
    assert!(matches!(
        Bundle::verify(&long, &room, me.id(), NOW),
        Err(BundleError::TooLong { part: "body", .. })
    ));
}

#[test]
fn what_a_member_makes_wrongly_is_an_error_and_not_a_panic() {
    let (me, room, _, _) = made();
    let key = data_encoding::BASE64_NOPAD.encode(me.public_key().as_bytes());
    for (body, expected) in [
        ("{}".to_owned(), "malformed"),
        ("[".repeat(8000), "malformed"),
        (
            format!(r#"{{"v":2,"key":"{key}","name":"a","chosen":true,"expires":1}}"#),
            "version",
        ),
        (
            format!(r#"{{"v":1,"key":"{key}","name":"\u001b","chosen":true,"expires":1}}"#),
            "malformed",
        ),
        (
            r#"{"v":1,"key":"AAAA","name":"a","chosen":true,"expires":1}"#.to_owned(),
            "key",
        ),
        (
            format!(
                r#"{{"v":1,"key":"{key}","name":"a","chosen":true,"hpke":"AAAA","expires":{}}}"#,
                u64::MAX
            ),
            "hpke",
        ),
    ] {
        let signature = me.sign(CONTEXT, body.as_bytes());
        let signed = SignedBundle {
            mac: Base64(room.mac(CONTEXT, &[body.as_bytes(), &signature]).to_vec()),
            body: Base64(body.into_bytes()),
            signature: Base64(signature.to_vec()),
        };
        let error = Bundle::verify(&signed, &room, me.id(), NOW).unwrap_err();
        let got = match error {
            BundleError::Malformed => "malformed",
            BundleError::Version { got: 2 } => "version",
            BundleError::Key { got: 3 } => "key",
            BundleError::Hpke(HpkeKeyError { got: 3 }) => "hpke",
            _ => "else",
        };
        assert_eq!(got, expected, "{error}");
    }
}
