//! Rooms without a relay, whose members find each other on their LAN.

use std::process::Output;

use crate::common::{Lab, text};

/// What somebody runs without `--json`: exit code, standard output, standard error.
fn plain(lab: &Lab, who: &str, args: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = lab.command(who).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn an_invite_without_a_relay_is_made_joined_and_shown() {
    let lab = Lab::empty();
    let (code, invite, said) = plain(&lab, "alice", &["room", "new", "--lan"]);
    assert_eq!(code, 0, "{said}");
    let invite = invite.trim_end();
    assert!(invite.starts_with("p2p://lan#") && !invite.contains('\n'));
    let (code, out, said) = plain(&lab, "bob", &["join", invite, "--name", "bob"]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    assert!(said.contains("without a relay"), "{said}");
    let (code, saved, _) = plain(&lab, "bob", &["invite", "--qr"]);
    assert_eq!((code, saved.lines().next()), (0, Some(invite)));
    assert!(saved.lines().count() > 10, "a QR code");
    let mut rooms = lab.run("bob", ["rooms"]);
    rooms.expect(0);
    let room = rooms.wait_event("room");
    assert_eq!(
        (text(&room, "name"), text(&room, "relay")),
        ("lan".into(), "lan".into())
    );
    // A relay or none: one of them has to be said.
    for args in [&["room", "new"][..], &["room", "new", "--lan", "host:1/x"]] {
        assert_eq!(plain(&lab, "alice", args).0, 2, "{args:?}");
    }
    // And the room goes to nobody's relay.
    let (code, _, said) = plain(&lab, "alice", &["room", "new", invite]);
    assert_eq!(code, 2, "{said}");
    let secret = invite.split_once('#').unwrap().1;
    assert!(!said.contains(&secret[..12]), "{said}");
}
