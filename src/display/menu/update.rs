//! How the menu changes.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    Arrival, Entry, Job, Link, Mode, Movement, Outcome, Pane, PeerRow, Picker, Preview, Purpose,
    State, state::KEPT,
};
use crate::{
    display::{bytes, show::sanitise},
    protocol::{PeerId, PeerName, PeerState, TransferId},
    transfer::{Event, receive::OfferView},
};

/// Characters that an invite may have.
const INVITE_MAX: usize = 4096;

/// Something that the menu is told.
#[derive(Debug)]
pub enum Input {
    /// A key.
    Key(KeyEvent),
    /// Text that was pasted as a whole.
    Paste(String),
    /// Anything that did not come from the keyboard.
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
    /// A peer came, changed, or went.
    Peer(PeerId, PeerName, PeerState),
    /// Who is there will be told anew.
    PeersUnknown,
    /// The send of this number is over; where it failed as a whole, why.
    Sent(u64, Option<String>),
    /// A folder's content.
    Listed(PathBuf, Result<Vec<Entry>, String>),
    /// What a file looks like.
    Preview(Preview),
    /// An invite is being used from now on.
    Entering(String),
    /// The room cannot be entered, and why.
    NoRoom(String),
    /// Files now go here.
    Folder(PathBuf),
    /// Something to know, and whether it is bad.
    Notice(String, bool),
}

/// Something to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send these to those peers, or to everyone.
    Send(u64, Option<Vec<PeerId>>, Vec<PathBuf>),
    /// Answer an offer.
    Answer(TransferId, bool),
    /// Read a folder.
    List(PathBuf),
    /// Receive into another folder.
    Folder(PathBuf),
    /// Hand a text to the terminal's clipboard.
    Copy(String),
    /// Use this invite.
    Join(String),
    /// Start a relay on this machine and enter its room.
    StartRelay,
    /// Try the invite again.
    Retry,
    /// Show a file.
    Preview(PathBuf),
    /// End, with this exit code.
    Quit(u8),
}

/// The next state, and what is to be carried out.
pub fn update(state: &mut State, input: Input) -> Vec<Effect> {
    match input {
        Input::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
        Input::Key(key)
            if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) =>
        {
            vec![Effect::Quit(130)]
        }
        Input::Key(key) => keyed(state, key),
        Input::Paste(text) => {
            let text = text.trim().chars().filter(|c| !c.is_control());
            match &mut state.mode {
                Mode::Paste(field) => field.extend(text.take(INVITE_MAX)),
                Mode::Pick(picker) => text.for_each(|c| picker.push(c)),
                Mode::Welcome(_) => state.mode = Mode::Paste(text.take(INVITE_MAX).collect()),
                _ => {}
            }
            Vec::new()
        }
        Input::News(news) => told(state, news),
    }
}

fn keyed(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    // An offer is answered before anything else, but never by a key that was meant for a field.
    if matches!(state.mode, Mode::Main | Mode::Show(_))
        && let Some(offer) = state.offers.front()
    {
        let accept = match key.code {
            KeyCode::Char('y' | 'Y') => true,
            KeyCode::Char('n' | 'N') | KeyCode::Esc => false,
            _ => return Vec::new(),
        };
        let transfer = offer.transfer;
        if let Some(offer) = state.offers.pop_front() {
            if accept {
                let job = Job::Receive(transfer);
                add(
                    state,
                    Movement::new(job, offer.from, offer.from_name, offer.bytes),
                );
            } else {
                state.say(format!("declined what {} offered", offer.from_name), false);
            }
        }
        return vec![Effect::Answer(transfer, accept)];
    }
    match std::mem::replace(&mut state.mode, Mode::Main) {
        Mode::Main => main(state, key),
        Mode::Welcome(row) => welcome(state, key, row),
        Mode::Paste(text) => paste(state, key, text),
        Mode::Pick(picker) => pick(state, key, picker),
        Mode::Invite(qr) => invite(state, key, qr),
        Mode::Show(line) => {
            match key.code {
                KeyCode::Down | KeyCode::Char('j') => state.mode = Mode::Show(line + 1),
                KeyCode::Up | KeyCode::Char('k') => state.mode = Mode::Show(line.saturating_sub(1)),
                KeyCode::PageDown | KeyCode::Char(' ') => state.mode = Mode::Show(line + 10),
                KeyCode::PageUp => state.mode = Mode::Show(line.saturating_sub(10)),
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => {}
                _ => state.mode = Mode::Show(line),
            }
            Vec::new()
        }
        Mode::Keys => Vec::new(),
        Mode::Quit => match key.code {
            KeyCode::Char('y' | 'Y' | 'q') => vec![Effect::Quit(0)],
            _ => Vec::new(),
        },
    }
}

