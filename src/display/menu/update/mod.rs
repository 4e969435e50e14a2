//! How the menu changes.

mod events;
mod field;
mod lists;
mod news;
mod panels;
mod pick;
mod rows;
#[cfg(test)]
mod tests;
mod welcome;

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{Audience, Entry, Mode, Preview, State};
use crate::{
    protocol::{PeerId, PeerName, PeerState, TransferId},
    transfer::{Event, receive::OfferView},
};

/// Something that the menu is on_news.
#[derive(Debug)]
pub enum Input {
    /// A key.
    Key(KeyEvent),
    /// Text that was pasted as a whole.
    Paste(String),
    /// The window has another size.
    Resized,
    /// Anything that did not come from the terminal.
    News(News),
}

/// Something that happened elsewhere.
#[derive(Debug)]
pub enum News {
    /// In the send of this number, or in what is received.
    Transfer(Option<u64>, Event),
    /// Someone asks.
    Offer(OfferView),
    /// Whoever asked does so no longer.
    OfferGone(TransferId),
    /// Who is there, in the place of all that was on_news before.
    Peers(Vec<(PeerId, PeerName, PeerState)>),
    /// A peer came, changed, or went.
    Peer(PeerId, PeerName, PeerState),
    /// The send of this number is over; where it failed as a whole, why.
    Sent(u64, Vec<Served>, Option<String>),
    /// A folder's content.
    Listed(PathBuf, Result<Vec<Entry>, String>),
    /// What a file looks like.
    Preview(Preview),
    /// A room is being entered.
    Entering {
        /// What lets others into it.
        invite: String,
        /// The relay, as this machine reaches it.
        relay: String,
        /// Whether the relay runs in this menu.
        hosting: bool,
    },
    /// The relay of this pasted invite was reached, and it is saved.
    Reached(String),
    /// A pasted invite cannot be used, and why; it was not saved.
    NotJoined(String),
    /// The room cannot be entered, and why.
    NoRoom(String),
    /// I go by this name now.
    Named(PeerName),
    /// Files now go here.
    Folder(PathBuf),
    /// Something bad to know.
    Warning(String),
}

/// What became of a send to one peer: where it failed, why.
pub type Served = (PeerId, PeerName, Option<String>);

/// Something to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this.
    Send(u64, Audience, Content),
    /// Stop the send of this number.
    Stop(u64),
    /// Answer an offer.
    Answer(TransferId, bool),
    /// Read a folder.
    List(PathBuf),
    /// Go by this name from now on.
    Rename(String),
    /// Receive into another folder.
    Folder(PathBuf),
    /// Hand a text to the terminal's clipboard.
    Copy(String),
    /// Use this invite, if its relay can be reached.
    Join(String),
    /// Enter the room of this invite.
    Enter(String),
    /// Start a relay on this machine and enter its room.
    StartRelay,
    /// Try the invite again.
    Retry,
    /// Show a file.
    Preview(PathBuf),
    /// Give the terminal back until the shell says to go on.
    Suspend,
    /// End, with this exit code.
    Quit(u8),
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Files and folders.
    Paths(Vec<PathBuf>),
    /// A message.
    Text(String),
}

/// The next state, and what is to be carried out.
pub fn update(state: &mut State, input: Input) -> Vec<Effect> {
    match input {
        Input::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
        Input::Key(key) => {
            if let Some(notice) = &mut state.notice {
                notice.seen = true;
            }
            on_key(state, key)
        }
        Input::Paste(text) => pasted(state, &text),
        Input::Resized => lists::preview(state),
        Input::News(news) => news::on_news(state, news),
    }
}

fn on_key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        match key.code {
            KeyCode::Char('c') => return vec![Effect::Quit(130)],
            KeyCode::Char('z') => return vec![Effect::Suspend],
            _ => {}
        }
    }
    // An offer is answered before anything else, but never by a key that was meant for a field.
    if matches!(state.mode, Mode::Main | Mode::Show(_))
        && let Some(offer) = state.offers.front()
    {
        let transfer = offer.transfer;
        match key.code {
            KeyCode::Char('y' | 'Y') => return panels::answer(state, transfer, true),
            KeyCode::Char('n' | 'N') => return panels::answer(state, transfer, false),
            KeyCode::Char('q') if state.mode == Mode::Main => {}
            _ => return Vec::new(),
        }
    }
    match std::mem::replace(&mut state.mode, Mode::Main) {
        Mode::Main => lists::on_key(state, key),
        Mode::Welcome(row) => welcome::on_key(state, key, row),
        Mode::Paste(text) => welcome::paste(state, key, text),
        Mode::Trying(text) => {
            // Whatever comes of it will be on_news; until then there is nothing to do but wait.
            state.mode = match key.code {
                KeyCode::Esc => Mode::Paste(text),
                _ => Mode::Trying(text),
            };
            Vec::new()
        }
        Mode::Message(to, text) => panels::message(state, key, to, text),
        Mode::Pick(picker) => pick::on_key(state, key, picker),
        Mode::Invite(qr) => panels::invite(state, key, qr),
        Mode::Receive => panels::receive(state, key),
        Mode::Name(text) => panels::name(state, key, text),
        Mode::Show(line) => panels::show(state, key, line),
        Mode::Keys(line) => {
            match key.code {
                KeyCode::Down | KeyCode::Char('j') => state.mode = Mode::Keys(line + 1),
                KeyCode::Up | KeyCode::Char('k') => state.mode = Mode::Keys(line.saturating_sub(1)),
                _ => {}
            }
            Vec::new()
        }
        Mode::Quit => match key.code {
            KeyCode::Char('y' | 'Y' | 'q') => vec![Effect::Quit(0)],
            _ => Vec::new(),
        },
    }
}

fn pasted(state: &mut State, text: &str) -> Vec<Effect> {
    match &mut state.mode {
        Mode::Pick(_) => return pick::pasted(state, text),
        Mode::Paste(field) | Mode::Message(_, field) | Mode::Name(field) => {
            field::paste(field, text);
        }
        Mode::Welcome(_) => {
            let mut field = String::new();
            field::paste(&mut field, text);
            state.mode = Mode::Paste(field);
        }
        _ => {}
    }
    Vec::new()
}
