//! Two ends, NATs and a network between them, in virtual time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// From one end to the other.
const DELAY: Duration = Duration::from_millis(20);

fn fresh_id() -> [u8; Probe::ID_LEN] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0; Probe::ID_LEN];
    id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What lets packets in, and how it calls the end behind it.
#[derive(Clone, Copy, PartialEq)]
enum Nat {
    /// None: a public address, which everybody reaches.
    Open,
    /// One address for all, and whoever knows it gets in.
    FullCone,
    /// One address for all; only from where something was sent does something get in.
    PortRestricted,
    /// An address for each destination.
    Symmetric,
    /// Nothing gets out.
    Closed,
}

struct End {
    nat: Nat,
    punch: Punch,
    inside: SocketAddr,
    outside: SocketAddr,
    /// To whom it has sent, and by which address they know it.
    mappings: Vec<(SocketAddr, SocketAddr)>,
}

impl End {
    fn new(me: PathEnd, nat: Nat, net: u8, now: Instant) -> Self {
        Self {
            nat,
            punch: Punch::new((me, Reach::Network), now, fresh_id),
            inside: SocketAddr::new([10, net, 0, 2].into(), 5_000),
            outside: SocketAddr::new([198, 51, 100, net].into(), 40_000),
            mappings: Vec::new(),
        }
    }

    /// What it names: its own address, and the one that the relay has seen.
    fn candidates(&self) -> Candidates {
        match self.nat {
            Nat::Open => Candidates::new([self.outside], Reach::Network),
            _ => Candidates::new([self.inside, self.outside], Reach::Network),
        }
    }

    /// By which address `to` sees this end.
    fn mapped(&mut self, to: SocketAddr) -> SocketAddr {
        if let Some((_, mapped)) = self.mappings.iter().find(|(known, _)| *known == to) {
            return *mapped;
        }
        let mut mapped = self.outside;
        if self.nat == Nat::Symmetric {
            let nth = u16::try_from(self.mappings.len()).unwrap();
            mapped.set_port(50_000 + 7 * nth);
        }
        self.mappings.push((to, mapped));
        mapped
    }

    /// Whether what `from` sends to `to` gets in.
    fn lets_in(&self, from: SocketAddr, to: SocketAddr) -> bool {
        match self.nat {
            Nat::Open | Nat::FullCone => to == self.outside,
            Nat::PortRestricted | Nat::Symmetric => self.mappings.contains(&(from, to)),
            Nat::Closed => false,
        }
    }
}

/// Runs both ends for six seconds; when and by which way the sender can connect.
fn run(nats: (Nat, Nat)) -> (Option<(Path, Duration)>, [End; 2]) {
    let begin = Instant::now();
    let mut ends = [
        End::new(PathEnd::Sender, nats.0, 1, begin),
        End::new(PathEnd::Recipient, nats.1, 2, begin),
    ];
    // The recipient hears first; its own candidates take a way through the relay.
    let named = ends[0].candidates();
    ends[1].punch.named(&named, begin);
    let reply = (begin + 2 * DELAY, ends[1].candidates());
    let mut replied = false;
    let mut flying: Vec<(Instant, usize, SocketAddr, SocketAddr, Probe)> = Vec::new();
    let mut now = begin;
    while now < begin + PATIENCE {
        if !replied && now >= reply.0 {
            replied = true;
            ends[0].punch.named(&reply.1, now);
        }
        let (arrived, rest) = flying.into_iter().partition(|flight| flight.0 <= now);
        flying = rest;
        let arrived: Vec<_> = arrived;
        for (_, end, from, to, probe) in arrived {
            if ends[end].lets_in(from, to) {
                ends[end].punch.received(&probe, from, now);
            }
        }
        for (index, end) in ends.iter_mut().enumerate() {
            while let Some((probe, to)) = end.punch.poll_transmit(now) {
                if end.nat == Nat::Closed {
                    continue;
                }
                let from = end.mapped(to);
                flying.push((now + DELAY, 1 - index, from, to, probe));
            }
        }
        if let Some(path) = ends[0].punch.path(now) {
            return (Some((path, now - begin)), ends);
        }
        now += Duration::from_millis(1);
    }
    (None, ends)
}

