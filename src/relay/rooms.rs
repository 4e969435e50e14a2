//! All rooms of the relay.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Session, room::Room};
use crate::protocol::{Code, RoomId};

/// A room that somebody is in.
///
/// Sessions hold their own, so that none is looked up, and none made again by who comes too late.
#[derive(Debug, Default)]
pub(super) struct SharedRoom(Mutex<Room>);

impl SharedRoom {
    /// The room, for as long as nothing is waited for.
    pub(super) fn lock(&self) -> MutexGuard<'_, Room> {
        // A panic elsewhere must not take the relay down; every critical section leaves valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rooms in which anybody is.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<HashMap<RoomId, Arc<SharedRoom>>>);

impl Rooms {
    /// Lets the session in that `make` makes for a room.
    ///
    /// # Errors
    /// See [`Room::enter`].
    pub(super) fn enter(
        &self,
        id: RoomId,
        make: impl FnOnce(Arc<SharedRoom>) -> Session,
    ) -> Result<Arc<Session>, Code> {
        let mut rooms = self.lock();
        let room = rooms.entry(id).or_default().clone();
        let session = Arc::new(make(room.clone()));
        let entered = room.lock().enter(&session);
        if room.lock().is_empty() {
            rooms.remove(&id);
        }
        entered.map(|()| session)
    }

    /// Takes a session out of its room, and the room away when that was the last.
    pub(super) fn leave(&self, session: &Arc<Session>, code: Code) {
        let mut rooms = self.lock();
        let mut room = session.room.lock();
        room.leave(session, code);
        if room.is_empty() {
            rooms.remove(&session.room_id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Arc<SharedRoom>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
