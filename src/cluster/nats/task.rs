//! Keeps a directory in step with what relays tell each other over NATS.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    super::{Directory, Instance, RoomKey},
    beat::{self, Kind},
    freshness::{AGE_MAX, Freshness},
    interest::{ANSWERED_WITHIN, Interest},
    link::{Incoming, LinkState, NatsLink},
    note::{RoomNote, Word},
    servers::NatsServers,
};

/// Fills the directory until `stop`, then says that the relay is gone.
pub(super) async fn run(directory: Directory, servers: NatsServers, stop: CancellationToken) {
    let opening = async {
        loop {
            let name = directory.key().name();
            match NatsLink::open(&servers, &name, directory.instance()).await {
                Ok(link) => return link,
                Err(error) => {
                    tracing::warn!(%error, "no discovery: NATS at {servers}");
                    sleep(AGAIN).await;
                }
            }
        }
    };
    let Some(link) = stop.run_until_cancelled(opening).await else {
        return;
    };
    let mut task = Task {
        directory,
        link,
        freshness: Freshness::default(),
        interest: Interest::default(),
        number: 0,
        to_say: VecDeque::new(),
        beat_at: None,
        was_connected: false,
        resynced: None,
        doubted: false,
        clock_warned: None,
    };
    stop.run_until_cancelled(task.follow(&servers)).await;
    task.leave().await;
}

/// One directory, and the connection that fills it.
struct Task {
    directory: Directory,
    link: NatsLink,
    freshness: Freshness,
    interest: Interest,
    /// Counts up with everything that this run says.
    number: u64,
    /// Rooms to speak of, one by one, so that a reader's turn comes between them.
    to_say: VecDeque<(RoomKey, Word)>,
    /// When the last beat was made.
    beat_at: Option<Instant>,
    was_connected: bool,
    resynced: Option<Instant>,
    /// Whether who has not answered since is still to be forgotten.
    doubted: bool,
    clock_warned: Option<Instant>,
}

