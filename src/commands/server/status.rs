//! `p2p server status`: how the relay is that runs under this home.

use std::{collections::HashMap, fmt::Write, time::Duration};

use crate::{
    commands::{CommandError, cli::StatusArgs, context::Context, output, signal::Signals},
    display::{bytes, counted, duration, rate},
    operation::{AdminError, ask_status},
    protocol::PeerId,
    relay::{ClusterStatus, PeerStatus, RelayStatus, TrunkStatus},
    transfer::ErrorKind,
};

/// Between two looks, which rates are made of.
const INTERVAL: Duration = Duration::from_secs(1);

/// Bytes that every connection had carried: received, sent.
type Before = HashMap<(PeerId, String), (u64, u64)>;

pub(super) fn run(context: &Context, args: &StatusArgs) -> Result<u8, CommandError> {
    context.block_on(look(context, args))?
}

async fn look(context: &Context, args: &StatusArgs) -> Result<u8, CommandError> {
    let signals = Signals::listen();
    let stop = signals.token();
    let path = context.home()?.relay_socket();
    let ask = || async {
        ask_status(&path).await.map_err(|error| match error {
            AdminError::None => {
                CommandError::new(ErrorKind::Unreachable, "no relay runs under this home").hint(
                    "name its home with --home, as `p2p --home /var/lib/p2p-server server status`",
                )
            }
            AdminError::Denied => CommandError::other(format!(
                "{}: only root and the relay's own user may read it",
                path.display()
            )),
            error => CommandError::caused("cannot ask the relay", error),
        })
    };
    let mut before = traffic(&ask().await?);
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return Ok(signals.exit_code().unwrap_or_default()),
        }
        let status = ask().await?;
        if context.global.json {
            output::json(&json(&status, &before)?)?;
        } else {
            let text = text(&status, &before);
            match args.watch {
                true => output::screen(&text)?,
                false => output::line(text.trim_end())?,
            }
        }
        if !args.watch {
            return Ok(0);
        }
        before = traffic(&status);
    }
}

fn key(peer: &PeerStatus) -> (PeerId, String) {
    (peer.id, peer.address.to_string())
}

fn traffic(status: &RelayStatus) -> Before {
    let peers = status.rooms.iter().flat_map(|room| &room.peers);
    peers
        .map(|peer| (key(peer), (peer.received, peer.sent)))
        .collect()
}

/// Bytes a second: received, sent.
fn rates(peer: &PeerStatus, before: &Before) -> (u64, u64) {
    let (received, sent) = before.get(&key(peer)).copied().unwrap_or_default();
    let per_second = |now: u64, before: u64| now.saturating_sub(before) / INTERVAL.as_secs();
    (
        per_second(peer.received, received),
        per_second(peer.sent, sent),
    )
}

/// The relay's answer, with rates.
fn json(status: &RelayStatus, before: &Before) -> Result<serde_json::Value, CommandError> {
    let mut value = serde_json::to_value(status).map_err(CommandError::other)?;
    value["event"] = "status".into();
    for (room, shown) in status.rooms.iter().zip(list(&mut value["rooms"])) {
        for (peer, shown) in room.peers.iter().zip(list(&mut shown["peers"])) {
            let (received, sent) = rates(peer, before);
            shown["received_per_second"] = received.into();
            shown["sent_per_second"] = sent.into();
        }
    }
    Ok(value)
}

fn list(value: &mut serde_json::Value) -> impl Iterator<Item = &mut serde_json::Value> {
    value.as_array_mut().into_iter().flatten()
}

fn of_a_second(bytes: u64) -> String {
    rate(bytes, Duration::from_secs(1))
}

/// As much of an ID as `--to` takes behind `id:`.
fn short(id: PeerId) -> String {
    let mut text = id.compact();
    text.truncate(12);
    text
}

fn number(of: usize, noun: &str) -> String {
    counted(of as u64, noun)
}

/// The other relays, and whether there is a connection to each.
fn cluster_text(cluster: &ClusterStatus, trunks: &[TrunkStatus]) -> String {
    let nats = match cluster.nats {
        true => "NATS connected",
        false => "NATS not connected: relays that start are not found",
    };
    let mut text = format!(
        "\nnode {} of a cluster, {} other relays; {nats}\n",
        cluster.name,
        cluster.relays.len()
    );
    for relay in &cluster.relays {
        let trunk = trunks.iter().find(|it| it.name == relay.name.as_str());
        let state = match (trunk, relay.draining) {
            (_, true) => "draining".to_owned(),
            (Some(trunk), _) => format!("{} rooms, {:.1} ms", trunk.rooms, trunk.rtt_ms),
            (None, _) => "no room in common".to_owned(),
        };
        let _ = writeln!(
            text,
            "{:<20} {:>6} of {:<6} connections  {state:<24} {}",
            relay.name.as_str(),
            relay.connections,
            relay.connections_max,
            relay.public.join(", ")
        );
    }
    text
}

fn text(status: &RelayStatus, before: &Before) -> String {
    let peers = status.rooms.iter().flat_map(|room| &room.peers);
    let (mut received, mut sent) = (0, 0);
    for peer in peers.clone() {
        let (more_received, more_sent) = rates(peer, before);
        received += more_received;
        sent += more_sent;
    }
    let transfers: usize = status.rooms.iter().map(|room| room.transfers).sum();
    let state = match status.draining {
        true => ", draining",
        false => "",
    };
    let mut text = format!(
        "p2p {}, up {}{state}\n\
         {} of {} in {}, {}, {}; in {}, out {}\n\
         memory {} of {}, spool {} of {}\n",
        status.version,
        duration(Duration::from_secs(status.uptime_secs)),
        peers.count(),
        number(status.max_peers, "connection"),
        number(status.rooms.len(), "room"),
        number(transfers, "transfer"),
        counted(status.files_active, "file"),
        of_a_second(received),
        of_a_second(sent),
        bytes(status.memory_used),
        bytes(status.memory_limit),
        bytes(status.spool_used),
        bytes(status.spool_limit),
    );
    if let Some(cluster) = &status.cluster {
        text += &cluster_text(cluster, &status.trunks);
    }
    for room in &status.rooms {
        let _ = write!(
            text,
            "\nroom {}: {}, {}\n{:<13} {:<9} {:<6} {:>8} {:>8} {:>12} {:>12}  from\n",
            room.room,
            number(room.peers.len(), "connection"),
            number(room.transfers, "transfer"),
            "peer",
            "state",
            "road",
            "for",
            "rtt",
            "in",
            "out"
        );
        for peer in &room.peers {
            let (received, sent) = rates(peer, before);
            let _ = writeln!(
                text,
                "{:<13} {:<9} {:<6} {:>8} {:>5.1} ms {:>12} {:>12}  {}",
                short(peer.id),
                peer.state.as_str(),
                peer.road.as_str(),
                duration(Duration::from_secs(peer.since_secs)),
                peer.rtt_ms,
                of_a_second(received),
                of_a_second(sent),
                peer.address
            );
        }
    }
    text
}
