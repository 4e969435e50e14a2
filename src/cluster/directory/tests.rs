//! What the directory says, and in which order.

use super::*;

fn directory() -> Directory {
    let key = ClusterKey::new(Identity::generate());
    let name = "here".parse().unwrap();
    Directory::new(key, Identity::generate(), name, Vec::new())
}

fn beat(node: &Identity) -> RelayBeat {
    RelayBeat {
        node: NodeId(node.id()),
        name: "there".parse().unwrap(),
        instance: Instance::random(),
        public: vec!["h:1".parse().unwrap()],
        trunk: ([127, 0, 0, 1], 5).into(),
        draining: false,
        load: Load::default(),
    }
}

const ROOM: RoomId = RoomId::from_bytes([1; 32]);

#[tokio::test]
async fn a_room_is_shared_while_it_is_open_here_and_its_relay_is_up() {
    let directory = directory();
    let there = beat(&Identity::generate());
    let instance = there.instance;
    let mut events = directory.subscribe();
    let empty = Picture::default();
    assert_eq!(events.next().await, DirectoryEvent::Picture(empty.clone()));
    // Neither known nor open.
    directory.room_shared(ROOM, instance);
    assert!(directory.relay_up(there.clone()));
    directory.room_shared(ROOM, instance);
    assert_eq!(events.next().await, DirectoryEvent::RelayUp(there.clone()));
    directory.room_opened(ROOM);
    directory.room_shared(ROOM, instance);
    directory.room_shared(ROOM, instance);
    let (room, load) = (ROOM, Load::default());
    let shared = DirectoryEvent::RoomShared { room, instance };
    let left = DirectoryEvent::RoomLeft { room, instance };
    assert_eq!(events.next().await, shared);
    // How busy it is is no event.
    directory.relay_up(RelayBeat { load, ..there });
    directory.room_closed(ROOM);
    assert_eq!(events.next().await, left);
    directory.room_opened(ROOM);
    directory.room_shared(ROOM, instance);
    assert_eq!(events.next().await, shared);
    directory.relay_gone(instance);
    assert_eq!(events.next().await, left);
    assert_eq!(events.next().await, DirectoryEvent::RelayGone(instance));
    assert_eq!(directory.picture(), empty);
}

#[tokio::test]
async fn a_node_that_was_started_again_replaces_its_earlier_run() {
    let directory = directory();
    let node = Identity::generate();
    let (first, second) = (beat(&node), beat(&node));
    directory.relay_up(first.clone());
    directory.relay_up(second.clone());
    let relays = directory.picture().relays;
    assert_eq!(relays.into_keys().collect::<Vec<_>>(), [second.instance]);
}

#[tokio::test]
async fn who_is_slow_is_told_what_is_so() {
    let directory = directory();
    let node = Identity::generate();
    let mut events = directory.subscribe();
    events.next().await;
    let there = beat(&node);
    for i in 0..=EVENTS {
        let draining = i % 2 == 0;
        let there = there.clone();
        directory.relay_up(RelayBeat { draining, ..there });
    }
    let picture = directory.picture();
    assert_eq!(events.next().await, DirectoryEvent::Picture(picture));
    directory.relay_gone(there.instance);
    let gone = DirectoryEvent::RelayGone(there.instance);
    assert_eq!(events.next().await, gone);
}

#[test]
fn there_are_only_so_many_relays() {
    let directory = directory();
    for _ in 0..Directory::RELAYS_MAX {
        assert!(directory.relay_up(beat(&Identity::generate())));
    }
    assert!(!directory.relay_up(beat(&Identity::generate())));
}
