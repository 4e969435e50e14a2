//! The ring by itself, where a promise is about what it decides and not about what comes out.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    super::{
        fetch::{Fetch, Source},
        ring::{Admit, NextWrite, Ring},
    },
    *,
};

impl PartialEq for Admit {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Grace(a), Self::Grace(b)) | (Self::AfterSpool(a), Self::AfterSpool(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// A ring, the clock that it is told, and what it is asked to do.
struct Bench {
    ring: Ring,
    now: Instant,
}

impl Bench {
    fn new(relay: &Relay, recipients: usize) -> Self {
        let now = Instant::now();
        Self {
            ring: Ring::new(recipients, &relay.config, &relay.budget.share(), now),
            now,
        }
    }

    /// Fills blocks for as long as the ring admits them, and gives the answer that ended it.
    fn fill(&mut self) -> Admit {
        loop {
            match self.ring.admit(self.now, |_| None) {
                Admit::Block(block) => {
                    let piece = vec![0; block.charge.bytes()].into();
                    self.ring.push(block.charge.attach(piece));
                }
                other => return other,
            }
        }
    }

    /// Lets one recipient take what is in memory for it, up to so many bytes.
    fn drain(&mut self, slot: usize, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            let Fetch::Bytes(Source::Memory(piece), None) = self.ring.fetch(slot) else {
                break;
            };
            let len: usize = piece.len().min(left);
            self.ring.advance(slot, len, self.now);
            left -= len;
        }
    }

    /// Lets all recipients take everything, many times over.
    fn warm_up(&mut self) {
        for _ in 0..8 {
            self.fill();
            for slot in 0..2 {
                self.drain(slot, usize::MAX);
            }
        }
    }

    /// Fills while the first recipient drains, until that needs a decision about the others.
    fn run_ahead(&mut self) -> Admit {
        loop {
            self.drain(0, usize::MAX);
            match self.fill() {
                Admit::AfterLead | Admit::AfterMemory => {}
                other => return other,
            }
        }
    }
}

#[test]
fn a_recipient_that_is_a_little_behind_is_nobodys_problem_while_the_first_has_enough() {
    let relay = Relay::new();
    let mut bench = Bench::new(&relay, 3);
    assert_eq!(bench.fill(), Admit::AfterLead);
    bench.drain(0, relay.config.window * 3 / 8);
    bench.drain(1, 1);
    assert_eq!(bench.fill(), Admit::AfterLead);
    bench.drain(0, relay.config.window / 4);
    assert!(matches!(bench.fill(), Admit::AfterSpool(_)));
}

#[test]
fn only_who_moves_and_is_near_is_waited_for() {
    let relay = Relay::new();
    for (warm, pause, waited_for) in [(false, 0, false), (true, 0, true), (true, 11, false)] {
        let mut bench = Bench::new(&relay, 2);
        if warm {
            bench.warm_up();
        }
        bench.fill();
        bench.drain(1, 1);
        bench.now += Duration::from_millis(pause);
        let answer = bench.run_ahead();
        assert_eq!(matches!(answer, Admit::Grace(_)), waited_for, "{answer:?}");
    }
}

#[tokio::test]
async fn who_has_caught_up_is_waited_for_again_and_who_has_not_is_not() {
    for catches_up in [true, false] {
        let relay = Relay::new();
        let mut bench = Bench::new(&relay, 2);
        bench.warm_up();
        bench.now += Duration::from_secs(1);
        assert!(matches!(bench.run_ahead(), Admit::AfterSpool(_)));
        let NextWrite::Write(write) = bench.ring.next_write() else {
            panic!("memory is short")
        };
        bench.ring.written(write.run().await.unwrap());

        let mut spooled = 0;
        while let Fetch::Bytes(Source::Spool(read), None) = bench.ring.fetch(1) {
            let piece: Bytes = read.run(usize::MAX).await.unwrap();
            bench.ring.advance(1, piece.len(), bench.now);
            spooled += piece.len();
        }
        assert!(spooled >= MIB);
        bench.drain(1, if catches_up { usize::MAX } else { MIB });
        let answer = bench.run_ahead();
        assert_eq!(matches!(answer, Admit::Grace(_)), catches_up, "{answer:?}");
    }
}

#[test]
fn who_looks_at_memory_while_it_is_full_does_not_keep_it_full() {
    // So little memory that everything in it counts as near.
    let relay = Relay::with_budget(Budget::new(0, u64::MAX));
    let mut bench = Bench::new(&relay, 2);
    bench.warm_up();
    bench.now += Duration::from_secs(1);
    assert!(matches!(bench.run_ahead(), Admit::AfterSpool(_)));
    assert!(matches!(
        bench.ring.fetch(1),
        Fetch::Bytes(Source::Memory(_), None)
    ));
    assert!(matches!(bench.ring.next_write(), NextWrite::Write(_)));
}

#[test]
fn pieces_are_slices_of_what_came_in() {
    let relay = Relay::new();
    let Bench { mut ring, now } = Bench::new(&relay, 2);
    let Admit::Block(block) = ring.admit(now, |_| None) else {
        panic!("the first block is always there")
    };
    let piece = Bytes::from(vec![1; block.charge.bytes()]);
    let at = piece.as_ptr();
    ring.push(piece);
    for slot in 0..2 {
        let Fetch::Bytes(Source::Memory(got), None) = ring.fetch(slot) else {
            panic!("it is in memory")
        };
        assert_eq!(got.as_ptr(), at);
    }
}
