use std::collections::HashSet;

use super::*;

const PEER: &str = "203.0.113.7:5000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What is guessed about a peer that names this address, and is seen at that one.
fn guess(own_hard: bool, (named, hard): (&str, bool), seen_at: &str) -> Option<Guess> {
    let named = Candidates::new([at(named)], Reach::Network).hard(hard);
    Guess::new(
        own_hard,
        (&named, at(seen_at)),
        (Instant::now(), 0x1234_5678),
    )
}

/// Everything that is sent, with when, if each timeout is met.
fn all(mut guess: Guess) -> Vec<(Duration, GuessSend)> {
    let (began, mut sent) = (guess.began, Vec::new());
    while let Some(now) = guess.next_timeout() {
        let before = sent.len();
        while let Some(send) = guess.poll_transmit(now) {
            sent.push((now - began, send));
        }
        assert!(sent.len() > before, "a timeout has a reason");
    }
    sent
}

#[test]
fn the_hard_end_opens_and_the_other_probes() {
    assert!(guess(false, (PEER, false), PEER).is_none(), "what for");
    let opens = all(guess(true, (PEER, false), PEER).unwrap());
    assert_eq!(opens.len(), ROUNDS.len());
    assert!(
        opens
            .iter()
            .all(|(_, send)| *send == GuessSend::FromMany(at(PEER)))
    );
    let probes = all(guess(false, (PEER, true), PEER).unwrap());
    let ports: HashSet<u16> = probes
        .iter()
        .map(|(_, send)| match send {
            GuessSend::Port(to) => {
                assert_eq!(to.ip(), at(PEER).ip());
                assert!(to.port() >= 1024);
                to.port()
            }
            GuessSend::FromMany(_) => panic!("this end has one socket"),
        })
        .collect();
    assert_eq!(ports.len(), 2_048, "each once");
    // Both may be hard, or seem to be.
    let both = all(guess(true, (PEER, true), PEER).unwrap());
    assert_eq!(both.len(), opens.len() + probes.len());
}

#[test]
fn no_more_go_out_in_any_second_than_the_rate_and_none_at_once() {
    let now = Instant::now();
    let mut guess = guess(false, (PEER, true), PEER).unwrap();
    assert!(guess.poll_transmit(now + AFTER / 2).is_none());
    let sent = all(guess);
    for (from, _) in &sent {
        let within = sent
            .iter()
            .filter(|(at, _)| *at >= *from && *at < *from + Duration::from_secs(1));
        assert!(within.count() <= RATE as usize + 8);
    }
}

#[test]
fn only_what_both_the_peer_and_the_relay_say_is_guessed_at() {
    for (named, seen_at) in [
        // A member that names somebody else, or a relay that does.
        ("203.0.113.9:5000", PEER),
        (PEER, "203.0.113.9:5000"),
        // Both, of what is nobody's.
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("224.0.0.251:5353", "224.0.0.251:5353"),
    ] {
        for own_hard in [false, true] {
            let guess = guess(own_hard, (named, true), seen_at);
            assert!(guess.is_none(), "{named}, {seen_at}");
        }
    }
    // A socket of both families reports it so.
    assert!(guess(true, (PEER, true), "[::ffff:203.0.113.7]:5000").is_some());
}

/// How many of `runs` searches find one of the ports, and how many probes the slowest of those took.
fn found(runs: u32, ports: impl Fn(u32) -> HashSet<u16>) -> (u32, usize) {
    let (mut found, mut slowest) = (0, 0);
    for run in 0..runs {
        let ports = ports(run);
        let named = Candidates::new([at(PEER)], Reach::Network).hard(true);
        let start = (Instant::now(), run.wrapping_mul(2_654_435_761));
        let guess = Guess::new(false, (&named, at(PEER)), start).unwrap();
        let hit = all(guess).into_iter().position(
            |(_, send)| matches!(send, GuessSend::Port(to) if ports.contains(&to.port())),
        );
        if let Some(hit) = hit {
            (found, slowest) = (found + 1, slowest.max(hit));
        }
    }
    (found, slowest)
}

#[test]
fn ports_at_random_are_found_and_ports_in_a_row_at_once() {
    let at_random = |run: u32| {
        let mut random = blake3::Hasher::new()
            .update(&run.to_le_bytes())
            .finalize_xof();
        let mut ports = HashSet::new();
        while ports.len() < GUESS_SOCKETS {
            let mut bytes = [0; 2];
            random.fill(&mut bytes);
            let port = u16::from_le_bytes(bytes);
            if port >= 1024 {
                ports.insert(port);
            }
        }
        ports
    };
    let (found_at_random, _) = found(300, at_random);
    assert!(found_at_random >= 298, "{found_at_random} of 300");
    let in_a_row = |run: u32| (0..256).map(|n| (20_000 + 100 * run + n) as u16).collect();
    let (found_in_a_row, slowest) = found(300, in_a_row);
    assert_eq!(found_in_a_row, 300);
    assert!(slowest < RATE as usize, "{slowest} probes");
}
