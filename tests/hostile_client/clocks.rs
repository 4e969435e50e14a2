//! Bundles of other times, and machines whose clocks are wrong.

use std::{
    fs,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use p2p::protocol::{ClientToServer, ServerToClient};

use super::{
    common::{Lab, Proc, assert_same},
    wire::{self, Attacker},
};

const DAY: i64 = 24 * 60 * 60;

/// A member whose bundle expires so many seconds from now; what `p2p peers` says of it.
fn seen(expires_in: i64) -> (usize, String) {
    let (lab, _relay) = Lab::new();
    let invite = lab.invite().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let expires = now.as_secs().cast_signed() + expires_in;
    runtime.block_on(async {
        let attacker = Attacker::connect(&invite).await;
        let mut control = attacker.control().await;
        let mut bundle = wire::bundle(&attacker.identity);
        bundle.expires_unix = expires.cast_unsigned();
        control
            .say(&ClientToServer::Hello {
                room: invite.secret.room_id(),
                bundle: bundle.sign(&attacker.identity, &invite.secret.member_key()),
                listening: false,
            })
            .await;
        assert!(matches!(
            control.hear().await,
            ServerToClient::Welcome { .. }
        ));
        let seen = tokio::task::spawn_blocking(move || {
            let mut peers = lab.run("honest", ["peers"]);
            peers.expect(0);
            let of_attacker = |e: &serde_json::Value| e["name"] == "mallory";
            let listed = peers
                .events("peer")
                .iter()
                .filter(|e| of_attacker(e))
                .count();
            (listed, peers.stderr() + &peers.raw())
        });
        seen.await.unwrap()
    })
}

#[test]
fn a_bundle_holds_for_a_day_and_whose_clock_is_off_is_said() {
    let cases = [
        (DAY, 1, ""),
        // Clocks may differ by hours.
        (DAY / 2, 1, ""),
        (2 * DAY - 60, 1, ""),
        (
            -2 * DAY,
            0,
            "its clock is at least 2 days behind this machine's",
        ),
        (
            20 * 365 * DAY,
            0,
            "its clock is at least 19 years ahead of this machine's",
        ),
    ];
    std::thread::scope(|scope| {
        for (expires_in, listed, said) in cases {
            scope.spawn(move || {
                let (seen, output) = seen(expires_in);
                assert_eq!(seen, listed, "{expires_in} s: {output}");
                assert!(output.contains(said), "{expires_in} s: {output}");
            });
        }
    });
}

#[test]
fn a_listener_shows_itself_again_once_its_clock_is_set() {
    let library = Command::new("faketime")
        .args(["-f", "+0", "printenv", "LD_PRELOAD"])
        .output();
    let Some(library) = library.ok().filter(|output| output.status.success()) else {
        println!("skipped: there is no faketime here");
        return;
    };
    let (lab, _relay) = Lab::new();
    let clock = lab.folder().join("clock");
    fs::write(&clock, "-3d\n").unwrap();
    let mut command = lab.command("alice");
    // The wall clock is what the file says, at every look; time that passes is left alone.
    command
        .args(["--json", "listen", "--name", "alice", "--out"])
        .arg(lab.out("alice"))
        .env(
            "LD_PRELOAD",
            String::from_utf8(library.stdout).unwrap().trim(),
        )
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    let alice = Proc::start(command);
    alice.wait_event("joined");
    let file = lab.file("x.txt", 10);
    let mut early = lab.send("early", &["--to", "alice"], &[&file]);
    early.expect(5);
    let said = early.stderr() + &early.raw();
    assert!(
        said.contains("its clock is at least 2 days behind"),
        "{said}"
    );
    fs::write(&clock, "+0\n").unwrap();
    let mut late = lab.send("late", &["--to", "alice", "--wait", "30s"], &[&file]);
    late.expect(0);
    assert_same(&file, &lab.out("alice").join("x.txt"));
}
