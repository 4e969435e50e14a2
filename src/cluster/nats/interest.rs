//! The rooms that are open here, and who said what of them.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    super::{ClusterKey, Instance, RoomKey},
    note::{RoomNote, Word},
};
use crate::protocol::RoomId;

/// The rooms that this relay listens about.
#[derive(Debug, Default)]
pub(super) struct Interest {
    rooms: HashMap<RoomKey, Room>,
    keys: HashMap<RoomId, RoomKey>,
    /// All of them, in the order in which they are said again.
    repeats: VecDeque<RoomKey>,
}

#[derive(Debug)]
struct Room {
    id: RoomId,
    /// Which time it is that the room is open.
    opening: u64,
    /// What each relay said of it last.
    said: HashMap<Instance, Said>,
    /// Ends the subscription when it is dropped.
    _subscribed: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Said {
    number: u64,
    is_there: bool,
    /// When it counts no more.
    until: Instant,
}

/// What is to be done about rooms that were opened or closed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// To subscribe to, until the receiver says so.
    pub(super) opened: Vec<(RoomKey, oneshot::Receiver<()>)>,
    /// To say goodbye to.
    pub(super) closed: Vec<RoomKey>,
    /// Known to be shared with whom, though they were closed and opened again since.
    pub(super) shared: Vec<(RoomId, Instance)>,
}

/// What a note means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) room: RoomId,
    pub(super) is_there: bool,
}

impl Interest {
    /// Takes over which rooms are open.
    pub(super) fn update(&mut self, open: &HashMap<RoomId, u64>, key: &ClusterKey) -> Changes {
        let mut changes = Changes::default();
        let closed = self
            .keys
            .keys()
            .filter(|id| !open.contains_key(*id))
            .copied();
        for id in closed.collect::<Vec<_>>() {
            if let Some(key) = self.keys.remove(&id) {
                self.rooms.remove(&key);
                changes.closed.push(key);
            }
        }
        if !changes.closed.is_empty() {
            self.repeats.retain(|key| self.rooms.contains_key(key));
        }
        for (id, opening) in open {
            let known = self.keys.get(id).and_then(|key| self.rooms.get_mut(key));
            if let Some(room) = known {
                if std::mem::replace(&mut room.opening, *opening) != *opening {
                    let there = room.said.iter().filter(|(_, said)| said.is_there);
                    let there = there.map(|(instance, _)| (*id, *instance));
                    changes.shared.extend(there);
                }
                continue;
            }
            let key = key.room_key(*id);
            let (subscribed, ended) = oneshot::channel();
            let room = Room {
                id: *id,
                opening: *opening,
                said: HashMap::new(),
                _subscribed: subscribed,
            };
            self.keys.insert(*id, key);
            self.rooms.insert(key, room);
            self.repeats.push_back(key);
            changes.opened.push((key, ended));
        }
        changes
    }

    /// What a note means; nothing where it is of no room here, or older than one before.
    pub(super) fn on_note(
        &mut self,
        note: &RoomNote,
        is_up: impl Fn(Instance) -> bool,
        now: Instant,
    ) -> Option<Meaning> {
        let room = self.rooms.get_mut(&note.room)?;
        let is_there = match note.word {
            Word::Hello | Word::Ask => true,
            Word::Bye => false,
            Word::Unknown => return None,
        };
        if room.said.len() >= SAID_MAX && !room.said.contains_key(&note.instance) {
            room.said.retain(|instance, _| is_up(*instance));
            if room.said.len() >= SAID_MAX {
                return None;
            }
        }
        let before = room.said.get(&note.instance);
        if before.is_some_and(|before| before.number >= note.number) {
            return None;
        }
        let said = Said {
            number: note.number,
            is_there,
            until: now + SAID_FOR,
        };
        room.said.insert(note.instance, said);
        Some(Meaning {
            room: room.id,
            is_there,
        })
    }

    /// The rooms of which a relay has said that it has members: it may say so before it is known to be up.
    pub(super) fn of(&self, instance: Instance) -> Vec<RoomId> {
        let there = self.rooms.values().filter(|room| {
            let said = room.said.get(&instance);
            said.is_some_and(|said| said.is_there)
        });
        there.map(|room| room.id).collect()
    }

    /// Forgets what a relay has said that is gone.
    pub(super) fn forget(&mut self, instance: Instance) {
        for room in self.rooms.values_mut() {
            room.said.remove(&instance);
        }
    }

    /// Who has not repeated for too long, in one of these rooms, that it has members there: its goodbye
    /// was lost.
    pub(super) fn expire(&mut self, rooms: &[RoomKey], now: Instant) -> Vec<(RoomId, Instance)> {
        let mut expired = Vec::new();
        for key in rooms {
            let Some(room) = self.rooms.get_mut(key) else {
                continue;
            };
            let id = room.id;
            room.said.retain(|instance, said| {
                let is_old = said.until <= now;
                if said.is_there && is_old {
                    expired.push((id, *instance));
                }
                !is_old
            });
        }
        expired
    }