#[test]
fn the_pairs_of_nats_that_can_be_joined_are() {
    let nats = [
        (Nat::Open, "open"),
        (Nat::FullCone, "full cone"),
        (Nat::PortRestricted, "port-restricted"),
        (Nat::Symmetric, "symmetric"),
    ];
    for (a, a_name) in nats {
        for (b, b_name) in nats {
            let hard =
                |x, y| x == Nat::Symmetric && matches!(y, Nat::PortRestricted | Nat::Symmetric);
            let expected = !hard(a, b) && !hard(b, a);
            let (path, _) = run((a, b));
            assert_eq!(path.is_some(), expected, "{a_name} to {b_name}");
            if let Some((path, after)) = path {
                // Three round trips and a little: the message through the relay, and a ping that is
                // lost at a NAT.
                let limit = 6 * DELAY + Duration::from_millis(200);
                assert!(after <= limit, "{a_name} to {b_name} took {after:?}");
                assert!(path.rtt >= 2 * DELAY);
            }
        }
    }
}

#[test]
fn where_nothing_gets_out_there_is_no_way_and_an_end() {
    let (path, ends) = run((Nat::Open, Nat::Closed));
    assert_eq!(path, None);
    for end in ends {
        let late = end.punch.began + PATIENCE;
        assert!(end.punch.is_over(late));
        assert_eq!(end.punch.next_timeout(late), None);
    }
}

#[test]
fn a_hostile_list_gets_a_few_dozen_probes_and_no_more() {
    let now = Instant::now();
    let mut punch = Punch::new((PathEnd::Recipient, Reach::Network), now, fresh_id);
    for round in 0..20_u8 {
        let victims = (0..8).map(|n| SocketAddr::new([192, 0, 2, 8 * round + n].into(), 4_433));
        punch.named(&Candidates::new(victims, Reach::Network), now);
    }
    let mut sent = 0;
    for ms in 0..10_000 {
        while punch
            .poll_transmit(now + Duration::from_millis(ms))
            .is_some()
        {
            sent += 1;
        }
    }
    assert!(sent <= PROBES_MAX, "{sent} probes");
    assert_eq!(punch.targets.len(), ADDRESSES_MAX);
}

#[test]
fn a_flood_of_pings_is_not_answered_for_ever() {
    let now = Instant::now();
    let mut punch = Punch::new((PathEnd::Recipient, Reach::Network), now, fresh_id);
    for n in 0..10_000_u32 {
        let mut id = [0; Probe::ID_LEN];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let ping = Probe {
            kind: ProbeKind::Ping,
            from: PathEnd::Sender,
            id,
        };
        punch.received(&ping, address("192.0.2.1:4433"), now);
    }
    assert!(punch.outgoing.len() <= PROBES_MAX);
}

#[test]
fn only_the_answer_to_a_ping_from_where_it_went_opens_a_way() {
    let now = Instant::now();
    let mut punch = Punch::new((PathEnd::Sender, Reach::Network), now, fresh_id);
    let there = address("192.0.2.1:4433");
    punch.named(&Candidates::new([there], Reach::Network), now);
    let (ping, to) = punch.poll_transmit(now).unwrap();
    assert_eq!(to, there);
    let pong = |id, from| Probe {
        kind: ProbeKind::Pong,
        from,
        id,
    };
    punch.received(&pong([0; Probe::ID_LEN], PathEnd::Recipient), there, now);
    punch.received(&pong(ping.id, PathEnd::Sender), there, now);
    assert!(punch.open.is_empty(), "made up, or reflected");
    punch.received(
        &pong(ping.id, PathEnd::Recipient),
        address("192.0.2.9:4433"),
        now,
    );
    assert!(punch.open.is_empty(), "from elsewhere");
    punch.received(&pong(ping.id, PathEnd::Recipient), there, now);
    assert!(punch.open.is_empty(), "every ping has one answer");
    let later = now + Duration::from_millis(30);
    let (ping, _) = punch.poll_transmit(later).unwrap();
    punch.received(&pong(ping.id, PathEnd::Recipient), there, later);
    assert_eq!(punch.path(later), None, "a better one may follow");
    let path = punch.path(later + GRACE).unwrap();
    assert_eq!(path.remote, there);
}

#[test]
fn the_local_network_goes_before_all_and_the_nearer_before_the_farther() {
    let path = |text, ms| Path {
        remote: address(text),
        rtt: Duration::from_millis(ms),
    };
    let mut paths = [
        path("198.51.100.1:1", 1),
        path("[2001:db8::1]:1", 9),
        path("[2001:db8::2]:1", 8),
        path("192.168.1.5:1", 30),
    ];
    paths.sort_by_key(rank);
    let order = paths.map(|path| path.remote.ip().to_string());
    let wanted = ["192.168.1.5", "2001:db8::2", "2001:db8::1", "198.51.100.1"];
    assert_eq!(order, wanted);
}
