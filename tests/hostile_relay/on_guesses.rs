//! A relay and a member that together name an address of somebody else, to have its ports probed.
//!
//! It takes a public address, so it happens in a network namespace, whose loopback interface has one. Nobody
//! listens there, and the system counts what comes.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use p2p::protocol::{PeerMessage, ServerToClient};

use super::{
    on_paths::{Mallory, direct_peer},
    stage::Stage,
};

/// What both of them name.
const VICTIM: &str = "11.22.33.44:5000";
/// What the member alone names.
const OTHER: &str = "11.22.33.45:5000";
/// Probes of one search to an address that is named, and guesses of ports.
const PROBES: u64 = 60;
const GUESSES: u64 = 2_048;

/// Packets so far to UDP ports at which nobody listens.
fn unanswered() -> u64 {
    let text = fs::read_to_string("/proc/net/snmp").unwrap();
    let mut udp = text.lines().filter(|line| line.starts_with("Udp: "));
    let (names, values) = (udp.next().unwrap(), udp.next().unwrap());
    let at = names.split(' ').position(|name| name == "NoPorts").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

async fn reaches(count: u64) {
    let began = Instant::now();
    while unanswered() < count {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{}",
            unanswered()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_relay_and_a_member_together_have_few_ports_probed() {
    let inside = std::env::current_exe().unwrap();
    let script = "ip link set lo up && ip addr add 11.22.33.44/32 dev lo \
         && ip addr add 11.22.33.45/32 dev lo && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", script]);
    let can = Command::new("unshare").args(["-rn", "ip", "link"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!("skipped: no network namespace can be made here");
        return;
    }
    command.arg(inside);
    command.args([
        "--ignored",
        "--exact",
        "on_guesses::in_the_namespace",
        "--nocapture",
    ]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "runs in a network namespace, which the test above makes"]
async fn in_the_namespace() {
    let stage = Stage::new();
    stage.liar.on_messages(|_, message| match message {
        ServerToClient::Told {
            transfer,
            from,
            message: message @ PeerMessage::Path { .. },
            ..
        } => vec![
            ServerToClient::Told {
                transfer,
                from,
                message,
                at: Some(VICTIM.parse().unwrap()),
            };
            3
        ],
        message => vec![message],
    });
    let _bob = direct_peer(&stage, "bob").listen().await;
    // The relay alone gets nothing guessed: the member names another address.
    let mut alone = Mallory::accepted_as(&stage, "alone").await;
    alone
        .name_hard([OTHER.parse::<SocketAddr>().unwrap()])
        .await;
    alone.answered().await;
    reaches(8).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let so_far = unanswered();
    assert!(so_far <= PROBES, "{so_far}");
    println!("named by the member alone: {so_far} packets");
    drop(alone);
    let mut both = Mallory::accepted_as(&stage, "both").await;
    let before = unanswered();
    for _ in 0..10 {
        both.name_hard([VICTIM.parse::<SocketAddr>().unwrap()])
            .await;
    }
    both.answered().await;
    reaches(before + GUESSES).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let count = unanswered() - before;
    println!("named by both: {count} packets");
    // What is left of the first search besides.
    assert!(count <= GUESSES + 2 * PROBES, "{count}");
    if std::env::var_os("P2P_TEST_SCALE").is_none() {
        return;
    }
    // Another search, within 15 s of the first: no guesses.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = unanswered();
    both.name_hard([VICTIM.parse::<SocketAddr>().unwrap()])
        .await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let count = unanswered() - before;
    println!("named by both again, too soon: {count} packets");
    assert!(count <= 2 * PROBES, "{count}");
}
