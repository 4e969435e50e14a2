//! Who is in which room, and which transfers are under way there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::{Hook, Outbox, Transfer, outbox::Overflow};
use crate::{
    protocol::{Code, PeerId, PeerState, RoomId, ServerToClient, SignedBundle, TransferId},
    quic::Link,
};

/// Connections that one identity may have at once: a listener and its concurrent sends.
const SESSIONS_PER_PEER: usize = 64;

/// One connected peer, as the others reach it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: PeerId,
    pub(super) room: RoomId,
    pub(super) link: Link,
    pub(super) listening: bool,
    pub(super) outbox: Outbox,
    /// Files that wait for this peer to take another stream.
    pub(super) files_waiting: AtomicUsize,
    since: Instant,
    bundle: Mutex<SignedBundle>,
    watching: AtomicBool,
    hook: Option<Arc<dyn Hook>>,
}

impl Session {
    pub(super) fn new(
        (room, listening, bundle): (RoomId, bool, SignedBundle),
        link: Link,
        outbox: Outbox,
        hook: Option<Arc<dyn Hook>>,
    ) -> Self {
        Self {
            peer: link.peer(),
            room,
            link,
            listening,
            outbox,
            files_waiting: AtomicUsize::new(0),
            since: Instant::now(),
            bundle: Mutex::new(bundle),
            watching: AtomicBool::new(false),
            hook,
        }
    }

    /// Says something to this peer; one that does not listen is cut off.
    pub(super) fn say(&self, message: ServerToClient) {
        let messages = match &self.hook {
            Some(hook) => hook.message(self.peer, message),
            None => vec![message],
        };
        for message in messages {
            if let Err(Overflow) = self.outbox.send(message) {
                self.link
                    .close(Overflow::CODE, "control messages were not read");
            }
        }
    }

    /// Says one of many things: waits while the peer is behind with reading.
    pub(super) async fn say_when_room(&self, message: ServerToClient) {
        let messages = match &self.hook {
            Some(hook) => hook.message(self.peer, message),
            None => vec![message],
        };
        for message in messages {
            self.outbox.send_when_room(message).await;
        }
    }

    fn presence(&self, state: PeerState) -> ServerToClient {
        ServerToClient::Peer {
            id: self.peer,
            bundle: lock(&self.bundle).clone(),
            state,
            since_secs: self.since.elapsed().as_secs(),
        }
    }

    fn state(&self) -> PeerState {
        if self.listening {
            PeerState::Listening
        } else {
            PeerState::Sending
        }
    }

    pub(super) fn set_bundle(&self, bundle: SignedBundle) {
        *lock(&self.bundle) = bundle;
    }

    pub(super) fn watch(&self) {
        self.watching.store(true, Ordering::Relaxed);
    }
}

/// One room: nothing in it is visible from any other.
#[derive(Debug, Default)]
pub(super) struct Room {
    sessions: Vec<Arc<Session>>,
    pub(super) transfers: HashMap<TransferId, Transfer>,
}

impl Room {
    /// The connection on which `peer` waits for files.
    pub(super) fn listener(&self, peer: PeerId) -> Option<&Arc<Session>> {
        self.sessions.iter().find(|s| s.listening && s.peer == peer)
    }

    /// The connection that speaks for `peer`: the one on which it listens, if it does.
    fn face(&self, peer: PeerId) -> Option<&Arc<Session>> {
        let any = || self.sessions.iter().find(|s| s.peer == peer);
        self.listener(peer).or_else(any)
    }

    fn tell_watchers(&self, about: &Session, state: PeerState) {
        for session in &self.sessions {
            if session.watching.load(Ordering::Relaxed) {
                session.say(about.presence(state));
            }
        }
    }

    /// Tells of a connection that came or changed, unless its peer is known by another.
    fn tell_of(&self, session: &Arc<Session>) {
        if let Some(face) = self.face(session.peer)
            && Arc::ptr_eq(face, session)
        {
            self.tell_watchers(face, face.state());
        }
    }
}

/// All rooms of the relay.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: Mutex<HashMap<RoomId, Room>>,
}

impl Rooms {
    /// Runs `f` on the room, which is made if it is not there.
    ///
    /// Held for as long as `f` runs: it must not wait for anything.
    pub(super) fn with<T>(&self, room: RoomId, f: impl FnOnce(&mut Room) -> T) -> T {
        f(lock(&self.rooms).entry(room).or_default())
    }

    /// Lets a session in.
    ///
    /// A listener replaces an older one of the same identity: the older may be a connection that
    /// was lost without either end knowing yet.
    pub(super) fn enter(&self, session: &Arc<Session>) -> Result<(), Code> {
        self.with(session.room, |room| {
            if room
                .sessions
                .iter()
                .filter(|s| s.peer == session.peer)
                .count()
                >= SESSIONS_PER_PEER
            {
                return Err(Code::Busy);
            }
            if session.listening
                && let Some(older) = room.listener(session.peer)
            {
                older.link.close(Code::Replaced, "");
            }
            // First, so that it is found before the one that it replaces.
            room.sessions.insert(0, session.clone());
            room.tell_of(session);
            Ok(())
        })
    }

    /// Takes a session out, and tells everyone whom its transfers concern.
    pub(super) fn leave(&self, session: &Arc<Session>, code: Code) {
        let mut rooms = lock(&self.rooms);
        let Some(room) = rooms.get_mut(&session.room) else {
            return;
        };
        room.sessions.retain(|s| !Arc::ptr_eq(s, session));
        match room.face(session.peer) {
            None => room.tell_watchers(session, PeerState::Gone),
            // It still sends, and is no longer to be sent to.
            Some(face) if session.listening && !face.listening => {
                room.tell_watchers(face, face.state());
            }
            Some(_) => {}
        }
        room.transfers
            .retain(|id, transfer| transfer.leave(*id, session, code));
        if room.sessions.is_empty() {
            rooms.remove(&session.room);
        }
    }

    /// Tells the room's watchers that a peer has published a newer bundle.
    pub(super) fn published(&self, session: &Arc<Session>) {
        self.with(session.room, |room| room.tell_of(session));
    }

    /// Who is in a room now: each identity once, as a listener if it listens.
    pub(super) fn present(&self, room: RoomId, except: &Arc<Session>) -> Vec<ServerToClient> {
        self.with(room, |room| {
            let listening = room.sessions.iter().filter(|s| s.listening);
            let others = room.sessions.iter().filter(|s| !s.listening);
            let mut seen = std::collections::HashSet::new();
            listening
                .chain(others)
                .filter(|s| !Arc::ptr_eq(s, except) && seen.insert(s.peer))
                .map(|s| s.presence(s.state()))
                .collect()
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere must not take the relay down; every critical section leaves valid state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
