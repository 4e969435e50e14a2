//! All rooms of the relay.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{quotas::RoomUse, room::Room, session::Session};
use crate::protocol::{Code, RoomId};

/// A room that somebody is in.
///
/// Sessions hold their own, so that none is looked up, and none made again by who comes too late.
#[derive(Debug)]
pub(super) struct SharedRoom {
    room: Mutex<Room>,
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
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<HashMap<RoomId, Arc<SharedRoom>>>);

impl Rooms {
    /// Lets a session into a room.
    ///
    /// # Errors
    /// See [`Room::enter`].
    pub(super) fn enter(
        &self,
        (room_id, quota): (RoomId, Arc<RoomUse>),
        session: Session,
    ) -> Result<Member, Code> {
        let mut rooms = self.lock();
        let members_max = quota.members_max();
        let new = || {
            let room = Mutex::default();
            Arc::new(SharedRoom { room, quota })
        };
        let room = rooms.entry(room_id).or_insert_with(new).clone();
        let session = Arc::new(session);
        let entered = room.lock().enter(&session, members_max);
        if room.lock().is_empty() {
            rooms.remove(&room_id);
        }
        entered.map(|()| Member {
            session,
            room,
            room_id,
        })
    }

    /// Takes a session out of its room, and the room away when that was the last.
    pub(super) fn leave(&self, member: &Member, code: Code) {
        let mut rooms = self.lock();
        let mut room = member.room.lock();
        room.leave(&member.session, code);
        if room.is_empty() {
            rooms.remove(&member.room_id);
        }
    }

    /// Every room, its transfers, and everybody in it.
    pub(super) fn all(&self) -> Vec<(RoomId, usize, Vec<Arc<Session>>)> {
        let rooms: Vec<_> = {
            let rooms = self.lock();
            rooms.iter().map(|(id, room)| (*id, room.clone())).collect()
        };
        let of_room = |(id, room): (RoomId, Arc<SharedRoom>)| {
            let room = room.lock();
            (id, room.transfers(), room.sessions().cloned().collect())
        };
        rooms.into_iter().map(of_room).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Arc<SharedRoom>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
