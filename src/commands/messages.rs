//! What the program says when something fails, in one table to be read at a sitting.
//!
//! `INSTA_UPDATE=always cargo test --lib commands::messages` writes it anew; read the diff aloud.

use std::{error::Error as StdError, io};

use super::{CommandError, context::rooms_error, join::enter_error, usage};
use crate::{
    home::{HomeError, ListenLockError, RoomName, RoomsError},
    identity::{Candidate, HostPortError, Invite, InviteError, ResolveError, RosterFull},
    protocol::{Code, DeclineReason, PeerId, SafeText},
    quic::{ConnectError, LinkError},
    storage::Filter,
    transfer::{EnterError, Error, ErrorKind},
};

const A: PeerId = PeerId::from_bytes([0xaa; 32]);
const B: PeerId = PeerId::from_bytes([0xbb; 32]);

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

#[derive(Default)]
struct Table(String);

impl Table {
    fn heading(&mut self, text: &str) {
        self.0.push_str(&format!("\n## {text}\n"));
    }

    fn line(&mut self, text: impl std::fmt::Display) {
        self.0.push_str(&format!("{text}\n"));
    }

    fn error(&mut self, error: impl StdError + Send + Sync + 'static) {
        self.line(format!("{:#}", Error::from_source(ErrorKind::Other, error)));
    }

    fn command(&mut self, error: &CommandError) {
        self.line(error.described());
    }
}

#[test]
fn every_message_reads_as_a_sentence() {
    let mut table = Table::default();
    let name: RoomName = "work".parse().unwrap();

    table.heading("What a code from the other side means");
    for code in Code::ALL {
        table.line(code);
    }

    table.heading("Entering a room");
    let invite = Invite::new(
        "relay.example:4433".parse().unwrap(),
        A,
        crate::identity::RoomSecret::from_bytes([1; 16]),
    );
    let address = || "relay.example:4433".to_owned();
    let closed = |code: Code| LinkError::Closed {
        code,
        reason: SafeText::new(code.reason()),
    };
    let unreachable = |reason: LinkError| {
        EnterError::Connect(ConnectError::Unreachable {
            address: address(),
            reason: reason.to_string(),
        })
    };
    for error in [
        EnterError::Connect(ConnectError::Resolve {
            host: "relay.example".into(),
            source: denied(),
        }),
        EnterError::Connect(ConnectError::Socket(denied())),
        unreachable(LinkError::TimedOut),
        unreachable(LinkError::Reset),
        unreachable(closed(Code::Busy)),
        EnterError::Connect(ConnectError::WrongKey {
            address: address(),
            expected: A,
            got: B,
        }),
        EnterError::NotAdmitted,
        EnterError::NoRelay,
        EnterError::TurnedAway(LinkError::TimedOut),
        EnterError::TurnedAway(closed(Code::Shutdown)),
    ] {
        table.command(&enter_error(error, &invite));
    }

    table.heading("Invites and rooms");
    for error in [
        InviteError::Scheme,
        InviteError::NoFingerprint,
        InviteError::NoSecret,
        InviteError::Relay(HostPortError::Port),
    ] {
        table.error(error);
    }
    for error in [
        RoomsError::Unknown(name.clone()),
        RoomsError::Default(name),
        RoomsError::Full,
    ] {
        table.command(&rooms_error(error));
    }
    table.error(ListenLockError::Held { pid: Some(4711) });
    table.error(HomeError::None);
    table.error(HomeError::Io {
        path: "/home/a".into(),
        source: denied(),
    });
    table.error(RosterFull);

    table.heading("Whom --to means");
    for error in [
        ResolveError::MistypedId {
            text: "k7m2qx".into(),
        },
        ResolveError::Ambiguous {
            text: "alice".into(),
            candidates: [A, B]
                .map(|id| Candidate {
                    id,
                    name: "alice".parse().ok(),
                })
                .into(),
        },
        ResolveError::KeyChanged {
            name: "alice".parse().unwrap(),
            pinned: A,
            got: B,
        },
    ] {
        table.error(error);
    }

    table.heading("Declined");
    for (reason, text) in [
        (
            DeclineReason::NotTrusted,
            "takes files from trusted peers only",
        ),
        (DeclineReason::Refused, "declined"),
    ] {
        table.line(Error::from_decline(reason, &SafeText::new(text)));
    }

    table.heading("Files and the command line");
    for path in ["/dev/null", "/nowhere/at/all"] {
        let failed = crate::storage::Source::new(&[path.into()], Filter::default());
        table.error(failed.unwrap_err());
    }
    table.error(Filter::new(&["[".into()], &[]).unwrap_err());
    table.command(&CommandError::output(io::ErrorKind::StorageFull.into()));
    table.line(usage::recipient_hint("p2p send --to alice f"));

    assert!(
        !table.0.contains('{') && !table.0.contains("Some("),
        "{}",
        table.0
    );
    insta::assert_snapshot!("messages", table.0);
}
