//! Everything that the menu shows.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use super::{Activity, Audience, Movement, Picker};
use crate::{
    display::phrases::{Phrase, Tone},
    protocol::{PeerId, PeerName},
    transfer::receive::OfferView,
};

/// Everything that is on the screen.
#[derive(Debug, Clone)]
pub struct State {
    /// Whether colour may be used.
    pub color: bool,
    /// For how long the menu has been open: the clock by which rates are measured.
    pub now: Duration,
    /// My name.
    pub name: PeerName,
    /// My ID.
    pub id: PeerId,
    /// The way to the relay.
    pub link: Link,
    /// The invite, where there is one: secret, shown on demand only.
    pub invite: Option<String>,
    /// Whether the relay runs in this menu, and ends with it.
    pub hosting: bool,
    /// Where what arrives is put.
    pub folder: PathBuf,
    /// Where the file picker begins.
    pub browse: PathBuf,
    /// The user's own directory, which is shown as `~`.
    pub home: Option<PathBuf>,
    /// Whether everything that is offered is taken without asking.
    pub takes_all: bool,
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
    /// The last thing to know.
    pub notice: Option<Notice>,
    /// Sends so far.
    pub sends: u64,
}

/// The way to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not asked for yet.
    None,
    /// Being made, to this relay.
    Connecting(String),
    /// In the room at this relay.
    Joined(String),
    /// Lost; it is being tried again.
    Lost,
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
    /// A pasted invite is tried; kept so that it need not be pasted again.
    Trying(String),
    /// A message is typed.
    Message(Audience, String),
    /// Files or a folder are chosen.
    Pick(Picker),
    /// The invite is shown; as a QR code or not.
    Invite(bool),
    /// How others send to this machine, and what happens then.
    Receive,
    /// My name is typed.
    Name(String),
    /// A file is shown on the whole screen, from this line on.
    Show(usize),
    /// All keys are shown, from this line on.
    Keys(usize),
    /// Something would end with the menu: really quit?
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
    /// What it is.
    pub what: Arrived,
    /// Its name, or a message's first line: safe to print.
    pub title: String,
    /// Who sent it.
    pub from: PeerName,
    /// Its length.
    pub bytes: u64,
}

/// A file, or words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// A file that is stored here.
    File(PathBuf),
    /// A message, as it came: escape it before it is printed.
    Message(String),
}

/// What a file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The file.
    pub path: PathBuf,
    /// What the viewer prints of it.
    pub text: String,
}

/// Something to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Safe to print.
    pub text: String,
    /// Whether it is bad: then it stays until a key was pressed.
    pub bad: bool,
    /// Whether a key was pressed since.
    pub seen: bool,
}

/// Rows that are kept of what is over, and of what has arrived.
pub(super) const KEPT: usize = 200;
/// Peers that are listed; a room has no more than the relay's limit, and nobody reads more.
pub(super) const PEERS_MAX: usize = 4096;

impl State {
    /// A menu that has just opened.
    #[must_use]
    pub fn new(name: PeerName, id: PeerId, folder: PathBuf, color: bool) -> Self {
        Self {
            color,
            now: Duration::ZERO,
            name,
            id,
            link: Link::None,
            invite: None,
            hosting: false,
            browse: folder.clone(),
            folder,
            home: None,
            takes_all: false,
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

    /// The peer under the cursor.
    #[must_use]
    pub fn peer(&self) -> Option<&PeerRow> {
        self.peers.get(self.cursors[Pane::Peers as usize])
    }

    /// What moves under the cursor.
    #[must_use]
    pub fn movement(&self) -> Option<&Movement> {
        self.movements.get(self.cursors[Pane::Movements as usize])
    }

    /// What arrived under the cursor.
    #[must_use]
    pub fn arrival(&self) -> Option<&Arrival> {
        self.arrivals.get(self.cursors[Pane::Arrivals as usize])
    }

    /// Whether anything moves.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.movements.iter().any(Movement::is_open)
    }

    /// Whether anything is being received.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        let receives = |m: &&Movement| matches!(m.activity, Activity::Receive(_));
        self.movements
            .iter()
            .filter(receives)
            .any(Movement::is_open)
    }

    /// A path as people write it: with `~` for their own directory; safe to print.
    #[must_use]
    pub fn tilde(&self, path: &std::path::Path) -> String {
        let below = self
            .home
            .as_ref()
            .and_then(|home| path.strip_prefix(home).ok());
        let text = match below {
            Some(below) if below.as_os_str().is_empty() => "~".to_owned(),
            Some(below) => format!("~/{}", below.to_string_lossy()),
            None => path.to_string_lossy().into_owned(),
        };
        crate::display::show::sanitise(&text).into_owned()
    }

    /// Shows good news, unless there is bad news that nobody can have read yet.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        if self.notice.as_ref().is_none_or(|old| !old.bad || old.seen) {
            self.notice = Some(Notice {
                text: text.into(),
                bad: false,
                seen: false,
            });
        }
    }

    /// The room cannot be entered: there are other things to do about it than to wait.
    pub(super) fn no_room(&mut self, reason: String) {
        self.warn(reason);
        self.link = Link::None;
        if self.mode == Mode::Main {
            self.mode = Mode::Welcome(if self.invite.is_some() { 2 } else { 0 });
        }
    }

    /// Shows what an event says.
    pub(super) fn tell(&mut self, phrase: Option<Phrase>) {
        match phrase {
            Some(Phrase {
                tone: Tone::Failure,
                text,
                ..
            }) => self.warn(format!("✗ {text}")),
            // What does not go on as it should.
            Some(Phrase {
                tone: Tone::Aside,
                text,
                ..
            }) => self.warn(text),
            Some(Phrase { text, .. }) => self.say(text),
            None => {}
        }
    }

    /// Shows bad news.
    pub(super) fn warn(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice {
            text: text.into(),
            bad: true,
            seen: false,
        });
    }
}
