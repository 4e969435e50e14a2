//! What is known of one send, or of one transfer that is received.

use std::{collections::HashMap, time::Instant};

use super::super::pace::Pace;
use crate::{
    protocol::{PeerId, PeerName, Road},
    transfer::PeerRef,
};

/// A send over all of its attempts, or one transfer that is received.
#[derive(Debug)]
pub(super) struct JobProgress {
    pub(super) direction: Direction,
    /// Files for each peer, where it is known.
    pub(super) files: Option<u64>,
    /// Bytes for each peer, where it is known.
    pub(super) bytes: Option<u64>,
    /// In the order in which they were named.
    pub(super) peers: Vec<PeerProgress>,
    /// Whether files arrived that were not told one by one.
    pub(super) is_summed_up: bool,
}

/// Which way files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    To,
    From,
}

/// What one peer is sent, or sends.
#[derive(Debug)]
pub(super) struct PeerProgress {
    pub(super) peer: PeerId,
    pub(super) name: PeerName,
    pub(super) state: State,
    /// Files that have arrived whole.
    pub(super) files: u64,
    arrived: u64,
    /// What an earlier attempt had brought.
    resumed: u64,
    pub(super) under_way: Vec<File>,
    /// The road that files took last, once that is known.
    pub(super) road: Option<Road>,
    pace: Pace<Instant>,
    since: Instant,
}

/// How it is going for one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It has not answered yet.
    Asked,
    Moving,
    /// It was lost, and is tried again; why, safe to print.
    Away(String),
    /// It has everything, after so long.
    Done,
    /// It will not get everything; why, safe to print.
    Failed(String),
}

/// A file that is under way.
#[derive(Debug)]
pub(super) struct File {
    /// Its path within the transfer, safe to print.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) total: Option<u64>,
    pub(super) resumed_from: u64,
    since: Instant,
    pace: Pace<Instant>,
}

/// How far something is, for whoever draws it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measure {
    pub(super) bytes: u64,
    pub(super) total: Option<u64>,
    /// The part of `bytes` that an earlier attempt had brought.
    pub(super) resumed: u64,
    /// Bytes a second; nothing before it can be told.
    pub(super) rate: Option<f64>,
}

impl JobProgress {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            files: None,
            bytes: None,
            peers: Vec::new(),
            is_summed_up: false,
        }
    }

    /// What is known of this peer, made where it is missing.
    pub(super) fn peer(&mut self, peer: &PeerRef) -> &mut PeerProgress {
        let at = self.peers.iter().position(|one| one.peer == peer.id);
        let at = at.unwrap_or_else(|| {
            self.peers
                .push(PeerProgress::new(peer.id, peer.name.clone()));
            self.peers.len() - 1
        });
        &mut self.peers[at]
    }

    /// A peer has a file, or more of it.
    pub(super) fn settle(&mut self, peer: &PeerRef, path: &str, bytes: u64) {
        let files = self.files;
        let one = self.peer(peer);
        one.settle(path, bytes);
        if files == Some(one.files) {
            one.state = State::Done;
        }
    }

    /// All of its peers taken together.
    pub(super) fn measure(&self, now: Instant) -> Measure {
        let peers = || self.peers.iter();
        let moving = || peers().filter(|one| one.state == State::Moving);
        let rates = || moving().filter_map(|one| one.pace.rate(now));
        Measure {
            bytes: peers()
                .map(PeerProgress::bytes)
                .fold(0, u64::saturating_add),
            total: self
                .bytes
                .map(|bytes| bytes.saturating_mul(self.peers.len() as u64)),
            resumed: peers()
                .map(PeerProgress::resumed)
                .fold(0, u64::saturating_add),
            rate: rates().next().is_some().then(|| rates().sum()),
        }
    }
}

impl PeerProgress {
    fn new(peer: PeerId, name: PeerName) -> Self {
        Self {
            peer,
            name,
            state: State::Asked,
            files: 0,
            arrived: 0,
            resumed: 0,
            under_way: Vec::new(),
            road: None,
            pace: Pace::default(),
            since: Instant::now(),
        }
    }

    /// An attempt begins, which settles every file anew.
    pub(super) fn begin(&mut self) {
        let name = self.name.clone();
        let since = self.since;
        *self = Self {
            since,
            ..Self::new(self.peer, name)
        };
    }

    /// More of a file is there.
    pub(super) fn progress(
        &mut self,
        now: Instant,
        path: String,
        bytes: u64,
        total: Option<u64>,
        resumed_from: u64,
    ) {
        self.state = State::Moving;
        let at = self.under_way.iter().position(|file| file.path == path);
        let at = at.unwrap_or_else(|| {
            self.under_way.push(File {
                path,
                bytes: 0,
                total,
                resumed_from,
                since: now,
                pace: Pace::default(),
            });
            self.under_way.len() - 1
        });
        let file = &mut self.under_way[at];
        (file.bytes, file.resumed_from) = (bytes, resumed_from);
        file.pace.note(now, bytes);
        // What was there before moved at no speed.
        self.pace
            .note(now, self.bytes().saturating_sub(self.resumed()));
    }

    fn settle(&mut self, path: &str, bytes: u64) {
        self.state = State::Moving;
        if let Some(at) = self.under_way.iter().position(|file| file.path == path) {
            self.resumed += self.under_way.remove(at).resumed_from;
        }
        self.files += 1;
        self.arrived = self.arrived.saturating_add(bytes);
        self.pace
            .note(Instant::now(), self.bytes().saturating_sub(self.resumed()));
    }

    /// How long a file has been under way, or all of it where that is not known.
    pub(super) fn elapsed(&self, path: &str) -> std::time::Duration {
        let file = self.under_way.iter().find(|file| file.path == path);
        file.map_or(self.since, |file| file.since).elapsed()
    }

    fn bytes(&self) -> u64 {
        let files = self.under_way.iter().map(|file| file.bytes);
        files.fold(self.arrived, u64::saturating_add)
    }

    fn resumed(&self) -> u64 {
        let files = self.under_way.iter().map(|file| file.resumed_from);
        files.fold(self.resumed, u64::saturating_add)
    }

    pub(super) fn measure(&self, now: Instant, total: Option<u64>) -> Measure {
        Measure {
            bytes: self.bytes(),
            total,
            resumed: self.resumed(),
            rate: self.pace.rate(now),
        }
    }
}

impl File {
    pub(super) fn measure(&self, now: Instant) -> Measure {
        Measure {
            bytes: self.bytes,
            total: self.total,
            resumed: self.resumed_from,
            rate: self.pace.rate(now),
        }
    }
}

/// Jobs by what events call them.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// The send, of which every attempt is a transfer of its own.
    pub(super) send: Option<JobProgress>,
    pub(super) received: HashMap<crate::protocol::TransferId, JobProgress>,
}