fn main(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let last = state.rows(state.pane).saturating_sub(1);
    let cursor = state.cursor();
    match key.code {
        KeyCode::Tab | KeyCode::Right => {
            state.pane = match state.pane {
                Pane::Peers => Pane::Movements,
                Pane::Movements => Pane::Arrivals,
                Pane::Arrivals => Pane::Peers,
            };
        }
        KeyCode::BackTab | KeyCode::Left => {
            state.pane = match state.pane {
                Pane::Peers => Pane::Arrivals,
                Pane::Movements => Pane::Peers,
                Pane::Arrivals => Pane::Movements,
            };
        }
        KeyCode::Down | KeyCode::Char('j') => return move_to(state, (cursor + 1).min(last)),
        KeyCode::Up | KeyCode::Char('k') => return move_to(state, cursor.saturating_sub(1)),
        KeyCode::Home => return move_to(state, 0),
        KeyCode::End => return move_to(state, last),
        KeyCode::Char(' ') if state.pane == Pane::Peers => {
            if let Some(peer) = state.peers.get_mut(cursor) {
                peer.marked = !peer.marked && peer.listening;
            }
        }
        KeyCode::Char('s') => return send(state),
        KeyCode::Enter if state.pane == Pane::Peers => return send(state),
        KeyCode::Enter if state.pane == Pane::Arrivals && cursor < state.arrivals.len() => {
            state.mode = Mode::Show(0);
            return preview(state);
        }
        KeyCode::Char('b') if state.peers.iter().any(|peer| peer.listening) => {
            return browse(state, Purpose::Send(None), state.browse.clone());
        }
        KeyCode::Char('b') => state.say("nobody is listening in this room", true),
        KeyCode::Char('f') => return browse(state, Purpose::Folder, state.folder.clone()),
        KeyCode::Char('i') if state.invite.is_some() => state.mode = Mode::Invite(false),
        KeyCode::Char('?' | 'h') => state.mode = Mode::Keys,
        KeyCode::Char('q') if state.is_busy() => state.mode = Mode::Quit,
        KeyCode::Char('q') => return vec![Effect::Quit(0)],
        _ => {}
    }
    Vec::new()
}

fn move_to(state: &mut State, row: usize) -> Vec<Effect> {
    state.cursors[state.pane as usize] = row;
    if state.pane == Pane::Arrivals {
        return preview(state);
    }
    Vec::new()
}

/// Asks for the preview of what is under the cursor of the arrivals.
fn preview(state: &State) -> Vec<Effect> {
    let arrival = state.arrivals.get(state.cursors[Pane::Arrivals as usize]);
    let path = arrival.and_then(|arrival| arrival.path.clone());
    path.map(Effect::Preview).into_iter().collect()
}

