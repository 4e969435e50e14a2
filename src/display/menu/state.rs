//! Everything that the menu shows.

use std::{collections::VecDeque, path::PathBuf};

use super::{Job, Movement, Outcome, Picker};
use crate::{
    protocol::{PeerId, PeerName},
    transfer::receive::OfferView,
};

/// Everything that is on the screen.
#[derive(Debug, Clone)]
pub struct State {
    /// Whether colour may be used.
    pub color: bool,
    /// My name.
    pub name: PeerName,
    /// My ID.
    pub id: PeerId,
    /// The way to the relay.
    pub link: Link,
    /// The invite, where there is one: secret, shown on demand only.
    pub invite: Option<String>,
    /// Where what arrives is put.
    pub folder: PathBuf,
    /// Where the file picker begins.
    pub browse: PathBuf,
    /// Who is in the room, by name.
    pub peers: Vec<PeerRow>,
    /// What moves and moved, newest first.
    pub movements: Vec<Movement>,
    /// What arrived, newest first.
    pub arrivals: Vec<Arrival>,
    /// Offers that wait for an answer, oldest first.
    pub offers: VecDeque<OfferView>,
    /// What the keys do.
    pub mode: Mode,
    /// Which list the cursor is in.
    pub pane: Pane,
    /// The cursor of each list.
    pub cursors: [usize; 3],
    /// What the file under the cursor looks like.
    pub preview: Option<Preview>,
    /// The last thing to know: safe to print, and whether it is bad.
    pub notice: Option<(String, bool)>,
    /// Sends so far.
    pub sends: u64,
}

/// The way to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not asked for yet.
    None,
    /// Being made.
    Connecting,
    /// In the room at this relay.
    Joined(String),
    /// Lost, and why.
    Lost(String),
}

/// What the keys do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The lists.
    Main,
    /// No room yet: what to do about it; the row of the cursor.
    Welcome(usize),
    /// An invite is typed or pasted.
    Paste(String),
    /// Files or a folder are chosen.
    Pick(Picker),
    /// The invite is shown; as a QR code or not.
    Invite(bool),
    /// A file is shown on the whole screen, from this line on.
    Show(usize),
    /// All keys are shown.
    Keys,
    /// Something still moves: really quit?
    Quit,
}

/// The lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// Who is in the room.
    Peers,
    /// What moves.
    Movements,
    /// What arrived.
    Arrivals,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRow {
    /// Who.
    pub id: PeerId,
    /// Its name.
    pub name: PeerName,
    /// Whether it takes files.
    pub listening: bool,
    /// Whether it is chosen to send to.
    pub marked: bool,
}

/// Something that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Where it is; a message is nowhere.
    pub path: Option<PathBuf>,
    /// Its name, or the message: safe to print.
    pub title: String,
    /// Who sent it.
    pub from: PeerName,
    /// Its length.
    pub bytes: u64,
}

/// What a file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The file.
    pub path: PathBuf,
    /// What the viewer prints of it.
    pub text: String,
}

/// Rows that are kept of what is over.
pub(super) const KEPT: usize = 200;

impl State {
    /// A menu that has just opened.
    #[must_use]
    pub fn new(name: PeerName, id: PeerId, folder: PathBuf, color: bool) -> Self {
        Self {
            color,
            name,
            id,
            link: Link::None,
            invite: None,
            browse: folder.clone(),
            folder,
            peers: Vec::new(),
            movements: Vec::new(),
            arrivals: Vec::new(),
            offers: VecDeque::new(),
            mode: Mode::Welcome(0),
            pane: Pane::Peers,
            cursors: [0; 3],
            preview: None,
            notice: None,
            sends: 0,
        }
    }

    /// The cursor of the list that it is in.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.cursors[self.pane as usize]
    }

    /// Rows of a list.
    #[must_use]
    pub fn rows(&self, pane: Pane) -> usize {
        match pane {
            Pane::Peers => self.peers.len(),
            Pane::Movements => self.movements.len(),
            Pane::Arrivals => self.arrivals.len(),
        }
    }

    /// Whether anything moves.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.movements.iter().any(|m| m.outcome == Outcome::Running)
    }

    /// Whether anything is being received.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.movements
            .iter()
            .any(|m| m.outcome == Outcome::Running && matches!(m.job, Job::Receive(_)))
    }

    pub(super) fn say(&mut self, text: impl Into<String>, bad: bool) {
        self.notice = Some((text.into(), bad));
    }
}
