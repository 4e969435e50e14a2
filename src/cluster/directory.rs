//! Which relays are up, and which rooms they share with this one.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, broadcast};

use super::{
    ClusterKey, DirectoryEvent, Instance, Load, NodeId, NodeName, NodeToken, Picture, RelayBeat,
};
use crate::{
    identity::{HostPort, Identity, PublicKey},
    protocol::RoomId,
};

/// The directory of one relay: what it knows of the others, and what they are to know of it.
///
/// The relay says which rooms are open and reads [`Directory::subscribe`]; discovery says who is there
/// and reads [`Directory::local_rooms`]. Neither ever waits for the other, and nothing queues: both read
/// what is so now. Clones are of one directory.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Shared>);

/// What changes in a directory, one after the other.
#[derive(Debug)]
pub struct DirectoryEvents {
    directory: Directory,
    events: broadcast::Receiver<DirectoryEvent>,
    /// What is to be told before anything else.
    first: Option<Picture>,
}

/// What this relay says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBeat {
    /// Where clients reach it.
    pub public: Vec<HostPort>,
    /// Where other relays reach its trunk socket; nobody is told of this relay before there is one.
    pub trunk: Option<SocketAddr>,
    /// Whether it is about to end.
    pub draining: bool,
    /// How busy it is.
    pub load: Load,
}

#[derive(Debug)]
struct Shared {
    key: ClusterKey,
    node: Identity,
    name: NodeName,
    instance: Instance,
    state: Mutex<State>,
    events: broadcast::Sender<DirectoryEvent>,
    rooms_changed: Notify,
    own_changed: Notify,
}

#[derive(Debug)]
struct State {
    own: OwnBeat,
    /// The rooms that are open here, and which opening of all it was.
    local: HashMap<RoomId, u64>,
    openings: u64,
    picture: Picture,
    connected: bool,
}

impl Directory {
    /// How many other relays are known at the most.
    pub const RELAYS_MAX: usize = 256;

    /// The empty directory of a node, which clients reach at `public`.
    #[must_use]
    pub fn new(key: ClusterKey, node: Identity, name: NodeName, public: Vec<HostPort>) -> Self {
        let (events, _) = broadcast::channel(EVENTS);
        Self(Arc::new(Shared {
            key,
            node,
            name,
            instance: Instance::random(),
            state: Mutex::new(State {
                own: OwnBeat {
                    public,
                    trunk: None,
                    draining: false,
                    load: Load::default(),
                },
                local: HashMap::new(),
                openings: 0,
                picture: Picture::default(),
                connected: false,
            }),
            events,
            rooms_changed: Notify::new(),
            own_changed: Notify::new(),
        }))
    }

    /// The cluster's key.
    #[must_use]
    pub fn key(&self) -> &ClusterKey {
        &self.0.key
    }