fn send(state: &mut State) -> Vec<Effect> {
    let marked: Vec<_> = state
        .peers
        .iter()
        .filter(|p| p.marked)
        .map(|p| p.id)
        .collect();
    let here = state.peers.get(state.cursors[Pane::Peers as usize]);
    let to = match here {
        _ if !marked.is_empty() => marked,
        Some(peer) if peer.listening => vec![peer.id],
        Some(peer) => {
            let text = format!("{} is not listening", peer.name);
            state.say(text, true);
            return Vec::new();
        }
        None => {
            state.say("nobody else is in the room yet: i shows the invite", true);
            return Vec::new();
        }
    };
    browse(state, Purpose::Send(Some(to)), state.browse.clone())
}

fn browse(state: &mut State, purpose: Purpose, folder: PathBuf) -> Vec<Effect> {
    state.mode = Mode::Pick(Picker::new(purpose, folder.clone()));
    vec![Effect::List(folder)]
}

fn welcome(state: &mut State, key: KeyEvent, row: usize) -> Vec<Effect> {
    let rows = if state.invite.is_some() { 3 } else { 2 };
    let chosen = match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return vec![Effect::Quit(0)],
        KeyCode::Down | KeyCode::Char('j') => {
            state.mode = Mode::Welcome((row + 1).min(rows - 1));
            return Vec::new();
        }
        KeyCode::Char('p') => 0,
        KeyCode::Char('r') => 1,
        KeyCode::Char('t') if rows == 3 => 2,
        KeyCode::Enter => row,
        _ => {
            state.mode = Mode::Welcome(if matches!(key.code, KeyCode::Up | KeyCode::Char('k')) {
                row.saturating_sub(1)
            } else {
                row
            });
            return Vec::new();
        }
    };
    state.notice = None;
    match chosen {
        0 => {
            state.mode = Mode::Paste(String::new());
            Vec::new()
        }
        1 => vec![Effect::StartRelay],
        _ => vec![Effect::Retry],
    }
}

fn paste(state: &mut State, key: KeyEvent, mut text: String) -> Vec<Effect> {
    match key.code {
        KeyCode::Enter if !text.is_empty() => return vec![Effect::Join(text)],
        KeyCode::Esc => {
            state.mode = Mode::Welcome(0);
            return Vec::new();
        }
        KeyCode::Backspace => _ = text.pop(),
        KeyCode::Char(c) if text.len() < INVITE_MAX => text.push(c),
        _ => {}
    }
    state.mode = Mode::Paste(text);
    Vec::new()
}

fn pick(state: &mut State, key: KeyEvent, mut picker: Picker) -> Vec<Effect> {
    let last = picker.matching().len().saturating_sub(1);
    let moved = match key.code {
        KeyCode::Esc => return Vec::new(),
        KeyCode::Enter => return picked(state, picker),
        KeyCode::Down => {
            picker.cursor = (picker.cursor + 1).min(last);
            false
        }
        KeyCode::Up => {
            picker.cursor = picker.cursor.saturating_sub(1);
            false
        }
        KeyCode::Right => picker.descend(),
        KeyCode::Left => picker.ascend(),
        KeyCode::Tab => picker.complete(),
        KeyCode::Backspace if picker.filter.is_empty() => picker.ascend(),
        KeyCode::Backspace => {
            picker.filter.pop();
            picker.cursor = 0;
            false
        }
        KeyCode::Char(' ') if picker.purpose != Purpose::Folder => {
            picker.mark();
            picker.cursor = (picker.cursor + 1).min(last);
            false
        }
        KeyCode::Char('/') if picker.filter.is_empty() => {
            picker.go(PathBuf::from("/"));
            true
        }
        KeyCode::Char('/') => picker.descend(),
        KeyCode::Char(c) => {
            picker.push(c);
            false
        }
        _ => false,
    };
    let folder = picker.folder.clone();
    state.mode = Mode::Pick(picker);
    if moved {
        vec![Effect::List(folder)]
    } else {
        Vec::new()
    }
}

