use super::*;

const A: PeerId = PeerId::from_bytes([0xaa; 32]);
const B: PeerId = PeerId::from_bytes([0xbb; 32]);

fn name(text: &str) -> PeerName {
    text.parse().unwrap()
}

fn present(peers: &[(PeerId, &str)]) -> Vec<Present> {
    let peer = |(id, text): &(PeerId, &str)| Present {
        id: *id,
        name: name(text),
    };
    peers.iter().map(peer).collect()
}

fn known(peers: &[(PeerId, &str, Origin)]) -> Roster {
    let mut known = Roster::default();
    for (id, text, origin) in peers {
        known.pin(&name(text), *id, *origin, 1).unwrap();
    }
    known
}

#[test]
fn a_whole_id_needs_nobody_to_be_there() {
    let found = resolve(&A.to_string(), &known(&[]), &[]).unwrap();
    assert_eq!((found.id, found.present, found.how), (A, false, How::Id));
    let found = resolve(&A.compact(), &known(&[]), &present(&[(A, "alice")])).unwrap();
    assert_eq!((found.name, found.present), (Some(name("alice")), true));
}

#[test]
fn a_mistyped_id_is_called_that() {
    let mut text = A.compact();
    text.replace_range(3..4, if &text[3..4] == "a" { "b" } else { "a" });
    assert!(matches!(
        resolve(&text, &known(&[]), &present(&[(A, "alice")])),
        Err(ResolveError::MistypedId { .. })
    ));
}

#[test]
fn a_name_in_the_room_means_its_only_bearer() {
    let room = present(&[(A, "alice"), (A, "alice"), (B, "bob")]);
    let found = resolve("alice", &known(&[]), &room).unwrap();
    assert_eq!((found.id, found.how), (A, How::PresentName));
}

#[test]
fn a_name_that_two_peers_bear_is_ambiguous_until_it_is_known() {
    let room = present(&[(A, "alice"), (B, "alice")]);
    let Err(ResolveError::Ambiguous { candidates, .. }) = resolve("alice", &known(&[]), &room)
    else {
        panic!("two peers of one name are not one peer");
    };
    assert_eq!(candidates.len(), 2);
    let pinned = known(&[(B, "alice", Origin::Seen)]);
    let found = resolve("alice", &pinned, &room).unwrap();
    assert_eq!((found.id, found.how), (B, How::KnownName));
}

#[test]
fn a_name_that_was_only_received_from_binds_nobody() {
    let seen = known(&[(A, "alice", Origin::Seen)]);
    let found = resolve("alice", &seen, &present(&[(B, "alice")])).unwrap();
    assert_eq!((found.id, found.how), (B, How::PresentName));
    let both = present(&[(A, "alice"), (B, "alice")]);
    assert_eq!(resolve("alice", &seen, &both).unwrap().id, A);
}

#[test]
fn a_known_name_that_another_key_bears_is_refused_with_both_ids() {
    let pinned = known(&[(A, "alice", Origin::SentTo)]);
    assert_eq!(
        resolve("alice", &pinned, &present(&[(B, "alice")])),
        Err(ResolveError::KeyChanged {
            name: name("alice"),
            pinned: A,
            got: B
        })
    );
    let renamed = present(&[(A, "alice 2"), (B, "alice")]);
    assert_eq!(resolve("alice", &pinned, &renamed).unwrap().id, A);
    let offline = resolve("alice", &pinned, &[]).unwrap();
    assert_eq!((offline.id, offline.present), (A, false));
}

fn by_id(text: &str) -> String {
    format!("id:{text}")
}

