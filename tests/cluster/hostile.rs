//! Whoever can write to NATS, and is no relay of the cluster.

use std::time::Duration;

use futures_util::StreamExt;
use p2p::{
    cluster::{Directory, Instance},
    protocol::RoomId,
};
use tokio::time::timeout;

use super::nats::{Nats, Node, PATIENCE, cluster};

const ROOM: RoomId = RoomId::from_bytes([1; 32]);

fn shared(directory: &Directory) -> Vec<Instance> {
    let rooms = directory.picture().rooms;
    rooms.get(&ROOM).into_iter().flatten().copied().collect()
}

#[tokio::test]
async fn relays_of_another_cluster_on_the_same_nats_are_not_found() {
    let Some(nats) = Nats::start() else { return };
    let (key, other) = (cluster(), cluster());
    let mut here = Node::start(&nats, &key, "here");
    let mut there = Node::start(&nats, &key, "there");
    let stranger = Node::start(&nats, &other, "stranger");
    for node in [&here, &there, &stranger] {
        node.directory.room_opened(ROOM);
    }
    // A stranger that knows what the cluster is called says there what it says in its own.
    let client = nats.client().await;
    let mut theirs = client
        .subscribe(format!("p2p1.{}.>", other.name()))
        .await
        .unwrap();
    let (of_other, of_key) = (other.name(), key.name());
    for _ in 0..4 {
        let message = timeout(PATIENCE, theirs.next()).await.unwrap().unwrap();
        let subject = message.subject.replace(&of_other, &of_key);
        client.publish(subject, message.payload).await.unwrap();
    }
    let (at_here, at_there) = (here.directory.instance(), there.directory.instance());
    here.wait_until(|it| shared(it) == [at_there]).await;
    there.wait_until(|it| shared(it) == [at_here]).await;
    assert_eq!(here.directory.picture().relays.len(), 1);
    assert_eq!(there.directory.picture().relays.len(), 1);
}

#[tokio::test]
async fn what_is_replayed_delayed_or_moved_to_another_room_changes_nothing() {
    let Some(nats) = Nats::start() else { return };
    let key = cluster();
    // Everything that is said, for later.
    let client = nats.client().await;
    let everything = format!("p2p1.{}.>", key.name());
    let mut tape = client.subscribe(everything).await.unwrap();
    client.flush().await.unwrap();
    let mut here = Node::start(&nats, &key, "here");
    let mut there = Node::start(&nats, &key, "there");
    here.directory.room_opened(ROOM);
    there.directory.room_opened(ROOM);
    let (at_here, at_there) = (here.directory.instance(), there.directory.instance());
    here.wait_until(|it| shared(it) == [at_there]).await;
    there.wait_until(|it| shared(it) == [at_here]).await;
    there.directory.room_closed(ROOM);
    here.wait_until(|it| shared(it).is_empty()).await;
    there.stop();
    here.wait_until(|it| it.picture().relays.is_empty()).await;
    let mut recorded = Vec::new();
    while let Ok(message) = timeout(Duration::from_millis(300), tape.next()).await {
        recorded.push(message.unwrap());
    }
    assert!(recorded.len() >= 6, "{}", recorded.len());
    drop(tape);
    // Beats and hellos of a relay that is gone, one byte changed, and in other places.
    let room = format!("p2p1.{}.room.{}", key.name(), key.room_key(ROOM));
    // The first words last: they said that the relay is there.
    for message in recorded.iter().chain(recorded.iter().rev()) {
        let mut changed = message.payload.to_vec();
        let last = changed.len() - 2;
        changed[last] ^= 1;
        for (subject, content) in [
            (message.subject.to_string(), message.payload.to_vec()),
            (message.subject.to_string(), changed),
            (room.clone(), message.payload.to_vec()),
            (
                format!("p2p1.{}.ctl.{at_here}", key.name()),
                message.payload.to_vec(),
            ),
        ] {
            client.publish(subject, content.into()).await.unwrap();
        }
    }
    // Whoever comes now is found behind all of that.
    let late = Node::start(&nats, &key, "late");
    late.directory.room_opened(ROOM);
    let at_late = late.directory.instance();
    here.wait_until(|it| shared(it) == [at_late]).await;
    let relays = here.directory.picture().relays;
    assert_eq!(relays.into_keys().collect::<Vec<_>>(), [at_late]);
}

#[tokio::test]
async fn a_flood_of_garbage_keeps_nobody_from_being_found() {
    let Some(nats) = Nats::start() else { return };
    let key = cluster();
    let mut here = Node::start(&nats, &key, "here");
    here.directory.room_opened(ROOM);
    let flood = {
        let client = nats.client().await;
        let name = key.name();
        let room = key.room_key(ROOM);
        let at_here = here.directory.instance();
        tokio::spawn(async move {
            let garbage: Vec<Vec<u8>> = vec![
                vec![],
                vec![0; 97],
                vec![b'{'; 600],
                vec![0xff; 5000],
                vec![7; 900_000],
            ];
            let subjects = [
                format!("p2p1.{name}.beat"),
                format!("p2p1.{name}.room.{room}"),
                format!("p2p1.{name}.ctl.{at_here}"),
            ];
            for round in 0.. {
                for subject in &subjects {
                    // Mostly small ones: many, rather than large.
                    let which = if round % 200 == 0 { 4 } else { round % 4 };
                    let content = garbage[which].clone();
                    let _ = client.publish(subject.clone(), content.into()).await;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let there = Node::start(&nats, &key, "there");
    there.directory.room_opened(ROOM);
    let at_there = there.directory.instance();
    here.wait_until(|it| shared(it) == [at_there]).await;
    assert!(!flood.is_finished());
    flood.abort();
    assert_eq!(here.directory.picture().relays.len(), 1);
}
