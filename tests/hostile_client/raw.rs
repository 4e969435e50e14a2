//! Below the library: bytes that it would not send, through quinn itself.

use std::time::{Duration, Instant};

use p2p::{
    identity::Identity,
    protocol::{ALPN, CONTROL_MESSAGE_MAX, Code},
};

use super::{CUT_OFF, while_honest_peers_go_on, wire::Attacker};

/// Longer than the relay waits for the rest of a message.
const STALL: Duration = Duration::from_secs(25);

#[test]
fn another_protocol_is_refused_in_the_handshake() {
    while_honest_peers_go_on(|invite| async move {
        let others: [&[&[u8]]; 3] = [&[b"h3"], &[b"p2p/0", b"p2p/11"], &[]];
        for alpn in others {
            let refused = Attacker::try_connect(&invite, Identity::generate(), alpn).await;
            let Err(error) = refused.map(drop) else {
                panic!("connected by {alpn:?}")
            };
            // RFC 7301, section 3.2: no_application_protocol is alert 120.
            let quinn::ConnectionError::ConnectionClosed(close) = &error else {
                panic!("{error}")
            };
            assert_eq!(close.error_code, quinn::TransportErrorCode::crypto(120));
        }
        let ours = Attacker::try_connect(&invite, Identity::generate(), &[b"h3", ALPN]).await;
        assert!(ours.is_ok(), "only the name was wrong: {:?}", ours.err());
    });
}

#[test]
fn an_oversize_length_is_cut_off_before_and_after_hello() {
    while_honest_peers_go_on(|invite| async move {
        let just_over = u32::try_from(CONTROL_MESSAGE_MAX + 1).unwrap();
        for length in [just_over, u32::MAX] {
            for greeted in [false, true] {
                let attacker = Attacker::connect(&invite).await;
                let mut control = match greeted {
                    true => attacker.enter(&invite.secret, false).await,
                    false => attacker.control().await,
                };
                control.send.write_all(&length.to_be_bytes()).await.unwrap();
                assert_eq!(attacker.closed(CUT_OFF).await, Code::Protocol);
            }
        }
    });
}

#[test]
fn a_member_that_stalls_in_the_middle_of_a_message_is_cut_off_and_an_idle_one_is_not() {
    while_honest_peers_go_on(|invite| async move {
        let mut greeted = Vec::new();
        for _ in 0..3 {
            greeted.push(Attacker::member(&invite, false).await);
        }
        let start = Instant::now();
        let [idle, prefix, body] = greeted.as_mut_slice() else {
            unreachable!("three were made")
        };
        prefix.1.send.write_all(&[0, 0]).await.unwrap();
        body.1.send.write_all(&[0, 0, 1, 0, b'{']).await.unwrap();
        for (stalled, _) in [prefix, body] {
            assert_eq!(stalled.closed(STALL).await, Code::Timeout);
        }
        assert!(start.elapsed() < STALL);
        let ended = idle.0.connection.close_reason();
        assert!(ended.is_none(), "silence is no offence");
    });
}