    /// Lets what was said count only for as long as an answer takes: everybody is asked anew, since words
    /// were lost, a goodbye perhaps. While this relay was not connected, nothing was repeated to it.
    pub(super) fn doubt(&mut self, now: Instant) {
        for said in self.rooms.values_mut().flat_map(|r| r.said.values_mut()) {
            said.until = now + ANSWERED_WITHIN;
        }
    }

    /// All rooms.
    pub(super) fn keys(&self) -> impl Iterator<Item = RoomKey> {
        self.rooms.keys().copied()
    }

    /// Whether a room is open.
    pub(super) fn contains(&self, room: RoomKey) -> bool {
        self.rooms.contains_key(&room)
    }

    /// The next rooms to say again: so many that each comes once in `rounds` calls.
    pub(super) fn next_repeats(&mut self, rounds: usize) -> Vec<RoomKey> {
        let count = self.repeats.len().div_ceil(rounds);
        let next: Vec<_> = self.repeats.drain(..count).collect();
        self.repeats.extend(&next);
        next
    }
}

/// For how long a word counts: every relay says again once a minute what is so.
const SAID_FOR: Duration = Duration::from_secs(180);
/// How long an answer may take, of a relay that has to come back to NATS itself.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Relays that may have said something of a room.
const SAID_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::identity::Identity;

    #[test]
    fn the_newest_word_about_an_open_room_counts() {
        let key = ClusterKey::new(Identity::generate());
        let (one, other) = (RoomId::from_bytes([1; 32]), RoomId::from_bytes([2; 32]));
        let mut interest = Interest::default();
        let changes = interest.update(&HashMap::from([(one, 1)]), &key);
        assert_eq!((changes.opened.len(), changes.closed.len()), (1, 0));
        let instance = Instance::random();
        let note = |room, number, word| RoomNote {
            instance,
            number,
            room: key.room_key(room),
            word,
        };
        let (up, now) = (|_| true, Instant::now());
        let said = |is_there| {
            Some(Meaning {
                room: one,
                is_there,
            })
        };
        assert_eq!(
            interest.on_note(&note(other, 1, Word::Hello), up, now),
            None
        );
        let hello = note(one, 1, Word::Ask);
        assert_eq!(interest.on_note(&hello, up, now), said(true));
        assert_eq!(interest.on_note(&hello, up, now), None);
        assert_eq!(interest.of(instance), [one]);
        let changes = interest.update(&HashMap::from([(one, 2)]), &key);
        assert_eq!(changes.shared, [(one, instance)]);
        let bye = note(one, 3, Word::Bye);
        assert_eq!(interest.on_note(&bye, up, now), said(false));
        let delayed = note(one, 2, Word::Hello);
        assert_eq!(interest.on_note(&delayed, up, now), None);
        assert!(interest.of(instance).is_empty());
        let hello = note(one, 4, Word::Hello);
        assert_eq!(interest.on_note(&hello, up, now), said(true));
        let rooms = [key.room_key(one)];
        assert!(interest.expire(&rooms, now + SAID_FOR / 2).is_empty());
        interest.doubt(now + SAID_FOR);
        assert!(interest.expire(&rooms, now + SAID_FOR).is_empty());
        let late = now + SAID_FOR + ANSWERED_WITHIN;
        assert_eq!(interest.expire(&rooms, late), [(one, instance)]);
        assert!(interest.expire(&rooms, late).is_empty());
        let changes = interest.update(&HashMap::from([(other, 5)]), &key);
        assert_eq!(changes.closed, [key.room_key(one)]);
        assert_eq!(changes.opened.len(), 1);
        assert_eq!(interest.next_repeats(60), [key.room_key(other)]);
    }

    #[test]
    fn each_room_is_repeated_once_a_round_and_only_so_many_relays_are_noted() {
        let key = ClusterKey::new(Identity::generate());
        let open: HashMap<_, _> = (0..100)
            .map(|i| {
                let mut bytes = [0; 32];
                bytes[0] = i;
                (RoomId::from_bytes(bytes), 1)
            })
            .collect();
        let mut interest = Interest::default();
        drop(interest.update(&open, &key));
        let round: HashSet<_> = (0..60).flat_map(|_| interest.next_repeats(60)).collect();
        assert_eq!(round.len(), 100);
        let room = *round.iter().next().unwrap();
        let now = Instant::now();
        for i in 0..2 * SAID_MAX as u64 {
            let note = RoomNote {
                instance: Instance::from_number(i),
                number: 1,
                room,
                word: Word::Hello,
            };
            interest.on_note(&note, |instance| instance.number() % 2 == 0, now);
        }
        assert!(interest.rooms[&room].said.len() <= SAID_MAX);
    }
}
