//! A relay with very many listeners that have nothing to do.

use std::{
    process::Command,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use p2p::{
    identity::{BUNDLE_LIFETIME, Identity, Name},
    quic::{Roads, Tuning},
    sealing::OpenKeys,
    transfer::Member,
};

use super::{
    machine::{Lines, resident},
    settings::{row, scaled},
    world::World,
};

/// How long the relay is watched: several rounds of keep-alives.
const WATCHED: Duration = Duration::from_secs(24);

/// Memory for each listener, and processor time while nothing happens.
pub fn idle() {
    let peers = scaled(1000);
    let world = World::new(None);
    let before = resident(world.relay.pid());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["idle-peers", &peers.to_string()])
        .env("P2P_SERVER", world.invite());
    let mut crowd = Lines::spawn(command);
    assert_eq!(crowd.line(), "all here");
    sleep(Duration::from_secs(2));
    let start = Instant::now();
    let usage = world.relay.usage();
    sleep(WATCHED);
    let share = world.relay.usage().since(&usage).cpu / start.elapsed().as_secs_f64();
    let each = (resident(world.relay.pid()) - before) / peers;
    row(
        &format!("relay's memory for each of {peers} idle listeners"),
        &format!("{:.1} KiB", each as f64 / 1024.0),
        "<64 KiB",
        each < 64 * 1024,
        "",
    );
    row(
        &format!("relay's processor time with {peers} idle listeners"),
        &format!("{:.2} %", share * 100.0),
        "<1 %",
        share < 0.01,
        "of one core",
    );
}

/// Connects so many listeners, each with its own key, and keeps them.
pub fn play(args: &[String]) {
    let peers: usize = args[0].parse().unwrap();
    raise_file_limit();
    let invite: p2p::identity::Invite = std::env::var("P2P_SERVER").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut connections = Vec::new();
        for number in 0..peers {
            let member = Member {
                identity: Arc::new(Identity::generate()),
                name: Name {
                    name: format!("idle{number}").parse().unwrap(),
                    chosen: true,
                },
                invite: invite.clone(),
                tuning: Tuning::from_env(),
                roads: Roads::default(),
                road_notes: None,
                lan: None,
                bundle_lifetime: BUNDLE_LIFETIME,
            };
            let keys = OpenKeys::generate();
            let hpke = keys.current().public().clone();
            connections.push(member.enter(Some(hpke)).await.unwrap());
        }
        println!("all here");
        for connection in &connections {
            connection.ended().await;
        }
    });
}

/// Every peer has a socket.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
