//! Members who take a listener's places, and keep them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use p2p::{
    identity::Identity,
    sealing::{JobId, Manifest},
};

use super::{
    common::{Lab, assert_same, scaled},
    listener::run,
    member::Mallory,
};

/// Where one transfer is enough there is one place: a member takes it and stands still, in the midst of a file.
/// In full, four members take all 64 places of a listener, and the whole queue for them.
#[test]
fn transfers_that_begin_and_stand_still_give_their_places_to_others() {
    let in_full = scaled(1, 2) > 1;
    if !in_full && std::env::var_os("P2P_TEST_SCALE").is_none() {
        println!("skipped: it takes 10 s, and P2P_TEST_SCALE is not set");
        return;
    }
    let (lab, _relay) = Lab::new();
    let options: &[&str] = if in_full { &[] } else { &["--once"] };
    let mut alice = lab.listen("alice", options);
    let (members, transfers) = if in_full { (4, 16) } else { (1, 1) };
    let took = run(async {
        let invite = lab.invite().parse().unwrap();
        let mut held = Vec::new();
        for _ in 0..members {
            let identity = Arc::new(Identity::generate());
            let mut mallory = Mallory::enter(&invite, &identity).await;
            for _ in 0..transfers {
                let manifest = Manifest::new(JobId::generate());
                held.push(mallory.begin_and_stand_still(&manifest).await);
            }
            for _ in 0..if in_full { 64 } else { 0 } {
                mallory.ask(&Manifest::new(JobId::generate())).await;
            }
            // It stays: what it has open is not closed by its end.
            std::mem::forget(mallory);
        }
        let sending = tokio::task::spawn_blocking(move || {
            let (file, start) = (lab.file("honest.bin", 100_000), Instant::now());
            let options = ["--to", "alice", "--timeout", "60s"];
            lab.send("honest", &options, &[&file]).expect(0);
            assert_same(&file, &lab.out("alice").join("honest.bin"));
            if !in_full {
                alice.expect(0);
            }
            start.elapsed()
        });
        sending.await.unwrap()
    });
    println!("an honest file came after {took:.1?}");
    // Ten seconds of standing still, a second or two until it is noticed, and until it is offered again.
    assert!(took < Duration::from_secs(40), "{took:?}");
}