#[test]
fn the_beginning_of_an_id_is_marked_and_has_ten_characters() {
    let room = present(&[(A, "alice"), (B, "bob")]);
    let text = A.compact();
    for form in [by_id(&text[..10]), by_id(&text[..10]).to_uppercase()] {
        let found = resolve(&form, &known(&[]), &room).unwrap();
        assert_eq!((found.id, found.how), (A, How::Prefix));
    }
    let dashed = by_id(&A.to_string()[..12]);
    assert_eq!(resolve(&dashed, &known(&[]), &room).unwrap().id, A);
    let whole = by_id(&A.to_string());
    assert_eq!(resolve(&whole, &known(&[]), &[]).unwrap().how, How::Id);
    let short = by_id(&text[..9]);
    assert!(matches!(
        resolve(&short, &known(&[]), &room),
        Err(ResolveError::ShortPrefix { got: 9, .. })
    ));
    let absent = known(&[(A, "alice", Origin::Seen)]);
    assert_eq!(resolve(&by_id(&text[..10]), &absent, &[]).unwrap().id, A);
    assert!(matches!(
        resolve("id:2222222222", &absent, &room),
        Err(ResolveError::NoSuchId { .. })
    ));
    assert!(matches!(
        resolve(&text[..10], &known(&[]), &room),
        Err(ResolveError::NotFound {
            begins_id: true,
            ..
        })
    ));
}

#[test]
fn who_is_named_like_the_beginning_of_an_absent_ones_id_is_not_taken_for_it() {
    let text = A.compact();
    for length in [10, 20] {
        let room = present(&[(B, &text[..length])]);
        assert!(matches!(
            resolve(&by_id(&text[..length]), &known(&[]), &room),
            Err(ResolveError::NoSuchId { .. })
        ));
        let absent = known(&[(A, "alice", Origin::Seen)]);
        let found = resolve(&by_id(&text[..length]), &absent, &room).unwrap();
        assert_eq!((found.id, found.present), (A, false));
    }
}

#[test]
fn a_beginning_that_two_ids_share_is_ambiguous() {
    let mut bytes = [0xaa; 32];
    bytes[31] = 0;
    let twin = PeerId::from_bytes(bytes);
    let room = present(&[(A, "alice"), (twin, "eve")]);
    assert!(matches!(
        resolve(&by_id(&A.compact()[..12]), &known(&[]), &room),
        Err(ResolveError::Ambiguous { candidates, .. }) if candidates.len() == 2
    ));
}

#[test]
fn nobody_gets_what_is_for_another_by_a_name_like_its_id() {
    for len in [6, 10, 20] {
        let alike = &A.compact()[..len];
        // Whoever asks for the ID gets the peer of the ID, or nobody: alice is away.
        let room = present(&[(B, alike)]);
        let asked = resolve(&by_id(alike), &known(&[]), &room);
        assert!(asked.is_err(), "{asked:?}");
        // While she is here, or known, the bare text is too much like her ID to mean another.
        let here = present(&[(A, "alice"), (B, alike)]);
        let knows = known(&[(A, "alice", Origin::Seen)]);
        for (known, room) in [(known(&[]), &here), (knows, &room)] {
            let bare = resolve(alike, &known, room);
            assert!(
                matches!(bare, Err(ResolveError::Ambiguous { .. })),
                "{bare:?}"
            );
        }
    }
    let short = A.short();
    let room = present(&[(A, "alice"), (B, &short)]);
    let given = known(&[(B, &short, Origin::Added)]);
    assert_eq!(resolve(&short, &given, &room).unwrap().id, B);
    let itself = present(&[(A, &short)]);
    assert_eq!(resolve(&short, &known(&[]), &itself).unwrap().id, A);
}

#[test]
fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
    let room = present(&[(A, "alice"), (B, "bob")]);
    let nearest = |text| match resolve(text, &known(&[]), &room) {
        Err(ResolveError::NotFound { nearest, .. }) => nearest,
        other => panic!("{other:?}"),
    };
    assert_eq!(nearest("Alise"), Some(name("alice")));
    assert_eq!(nearest("zzz"), None);
    assert_eq!(nearest(""), None);
    assert_eq!(nearest("\u{1b}[2J"), None);
}
