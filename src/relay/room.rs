//! Who is in one room, and which transfers are under way there.

mod far;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

pub(super) use self::far::Shown;
use self::far::{Face, Far, FarMember};
use super::{
    mailbox::{Mailbox, SessionId, encode},
    session::Session,
    tally::Tally,
    transfer::Transfer,
};
use crate::protocol::{Code, PeerId, PeerState, ServerToClient, TransferId};

/// Connections that one identity may have at once: a listener and its concurrent sends.
const SESSIONS_PER_PEER: usize = 64;
/// Members that are looked up at once for somebody who asks who is here.
const LISTED_AT_ONCE: usize = 256;

/// One room: nothing in it is visible from any other.
#[derive(Debug, Default)]
pub(super) struct Room {
    sessions: HashMap<SessionId, Arc<Session>>,
    peers: HashMap<PeerId, Connections>,
    watchers: HashSet<SessionId>,
    transfers: HashMap<TransferId, Transfer>,
    /// The transfers that each session sends or may take part in.
    by_session: HashMap<SessionId, HashSet<TransferId>>,
    /// Other relays with members of this room, and who is there.
    far: Far,
}

/// The connections of one identity.
#[derive(Debug, Default)]
struct Connections {
    /// The newest one on which it listens.
    listener: Option<SessionId>,
    /// All of them, the newest last.
    all: Vec<SessionId>,
}

impl Room {
    /// Whether nobody is here, wherever else somebody may be.
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Everybody who is here.
    pub(super) fn sessions(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.values()
    }

    /// How many transfers are offered or under way.
    pub(super) fn transfers(&self) -> usize {
        self.transfers.len()
    }

    /// A session that is here.
    pub(super) fn session(&self, id: SessionId) -> Option<&Arc<Session>> {
        self.sessions.get(&id)
    }

    /// The connection on which `peer` waits for files here.
    fn listener_here(&self, peer: PeerId) -> Option<&Arc<Session>> {
        let id = self.peers.get(&peer)?.listener?;
        self.sessions.get(&id)
    }

    /// Where `peer` waits for files: here, or at another relay.
    pub(super) fn listener(&self, peer: PeerId) -> Option<&Arc<Mailbox>> {
        match (self.listener_here(peer), self.far.listener(peer)) {
            (Some(here), Some(there)) if there.is_newer_than(here) => Some(there.mailbox()),
            (Some(here), _) => Some(&here.mailbox),
            (None, there) => there.map(FarMember::mailbox),
        }
    }

    /// The connection here that speaks for `peer`: the one on which it listens, if it does.
    fn face_here(&self, peer: PeerId) -> Option<&Arc<Session>> {
        let connections = self.peers.get(&peer)?;
        let id = connections.listener.or(connections.all.last().copied())?;
        self.sessions.get(&id)
    }

    /// Lets a session in.
    ///
    /// A listener replaces an older one of the same identity: the older may be a connection that
    /// was lost without either end knowing yet.
    ///
    /// # Errors
    /// [`Code::Busy`] where the identity has too many connections, or `members_max` others are here.
    pub(super) fn enter(&mut self, session: &Arc<Session>, members_max: usize) -> Result<(), Code> {
        if self.peers.len() >= members_max && !self.peers.contains_key(&session.peer()) {
            return Err(Code::Busy);
        }
        let connections = self.peers.entry(session.peer()).or_default();
        if connections.all.len() >= SESSIONS_PER_PEER {
            return Err(Code::Busy);
        }
        connections.all.push(session.id());
        let replaced = match session.listening {
            true => connections.listener.replace(session.id()),
            false => None,
        };
        self.sessions.insert(session.id(), session.clone());
        if let Some(older) = replaced.and_then(|older| self.sessions.get(&older)) {
            older.link.close(Code::Replaced, "");
        }
        self.announce(session);
        Ok(())
    }

    /// Takes a session out, and tells everyone whom its transfers concern.
    pub(super) fn leave(&mut self, session: &Arc<Session>, code: Code) {
        self.sessions.remove(&session.id());
        self.watchers.remove(&session.id());
        let was_listener = self.forget_connection(session);
        let gone = match self.face(session.peer()) {
            None => Some(session.presence(PeerState::Gone)),
            // It still sends, and is no longer to be sent to.
            Some(Face::Here(face)) if was_listener && !face.listening => {
                Some(face.presence(face.state()))
            }
            Some(face @ Face::There(_)) => Some(face.presence()),
            Some(Face::Here(_)) => None,
        };
        gone.into_iter().for_each(|gone| self.tell_watchers(&gone));
        self.tell_lines_of_end(session, was_listener);
        self.end_transfers(&session.mailbox, code);
    }

    /// Ends the part that somebody who has gone had in transfers.
    fn end_transfers(&mut self, who: &Mailbox, code: Code) {
        for id in self.by_session.remove(&who.id).unwrap_or_default() {
            let Some(transfer) = self.transfers.get_mut(&id) else {
                continue;
            };
            if transfer.is_sent_by(who) {
                transfer.sender_is_gone(id, code);
                self.remove_transfer(id);
            } else {
                transfer.recipient_is_gone(id, who, code);
            }
        }
    }