fn picked(state: &mut State, picker: Picker) -> Vec<Effect> {
    match &picker.purpose {
        Purpose::Folder if state.is_receiving() => {
            state.say("the folder cannot change while something arrives", true);
            Vec::new()
        }
        Purpose::Folder => vec![Effect::Folder(picker.chosen_folder())],
        Purpose::Send(to) => {
            let chosen = picker.chosen();
            if chosen.is_empty() {
                state.mode = Mode::Pick(picker);
                return Vec::new();
            }
            state.sends += 1;
            state.browse.clone_from(&picker.folder);
            state.say("waiting for an answer", false);
            for peer in &mut state.peers {
                peer.marked = false;
            }
            vec![Effect::Send(state.sends, to.clone(), chosen)]
        }
    }
}

fn invite(state: &mut State, key: KeyEvent, qr: bool) -> Vec<Effect> {
    match (key.code, &state.invite) {
        (KeyCode::Char('c'), Some(invite)) => {
            let effect = Effect::Copy(invite.clone());
            state.say(
                "the invite is in the clipboard, if the terminal allows it",
                false,
            );
            return vec![effect];
        }
        (KeyCode::Char('r'), _) => state.mode = Mode::Invite(!qr),
        (KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'i'), _) => {}
        _ => state.mode = Mode::Invite(qr),
    }
    Vec::new()
}

fn told(state: &mut State, news: News) -> Vec<Effect> {
    match news {
        News::Transfer(send, event) => return happened(state, send, event),
        News::Offer(offer) => state.offers.push_back(offer),
        News::OfferGone(transfer) => state.offers.retain(|offer| offer.transfer != transfer),
        News::Peer(id, name, now) => peer(state, id, name, now),
        News::PeersUnknown => state.peers.clear(),
        News::Sent(send, failure) => {
            let outcome = failure.clone().map_or(Outcome::Done, Outcome::Failed);
            for movement in state
                .movements
                .iter_mut()
                .filter(|m| m.job == Job::Send(send))
            {
                movement.end(outcome.clone());
            }
            match failure {
                Some(failure) => state.say(failure, true),
                None => state.say("✓ delivered", false),
            }
        }
        News::Listed(folder, listed) => {
            if let Mode::Pick(picker) = &mut state.mode {
                picker.listed(&folder, listed);
            }
        }
        News::Preview(preview) => state.preview = Some(preview),
        News::Entering(invite) => {
            state.invite = Some(invite);
            state.link = Link::Connecting;
            if matches!(state.mode, Mode::Welcome(_) | Mode::Paste(_)) {
                state.mode = Mode::Main;
            }
        }
        News::NoRoom(reason) => {
            state.say(reason.clone(), true);
            state.link = Link::Lost(reason);
            state.mode = Mode::Welcome(if state.invite.is_some() { 2 } else { 0 });
        }
        News::Folder(folder) => {
            state.say(
                format!("files go to {}", sanitise(&folder.to_string_lossy())),
                false,
            );
            state.folder = folder;
        }
        News::Notice(text, bad) => state.say(text, bad),
    }
    Vec::new()
}

fn peer(state: &mut State, id: PeerId, name: PeerName, now: PeerState) {
    let old = state.peers.iter().position(|peer| peer.id == id);
    let marked = old.is_some_and(|at| state.peers.remove(at).marked);
    if now != PeerState::Gone && id != state.id {
        let listening = now == PeerState::Listening;
        let row = PeerRow {
            id,
            name,
            listening,
            marked: marked && listening,
        };
        let at = state
            .peers
            .partition_point(|peer| (&peer.name, peer.id) < (&row.name, id));
        state.peers.insert(at, row);
    }
    let cursor = &mut state.cursors[Pane::Peers as usize];
    *cursor = (*cursor).min(state.peers.len().saturating_sub(1));
}

fn add(state: &mut State, movement: Movement) {
    state.movements.insert(0, movement);
    let over = |m: &Movement| m.outcome != Outcome::Running;
    if state.movements.len() > KEPT
        && let Some(last) = state.movements.iter().rposition(over)
    {
        state.movements.remove(last);
    }
}

