//! Which relays of a cluster there are, and in which order they are tried.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use p2p_core::crypto::sha256;

use crate::{
    home::RelayNotes,
    identity::{HostPort, RelayAddress},
    protocol::RoomId,
};

/// What is known of a cluster's relays besides the invite: what they said, and which failed just now.
#[derive(Debug, Default)]
pub struct Relays {
    notes: Option<RelayNotes>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What a relay said last, in this run.
    said: Option<Vec<HostPort>>,
    failed: HashMap<HostPort, Instant>,
}

impl Relays {
    /// With what earlier runs were told.
    #[must_use]
    pub fn with_notes(notes: RelayNotes) -> Self {
        Self {
            notes: Some(notes),
            state: Mutex::default(),
        }
    }

    /// The relays of an invite, in the order in which a member of this room tries them.
    ///
    /// Every member has the same order for as long as the same relays answer, so that a small room is on
    /// one relay, and meets again on one when that relay is gone: the highest hash of room and relay goes
    /// first (rendezvous hashing). Relays that the others do not name any more go last, and behind them
    /// those that failed within [`FAILED_FOR`].
    pub(super) fn order(&self, relay: &RelayAddress, room: RoomId) -> Vec<HostPort> {
        let mut state = self.lock();
        let now = Instant::now();
        state
            .failed
            .retain(|_, at| now.saturating_duration_since(*at) < FAILED_FOR);
        let mut places: Vec<HostPort> = relay.places().cloned().collect();
        let noted = || {
            let notes = self.notes.as_ref();
            notes.map(|notes| notes.recall(relay.fingerprint))
        };
        let said = state.said.clone().or_else(noted).unwrap_or_default();
        for place in &said {
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        if places.len() == 1 {
            return places;
        }
        places.sort_by_cached_key(|place| {
            let weight = sha256(&[room.as_bytes(), place.to_string().as_bytes()].concat());
            let is_current = said.is_empty() || said.contains(place);
            let failed = state.failed.get(place).copied();
            (failed, !is_current, std::cmp::Reverse(weight))
        });
        places.truncate(RELAYS_MAX);
        places
    }

    /// A relay cannot be used for now: the others go first for a while.
    pub(super) fn failed(&self, place: &HostPort) {
        let mut state = self.lock();
        if state.failed.len() < 2 * RELAYS_MAX || state.failed.contains_key(place) {
            state.failed.insert(place.clone(), Instant::now());
        }
    }

    /// A relay is in use.
    pub(super) fn works(&self, place: &HostPort) {
        self.lock().failed.remove(place);
    }

    /// A relay says which ones there are, or that it is alone.
    pub(super) fn refresh(&self, relay: &RelayAddress, said: &[String]) {
        let said = said.iter().take(RELAYS_MAX);
        let mut places: Vec<HostPort> = said.filter_map(|text| text.parse().ok()).collect();
        places.dedup();
        if let Some(notes) = &self.notes {
            notes.note(relay.fingerprint, &places);
        }
        self.lock().said = Some(places);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how long a relay that failed goes last.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// Relays that are tried, and believed to exist.
const RELAYS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PeerId;

    const FINGERPRINT: PeerId = PeerId::from_bytes([1; 32]);

    fn relay(places: &str) -> RelayAddress {
        format!("{places}/{FINGERPRINT}").parse().unwrap()
    }

    fn room(number: u8) -> RoomId {
        RoomId::from_bytes([number; 32])
    }

    #[test]
    fn members_of_a_room_agree_on_its_relay_and_rooms_spread_over_all() {
        let (one, other) = (Relays::default(), Relays::default());
        let mut first: HashMap<String, usize> = HashMap::new();
        for number in 0..=255 {
            let mine = one.order(&relay("a,b,c"), room(number));
            // Whatever the order of the invite is, and who learned of whom from a relay.
            other.refresh(
                &relay("c"),
                &["b:4433".into(), "a:4433".into(), "c:4433".into()],
            );
            assert_eq!(mine, other.order(&relay("c,a"), room(number)));
            *first.entry(mine[0].to_string()).or_default() += 1;
            // Without the first, everybody goes on to the same next one.
            one.failed(&mine[0]);
            let next = one.order(&relay("a,b,c"), room(number));
            assert_eq!(next[..2], mine[1..]);
            assert_eq!(next[2], mine[0]);
            one.works(&mine[0]);
            assert_eq!(one.order(&relay("a,b,c"), room(number)), mine);
        }
        assert_eq!(first.len(), 3);
        assert!(first.values().all(|count| *count > 50), "{first:?}");
    }

    #[test]
    fn what_no_relay_names_any_more_is_tried_last_and_nothing_odd_is_believed() {
        let relays = Relays::default();
        let said = ["b:1", "c:1", "\u{1b}[2J", "c:1", "d:0"].map(str::to_owned);
        relays.refresh(&relay("a:1"), &said);
        let order = relays.order(&relay("a:1"), room(1));
        assert_eq!(order.len(), 3);
        assert_eq!(order[2].to_string(), "a:1");
        let many: Vec<String> = (0..1000).map(|i| format!("h{i}:1")).collect();
        relays.refresh(&relay("a:1"), &many);
        assert_eq!(relays.order(&relay("a:1"), room(1)).len(), RELAYS_MAX);
        relays.refresh(&relay("a:1"), &[]);
        assert_eq!(relays.order(&relay("a:1"), room(1)).len(), 1);
    }

    #[test]
    fn what_was_said_is_known_to_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relays.json");
        let relays = Relays::with_notes(RelayNotes::new(path.clone()));
        relays.refresh(&relay("a:1"), &["a:1".into(), "b:1".into()]);
        let later = Relays::with_notes(RelayNotes::new(path));
        let order = relays.order(&relay("a:1"), room(1));
        assert_eq!(order.len(), 2);
        assert_eq!(later.order(&relay("a:1"), room(1)), order);
    }
}
