//! All rooms of the relay.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{quotas::RoomUse, room::Room, session::Session};
use crate::{
    cluster::{Directory, RoomKey},
    protocol::{Code, RoomId},
};

/// A room that somebody is in.
///
/// Sessions hold their own, so that none is looked up, and none made again by who comes too late.
#[derive(Debug)]
pub(super) struct SharedRoom {
    room: Mutex<Room>,
    /// Since when somebody is in it.
    pub(super) since: Instant,
    /// What its members use together.
    pub(super) quota: Arc<RoomUse>,
}

impl SharedRoom {
    /// The room, for as long as nothing is waited for.
    pub(super) fn lock(&self) -> MutexGuard<'_, Room> {
        // A panic elsewhere must not take the relay down; every critical section leaves valid state.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session in its room.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) session: Arc<Session>,
    pub(super) room: Arc<SharedRoom>,
    pub(super) room_id: RoomId,
}

/// The rooms in which anybody is.
#[derive(Debug)]
pub(super) struct Rooms {
    open: Mutex<Open>,
    /// What other relays of a cluster learn of them by.
    directory: Option<Directory>,
}

#[derive(Debug, Default)]
struct Open {
    rooms: HashMap<RoomId, Arc<SharedRoom>>,
    /// What other relays call them.
    keys: HashMap<RoomKey, RoomId>,
}

impl Rooms {
    /// None yet, of a relay alone or of one in a cluster.
    pub(super) fn new(directory: Option<Directory>) -> Self {
        Self {
            open: Mutex::default(),
            directory,
        }
    }

    /// An open room.
    pub(super) fn get(&self, room: RoomId) -> Option<Arc<SharedRoom>> {
        self.lock().rooms.get(&room).cloned()
    }

    /// An open room, by what another relay calls it.
    pub(super) fn by_key(&self, key: &RoomKey) -> Option<(RoomId, Arc<SharedRoom>)> {
        let open = self.lock();
        let id = open.keys.get(key)?;
        Some((*id, open.rooms.get(id)?.clone()))
    }

    fn opened(&self, open: &mut Open, room: RoomId) {
        if let Some(directory) = &self.directory {
            open.keys.insert(directory.key().room_key(room), room);
            directory.room_opened(room);
        }
    }

    fn closed(&self, open: &mut Open, room: RoomId) {
        open.rooms.remove(&room);
        if let Some(directory) = &self.directory {
            open.keys.remove(&directory.key().room_key(room));
            directory.room_closed(room);
        }
    }

    /// Lets a session into a room.
    ///
    /// # Errors
    /// See [`Room::enter`].
    pub(super) fn enter(
        &self,
        (room_id, quota): (RoomId, Arc<RoomUse>),
        session: Session,
    ) -> Result<Member, Code> {
        let mut open = self.lock();
        let members_max = quota.members_max();
        let new = || {
            let (room, since) = (Mutex::default(), Instant::now());
            Arc::new(SharedRoom { room, since, quota })
        };
        let is_new = !open.rooms.contains_key(&room_id);
        let room = open.rooms.entry(room_id).or_insert_with(new).clone();
        let session = Arc::new(session);
        let entered = room.lock().enter(&session, members_max);
        match entered {
            Ok(()) if is_new => self.opened(&mut open, room_id),
            Err(_) if is_new => drop(open.rooms.remove(&room_id)),
            _ => {}
        }
        entered.map(|()| Member {
            session,
            room,
            room_id,
        })
    }

    /// Takes a session out of its room, and the room away when that was the last.
    pub(super) fn leave(&self, member: &Member, code: Code) {
        let mut open = self.lock();
        let mut room = member.room.lock();
        room.leave(&member.session, code);
        if room.is_empty() {
            room.hang_up();
            self.closed(&mut open, member.room_id);
        }
    }

    /// Every room, its transfers, and everybody in it.
    pub(super) fn all(&self) -> Vec<(RoomId, usize, Vec<Arc<Session>>)> {
        let rooms: Vec<_> = {
            let open = self.lock();
            open.rooms
                .iter()
                .map(|(id, room)| (*id, room.clone()))
                .collect()
        };
        let of_room = |(id, room): (RoomId, Arc<SharedRoom>)| {
            let room = room.lock();
            (id, room.transfers(), room.sessions().cloned().collect())
        };
        rooms.into_iter().map(of_room).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