    /// This node's key: what it shows on trunks, and signs its beats with.
    #[must_use]
    pub fn node_key(&self) -> &Identity {
        &self.0.node
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.0.node.id())
    }

    /// What people call this node.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.0.name
    }

    /// This run of this node.
    #[must_use]
    pub fn instance(&self) -> Instance {
        self.0.instance
    }

    /// A fresh token of this node, for whoever asks whether it belongs to the cluster.
    #[must_use]
    pub fn token(&self) -> NodeToken {
        let key: PublicKey = self.0.node.public_key();
        self.0.key.token(key, &self.0.name)
    }

    // ---- What the relay says.

    /// The first local member of a room came.
    pub fn room_opened(&self, room: RoomId) {
        let mut state = self.lock();
        state.openings += 1;
        let opening = state.openings;
        state.local.entry(room).or_insert(opening);
        drop(state);
        self.0.rooms_changed.notify_one();
    }

    /// The last local member of a room went.
    pub fn room_closed(&self, room: RoomId) {
        let mut state = self.lock();
        if state.local.remove(&room).is_none() {
            return;
        }
        for instance in state.picture.rooms.remove(&room).unwrap_or_default() {
            self.tell(DirectoryEvent::RoomLeft { room, instance });
        }
        drop(state);
        self.0.rooms_changed.notify_one();
    }

    /// Says where clients reach this relay, the best address first.
    pub fn set_public(&self, public: Vec<HostPort>) {
        self.lock().own.public = public;
        self.0.own_changed.notify_one();
    }

    /// Says where other relays reach this one's trunk socket.
    pub fn set_trunk(&self, address: SocketAddr) {
        self.lock().own.trunk = Some(address);
        self.0.own_changed.notify_one();
    }

    /// Says that this relay is about to end.
    pub fn set_draining(&self) {
        self.lock().own.draining = true;
        self.0.own_changed.notify_one();
    }

    /// Says how busy this relay is, with the next beat.
    pub fn set_load(&self, load: Load) {
        self.lock().own.load = load;
    }

    /// What changes from now on; first of all what is so now.
    #[must_use]
    pub fn subscribe(&self) -> DirectoryEvents {
        // Under the lock, so that nothing changes between the two.
        let state = self.lock();
        DirectoryEvents {
            directory: self.clone(),
            events: self.0.events.subscribe(),
            first: Some(state.picture.clone()),
        }
    }

    /// What is so now.
    #[must_use]
    pub fn picture(&self) -> Picture {
        self.lock().picture.clone()
    }

    /// Whether discovery is connected to NATS.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.lock().connected
    }

    /// Where clients reach the relays of the cluster that take new ones, this one first, best address of
    /// each.
    #[must_use]
    pub fn places(&self) -> Vec<HostPort> {
        let own = self.lock().own.public.first().cloned();
        own.into_iter().chain(self.other_places()).collect()
    }

    /// The same without this one.
    #[must_use]
    pub fn other_places(&self) -> Vec<HostPort> {
        let state = self.lock();
        let ready = state.picture.relays.values().filter(|beat| !beat.draining);
        let others = ready.filter_map(|beat| beat.public.first());
        others.cloned().collect()
    }

    // ---- What discovery says.

    /// A relay says this of itself; `false` where there is no place for another one.
    pub fn relay_up(&self, beat: RelayBeat) -> bool {
        let mut state = self.lock();
        let relays = &mut state.picture.relays;
        if beat.instance == self.0.instance
            || (relays.len() >= Self::RELAYS_MAX && !relays.contains_key(&beat.instance))
        {
            return false;
        }
        // A node has one run at a time: an older one of the same key was killed.
        let older: Vec<Instance> = relays
            .values()
            .filter(|it| it.node == beat.node && it.instance != beat.instance)
            .map(|it| it.instance)
            .collect();
        older
            .into_iter()
            .for_each(|instance| self.remove(&mut state, instance));
        let before = state
            .picture
            .relays
            .insert(beat.instance, beat.clone())
            .map(|before| RelayBeat {
                load: beat.load,
                ..before
            });
        if before.as_ref() != Some(&beat) {
            self.tell(DirectoryEvent::RelayUp(beat));
        }
        true
    }

    /// A relay is gone, and with it its part in every room.
    pub fn relay_gone(&self, instance: Instance) {
        self.remove(&mut self.lock(), instance);
    }

    /// A relay has members of a room. Nothing where the relay is unknown or the room is not open here.
    pub fn room_shared(&self, room: RoomId, instance: Instance) {
        let mut state = self.lock();
        if state.local.contains_key(&room)
            && state.picture.relays.contains_key(&instance)
            && state
                .picture
                .rooms
                .entry(room)
                .or_default()
                .insert(instance)
        {
            self.tell(DirectoryEvent::RoomShared { room, instance });
        }
    }

    /// A relay has no more members of a room.
    pub fn room_left(&self, room: RoomId, instance: Instance) {
        self.leave(&mut self.lock(), room, instance);
    }

    /// Notes whether discovery is connected.
    pub fn set_connected(&self, connected: bool) {
        self.lock().connected = connected;
    }

    /// What this relay says of itself now.
    #[must_use]
    pub fn own(&self) -> OwnBeat {
        self.lock().own.clone()
    }

    /// The rooms that are open here, each with a number that is another one after it was closed.
    #[must_use]
    pub fn local_rooms(&self) -> HashMap<RoomId, u64> {
        self.lock().local.clone()
    }

    /// Waits until rooms were opened or closed since the last time. For one caller. Cancel-safe.
    pub async fn rooms_changed(&self) {
        self.0.rooms_changed.notified().await;
    }

    /// Waits until this relay has something new to say of itself. For one caller. Cancel-safe.
    pub async fn own_changed(&self) {
        self.0.own_changed.notified().await;
    }

    fn remove(&self, state: &mut State, instance: Instance) {
        if state.picture.relays.remove(&instance).is_none() {
            return;
        }
        let shared = state.picture.rooms.iter();
        let rooms: Vec<RoomId> = shared
            .filter(|(_, at)| at.contains(&instance))
            .map(|(room, _)| *room)
            .collect();
        for room in rooms {
            self.leave(state, room, instance);
        }
        self.tell(DirectoryEvent::RelayGone(instance));
    }

    fn leave(&self, state: &mut State, room: RoomId, instance: Instance) {
        let Some(at) = state.picture.rooms.get_mut(&room) else {
            return;
        };
        let was_there = at.remove(&instance);
        if at.is_empty() {
            state.picture.rooms.remove(&room);
        }
        if was_there {
            self.tell(DirectoryEvent::RoomLeft { room, instance });
        }
    }

    /// Under the lock, so that events and pictures have one order.
    fn tell(&self, event: DirectoryEvent) {
        let _ = self.0.events.send(event);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DirectoryEvents {
    /// The next change; never, once the directory is gone. Cancel-safe.
    ///
    /// Whoever is slow misses changes, and is told what is so instead.
    pub async fn next(&mut self) -> DirectoryEvent {
        if let Some(picture) = self.first.take() {
            return DirectoryEvent::Picture(picture);
        }
        match self.events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let state = self.directory.lock();
                self.events = self.events.resubscribe();
                DirectoryEvent::Picture(state.picture.clone())
            }
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Changes that may wait for a reader: more of them are told as one picture.
const EVENTS: usize = 1024;

#[cfg(test)]
mod tests;