impl Task {
    async fn follow(&mut self, servers: &NatsServers) {
        let (directory, signals) = (self.directory.clone(), self.link.signals());
        let mut beats = interval(BEAT);
        let mut seconds = interval(Duration::from_secs(1));
        for timer in [&mut beats, &mut seconds] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            // No order: a flood of messages must not keep this relay from saying that it is there.
            tokio::select! {
                state = signals.changed() => self.on_link(state, servers).await,
                incoming = self.link.next() => self.on_incoming(incoming).await,
                () = directory.rooms_changed() => self.on_rooms().await,
                () = directory.own_changed() => self.beat(PLAIN).await,
                _ = beats.tick() => self.beat(PLAIN).await,
                _ = seconds.tick() => self.on_second(),
                () = std::future::ready(()), if !self.to_say.is_empty() && self.link.is_connected() => self.say_next().await,
            }
        }
    }

    /// The connection came, went, or lost something.
    async fn on_link(&mut self, state: LinkState, servers: &NatsServers) {
        self.directory.set_connected(state.connected);
        match (self.was_connected, state.connected) {
            (false, true) => {
                tracing::info!("discovery over NATS at {servers}");
                self.freshness.excuse(Instant::now());
                self.resync().await;
            }
            (true, false) => {
                tracing::warn!(
                    "NATS at {servers} is gone: what runs goes on, no other relay is found meanwhile"
                );
            }
            _ if state.stale && state.connected => self.resync_soon().await,
            _ => {}
        }
        self.was_connected = state.connected;
    }

    /// Asks everybody for everything.
    async fn resync(&mut self) {
        let now = Instant::now();
        self.resynced = Some(now);
        self.interest.doubt(now);
        self.doubted = true;
        self.beat_at = None;
        let ask = Kind { ask: true, ..PLAIN };
        self.beat(ask).await;
        // What was closed since is still to be said.
        self.to_say.retain(|(_, word)| *word == Word::Bye);
        let asked = self.interest.keys().map(|key| (key, Word::Ask));
        self.to_say.extend(asked);
    }

    /// The same, unless it was done just before: what lost messages may lose the answers as well.
    async fn resync_soon(&mut self) {
        let since = self.resynced.map(|at| at.elapsed());
        if since.is_none_or(|since| since >= BETWEEN_RESYNCS) {
            tracing::debug!("messages from NATS were dropped");
            self.resync().await;
        }
    }

    /// Rooms were opened or closed here.
    async fn on_rooms(&mut self) {
        let open = self.directory.local_rooms();
        let changes = self.interest.update(&open, self.directory.key());
        for (room, instance) in changes.shared {
            self.directory.room_shared(room, instance);
        }
        for key in changes.closed {
            self.to_say.push_back((key, Word::Bye));
        }
        for (key, ended) in changes.opened {
            self.link.listen_about(key, ended).await;
            self.to_say.push_back((key, Word::Ask));
        }
        // What is open is said with the repeats, and others forget what is not repeated.
        if self.to_say.len() > TO_SAY_MAX {
            self.to_say.clear();
        }
    }

    async fn on_incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Beat(bytes) => self.on_beat(&bytes).await,
            Incoming::Note(bytes) => self.on_note(&bytes).await,
        }
    }

    async fn on_beat(&mut self, bytes: &[u8]) {
        let key = self.directory.key().clone();
        let Some(beat) = beat::decode(bytes, &key) else {
            return;
        };
        let (instance, number, kind) = (beat.instance(), beat.number(), beat.kind());
        let now = unix_millis();
        if instance == self.directory.instance() || !self.freshness.is_new(instance, number) {
            return;
        }
        let apart = now.abs_diff(beat.at());
        if u128::from(apart) > AGE_MAX.as_millis() {
            self.warn_of_clock(instance, apart);
            return;
        }
        let beat = match beat.check(&key, now / 1000) {
            Ok(beat) => beat,
            Err(error) => {
                tracing::debug!(%instance, %error, "a beat that does not hold");
                return;
            }
        };
        let was_up = self.freshness.is_up(instance);
        let is_up = !kind.leaving && self.directory.relay_up(beat);
        self.freshness.note(instance, number, is_up, Instant::now());
        if !is_up {
            self.gone(instance);
            return;
        }
        if !was_up {
            for room in self.interest.of(instance) {
                self.directory.room_shared(room, instance);
            }
        }
        if (!was_up || kind.ask) && self.since_beat() >= BETWEEN_ANSWERS {
            self.beat(PLAIN).await;
        }
    }

    async fn on_note(&mut self, bytes: &[u8]) {
        let Some(note) = RoomNote::decode(bytes, self.directory.key()) else {
            return;
        };
        if note.instance == self.directory.instance() {
            return;
        }
        let freshness = &self.freshness;
        let meaning =
            self.interest
                .on_note(&note, |instance| freshness.is_up(instance), Instant::now());
        let Some(meaning) = meaning else {
            return;
        };
        match meaning.is_there {
            true => self.directory.room_shared(meaning.room, note.instance),
            false => self.directory.room_left(meaning.room, note.instance),
        }
        if note.word == Word::Ask {
            let answer = self.note(note.room, Word::Hello);
            self.link
                .say(&format!("ctl.{}", note.instance), answer)
                .await;
        }
    }

    fn on_second(&mut self) {
        // Who cannot hear anybody knows of nobody that he is gone.
        if !self.link.is_connected() {
            return;
        }
        for instance in self.freshness.expire(Instant::now()) {
            self.gone(instance);
        }
        let repeats = self.interest.next_repeats(REPEAT_SECS);
        let since = self.resynced.map(|at| at.elapsed());
        let looked_at = match self.doubted && since > Some(ANSWERED_WITHIN) {
            true => {
                self.doubted = false;
                self.interest.keys().collect()
            }
            false => repeats.clone(),
        };
        for (room, instance) in self.interest.expire(&looked_at, Instant::now()) {
            self.directory.room_left(room, instance);
        }
        let hellos = repeats.into_iter().map(|key| (key, Word::Hello));
        self.to_say.extend(hellos);
    }

    fn gone(&mut self, instance: Instance) {
        self.directory.relay_gone(instance);
        self.interest.forget(instance);
    }

    /// Speaks of the next room.
    async fn say_next(&mut self) {
        let Some((key, word)) = self.to_say.pop_front() else {
            return;
        };
        // It may have been closed or opened again since.
        if self.interest.contains(key) == (word == Word::Bye) {
            return;
        }
        let note = self.note(key, word);
        self.link.say(&format!("room.{key}"), note).await;
    }

    fn note(&mut self, room: RoomKey, word: Word) -> Vec<u8> {
        self.number += 1;
        let note = RoomNote {
            instance: self.directory.instance(),
            number: self.number,
            room,
            word,
        };
        note.encode(self.directory.key())
    }

    async fn beat(&mut self, kind: Kind) {
        if !self.link.is_connected() {
            return;
        }
        self.number += 1;
        if let Some(beat) = beat::encode(&self.directory, (self.number, unix_millis()), kind) {
            self.beat_at = Some(Instant::now());
            self.link.say("beat", beat).await;
        }
    }

    fn since_beat(&self) -> Duration {
        self.beat_at.map_or(Duration::MAX, |at| at.elapsed())
    }

    fn warn_of_clock(&mut self, instance: Instance, apart: u64) {
        let since = self.clock_warned.map(|at| at.elapsed());
        if since.is_none_or(|since| since >= Duration::from_secs(60)) {
            self.clock_warned = Some(Instant::now());
            tracing::warn!(
                %instance,
                "the clock of another relay and this machine's are {} s apart, or NATS is late: it is not believed",
                apart / 1000
            );
        }
    }

    async fn leave(&mut self) {
        let leaving = Kind {
            leaving: true,
            ..PLAIN
        };
        self.beat(leaving).await;
        self.link.flush().await;
    }
}

fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

const PLAIN: Kind = Kind {
    ask: false,
    leaving: false,
};
/// Words about rooms that may wait.
const TO_SAY_MAX: usize = 1 << 17;
/// Between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// The least time between a beat and one that somebody asked for.
const BETWEEN_ANSWERS: Duration = Duration::from_millis(100);
/// Every room is spoken of once in so many seconds: what was lost is mended by that.
const REPEAT_SECS: usize = 60;
/// The least time between two times at which everything is asked.
const BETWEEN_RESYNCS: Duration = Duration::from_secs(5);
/// Before the client is made anew, where it could not even be begun.
const AGAIN: Duration = Duration::from_secs(1);