/// The row of this job and peer; made where there is none.
fn row(state: &mut State, job: Job, peer: PeerId, name: PeerName) -> &mut Movement {
    let at = state
        .movements
        .iter()
        .position(|m| m.job == job && m.peer == peer);
    let at = at.unwrap_or_else(|| {
        add(state, Movement::new(job, peer, name, None));
        0
    });
    &mut state.movements[at]
}

fn happened(state: &mut State, send: Option<u64>, event: Event) -> Vec<Effect> {
    let job = |transfer| send.map_or(Job::Receive(transfer), Job::Send);
    match event {
        Event::Joined { relay, .. } => {
            state.link = Link::Joined(relay);
            state.notice = None;
        }
        Event::Disconnected { reason, .. } => state.link = Link::Lost(sanitise(&reason).into()),
        Event::Progress {
            transfer,
            peer,
            peer_name,
            file,
            bytes,
            total,
            ..
        } => {
            let movement = row(state, job(transfer), peer, peer_name);
            movement.total = movement.total.or(total);
            movement.progress(file, bytes);
        }
        Event::Delivered {
            transfer,
            peer,
            peer_name,
            file,
            bytes,
            ..
        } => row(state, job(transfer), peer, peer_name).arrive(file.as_ref(), bytes),
        Event::Received {
            transfer,
            path,
            bytes,
            from,
            from_name,
            ..
        } => {
            row(state, job(transfer), from, from_name.clone()).arrive(&path, bytes);
            let name = path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy();
            let title = sanitise(&name).into_owned();
            return arrive(
                state,
                Arrival {
                    title,
                    path: Some(path),
                    from: from_name,
                    bytes,
                },
            );
        }
        Event::Message {
            from_name, text, ..
        } => {
            let bytes = text.len() as u64;
            let title = sanitise(&text).into_owned();
            return arrive(
                state,
                Arrival {
                    title,
                    path: None,
                    from: from_name,
                    bytes,
                },
            );
        }
        Event::Failed {
            transfer,
            peer,
            file,
            failure,
        } => {
            let reason = failure.to_string();
            if let Some((peer, name)) = peer {
                state.say(format!("✗ {name}: {reason}"), true);
                row(state, job(transfer), peer, name).end(Outcome::Failed(reason));
            } else {
                let file = file
                    .map(|file| format!("{}: ", sanitise(&file)))
                    .unwrap_or_default();
                state.say(format!("✗ {file}{reason}"), true);
            }
        }
        Event::Retrying { reason, .. } => {
            state.say(format!("trying again: {}", sanitise(&reason)), true);
        }
        // A send goes on after a transfer that failed; its end is told by itself.
        Event::Done {
            transfer,
            failed,
            bytes: size,
            ..
        } if send.is_none() => {
            let mine = state
                .movements
                .iter_mut()
                .filter(|m| m.job == Job::Receive(transfer));
            for movement in mine {
                movement.end(if failed == 0 {
                    Outcome::Done
                } else {
                    Outcome::Failed("not received whole".to_owned())
                });
            }
            if failed == 0 {
                state.say(format!("✓ received {}", bytes(size)), false);
            }
        }
        Event::Offered { .. } => state.say("offered: waiting for an answer", false),
        Event::Notice(text) => state.say(sanitise(&text), false),
        _ => {}
    }
    Vec::new()
}

fn arrive(state: &mut State, arrival: Arrival) -> Vec<Effect> {
    state.arrivals.insert(0, arrival);
    state.arrivals.truncate(KEPT);
    let cursor = &mut state.cursors[Pane::Arrivals as usize];
    if *cursor > 0 {
        *cursor = (*cursor + 1).min(KEPT - 1);
        return Vec::new();
    }
    preview(state)
}
