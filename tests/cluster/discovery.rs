//! Relays find each other and the rooms that they share.

use std::time::{Duration, Instant};

use p2p::{
    cluster::{Directory, DirectoryEvent, Instance},
    identity::Identity,
    protocol::RoomId,
};

use super::nats::{Nats, Node, cluster};

const ROOM: RoomId = RoomId::from_bytes([1; 32]);
const OTHER: RoomId = RoomId::from_bytes([2; 32]);

fn knows(instance: Instance) -> impl Fn(&Directory) -> bool {
    move |directory| directory.picture().relays.contains_key(&instance)
}

fn shares(room: RoomId, with: Vec<Instance>) -> impl Fn(&Directory) -> bool {
    move |directory| {
        let rooms = directory.picture().rooms;
        rooms.get(&room).into_iter().flatten().eq(&{
            let mut with = with.clone();
            with.sort();
            with
        })
    }
}

#[tokio::test]
async fn three_relays_find_each_other_and_the_rooms_they_share() {
    let Some(nats) = Nats::start() else { return };
    let key = cluster();
    let mut nodes: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| Node::start(&nats, &key, name))
        .collect();
    let instances: Vec<_> = nodes.iter().map(|it| it.directory.instance()).collect();
    for (i, node) in nodes.iter_mut().enumerate() {
        for (j, instance) in instances.iter().enumerate().filter(|(j, _)| i != *j) {
            node.wait_until(knows(*instance)).await;
            let beat = node.directory.picture().relays[instance].clone();
            assert_eq!(beat.name.as_str(), ["a", "b", "c"][j]);
            assert_eq!(beat.public.len(), 1);
        }
        assert_eq!(node.directory.places().len(), 3);
    }
    // Not who was there first, and whoever comes later.
    nodes[0].directory.room_opened(ROOM);
    nodes[1].directory.room_opened(ROOM);
    nodes[1].directory.room_opened(OTHER);
    nodes[0].wait_until(shares(ROOM, vec![instances[1]])).await;
    nodes[1].wait_until(shares(ROOM, vec![instances[0]])).await;
    nodes[2].directory.room_opened(ROOM);
    for (i, node) in nodes.iter_mut().enumerate() {
        let mut others = instances.clone();
        others.remove(i);
        node.wait_until(shares(ROOM, others)).await;
        assert!(!node.directory.picture().rooms.contains_key(&OTHER));
    }
    nodes[1].directory.room_closed(ROOM);
    nodes[0].wait_until(shares(ROOM, vec![instances[2]])).await;
    // A relay that is stopped says so: nobody waits until it is missed.
    let began = Instant::now();
    nodes[2].stop();
    nodes[0]
        .wait_for(|event| *event == DirectoryEvent::RelayGone(instances[2]))
        .await;
    assert!(nodes[0].directory.picture().rooms.is_empty());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(6), "missed, not told: {took:?}");
}

#[tokio::test]
async fn a_node_that_is_started_again_takes_the_place_of_its_earlier_run() {
    let Some(nats) = Nats::start() else { return };
    let key = cluster();
    let mut here = Node::start(&nats, &key, "here");
    here.directory.room_opened(ROOM);
    let identity = Identity::generate();
    let again = Identity::from_pkcs8(identity.pkcs8()).unwrap();
    let first = Node::of(&nats, &key, "there", identity);
    first.directory.room_opened(ROOM);
    let earlier = first.directory.instance();
    here.wait_until(shares(ROOM, vec![earlier])).await;
    // As after `kill -9`: the earlier run says nothing any more.
    std::mem::forget(first);
    let second = Node::of(&nats, &key, "there", again);
    second.directory.room_opened(ROOM);
    let instance = second.directory.instance();
    here.wait_until(|it| shares(ROOM, vec![instance])(it) && !knows(earlier)(it))
        .await;
}

#[tokio::test]
async fn while_nats_is_away_everything_stays_and_at_its_return_all_is_found_within_two_seconds() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let key = cluster();
    let (mut a, mut b) = (Node::start(&nats, &key, "a"), Node::start(&nats, &key, "b"));
    a.directory.room_opened(ROOM);
    b.directory.room_opened(ROOM);
    let (at_a, at_b) = (a.directory.instance(), b.directory.instance());
    a.wait_until(shares(ROOM, vec![at_b])).await;
    b.wait_until(shares(ROOM, vec![at_a])).await;
    nats.kill();
    // Longer than a relay may be silent; sixty seconds at full scale.
    tokio::time::sleep(Duration::from_secs(scale(8, 60))).await;
    assert!(!a.directory.is_connected() && !b.directory.is_connected());
    assert!(shares(ROOM, vec![at_b])(&a.directory));
    // What happens meanwhile is told afterwards.
    a.directory.room_opened(OTHER);
    b.directory.room_opened(OTHER);
    b.directory.room_closed(ROOM);
    nats.run();
    drop(nats.client().await);
    let back = Instant::now();
    a.wait_until(shares(OTHER, vec![at_b])).await;
    b.wait_until(shares(OTHER, vec![at_a])).await;
    let took = back.elapsed();
    eprintln!("discovery was back {took:?} after NATS");
    // Two seconds on a quiet machine; a slow one is given more.
    assert!(took < Duration::from_secs(scale(10, 2)), "{took:?}");
    assert!(a.directory.is_connected() && b.directory.is_connected());
    // A goodbye may have been said before the other was back: then nobody confirms the room.
    a.wait_until(shares(ROOM, vec![])).await;
}

/// `small`, and with `P2P_TEST_SCALE` at 100 the full measure.
fn scale(small: u64, full: u64) -> u64 {
    match std::env::var("P2P_TEST_SCALE").as_deref() {
        Ok("100") => full,
        _ => small,
    }
}