    /// Whether that was the one on which its peer listened.
    fn forget_connection(&mut self, session: &Session) -> bool {
        let Some(connections) = self.peers.get_mut(&session.peer()) else {
            return false;
        };
        connections.all.retain(|id| *id != session.id());
        let was_listener = connections.listener == Some(session.id());
        if was_listener {
            let is_listener = |id: &&SessionId| {
                let session = self.sessions.get(id);
                session.is_some_and(|session| session.listening)
            };
            connections.listener = connections.all.iter().rev().find(is_listener).copied();
        }
        if connections.all.is_empty() {
            self.peers.remove(&session.peer());
        }
        was_listener
    }

    /// From now on a session hears of everyone who comes, changes, or goes.
    pub(super) fn watch(&mut self, session: &Session) {
        self.watchers.insert(session.id());
    }

    /// Tells the watchers of a connection that came or changed, unless its peer is known by another.
    pub(super) fn announce(&self, session: &Arc<Session>) {
        if let Some(face) = self.face_here(session.peer())
            && Arc::ptr_eq(face, session)
        {
            let presence = face.presence(face.state());
            if let Some(Face::Here(_)) = self.face(session.peer()) {
                self.tell_watchers(&presence);
            }
            self.far.show(presence);
        }
    }

    fn tell_watchers(&self, presence: &ServerToClient) {
        if self.watchers.is_empty() {
            return;
        }
        let Some(encoded) = encode(presence) else {
            return;
        };
        for watcher in self.watchers.iter().filter_map(|id| self.sessions.get(id)) {
            watcher.mailbox.send_encoded(&encoded, presence);
        }
    }

    /// Who is here now, some at a time: the first of those who come after `last` by their IDs, in that order.
    pub(super) fn present_after(&self, last: Option<PeerId>) -> Vec<PeerId> {
        let there = self
            .far
            .peers()
            .filter(|peer| !self.peers.contains_key(peer));
        let peers = self.peers.keys().chain(there).copied();
        let mut next: Vec<_> = peers.filter(|peer| Some(*peer) > last).collect();
        if next.len() > LISTED_AT_ONCE {
            next.select_nth_unstable(LISTED_AT_ONCE);
            next.truncate(LISTED_AT_ONCE);
        }
        next.sort_unstable();
        // Held while the one who asks reads nothing.
        next.shrink_to_fit();
        next
    }

    /// What `to` is told of an identity, as a listener if it listens; nothing of itself, or once it has gone.
    pub(super) fn presence_of(&self, peer: PeerId, to: &Session) -> Option<ServerToClient> {
        let face = self.face(peer).filter(|face| !face.is(to))?;
        Some(face.presence())
    }

    /// A transfer that is under way.
    pub(super) fn transfer(&mut self, id: TransferId) -> Option<&mut Transfer> {
        self.transfers.get_mut(&id)
    }

    /// A transfer that this session sends.
    pub(super) fn sent_by(&mut self, id: TransferId, sender: &Mailbox) -> Option<&mut Transfer> {
        let transfer = self.transfers.get_mut(&id);
        transfer.filter(|transfer| transfer.is_sent_by(sender))
    }

    /// The transfer that this session offers under this ID, made if it is not there.
    ///
    /// # Errors
    /// [`Code::Busy`] where it sends `max` already, or none may begin and there is no tally for it, [`Code::Protocol`] where somebody else sends it.
    pub(super) fn offered_by(
        &mut self,
        id: TransferId,
        sender: &Arc<Mailbox>,
        (max, tally): (usize, impl FnOnce() -> Option<Tally>),
    ) -> Result<&mut Transfer, Code> {
        if !self.transfers.contains_key(&id) {
            let involved = self.by_session.get(&sender.id).into_iter().flatten();
            let sent = involved
                .filter_map(|id| self.transfers.get(id))
                .filter(|transfer| transfer.is_sent_by(sender));
            if sent.count() >= max {
                return Err(Code::Busy);
            }
            let tally = tally().ok_or(Code::Busy)?;
            self.transfers
                .insert(id, Transfer::new(sender.clone(), tally));
            self.note(id, sender);
        }
        self.sent_by(id, sender).ok_or(Code::Protocol)
    }

    /// Notes that a transfer now concerns this session, or that it no longer does.
    pub(super) fn note(&mut self, id: TransferId, session: &Mailbox) {
        let transfer = self.transfers.get(&id);
        if transfer.is_some_and(|transfer| transfer.concerns(session)) {
            self.by_session.entry(session.id).or_default().insert(id);
        } else if let Some(involved) = self.by_session.get_mut(&session.id) {
            involved.remove(&id);
            if involved.is_empty() {
                self.by_session.remove(&session.id);
            }
        }
    }

    /// Forgets a transfer.
    pub(super) fn remove_transfer(&mut self, id: TransferId) {
        let Some(transfer) = self.transfers.remove(&id) else {
            return;
        };
        transfer.close_lines(id);
        for session in transfer.everyone() {
            self.note(id, session);
        }
    }

    /// Takes one recipient out of a transfer, and tells both ends why.
    pub(super) fn drop_peer(&mut self, id: TransferId, peer: PeerId, code: Code) {
        let transfer = self.transfers.get_mut(&id);
        if let Some(mailbox) = transfer.and_then(|t| t.drop_recipient(id, peer, code)) {
            self.note(id, &mailbox);
        }
    }
}
